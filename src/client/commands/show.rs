//! ShowFiles: what is in a folder, and the state of each file.

use crate::client::core::base::Core;
use crate::client::core::error::ClientError;
use crate::client::core::files::{self, Entries, ShownFile, shown_survey};
use crate::client::core::look::survey;
use crate::client::core::sight::Unseen;
use crate::name::{FolderPath, ServerName};

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
pub(crate) fn show(core: &mut Core, folder: &FolderPath) -> Result<ShownFolder, ClientError> {
    core.cluster.refresh();
    core.require_server()?;
    let Entries { folders, files, is_unknown, mut unseen } = files::entries(core, folder);
    let mut entries: Vec<Shown> = folders.into_iter().map(Shown::Folder).collect();
    entries.extend(files.into_iter().map(Shown::File));
    if is_unknown && !folder.is_root() {
        let file = show_file(core, folder, &mut unseen);
        entries.push(file.ok_or_else(|| unseen.not_found(core, folder.as_str()))?);
    }
    entries.sort_by(|a, b| sort_key(a).cmp(sort_key(b)));
    Ok(ShownFolder { entries, unseen: unseen.out_of_sight(core) })
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
