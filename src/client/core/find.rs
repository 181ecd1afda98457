//! What a name on the servers refers to: a file, or the files below a folder.

use super::base::Core;
use super::error::ClientError;
use super::files::files_below;
use super::name_map::Names;
use super::prove::survey_to_read;
use super::sight::Unseen;
use super::survey::Survey;
use crate::name::{FilePath, FolderPath, ServerName};

/// A file about which the servers were just asked.
pub struct Looked {
    path: FilePath,
    /// What they said; not kept if they were asked about others too, of which there may be very many.
    survey: Option<Box<Survey>>,
}

impl Looked {
    /// Its name on the servers.
    pub fn path(&self) -> &FilePath {
        &self.path
    }

    pub(crate) fn into_survey(self) -> Option<Survey> {
        self.survey.map(|survey| *survey)
    }
}

/// What a name refers to.
pub enum Found {
    /// A file.
    File(Box<Looked>),
    /// The files below a folder.
    Below(Files),
}

/// The files that a name refers to.
#[derive(Debug)]
pub struct Files {
    /// Those that a server knows of.
    pub files: Names,
    /// Servers that did not report what they know, each with the reason, if they are so many that there may be more
    /// files; otherwise none.
    pub unseen: Vec<(ServerName, String)>,
    /// Whether every server reported what it knows.
    pub is_complete: bool,
}

/// Names about which the servers are asked together.
const AT_ONCE: usize = 1024;

/// See [`Client::find_all`](crate::client::Client::find_all).
pub(crate) fn find_all(core: &mut Core, names: &[String]) -> Vec<Result<Found, ClientError>> {
    names.chunks(AT_ONCE).flat_map(|names| find_at_once(core, names)).collect()
}

/// See [`Client::find`](crate::client::Client::find).
pub(crate) fn find(core: &mut Core, name: &str) -> Result<Found, ClientError> {
    let found = find_all(core, &[name.to_owned()]).pop();
    found.unwrap_or_else(|| Err(ClientError::NotFound(name.to_owned())))
}

fn find_at_once(core: &mut Core, names: &[String]) -> Vec<Result<Found, ClientError>> {
    core.cluster.refresh();
    let is_single = names.len() == 1;
    let is_file = |name: &&String| *name != ".";
    let paths: Vec<FilePath> =
        names.iter().filter(is_file).filter_map(|name| FilePath::parse(name).ok()).collect();
    let mut surveys = survey_to_read(core, &paths).into_iter();
    let mut find = |name: &String| {
        core.require_server()?;
        let bad_name = |why| ClientError::Name(name.clone(), why);
        if name == "." {
            return below(core, name, &FolderPath::root(), Unseen::default());
        }
        FilePath::parse(name).map_err(bad_name)?;
        let mut unseen = Unseen::default();
        if let Some(survey) = surveys.next() {
            unseen.add(&survey.unseen);
            if survey.is_a_file() {
                let path = survey.path.clone();
                let survey = is_single.then(|| Box::new(survey));
                return Ok(Found::File(Box::new(Looked { path, survey })));
            }
        }
        below(core, name, &FolderPath::parse(name).map_err(bad_name)?, unseen)
    };
    names.iter().map(&mut find).collect()
}

/// The files below a folder.
fn below(core: &mut Core, name: &str, folder: &FolderPath, mut unseen: Unseen) -> Result<Found, ClientError> {
    let files = files_below(core, folder, &mut unseen)?;
    if files.is_empty() {
        return Err(unseen.not_found(core, name));
    }
    Ok(Found::Below(Files { files, is_complete: unseen.is_empty(), unseen: unseen.out_of_sight(core) }))
}
