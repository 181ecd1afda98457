//! The client: the coordinator of uploads, downloads and listings. It prints nothing and reads no arguments. The
//! servers do not know each other, so everything on which they must agree is decided here.
//!
//! Each command is a function over `core::base::Core`, the connections and the key.

mod commands;
mod core;
mod download;
mod upload;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

pub use crate::peer::Stop;
pub use commands::delete::Seen;
pub use commands::move_folder::{FolderMove, Moved};
pub use commands::passwd::NotChanged;
pub use commands::repair::{NotRepaired, RepairSummary, Repaired};
pub use commands::show::{Matches, Shown, ShownFolder};
pub use commands::status::ServerStatus;
pub use commands::verify::{Problem, Share, VerifySummary, Wrong};
pub use core::error::{
    ClientError, DELETED_BEFORE, LaunchError, LocalError, MissingPiece, OTHER_KEY_HINT, PasswdError,
};
pub use core::files::{Health, Holding, ShownFile};
pub use core::find::{Files, Found, Looked};
pub use core::name_map::{NameMap, Names};
pub use core::report::{Doing, Notice, Phase, Progress, Report, Silent};
pub use download::extra::Extra;
pub use download::{Destination, Downloaded, MadeFolder, Terms};
pub use upload::Uploaded;
pub use upload::source::{Selection, Source, Sources, find, matching};
pub use upload::spool::{Spooled, spool};

use crate::config::Config;
use crate::name::{FilePath, FolderPath, ServerName, UserName};
use crate::pattern::Excluded;
use crate::peer::LEAST_THROTTLE;
use core::base::Core;

/// A client that is logged in to the servers that are up.
pub struct Client(Core);

impl Client {
    /// Derives the user's key, and logs in to every server that can be reached. One that refuses the password is tried
    /// with `other`, the new one of a change that was interrupted.
    ///
    /// # Errors
    /// If every server that answers refuses the password, or none can be used.
    pub fn launch(config: Config, other: Option<&str>, report: Arc<dyn Report>) -> Result<Self, LaunchError> {
        Core::launch(config, other, report).map(Self)
    }

    /// Who is logged in.
    pub fn user(&self) -> &UserName {
        &self.0.config.user
    }

    /// The password that the client logs in with.
    pub fn password(&self) -> &str {
        &self.0.config.password
    }

    /// The servers, each with why it is down if it is.
    pub fn servers(&self) -> Vec<(ServerName, Option<String>)> {
        self.0.servers()
    }

    /// Finds out why no server is left: if the servers have ended the connections, a login says why.
    pub fn find_reason(&mut self, error: ClientError) -> ClientError {
        self.0.find_reason(error)
    }

    /// With this another thread ends what the client is doing, as if it had lost all servers: nothing that was stored
    /// is lost, and the next command, after [`Client::probe`], logs in again.
    pub fn stop(&self) -> Stop {
        self.0.cluster.stop().clone()
    }

    /// To be called before each command that follows another, and ends a stop: a server that has fallen silent in
    /// between is then given up sooner than during a command.
    pub fn probe(&mut self) {
        self.0.cluster.end_stop();
        self.0.cluster.probe();
    }

    /// The least rate for [`Client::throttle`].
    pub fn least_rate(&self) -> u64 {
        LEAST_THROTTLE * self.0.cluster.len() as u64
    }

    /// From now on at most so many bytes are sent and received in a second, over all connections together; without a
    /// rate, as many as can be. With less than [`Client::least_rate`], servers may end connections.
    pub fn throttle(&mut self, rate: Option<u64>) {
        self.0.cluster.throttle(rate);
    }

    /// Asks every server, one after another, for its round trip and what it holds.
    pub fn status(&mut self) -> Vec<ServerStatus> {
        commands::status::status(&mut self.0)
    }

    /// The entries of a folder, or with `recursive` everything below it, sorted by name; or a single file, if the name
    /// is a file's.
    ///
    /// A list is not sealed. If servers disagree about a file, its seals are requested; what they all report alike is
    /// shown as it is.
    ///
    /// # Errors
    /// If nothing has that name, as far as can be seen, or no server is up.
    pub fn show(&mut self, folder: &FolderPath, recursive: bool) -> Result<ShownFolder, ClientError> {
        commands::show::show(&mut self.0, folder, recursive)
    }

