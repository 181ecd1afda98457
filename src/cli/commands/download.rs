//! Download: fetches files.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::cli::arguments::join;
use crate::cli::command::{Action, Call, Command};
use crate::cli::journal::Journal;
use crate::cli::options::{DELETE, DRY_RUN, EXCLUDE, JSON, LIMIT, ONLY_CHANGED, RECURSIVE, TO};
use crate::cli::session::{Session, Stored};
use crate::cli::tally::{AT_A_TIME, Deed, Tally};
use crate::cli::text::counted;
use crate::cli::words::quoted;
use crate::cli::{FAILED, NO_SERVER};
use crate::client::{
    ClientError, Destination, Downloaded, Extra, Files, Found, Looked, MadeFolder, Names, Terms,
};
use crate::name::{FilePath, FolderPath, ServerName, printable};
use crate::pattern::Excluded;

pub(super) const COMMAND: Command = Command {
    name: "Download",
    elsewhere: &["get"],
    forms: &[
        ("Download NAME... [--to PATH]", "get files and folders"),
        ("Download FILE [FOLDER]", "get one from FOLDER"),
    ],
    options: &[
        (&TO, "a folder that exists, or the new name of a single file; else Downloads/USER"),
        (&ONLY_CHANGED, "skip what is here with the same size and time"),
        (&DELETE, "with -u: remove here what a stored folder does not have; asks on a terminal"),
        (&EXCLUDE, "skip what matches, as in .gitignore; may be repeated"),
        (&DRY_RUN, "only show what would be done"),
        (&LIMIT, LIMIT.means),
        (&JSON, "one JSON object for each file"),
        (&RECURSIVE, ""),
    ],
    details: "NAME is a stored file or folder, or a pattern with *, ?, [a-z] or ** for any number of folders. It goes to \
              Downloads/USER/NAME in the folder where the client was started; with --to, only the last part of NAME \
              counts. An older download is replaced in one step, and only by a file that is whole. Times and permissions \
              come back as they were stored; what exists is never given more permissions. A link below Downloads/USER or \
              PATH is not followed. `Download .` gets everything.",
    examples: &[
        "Download *.txt --to .",
        "Download a.jpg holiday",
        "Download poem.txt",
        "Download holiday/beach.jpg",
        "Download -u --delete holiday",
        "Download .",
    ],
    action: Action::Run(run),
    ..Command::EMPTY
};

/// Files that go to the same place.
struct Group {
    to: Destination,
    /// Those of folders come first, from the outermost inwards.
    files: Vec<FilePath>,
    /// The folders that were named, each with everything that is stored below it.
    folders: Vec<(FolderPath, Names)>,
    /// Whether every server reported what is in them.
    is_complete: bool,
    /// A single file about which the servers were just asked.
    looked: Option<Looked>,
    /// Servers that may know of more files in the folders.
    unseen: Vec<(ServerName, String)>,
}

