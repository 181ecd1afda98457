//! Names of files and folders on the servers, as given in arguments.

use crate::client::ClientError;
use crate::name::{FilePath, FolderPath};

/// Everything that a user has stored.
pub(super) const ALL: &str = ".";

/// The name that `FILE [FOLDER]` refers to.
pub(super) fn join(folder: Option<&str>, what: &str) -> Result<String, ClientError> {
    let what = if what == "/" { ALL } else { without_slash(what) };
    let Some(folder) = folder else { return Ok(what.to_owned()) };
    let path = parse_folder(Some(folder))?.file(what);
    path.map(|path| path.as_str().to_owned())
        .map_err(|why| ClientError::Name(format!("{folder}/{what}"), why))
}

/// A folder may be written as ShowFiles shows it.
pub(super) fn without_slash(name: &str) -> &str {
    name.strip_suffix('/').filter(|name| !name.is_empty()).unwrap_or(name)
}

pub(super) fn parse_folder(folder: Option<&str>) -> Result<FolderPath, ClientError> {
    match folder {
        None | Some(ALL | "/") => Ok(FolderPath::root()),
        Some(name) => {
            FolderPath::parse(without_slash(name)).map_err(|why| ClientError::Name(name.to_owned(), why))
        }
    }
}

pub(super) fn parse_file(name: &str) -> Result<FilePath, ClientError> {
    FilePath::parse(name).map_err(|why| ClientError::Name(name.to_owned(), why))
}
