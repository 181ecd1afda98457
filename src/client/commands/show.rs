//! ShowFiles: what is in a folder, and the state of each file.

use crate::client::core::base::Core;
use crate::client::core::error::ClientError;
use crate::client::core::files::{self, Entries, ShownFile, shown_survey};
use crate::client::core::look::survey;
use crate::client::core::sight::Unseen;
use crate::name::{FolderPath, ServerName};
use crate::pattern::Pattern;

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A folder, with its name in the listed one.
    Folder(FolderPath),
    /// A file.
    File(ShownFile),
}

/// What is in a folder.
#[derive(Debug)]
pub struct ShownFolder {
    /// Its entries, sorted by name.
    pub entries: Vec<Shown>,
    /// Servers that did not report what they have, each with the reason, if they are so many that there may be more;
    /// otherwise none.
    pub unseen: Vec<(ServerName, String)>,
}

/// See [`Client::show`](crate::client::Client::show).
pub(crate) fn show(
    core: &mut Core,
    folder: &FolderPath,
    recursive: bool,
) -> Result<ShownFolder, ClientError> {
    core.cluster.refresh();
    core.require_server()?;
    let Entries { folders, files, is_unknown, mut unseen } = files::entries(core, folder, recursive);
    let mut entries: Vec<Shown> = folders.into_iter().map(Shown::Folder).collect();
    entries.extend(files.into_iter().map(Shown::File));
    if is_unknown && !folder.is_root() {
        let file = show_file(core, folder, &mut unseen);
        entries.push(file.ok_or_else(|| unseen.not_found(core, folder.as_str()))?);
    }
    entries.sort_by(|a, b| sort_key(a).cmp(sort_key(b)));
    Ok(ShownFolder { entries, unseen: unseen.out_of_sight(core) })
}

/// The stored names that match a pattern.
#[derive(Debug)]
pub struct Matches {
    /// Files, and folders with a slash at their end, sorted.
    pub names: Vec<String>,
    /// As in [`ShownFolder`].
    pub unseen: Vec<(ServerName, String)>,
}

/// See [`Client::matching`](crate::client::Client::matching).
pub(crate) fn matching(core: &mut Core, pattern: &str) -> Result<Matches, ClientError> {
    let name = |shown: &Shown| match shown {
        Shown::Folder(folder) => format!("{}/", folder.as_str()),
        Shown::File(file) => file.path.as_str().to_owned(),
    };
    let ShownFolder { entries, unseen } = show_matching(core, pattern, false)?;
    Ok(Matches { names: entries.iter().map(name).collect(), unseen })
}

/// See [`Client::show_matching`](crate::client::Client::show_matching).
pub(crate) fn show_matching(
    core: &mut Core,
    pattern: &str,
    recursive: bool,
) -> Result<ShownFolder, ClientError> {
    let form = Pattern::new(pattern);
    let (fixed, depth) = form.fixed();
    let no_match = || ClientError::NoMatch(pattern.to_owned());
    let folder = match &fixed[..] {
        [] => FolderPath::root(),
        names => FolderPath::parse(&names.join("/")).map_err(|_| no_match())?,
    };
    let shown = match show(core, &folder, recursive || depth != Some(0)) {
        Err(ClientError::NotFound(_)) => return Err(no_match()),
        shown => shown?,
    };
    let is_it = |name: &str| {
        let mut around = name.match_indices('/').map(|(end, _)| &name[..end]);
        form.matches(name) || (recursive && around.any(|folder| form.matches(folder)))
    };
    let whole = |shown: Shown| match shown {
        Shown::Folder(name) => {
            let path = folder.folder(name.as_str()).ok()?;
            is_it(path.as_str()).then_some(Shown::Folder(path))
        }
        Shown::File(file) => {
            let path = folder.absolute(&file.path).ok()?;
            is_it(path.as_str()).then_some(Shown::File(ShownFile { path, ..file }))
        }
    };
    let ShownFolder { entries, unseen } = shown;
    let entries: Vec<Shown> = entries.into_iter().filter_map(whole).collect();
    match entries.is_empty() {
        true if !unseen.is_empty() => Err(ClientError::OutOfSight(pattern.to_owned(), unseen)),
        true => Err(no_match()),
        false => Ok(ShownFolder { entries, unseen }),
    }
}

/// A name that is no folder may be a file's.
fn show_file(core: &mut Core, name: &FolderPath, unseen: &mut Unseen) -> Option<Shown> {
    let surveys = survey(core, &[name.as_file()?]);
    surveys.iter().for_each(|survey| unseen.add(&survey.unseen));
    surveys.iter().find_map(|survey| shown_survey(core, &name.parent(), survey)).map(Shown::File)
}

/// A folder is sorted as its name with a slash after it would be.
fn sort_key(shown: &Shown) -> impl Iterator<Item = u8> {
    let (name, end) = match shown {
        Shown::Folder(folder) => (folder.as_str(), Some(b'/')),
        Shown::File(file) => (file.path.as_str(), None),
    };
    name.bytes().chain(end)
}