    /// The names in a folder, its folders with a slash at the end, as any of the servers' lists has them that
    /// arrive: a glance for suggestions, which proves and reports nothing.
    pub fn glance(&mut self, folder: &FolderPath) -> Vec<String> {
        let (folders, files) = core::files::glance(&mut self.0, folder);
        let folders = folders.iter().map(|folder| format!("{folder}/"));
        folders.chain(files.iter().map(|file| file.as_str().to_owned())).collect()
    }

    /// Finds out whether a name is a file or a folder. `.` is the folder of everything.
    ///
    /// # Errors
    /// If it is neither, as far as can be seen.
    pub fn find(&mut self, name: &str) -> Result<Found, ClientError> {
        core::find::find(&mut self.0, name)
    }

    /// The same for several names: a result for each, in order.
    pub fn find_all(&mut self, names: &[String]) -> Vec<Result<Found, ClientError>> {
        core::find::find_all(&mut self.0, names)
    }

    /// The stored names that match a pattern.
    ///
    /// # Errors
    /// If none does, or no server is up.
    pub fn matching(&mut self, pattern: &str) -> Result<Matches, ClientError> {
        commands::show::matching(&mut self.0, pattern)
    }

    /// The entries that match a pattern, by their whole names; with `recursive` also everything below those.
    ///
    /// # Errors
    /// If there is none, or no server is up.
    pub fn show_matching(&mut self, pattern: &str, recursive: bool) -> Result<ShownFolder, ClientError> {
        commands::show::show_matching(&mut self.0, pattern, recursive)
    }

    /// For each source, whether it is stored already: of the same kind, size, time and permission bits, with all its
    /// copies.
    pub fn are_unchanged(&mut self, sources: &[Source]) -> Vec<bool> {
        upload::are_unchanged(&mut self.0, sources)
    }

    /// What the local folder of a stored one has that is not `stored`; folders after what is in them. What is excluded,
    /// could not be stored, or is one of the files `kept`, is left out.
    ///
    /// # Errors
    /// If a local folder cannot be read.
    pub fn extra(
        &self,
        to: &Destination,
        folder: &FolderPath,
        stored: &Names,
        excluded: &Excluded,
        kept: &[PathBuf],
    ) -> Result<Vec<Extra>, ClientError> {
        download::extra::extra(to, folder, stored, excluded, kept)
    }

    /// Removes a local file, link or empty folder, no link followed.
    ///
    /// # Errors
    /// If that is not possible, or it has changed since it was found.
    pub fn remove_local(&self, to: &Destination, extra: &Extra) -> Result<(), ClientError> {
        download::extra::remove(to, extra)
    }

    /// Uploads files, links and folders; one result for each, in order. With `only_changed`, one of the same kind,
    /// size, time and permission bits as the stored one is left as it is, if that has all its copies.
    pub fn upload(&mut self, sources: &[Source], only_changed: bool) -> Vec<Result<Uploaded, ClientError>> {
        upload::upload(&mut self.0, sources, only_changed)
    }

    /// Downloads files; one result for each, in order.
    pub fn download(&mut self, files: &[FilePath], terms: Terms<'_>) -> Vec<Result<Downloaded, ClientError>> {
        download::download(&mut self.0, files, terms)
    }

    /// Gives a downloaded folder its permission bits and time, when everything in it is there.
    ///
    /// # Errors
    /// If the folder cannot be used anymore.
    pub fn finish_folder(&self, folder: &MadeFolder, to: &Destination) -> Result<(), ClientError> {
        download::finish_folder(&self.0, folder, to)
    }

    /// Downloads one file to its place. The servers are not asked again what they have of it, which
    /// saves a round trip, unless the file has changed in the meantime or seems incomplete.
    ///
    /// # Errors
    /// Those of [`Client::download`] for one file.
    pub fn download_looked(&mut self, file: Looked, terms: Terms<'_>) -> Result<Downloaded, ClientError> {
        download::download_looked(&mut self.0, file, terms)
    }

    /// Writes the bytes of a file to `out`, in their order and each only when it is verified, in memory that does not
    /// grow with the file. If an error comes after the first bytes, [`Notice::CutShort`] says how many were written.
    ///
    /// # Errors
    /// If it is a link or incomplete, if it is replaced after some of it was written, or if `out` fails
    /// ([`ClientError::Output`]).
    pub fn cat(&mut self, file: Looked, out: &mut (dyn Write + Send)) -> Result<(), ClientError> {
        download::cat(&mut self.0, file, out)
    }

    /// Deletes files; one result for each, in order.
    pub fn delete(&mut self, files: &[FilePath]) -> Vec<Result<FilePath, ClientError>> {
        commands::delete::delete(&mut self.0, files)
    }

