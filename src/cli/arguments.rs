//! Names of files and folders, as given in arguments.

use std::collections::HashSet;

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

/// The names without those that are in a folder that is one of them.
pub(super) fn outermost(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    let all: HashSet<String> = names.iter().map(|name| without_slash(name).to_owned()).collect();
    names.retain(|name| {
        let name = without_slash(name);
        !name.match_indices('/').any(|(end, _)| all.contains(&name[..end]))
    });
    names
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_folder_that_was_named_too_is_not_named_twice() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let given = names(&["a/b", "a", "a.txt", "ab/c", "a", "d/e/f", "d/e/"]);
        assert_eq!(outermost(given), names(&["a", "a.txt", "ab/c", "d/e/"]));
    }
}
