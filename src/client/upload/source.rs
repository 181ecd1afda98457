//! Which local files, links and folders an upload takes along.

use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::spool::{self, Spooled};
use crate::client::core::draft::is_draft;
use crate::client::core::error::{ClientError, LocalError, Shown};
use crate::client::core::name_map::NameMap;
use crate::client::core::report::{Notice, Report};
use crate::name::{FilePath, FolderPath, NameError};
use crate::pattern::{Excluded, Pattern};
use crate::sealed::Kind;

/// The bits of a mode that are not stored: setuid, setgid and sticky.
const SPECIAL_BITS: u32 = 0o7000;

/// A local file, link or folder, and the name under which it will be stored.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its path on this machine.
    pub local: PathBuf,
    /// Its name on the servers.
    pub target: FilePath,
    /// Which of them it is.
    pub kind: Kind,
    /// Its bytes, as far as its metadata says.
    pub size: u64,
    /// The folder below which no link is followed to it, whatever has changed there since; none if links are followed.
    pub inside: Option<Arc<Path>>,
    /// Its bytes, if they are not in a file with a name.
    pub(crate) spooled: Option<Arc<Spooled>>,
}

impl Source {
    /// An input that will be stored under this name.
    pub fn of_input(input: Spooled, target: FilePath) -> Self {
        let (local, size) = (PathBuf::from(spool::NAME), input.size);
        Self { local, target, kind: Kind::Data, size, inside: None, spooled: Some(Arc::new(input)) }
    }
}

/// What is to be uploaded: files, links and folders. There may be very many.
#[derive(Debug)]
pub struct Sources {
    /// By their names on the servers, their kinds and sizes.
    all: NameMap<(Kind, u64)>,
    /// The local file, or the folder that they are in.
    local: PathBuf,
    /// The name of that folder on the servers; none for a single file.
    pub folder: Option<FolderPath>,
    /// As in [`Source`].
    inside: Option<Arc<Path>>,
    /// How many others were skipped, because they cannot be stored. A folder that cannot be read is one.
    pub left_out: usize,
}

impl Sources {
    /// Their names on the servers; that of a folder before what is in it.
    pub fn names(&self) -> impl Iterator<Item = FilePath> {
        self.all.iter()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// The name of the file, or of the folder that they are in, on the servers; none if there is nothing.
    pub fn target(&self) -> Option<FilePath> {
        self.folder.as_ref().map(FilePath::of_folder).or_else(|| self.names().next())
    }

    /// The local file, or the folder that they are in.
    pub fn local(&self) -> &Path {
        &self.local
    }

    /// Whether one of this name on the servers is among them.
    pub fn contains(&self, name: &FilePath) -> bool {
        self.all.contains(name)
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = Source> {
        self.all.entries().map(|(target, (kind, size))| Source {
            local: self.local_path(&target),
            target,
            kind: *kind,
            size: *size,
            inside: self.inside.clone(),
            spooled: None,
        })
    }

    fn local_path(&self, target: &FilePath) -> PathBuf {
        let below = self.folder.as_ref().and_then(|folder| folder.relative(target));
        match below.as_ref().map(|path| path.as_str().trim_end_matches('/')) {
            None | Some("") => self.local.clone(),
            Some(path) => self.local.join(path),
        }
    }
}

/// Where local files are, and which to take.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'a> {
    /// Where paths that are not absolute are looked up.
    pub dir: &'a Path,
    /// Whether links are followed. Otherwise they are stored as links.
    pub follow: bool,
    /// Files that are never taken, besides drafts of downloads: those of a change of password.
    pub journals: &'a [PathBuf],
    /// What is skipped without a word. Patterns with a slash are about paths in the folder that is uploaded.
    pub excluded: &'a Excluded,
}

/// The paths below `dir` that match a pattern, sorted. Links to folders are not followed where the pattern has `**`.
///
/// What cannot be read is reported to `report`, and counted.
///
/// # Errors
/// If there are none.
pub fn matching(dir: &Path, text: &str, report: &dyn Report) -> Result<(Vec<String>, usize), ClientError> {
    let pattern = Pattern::new(text);
    let (fixed, depth) = pattern.fixed();
    let below = fixed.iter().map(|name| format!("{name}/")).collect::<String>();
    let (mut found, mut left_out) = (Vec::new(), 0);
    let mut take = |entry: Entry<'_>| match entry {
        Entry::Path(path) if pattern.matches(path) => found.push(path.to_owned()),
        Entry::Path(_) => {}
        Entry::Unread(path, why) => {
            left_out += 1;
            report.notice(Notice::LeftOut { what: Shown(&path).to_string(), why: why.to_string() });
        }
    };
    collect(dir, &below, depth, &mut take);
    found.sort_unstable();
    if found.is_empty() {
        return Err(LocalError::NoMatch(text.to_owned(), dir.to_path_buf()).into());
    }
    Ok((found, left_out))
}

