//! Upload: stores files.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::delete::tell_deleted;
use super::input::{self, INPUT};
use crate::cli::arguments::{outermost, parse_folder, without_slash};
use crate::cli::command::{self, Action, Call, Command};
use crate::cli::journal::Journal;
use crate::cli::options::{DELETE, DRY_RUN, EXCLUDE, FOLLOW, JSON, LIMIT, LONG, ONLY_CHANGED, RECURSIVE, TO};
use crate::cli::session::Session;
use crate::cli::tally::{AT_A_TIME, Deed, Tally};
use crate::cli::text::counted;
use crate::cli::words::quoted;
use crate::cli::{FAILED, USAGE};
use crate::client::{self, ClientError, Files, Found, Names, Seen, Selection, Source, Sources, Uploaded};
use crate::name::{FilePath, FolderPath, ServerName, printable};
use crate::pattern::{Excluded, is_pattern};

pub(super) const COMMAND: Command = Command {
    name: "Upload",
    elsewhere: &["put"],
    forms: &[
        ("Upload NAME... [--to FOLDER]", "store files and folders"),
        ("Upload FILE [FOLDER]", "store one in FOLDER"),
        ("Upload - NAME [--to FOLDER]", "store standard input"),
    ],
    names: command::Names::Local,
    options: &[
        (&TO, "the folder on the servers; without it, two names are FILE and FOLDER"),
        (
            &ONLY_CHANGED,
            "skip what is stored with the same size, time, permissions and all copies, if servers that are down have theirs",
        ),
        (&DELETE, "with -u: delete there what a folder here does not have; asks on a terminal"),
        (&EXCLUDE, "skip what matches, as in .gitignore; may be repeated"),
        (&DRY_RUN, "only show what would be done"),
        (&FOLLOW, "follow links; otherwise they are stored as links"),
        (&LONG, "list every file, unchanged ones too, even into a pipe"),
        (&LIMIT, LIMIT.means),
        (&JSON, "one JSON object for each file"),
        (&RECURSIVE, ""),
    ],
    details: "NAME is a file or folder in DIR, the client's first argument, an absolute path, or a pattern with *, ?, \
              [a-z] or ** for any number of folders. It is stored under the last part of its path, in FOLDER on the \
              servers if one is given; folders are created as needed. An older file of that name is replaced in one step. \
              A folder is stored with its links and empty folders, times and permission bits. `Upload .` stores all of \
              DIR; with -u --delete it deletes everything else that is stored. Standard input is stored when it ends; \
              a large one is kept until then in TMPDIR, in plain text. If something is left out, the last line says \
              how much, the exit status is 1, and --delete deletes nothing.",
    examples: &[
        "Upload *.txt --to docs",
        "Upload poem.txt papers",
        "Upload - dump.sql",
        "Upload poem.txt",
        "Upload \"my notes.txt\" papers",
        "Upload /etc/hosts",
        "Upload -u --delete holiday",
        "Upload -u . --exclude *.o",
    ],
    action: Action::Run(run),
    ..Command::EMPTY
};

/// Whether a call stores standard input.
pub(in crate::cli) fn stores_input(call: &Call) -> bool {
    *call.command == COMMAND && call.needed(0) == INPUT
}

/// Why a call cannot read from DIR, if it is an Upload that has to.
pub(in crate::cli) fn lacks_dir(call: &Call, dir: &Path) -> Option<String> {
    let is_in_dir = |name: &String| Path::new(name).is_relative();
    let is_upload = *call.command == COMMAND && !stores_input(call);
    let reads_dir = is_upload && call.given().names.iter().any(is_in_dir);
    (reads_dir && !dir.is_dir()).then(|| {
        format!("DIR, from which Upload reads, is not a folder: '{}'", printable(&dir.to_string_lossy()))
    })
}

