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
pub struct Looked(pub(crate) Survey);

impl Looked {
    /// Its name on the servers.
    pub fn path(&self) -> &FilePath {
        &self.0.path
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
}

/// See [`Client::find`](crate::client::Client::find).
pub(crate) fn find(core: &mut Core, name: &str) -> Result<Found, ClientError> {
    core.cluster.refresh();
    core.require_server()?;
    let bad_name = |why| ClientError::Name(name.to_owned(), why);
    let mut unseen = Unseen::default();
    if name != "." {
        let path = FilePath::parse(name).map_err(bad_name)?;
        let surveys = survey_to_read(core, std::slice::from_ref(&path));
        surveys.iter().for_each(|survey| unseen.add(&survey.unseen));
        if let Some(survey) = surveys.into_iter().find(Survey::is_a_file) {
            return Ok(Found::File(Box::new(Looked(survey))));
        }
    }
    let folder = if name == "." { FolderPath::root() } else { FolderPath::parse(name).map_err(bad_name)? };
    let files = files_below(core, &folder, &mut unseen)?;
    if files.is_empty() {
        return Err(unseen.not_found(core, name));
    }
    Ok(Found::Below(Files { files, unseen: unseen.out_of_sight(core) }))
}