/// What is found in a folder.
enum Entry<'a> {
    Path(&'a str),
    /// A folder that cannot be read, or not to its end.
    Unread(PathBuf, io::Error),
}

/// All paths in a folder, and so many levels below it, and what cannot be read. `below` is empty or ends with a slash.
fn collect(dir: &Path, below: &str, depth: Option<usize>, take: &mut dyn FnMut(Entry<'_>)) {
    let folder = dir.join(below);
    let entries = match fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { &folder }) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return;
        }
        Err(error) => return take(Entry::Unread(folder, error)),
        Ok(entries) => entries,
    };
    for entry in entries {
        let entry = match entry.and_then(|entry| Ok((entry.file_type()?, entry.file_name()))) {
            Ok(entry) => entry,
            Err(error) => return take(Entry::Unread(folder, error)),
        };
        // What cannot be stored matches nothing.
        let (kind, Ok(name)) = (entry.0, entry.1.into_string()) else { continue };
        let path = format!("{below}{name}");
        take(Entry::Path(&path));
        let is_folder = kind.is_dir() || (depth.is_some() && kind.is_symlink() && dir.join(&path).is_dir());
        if is_folder && depth != Some(0) {
            collect(dir, &format!("{path}/"), depth.map(|depth| depth - 1), take);
        }
    }
}

/// What `Upload WHAT --to FOLDER` uploads: WHAT itself and, if it is a folder, everything below it. A path that is not
/// absolute must not leave `dir`. What is skipped is reported to `report`.
///
/// # Errors
/// If WHAT itself cannot be stored.
pub fn find<'a>(
    of: Selection<'a>,
    what: &str,
    folder: &FolderPath,
    report: &'a dyn Report,
) -> Result<Sources, ClientError> {
    if what.is_empty() {
        // Joined to DIR, it would be all of DIR, which is written as `.`.
        return Err(ClientError::Name(String::new(), NameError::Empty));
    }
    let relative = Path::new(what);
    if relative.is_relative() && relative.components().any(|c| c == Component::ParentDir) {
        return Err(LocalError::Outside(relative.to_path_buf()).into());
    }
    let local = if relative == Path::new(".") { of.dir.to_path_buf() } else { of.dir.join(relative) };
    let mut walk = Walk::new(of, local.clone(), report);
    let metadata = walk.metadata(&local).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => LocalError::Missing(relative.to_path_buf()),
        _ => LocalError::Failed(local.clone(), error),
    })?;
    let kind = kind(metadata.file_type()).ok_or_else(|| LocalError::Kind(local.clone()))?;
    if !of.follow {
        let around = if kind == Kind::Folder { &local } else { local.parent().unwrap_or(&local) };
        walk.found.inside = Some(if around.as_os_str().is_empty() { Path::new(".") } else { around }.into());
    }
    // DIR itself (`.`) and `/` have no name.
    let name = relative.file_name().map(|name| name.to_string_lossy().into_owned());
    if kind == Kind::Folder {
        let folder = match name {
            Some(name) => folder.folder(&name).map_err(|why| ClientError::Name(name, why))?,
            None => folder.clone(),
        };
        walk.found.folder = Some(folder.clone());
        walk.visit(&local, &folder, &metadata).map_err(|error| LocalError::Failed(local.clone(), error))?;
    } else {
        let name = name.ok_or_else(|| LocalError::Kind(local.clone()))?;
        if let Some(what) = walk.temporary(&name, &metadata) {
            return Err(LocalError::Temporary(local, what).into());
        }
        let is_excluded = of.excluded.has(&name, false);
        let target = folder.file(&name).map_err(|why| ClientError::Name(name, why))?;
        if !is_excluded {
            walk.add(&target, kind, &metadata);
        }
    }
    Ok(walk.found)
}