fn run(session: &mut Session<'_>, call: &Call) -> Result<u8, ClientError> {
    if stores_input(call) {
        return input::upload(session, call);
    }
    if let Some(why) = lacks_dir(call, &session.dir) {
        session.console.error(&why, None);
        return Ok(USAGE);
    }
    let options = &call.options;
    let given = call.given();
    let into = parse_folder(given.folder.or(given.to))?;
    if given.folder.is_some_and(|folder| is_ambiguous(session, &given.names[0], folder)) {
        return Ok(FAILED);
    }
    let excluded = Excluded::new(options.exclude.iter().map(String::as_str));
    let Local { found, statuses, left_out } = sources(session, call, &into, &excluded)?;
    let console = session.console;
    if let Some((first, second, name)) = same_target(&found) {
        console.error(&format!("'{first}' and '{second}' would both be stored as '{name}'"), None);
        return Ok(FAILED);
    }
    if let Some((inner, outer)) = one_inside(&found) {
        console.error(&format!("'{inner}' would be in the folder in which '{outer}' is stored"), None);
        return Ok(FAILED);
    }
    if options.delete && !may_mirror(session, call, &found) {
        return Ok(FAILED);
    }
    // Found before anything is stored: what somebody stores there meanwhile is not deleted.
    let others = if options.delete { others(session, &found, &excluded)? } else { Some(Others::default()) };
    let Some(others) = others else { return Ok(FAILED) };
    let count = found.iter().map(|(_, sources)| sources.count()).sum();
    if count == 0 && !options.exclude.is_empty() && statuses.is_empty() {
        console.done(&"nothing to store: everything is excluded");
    }
    let left_out = left_out + found.iter().map(|(_, sources)| sources.left_out).sum::<usize>();
    console.expect_files(count);
    let names = found.iter().flat_map(|(_, sources)| sources.names());
    let mut tally =
        Tally::of_upload(names, left_out, options.long).dry_run(options.dry_run).json(options.json);
    statuses.into_iter().for_each(|status| tally.refused(status));
    upload_all(session, call, &found, &mut tally);
    let status = session.conclude(&tally, Vec::new());
    if !options.delete {
        return Ok(status);
    }
    if !tally.is_whole() {
        let hint = "--exclude NAME leaves out what cannot be stored".to_owned();
        console.error(&"--delete deleted nothing, because not everything was stored", Some(hint));
        return Ok(status);
    }
    let deleted = delete_others(session, call, others);
    Ok(if status == 0 { deleted } else { status })
}

/// What names refer to here.
struct Local {
    found: Vec<(String, Sources)>,
    /// The exit status for each name that cannot be used.
    statuses: Vec<u8>,
    /// How many folders could not be read to find what matches a pattern.
    left_out: usize,
}

