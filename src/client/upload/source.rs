//! Which local files an upload takes along.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::client::core::error::{ClientError, LocalError, Shown};
use crate::client::core::report::{Notice, Report};
use crate::name::{FilePath, FolderPath, NameError};

/// A local file and the name under which it will be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its path on this machine.
    pub local: PathBuf,
    /// Its name on the servers.
    pub target: FilePath,
}

/// What is to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The files.
    pub files: Vec<Source>,
    /// How many others were skipped, because they cannot be stored. A folder that cannot be read is one.
    pub left_out: usize,
}

/// The files that `Upload WHAT FOLDER` uploads: WHAT itself, or every file below it. A path that is not absolute is
/// looked up in `dir`, and must not leave it. What is skipped is reported to `report`.
///
/// # Errors
/// If WHAT itself cannot be stored.
pub fn find(
    dir: &Path,
    what: &str,
    folder: &FolderPath,
    report: &dyn Report,
) -> Result<Sources, ClientError> {
    if what.is_empty() {
        // Joined to DIR, it would be all of DIR, which is written as `.`.
        return Err(ClientError::Name(String::new(), NameError::Empty));
    }
    let relative = Path::new(what);
    if relative.is_relative() && relative.components().any(|c| c == Component::ParentDir) {
        return Err(LocalError::Outside(relative.to_path_buf()).into());
    }
    let local = dir.join(relative);
    let metadata = fs::metadata(&local).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => LocalError::Missing(relative.to_path_buf()),
        _ => LocalError::Failed(local.clone(), error),
    })?;
    let base = base_name(relative, &local)?;
    if metadata.is_file() {
        let base = base.ok_or_else(|| LocalError::Kind(local.clone()))?;
        let target = folder.file(&base).map_err(|why| ClientError::Name(base, why))?;
        return Ok(Sources { files: vec![Source { local, target }], left_out: 0 });
    }
    if !metadata.is_dir() {
        return Err(LocalError::Kind(local).into());
    }
    let folder = match base {
        Some(base) => folder.folder(&base).map_err(|why| ClientError::Name(base, why))?,
        None => folder.clone(),
    };
    let mut walk = Walk { found: Sources { files: Vec::new(), left_out: 0 }, on_the_way: Vec::new(), report };
    walk.visit(&local, &folder).map_err(|error| LocalError::Failed(local.clone(), error))?;
    if walk.found.files.is_empty() && walk.found.left_out == 0 {
        return Err(LocalError::Nothing(local).into());
    }
    Ok(walk.found)
}

/// The last part of a path; none for DIR itself (`.`) and for `/`.
fn base_name(relative: &Path, local: &Path) -> Result<Option<String>, LocalError> {
    match relative.file_name() {
        None => Ok(None),
        Some(name) => match name.to_str() {
            Some(name) => Ok(Some(name.to_owned())),
            None => Err(LocalError::Failed(local.to_path_buf(), io::ErrorKind::InvalidFilename.into())),
        },
    }
}

struct Walk<'a> {
    found: Sources,
    /// Device and number of each folder around the present one, to find loops of links.
    on_the_way: Vec<(u64, u64)>,
    report: &'a dyn Report,
}

impl Walk<'_> {
    fn visit(&mut self, local: &Path, folder: &FolderPath) -> io::Result<()> {
        let metadata = fs::metadata(local)?;
        let here = (metadata.dev(), metadata.ino());
        if self.on_the_way.contains(&here) {
            return Err(io::Error::other("a loop of links"));
        }
        let mut entries: Vec<_> = fs::read_dir(local)?.collect::<io::Result<_>>()?;
        entries.sort_unstable_by_key(fs::DirEntry::file_name);
        self.on_the_way.push(here);
        for entry in entries {
            let path = entry.path();
            if let Err(why) = self.take(&path, folder) {
                self.found.left_out += 1;
                self.report.notice(Notice::LeftOut { what: Shown(&path).to_string(), why });
            }
        }
        self.on_the_way.pop();
        Ok(())
    }

    fn take(&mut self, path: &Path, folder: &FolderPath) -> Result<(), String> {
        let name = path.file_name().and_then(|n| n.to_str()).ok_or("the name is not UTF-8")?;
        let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
        if metadata.is_dir() {
            let folder = folder.folder(name).map_err(|why| why.to_string())?;
            self.visit(path, &folder).map_err(|error| error.to_string())
        } else if metadata.is_file() {
            let target = folder.file(name).map_err(|why| why.to_string())?;
            self.found.files.push(Source { local: path.to_path_buf(), target });
            Ok(())
        } else {
            Err("neither a file nor a folder".into())
        }
    }
}