fn kind(file: FileType) -> Option<Kind> {
    let kinds =
        [(file.is_file(), Kind::Data), (file.is_symlink(), Kind::Link), (file.is_dir(), Kind::Folder)];
    kinds.into_iter().find_map(|(is, kind)| is.then_some(kind))
}

/// Device and number of a file.
fn id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

struct Walk<'a> {
    found: Sources,
    follow: bool,
    journals: Vec<(u64, u64)>,
    excluded: &'a Excluded,
    /// The folders around the present one, to find loops of links.
    on_the_way: Vec<(u64, u64)>,
    report: &'a dyn Report,
}

impl<'a> Walk<'a> {
    fn new(of: Selection<'a>, local: PathBuf, report: &'a dyn Report) -> Self {
        let journals = of.journals.iter().filter_map(|path| Some(id(&fs::symlink_metadata(path).ok()?)));
        let found = Sources { all: NameMap::default(), local, folder: None, inside: None, left_out: 0 };
        let (journals, on_the_way) = (journals.collect(), Vec::new());
        Self { found, follow: of.follow, journals, excluded: of.excluded, on_the_way, report }
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        if !self.follow {
            return fs::symlink_metadata(path);
        }
        fs::metadata(path).map_err(|error| match fs::symlink_metadata(path) {
            Ok(link) if error.kind() == io::ErrorKind::NotFound && link.is_symlink() => {
                io::Error::other("the link leads nowhere")
            }
            _ => error,
        })
    }

    /// Takes a folder and everything below it.
    fn visit(&mut self, local: &Path, folder: &FolderPath, metadata: &Metadata) -> io::Result<()> {
        if self.on_the_way.contains(&id(metadata)) {
            return Err(io::Error::other("a loop of links"));
        }
        self.add(&FilePath::of_folder(folder), Kind::Folder, metadata);
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().into_boxed_os_str());
        let mut names: Vec<_> = fs::read_dir(local)?.map(name).collect::<io::Result<_>>()?;
        names.sort_unstable();
        self.on_the_way.push(id(metadata));
        for name in names {
            let path = local.join(&*name);
            if self.is_excluded(&path) {
                continue;
            }
            if let Err(why) = self.take(&path, folder) {
                self.found.left_out += 1;
                self.report.notice(Notice::LeftOut { what: Shown(&path).to_string(), why });
            }
        }
        self.on_the_way.pop();
        Ok(())
    }

    fn take(&mut self, path: &Path, folder: &FolderPath) -> Result<(), String> {
        let name = path.file_name().and_then(|n| n.to_str()).ok_or(NameError::NotUtf8.to_string())?;
        let metadata = self.metadata(path).map_err(|error| error.to_string())?;
        let kind = kind(metadata.file_type()).ok_or("neither a file nor a folder")?;
        if kind == Kind::Folder {
            let folder = folder.folder(name).map_err(|why| why.to_string())?;
            return self.visit(path, &folder, &metadata).map_err(|error| error.to_string());
        }
        if let Some(what) = self.temporary(name, &metadata) {
            self.report.notice(Notice::Temporary { path: Shown(path).to_string(), what });
            return Ok(());
        }
        let target = folder.file(name).map_err(|why| why.to_string())?;
        self.add(&target, kind, &metadata);
        Ok(())
    }

    fn is_excluded(&self, path: &Path) -> bool {
        let below = path.strip_prefix(&self.found.local).unwrap_or(path);
        let is_folder = || self.metadata(path).is_ok_and(|metadata| metadata.is_dir());
        // What is in a folder that is left out is not looked at.
        !self.excluded.is_empty() && self.excluded.has_itself(&below.to_string_lossy(), is_folder())
    }

    fn add(&mut self, target: &FilePath, kind: Kind, metadata: &Metadata) {
        if kind != Kind::Link && metadata.mode() & SPECIAL_BITS != 0 {
            self.report.notice(Notice::BitsNotStored { path: target.clone() });
        }
        let size = if kind == Kind::Folder { 0 } else { metadata.len() };
        *self.found.all.entry(target) = (kind, size);
    }

    /// Whether a file is one of the client's own that will soon be gone, and of which kind.
    fn temporary(&self, name: &str, metadata: &Metadata) -> Option<&'static str> {
        if metadata.is_dir() {
            None
        } else if is_draft(name) {
            Some("an unfinished download")
        } else if self.journals.contains(&id(metadata)) {
            Some("the journal of a change of password")
        } else {
            None
        }
    }
}
