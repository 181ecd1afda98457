//! What all sessions share.

use std::path::PathBuf;

use super::admission::Admission;
use super::log::Log;
use super::users::Users;
use super::voice::Voices;
use crate::name::ServerName;
use crate::store::{OsDisk, Store};

pub(super) struct Shared {
    pub(super) name: ServerName,
    /// ROOT/NAME.
    pub(super) folder: PathBuf,
    pub(super) store: Store<OsDisk>,
    pub(super) users: Users,
    pub(super) admission: Admission,
    pub(super) voices: Voices,
    pub(super) log: Log,
}