    /// Looks at names, so that they can be deleted as they are now.
    pub fn look(&mut self, files: &[FilePath]) -> Vec<Seen> {
        commands::delete::look(&mut self.0, files)
    }

    /// Deletes names as they were when they were looked at; one result for each, in order. One that has been replaced
    /// since then is kept, which is an error.
    pub fn delete_seen(&mut self, seen: &[Seen]) -> Vec<Result<FilePath, ClientError>> {
        commands::delete::delete_seen(&mut self.0, seen)
    }

    /// Renames a file. An existing name is never replaced, unless it is this very file, from an interrupted Move.
    ///
    /// # Errors
    /// If `old` does not exist or is incomplete, if `new` exists, if too few servers are up for its copies, or if the
    /// servers fail. If `old` was replaced in the meantime, that is an error too, so that nobody takes the name for
    /// free: the newer version is kept, and `new` has the previous one.
    pub fn rename(&mut self, old: &FilePath, new: &FilePath) -> Result<(), ClientError> {
        commands::rename::rename(&mut self.0, old, new)
    }

    /// What is below a folder that is to be moved, for a [`FolderMove`]; this changes nothing.
    ///
    /// # Errors
    /// If `old` is no folder, if `new` is below it, if `new` exists, unless this very Move was interrupted, if a new
    /// name would be too long, or if too few servers are up for the copies.
    pub fn find_to_move(&mut self, old: &FolderPath, new: &FolderPath) -> Result<Files, ClientError> {
        commands::move_folder::find_to_move(&mut self.0, old, new)
    }

    /// Moves the next files; what came of some of them, or `None` if nothing is left to do. An entry of a folder in which
    /// something could not be moved stays, and is not reported.
    pub fn move_next(&mut self, moving: &mut FolderMove) -> Option<Vec<Moved>> {
        commands::move_folder::move_next(&mut self.0, moving)
    }

    /// Checks the files of a folder, or with `recursive` all below it; each problem goes to `tell`. With `share`, this
    /// much of every copy is read and verified here, which proves what a server only claims.
    ///
    /// # Errors
    /// If nothing has that name, as far as can be seen, if no server is up, or if one that is up refuses to list
    /// ([`ClientError::NotListed`]) or is lost in the meantime ([`ClientError::Lost`]).
    pub fn verify(
        &mut self,
        folder: &FolderPath,
        recursive: bool,
        share: Option<Share>,
        tell: impl FnMut(&Problem),
    ) -> Result<VerifySummary, ClientError> {
        commands::verify::verify(&mut self.0, folder, recursive, share, tell)
    }

    /// Repairs every file below a folder. Each step goes to `tell`; with `dry`, none is done.
    ///
    /// # Errors
    /// If no server is up, if one that is up refuses to list ([`ClientError::NotListed`]) or is lost in the meantime
    /// ([`ClientError::Lost`]), or if nothing has that name.
    pub fn repair(
        &mut self,
        folder: &FolderPath,
        dry: bool,
        tell: impl FnMut(&Repaired),
    ) -> Result<RepairSummary, ClientError> {
        commands::repair::repair(&mut self.0, folder, dry, tell)
    }

    /// Whether the password can be changed now; this changes nothing.
    ///
    /// # Errors
    /// If a server is down. One that refuses the present password may have the new one already, from an interrupted
    /// run.
    pub fn can_change_password(&mut self) -> Result<(), ClientError> {
        commands::passwd::can_change_password(&mut self.0)
    }

    /// Whether an interrupted change to this password can be finished now.
    ///
    /// # Errors
    /// If a server is down.
    pub fn can_go_on_with(&mut self, password: &str) -> Result<(), ClientError> {
        commands::passwd::can_go_on_with(&mut self.0, password)
    }

    /// Changes the user's password on every server and in every header; the data is not touched. The caller must
    /// rewrite the .conf afterwards. `again` says that an earlier run was interrupted, which may have done any part of
    /// it.
    ///
    /// After a failure this client alone can still store files under the old key: the next run sees them.
    ///
    /// # Errors
    /// If a server is down, a file cannot be repaired first, or a server refuses or fails. Files that are under
    /// the new password already are then unreadable with the old one until this is run again.
    pub fn change_password(&mut self, password: &str, again: bool) -> Result<(), NotChanged> {
        commands::passwd::change_password(&mut self.0, password, again)
    }
}