fn run(session: &mut Session<'_>, call: &Call) -> Result<u8, ClientError> {
    let (console, options) = (session.console, &call.options);
    let given = call.given();
    if given.folder.is_some_and(|folder| is_local(session, &given.names[0], folder)) {
        return Ok(FAILED);
    }
    let excluded = Excluded::new(options.exclude.iter().map(String::as_str));
    let names: Result<Vec<String>, ClientError> =
        given.names.iter().map(|name| join(given.folder, name)).collect();
    let names = names?;
    let found = match session.find(&names) {
        Err(error @ ClientError::NotFound(_)) => {
            let two = given.folder.filter(|folder| is_file(session, folder));
            return two.map_or(Err(error), |folder| {
                let error =
                    format!("'{folder}' is a file, and two names without --to are a FILE and a FOLDER");
                let (both, place) =
                    ([&given.names[0], folder].map(quoted).join(" "), session.downloads.display());
                console.error(&error, Some(format!("for both: Download {both} --to {place}")));
                Ok(FAILED)
            });
        }
        found => found?,
    };
    let Stored { found, statuses, mut unseen } = found;
    // What was found has another order, and more names where one is a pattern.
    for (what, name) in given.names.iter().zip(&names).filter(|(what, _)| what.ends_with('/')) {
        let is_it = |(of, found): &&(String, Found)| of == name && matches!(found, Found::File(_));
        if let Some((_, Found::File(file))) = found.iter().find(is_it)
            && session.is_no_folder(what, name, &Names::from_iter([file.path().clone()]))
        {
            return Ok(FAILED);
        }
    }
    if options.delete && !may_mirror(session, call, &found) {
        return Ok(FAILED);
    }
    let Some(mut groups) = groups(session, given.to, found, &excluded)? else { return Ok(FAILED) };
    unseen.extend(groups.iter_mut().flat_map(|group| group.unseen.drain(..)));
    // Found before anything is fetched: what somebody puts there meanwhile is not removed.
    let others = if options.delete { Some(others(session, &groups, &excluded)?) } else { None };
    let is_file = |path: &FilePath| !path.is_of_folder();
    let is_empty = groups
        .iter()
        .flat_map(|group| &group.folders)
        .all(|(_, stored)| !stored.iter().any(|path| is_file(&path)));
    if is_empty && others.iter().flatten().any(|(_, extra)| is_file(&extra.path)) {
        console.error(&"no file is stored there, and --delete would remove all that are here", None);
        return Ok(FAILED);
    }
    let all = || groups.iter().flat_map(|group| &group.files);
    console.expect_files(all().count());
    let mut tally = Tally::of(Deed::Download, all()).dry_run(options.dry_run).json(options.json);
    statuses.into_iter().for_each(|status| tally.refused(status));
    for group in &mut groups {
        download(session, call, group, &mut tally);
    }
    let status = session.conclude(&tally, unseen);
    let Some(others) = others else { return Ok(status) };
    if !tally.is_whole() {
        console.error(&"--delete removed nothing, because not everything could be downloaded", None);
        return Ok(status);
    }
    // A file that was stored while only a few servers were up may be on one that is down now, and here.
    if !others.is_empty() && !groups.iter().all(|group| group.is_complete) {
        console.error(&"--delete removed nothing, because not every server said what it has", None);
        return Ok(if status == 0 { NO_SERVER } else { status });
    }
    let removed = remove_others(session, call, others);
    Ok(if status == 0 { removed } else { status })
}

fn download(session: &mut Session<'_>, call: &Call, group: &mut Group, tally: &mut Tally) {
    let options = &call.options;
    let terms = Terms { to: &group.to, only_changed: options.only_changed, dry_run: options.dry_run };
    let mut made: Vec<MadeFolder> = Vec::new();
    for files in group.files.chunks(AT_A_TIME) {
        let results = match group.looked.take() {
            Some(file) => vec![session.client.download_looked(file, terms)],
            None => session.client.download(files, terms),
        };
        for (path, result) in files.iter().zip(results) {
            match result {
                Ok(Downloaded { folder: Some(folder), .. }) => made.push(folder),
                Ok(file) if file.unchanged => {
                    let line = tally.unchanged(&file.path, file.size);
                    session.tell(tally, line);
                }
                Ok(file) => {
                    let place = format!(" to {}", printable(&file.place.to_string_lossy()));
                    let line = tally.done(&file.path, Some(file.size), &place);
                    session.tell(tally, line);
                }
                Err(error) => session.fail(tally, path, error),
            }
        }
    }
    for folder in made.into_iter().rev() {
        match session.client.finish_folder(&folder, &group.to) {
            Ok(()) => {
                let line = tally.done(folder.path(), None, "");
                session.tell(tally, line);
            }
            Err(error) => session.fail(tally, folder.path(), error),
        }
    }
}

fn is_file(session: &mut Session<'_>, name: &str) -> bool {
    matches!(session.client.find(name), Ok(Found::File(_)))
}

/// Whether FOLDER of `FILE FOLDER` can only be a local one, which is reported.
fn is_local(session: &Session<'_>, file: &str, folder: &str) -> bool {
    let is_local = folder != "/" && ["/", "./", "../", "~"].iter().any(|start| folder.starts_with(start));
    if is_local || folder == ".." {
        let error = format!("'{}' is not a folder on the servers", printable(folder));
        let hint = format!("to say where it goes: Download {} --to {}", quoted(file), quoted(folder));
        session.console.error(&error, Some(hint));
    }
    is_local || folder == ".."
}