/// What each name refers to here, a pattern to all that match it. One of several that cannot be used is reported.
///
/// # Errors
/// If the only name cannot be used.
fn sources(
    session: &mut Session<'_>,
    call: &Call,
    into: &FolderPath,
    excluded: &Excluded,
) -> Result<Local, ClientError> {
    let names = call.given().names;
    let journals = Journal::files(&session.conf);
    let (dir, console) = (session.dir.clone(), session.console);
    let from = Selection { dir: &dir, follow: call.options.follow, journals: &journals, excluded };
    let (mut found, mut refused, mut left_out) = (Vec::new(), Vec::new(), 0);
    for name in names {
        let matching = if is_pattern(name) && fs::symlink_metadata(dir.join(name)).is_err() {
            client::matching(&dir, name, console).map(|(names, left_out)| (outermost(names), left_out))
        } else {
            Ok((vec![name.clone()], 0))
        };
        let all = matching.and_then(|(names, unread)| {
            left_out += unread;
            let find = |name: String| client::find(from, &name, into, console).map(|all| (name, all));
            names.into_iter().map(find).collect::<Result<Vec<_>, _>>()
        });
        match all {
            Ok(all) => found.extend(all),
            Err(error) if names.len() == 1 => return Err(error),
            Err(error) => refused.push(session.refuse(name, error)),
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found.dedup_by(|(a, _), (b, _)| a == b);
    Ok(Local { found, statuses: refused, left_out })
}

/// Uploads everything that was found, and reports what came of each.
fn upload_all(session: &mut Session<'_>, call: &Call, found: &[(String, Sources)], tally: &mut Tally) {
    let renamed = renamed(found);
    let mut sources = found.iter().flat_map(|(_, sources)| sources.iter());
    loop {
        let batch: Vec<Source> = sources.by_ref().take(AT_A_TIME).collect();
        if batch.is_empty() {
            return;
        }
        for (path, size, result) in upload(session, call, &batch) {
            let line = match result {
                Ok(true) => tally.unchanged(&path, size),
                Ok(false) => match renamed.get(&path) {
                    Some(name) => tally.done_as(&path, name, Some(size), &format!(", stored as {path}")),
                    None => tally.done(&path, Some(size), ""),
                },
                Err(error) => {
                    session.fail(tally, &path, error);
                    None
                }
            };
            session.tell(tally, line);
        }
    }
}

/// Uploads sources, or only finds out which have changed: for each its name, its size, and whether it was unchanged.
fn upload(
    session: &mut Session<'_>,
    call: &Call,
    batch: &[Source],
) -> Vec<(FilePath, u64, Result<bool, ClientError>)> {
    let options = &call.options;
    let client = &mut session.client;
    let of = |source: &Source| (source.target.clone(), source.size);
    if options.dry_run {
        let unchanged =
            if options.only_changed { client.are_unchanged(batch) } else { vec![false; batch.len()] };
        let result = |(source, unchanged)| {
            let (path, size) = of(source);
            (path, size, Ok(unchanged))
        };
        return batch.iter().zip(unchanged).map(result).collect();
    }
    let result = |(source, result): (&Source, Result<Uploaded, ClientError>)| {
        let (path, size) = of(source);
        (path, result.as_ref().map_or(size, |file| file.size), result.map(|file| file.unchanged))
    };
    batch.iter().zip(client.upload(batch, options.only_changed)).map(result).collect()
}

/// Whether FOLDER of `FILE FOLDER` is a local file, or a pattern: then two names were meant, perhaps by the shell, which
/// must not be guessed. That is reported.
fn is_ambiguous(session: &mut Session<'_>, file: &str, folder: &str) -> bool {
    let kind = |name: &str| fs::symlink_metadata(session.dir.join(name)).map(|metadata| metadata.is_dir());
    let what = match (kind(file), kind(folder)) {
        // It will not be found.
        (Err(_), _) if !is_pattern(file) => return false,
        (_, Ok(false)) => "a file in DIR",
        (_, Err(_))
            if is_pattern(folder) && client::matching(&session.dir, folder, &client::Silent).is_ok() =>
        {
            "a pattern"
        }
        // A folder that is here and there is often meant as the place; one that is only here may be the second of two.
        (Ok(true), Ok(true)) if session.client.find(without_slash(folder)).is_err() => "a folder in DIR",
        _ => return false,
    };
    let (file, quoted_folder) = (quoted(file), quoted(folder));
    let error = format!("'{folder}' is {what}, and two names without --to are a FILE and a FOLDER");
    let both = format!("`Upload {file} {quoted_folder} --to .` stores both");
    let hint = format!("{both}; `Upload {file} --to {quoted_folder}` stores {file} in {quoted_folder}/");
    session.console.error(&error, Some(hint));
    true
}

/// Two names that would be stored under the same.
fn same_target(found: &[(String, Sources)]) -> Option<(&str, &str, String)> {
    let mut targets: HashMap<String, &str> = HashMap::new();
    found.iter().find_map(|(name, sources)| {
        let target = sources.target()?.as_str().trim_end_matches('/').to_owned();
        let first = targets.insert(target.clone(), name)?;
        Some((first, name.as_str(), target))
    })
}

/// A name whose target is in that of a folder, although it is not in that folder here.
fn one_inside(found: &[(String, Sources)]) -> Option<(&str, &str)> {
    let folders =
        || found.iter().filter_map(|(name, sources)| Some((name, sources, sources.folder.as_ref()?)));
    found.iter().find_map(|(inner, sources)| {
        let target = sources.target()?;
        folders().find_map(|(outer, around, folder)| {
            let below = folder.relative(&target).filter(|path| path.as_str() != "/")?;
            let place = around.local().join(below.as_str().trim_end_matches('/'));
            (place != sources.local()).then_some((inner.as_str(), outer.as_str()))
        })
    })
}

/// The files that are stored under a part of the name that was given.
fn renamed(found: &[(String, Sources)]) -> HashMap<FilePath, String> {
    let is_renamed = |(name, sources): &&(String, Sources)| sources.folder.is_none() && name.contains('/');
    let name = |(name, sources): &(String, Sources)| Some((sources.names().next()?, name.clone()));
    found.iter().filter(is_renamed).filter_map(name).collect()
}

/// Whether `--delete` makes sense here; if not, that is reported.
fn may_mirror(session: &Session<'_>, call: &Call, found: &[(String, Sources)]) -> bool {
    let console = session.console;
    if !call.options.only_changed {
        let hint = "-u --delete makes the stored folder the same as the one here";
        console.error(&"--delete needs -u", Some(hint.into()));
        return false;
    }
    let given = call.given();
    if let Some(folder) = given.folder {
        // Two folders may have been meant, and the second one would lose what is in it.
        let (name, folder) = (quoted(&given.names[0]), quoted(folder));
        let hint = format!("`Upload -u --delete {name} --to {folder}`, or for both `{name} {folder} --to .`");
        console.error(&"--delete takes FOLDER only after --to", Some(hint));
        return false;
    }
    if let Some((name, _)) = found.iter().find(|(_, sources)| sources.folder.is_none()) {
        console.error(&format!("--delete needs a folder, and '{name}' is not one"), None);
        return false;
    }
    true
}

/// What is stored in the folders and not here, as it is now.
#[derive(Default)]
struct Others {
    seen: Vec<Seen>,
    /// Servers that may know of more.
    not_seen: Vec<(ServerName, String)>,
}

/// What is stored below the folders and not here. None if a folder here is empty, which is reported.
///
/// # Errors
/// If the servers cannot be asked.
fn others(
    session: &mut Session<'_>,
    found: &[(String, Sources)],
    excluded: &Excluded,
) -> Result<Option<Others>, ClientError> {
    let (mut others, mut not_seen) = (Names::default(), Vec::new());
    for (_, sources) in found {
        let Some(folder) = &sources.folder else { continue };
        let name = if folder.is_root() { "." } else { folder.as_str() };
        let Files { files, unseen, .. } = match session.client.find(name) {
            Ok(Found::Below(below)) => below,
            // It may not be stored yet.
            Ok(Found::File(_)) | Err(ClientError::NotFound(_)) => continue,
            Err(error) => return Err(error),
        };
        not_seen.extend(unseen);
        let is_excluded = |path: &FilePath| {
            let below = folder.relative(path);
            below.is_some_and(|path| excluded.has(path.as_str().trim_end_matches('/'), path.is_of_folder()))
        };
        let extra: Vec<FilePath> =
            files.iter().filter(|path| !sources.contains(path) && !is_excluded(path)).collect();
        // The folder on which a disk should be mounted looks like this.
        let is_file = |path: &FilePath| !path.is_of_folder();
        if !sources.names().any(|path| is_file(&path)) && extra.iter().any(is_file) {
            let error = format!("no file is in '{name}' here, and --delete would delete all that are there");
            let hint = format!("is its disk mounted? `Delete -r {}` deletes what is stored", quoted(name));
            session.console.error(&error, Some(hint));
            return Ok(None);
        }
        others.extend(extra);
    }
    let all: Vec<FilePath> = others.iter().collect();
    Ok(Some(Others { seen: session.client.look(&all), not_seen }))
}

fn delete_others(session: &mut Session<'_>, call: &Call, others: Others) -> u8 {
    let options = &call.options;
    let Others { seen, not_seen } = others;
    if seen.is_empty() {
        return session.unless_unseen(0, not_seen);
    }
    let count = counted(seen.len(), "name");
    if !options.dry_run
        && !session.may(&format!("{count} stored there but not in DIR; delete?"), "nothing was deleted")
    {
        return FAILED;
    }
    let paths = seen.iter().map(|seen| &seen.path);
    let mut tally = Tally::of(Deed::Delete, paths).dry_run(options.dry_run).json(options.json);
    for seen in seen.chunks(AT_A_TIME) {
        let results = match options.dry_run {
            true => seen.iter().map(|seen| Ok(seen.path.clone())).collect(),
            false => session.client.delete_seen(seen),
        };
        tell_deleted(session, &mut tally, seen.iter().map(|seen| &seen.path).zip(results));
    }
    session.conclude(&tally, not_seen)
}