type FoundNames = Vec<(String, Found)>;

/// Whether `--delete` makes sense here; if not, that is reported.
fn may_mirror(session: &Session<'_>, call: &Call, found: &FoundNames) -> bool {
    let console = session.console;
    if !call.options.only_changed {
        let hint = "-u --delete makes the folder here the same as the stored one";
        console.error(&"--delete needs -u", Some(hint.into()));
        return false;
    }
    if let Some((name, _)) = found.iter().find(|(_, found)| matches!(found, Found::File(_))) {
        console.error(&format!("--delete needs a folder, and '{}' is not one", printable(name)), None);
        return false;
    }
    true
}

/// What goes where; none if that is not possible, which is reported.
fn groups(
    session: &Session<'_>,
    to: Option<&str>,
    found: FoundNames,
    excluded: &Excluded,
) -> Result<Option<Vec<Group>>, ClientError> {
    let mut groups: Vec<Group> = Vec::new();
    let mut taken: HashMap<PathBuf, (String, Option<Destination>)> = HashMap::new();
    let is_single = found.len() == 1;
    for (name, found) in found {
        let Some(to) = destination(session, to, &name, &found, is_single)? else { return Ok(None) };
        let (folder, files, unseen, looked, is_complete) = match found {
            Found::File(file) => {
                let path = file.path().clone();
                let names =
                    Names::from_iter(Some(path).filter(|path| !excluded.has(path.file_name(), false)));
                (None, names, Vec::new(), Some(*file), true)
            }
            Found::Below(Files { files, unseen, is_complete }) => {
                (Some(folder_of(&name)), files, unseen, None, is_complete)
            }
        };
        let place = match &folder {
            Some(folder) => to.place(&FilePath::of_folder(folder)),
            None => files.iter().next().map_or_else(PathBuf::new, |file| to.place(&file)),
        };
        let of_folder = folder.is_some().then(|| to.clone());
        if let Some((first, _)) = taken.insert(place.clone(), (name.clone(), of_folder)) {
            let (first, second) = (printable(&first), printable(&name));
            let place = place.display();
            session.console.error(&format!("'{first}' and '{second}' would both be {place}"), None);
            return Ok(None);
        }
        let is_excluded = |path: &FilePath| match &folder {
            Some(folder) => folder
                .relative(path)
                .is_some_and(|path| excluded.has(path.as_str().trim_end_matches('/'), path.is_of_folder())),
            None => false,
        };
        let (mut entries, others): (Vec<_>, Vec<_>) =
            files.iter().filter(|path| !is_excluded(path)).partition(FilePath::is_of_folder);
        entries.sort_by_key(FilePath::folder);
        let chosen = [entries, others].concat();
        match groups.last_mut().filter(|group| group.to == to && folder.is_none()) {
            Some(group) => {
                group.files.extend(chosen);
                group.looked = None;
            }
            None => {
                let looked = looked.filter(|_| chosen.len() == 1);
                let folders = folder.map(|folder| (folder, files)).into_iter().collect();
                groups.push(Group { to, files: chosen, folders, is_complete, looked, unseen });
            }
        }
    }
    if let Some((inner, outer)) = one_inside(&taken) {
        let (inner, outer) = (printable(inner), printable(outer));
        session.console.error(&format!("'{inner}' would be in the folder to which '{outer}' goes"), None);
        return Ok(None);
    }
    Ok(Some(groups))
}

/// A name whose place is in that of a folder, although it is not stored in that folder.
fn one_inside(taken: &HashMap<PathBuf, (String, Option<Destination>)>) -> Option<(&str, &str)> {
    taken.iter().find_map(|(place, (name, _))| {
        place.ancestors().skip(1).find_map(|around| {
            let (outer, to) = taken.get(around)?;
            let stored = to.as_ref()?.stored_at(place)?;
            (stored.as_str().trim_end_matches('/') != name.as_str())
                .then_some((name.as_str(), outer.as_str()))
        })
    })
}

fn folder_of(name: &str) -> FolderPath {
    FolderPath::parse(name).unwrap_or_default()
}

/// Where one name goes; none if that is not possible, which is reported.
fn destination(
    session: &Session<'_>,
    to: Option<&str>,
    name: &str,
    found: &Found,
    is_single: bool,
) -> Result<Option<Destination>, ClientError> {
    let Some(to) = to else {
        return Ok(Some(Destination::new(session.downloads.clone(), FolderPath::root())));
    };
    let path = Path::new(to);
    let around = match found {
        Found::File(file) => file.path().folder(),
        Found::Below(_) => folder_of(name).parent(),
    };
    if path.is_dir() {
        return Ok(Some(Destination::new(path.to_path_buf(), around)));
    }
    let refused = |error: String, hint: Option<String>| {
        session.console.error(&error, hint);
        Ok(None)
    };
    let no_folder = |what: &Path| {
        let name = what.to_string_lossy();
        match what.symlink_metadata().is_ok() {
            true => refused(format!("'{}' is not a folder", printable(&name)), None),
            false => refused(
                format!("no such local folder: '{}'", printable(&name)),
                Some(format!("`mkdir -p {}` makes it", quoted(&name))),
            ),
        }
    };
    if to == "-" {
        let hint = format!("`Cat {}` writes to standard output", quoted(name));
        return refused("--to needs a path".into(), Some(hint));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match found {
        // A folder gets no other name: run again, the same command would find its place taken, and go one deeper.
        Found::Below(_) => no_folder(path),
        Found::File(_) if !is_single || to.ends_with('/') || path.file_name().is_none() => no_folder(path),
        Found::File(_) if !parent.is_dir() => no_folder(parent),
        Found::File(_) if path.is_symlink() => {
            let hint = "name the file that it leads to, or remove the link".to_owned();
            refused(format!("'{}' is a link", printable(to)), Some(hint))
        }
        Found::File(_) => {
            let last = path.file_name().unwrap_or_default().to_string_lossy();
            let to = Destination::of_file(parent.to_path_buf(), &last);
            to.map(Some).map_err(|why| ClientError::Name(last.into_owned(), why))
        }
    }
}

/// What the local folders have and the stored ones have not.
///
/// # Errors
/// If a local folder cannot be read.
fn others(
    session: &Session<'_>,
    groups: &[Group],
    excluded: &Excluded,
) -> Result<Vec<(Destination, Extra)>, ClientError> {
    let mut kept = Journal::files(&session.conf);
    kept.push(session.conf.clone());
    let mut others: Vec<(Destination, Extra)> = Vec::new();
    for group in groups {
        for (folder, stored) in &group.folders {
            let extra = session.client.extra(&group.to, folder, stored, excluded, &kept)?;
            others.extend(extra.into_iter().map(|extra| (group.to.clone(), extra)));
        }
    }
    // One of the folders may be in another.
    let mut places = HashSet::new();
    others.retain(|(to, extra)| places.insert(to.place(&extra.path)));
    Ok(others)
}

fn remove_others(session: &mut Session<'_>, call: &Call, others: Vec<(Destination, Extra)>) -> u8 {
    if others.is_empty() {
        return 0;
    }
    let dry_run = call.options.dry_run;
    let count = counted(others.len(), "name");
    if !dry_run && !session.may(&format!("{count} here but not stored; remove?"), "nothing was removed") {
        return FAILED;
    }
    let paths = others.iter().map(|(_, extra)| &extra.path);
    let mut tally = Tally::of(Deed::Remove, paths).dry_run(dry_run).json(call.options.json);
    for (to, extra) in others {
        // No server is waited for, so nothing else ends it.
        if session.console.running().is_ending() {
            break;
        }
        let removed = if dry_run { Ok(()) } else { session.client.remove_local(&to, &extra) };
        match removed {
            Ok(()) => {
                let place = to.place(&extra.path);
                let line = tally.done_as(&extra.path, &place.to_string_lossy(), None, "");
                session.tell(&tally, line);
            }
            Err(error) => session.fail(&mut tally, &extra.path, error),
        }
    }
    session.conclude(&tally, Vec::new())
}
