//! A user at a machine: a working folder, files to upload, a .conf, and the `Client` program.

use super::disk;
use super::process::{Outcome, Session, run};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The real program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_Client");

/// Names a client that was built without line editing, to be run in place of this build's.
const PLAIN: &str = "SHAREIT_CLIENT";

/// The program that clients run.
pub(crate) fn program() -> String {
    std::env::var(PLAIN).unwrap_or_else(|_| PROGRAM.to_owned())
}

/// Whether its prompt edits lines.
pub(crate) fn has_line_editing() -> bool {
    cfg!(feature = "line-editing") && std::env::var_os(PLAIN).is_none()
}

/// The name of the .conf in the working folder: error messages must name it.
pub(crate) const CONF: &str = "user.conf";

/// A user's working folder. It holds no connection: each `run`, `pipe` or `session` is a new process.
pub(crate) struct Client {
    folder: PathBuf,
    user: String,
    /// The text of the .conf, written down before each run. Tests may edit it.
    pub(crate) conf: String,
    /// The permissions of the .conf.
    pub(crate) mode: u32,
}

impl Client {
    pub(crate) fn new(folder: PathBuf, user: &str, conf: String) -> Self {
        let user = user.to_string();
        std::fs::create_dir_all(folder.join("files")).unwrap();
        Self { folder, user, conf, mode: 0o600 }
    }

    /// Adds a line to the .conf.
    pub(crate) fn with(mut self, line: &str) -> Self {
        self.conf.push_str(line);
        self.conf.push('\n');
        self
    }

    /// DIR, the folder that Upload reads from.
    pub(crate) fn files(&self) -> PathBuf {
        self.folder.join("files")
    }

    /// Where a downloaded file is.
    pub(crate) fn downloads(&self) -> PathBuf {
        self.folder.join("Downloads").join(&self.user)
    }

    /// The working folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts a file into DIR.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        disk::write(&self.files().join(name), bytes);
    }

    /// What was downloaded to `Downloads/USER/NAME`, if anything.
    pub(crate) fn downloaded(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.downloads().join(name)).ok()
    }

    /// Throws away what was downloaded so far.
    pub(crate) fn forget_downloads(&self) {
        let _ = std::fs::remove_dir_all(self.folder.join("Downloads"));
    }

    /// Takes the .conf as it is on disk: Passwd rewrites it.
    pub(crate) fn reread_conf(&mut self) {
        self.conf = std::fs::read_to_string(self.folder.join(CONF)).unwrap();
    }

    /// Writes the .conf down as it is now.
    pub(crate) fn write_conf(&self) {
        let place = self.folder.join(CONF);
        std::fs::write(&place, &self.conf).unwrap();
        std::fs::set_permissions(place, Permissions::from_mode(self.mode)).unwrap();
    }

    /// `Client DIR CONF COMMAND …`, not started yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.write_conf();
        let mut command = Command::new(program());
        command.current_dir(&self.folder).args(["files", CONF]).args(args);
        command
    }

    /// `Client DIR CONF COMMAND …`: one command.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        run(&mut self.command(args), "")
    }

    /// `Client DIR CONF` with commands from a pipe.
    #[track_caller]
    pub(crate) fn pipe(&self, commands: &str) -> Outcome {
        let mut outcome = run(&mut self.command(&[]), commands);
        outcome.command = format!("{} <<\n{commands}", outcome.command);
        outcome
    }

    /// `Client DIR CONF`, for commands that come one by one.
    pub(crate) fn session(&self) -> Session {
        Session::start(&mut self.command(&[]))
    }

    /// One command that the test does not wait for.
    pub(crate) fn start(&self, args: &[&str]) -> Session {
        Session::start(&mut self.command(args))
    }

    /// Shell commands, with `$client` for `Client DIR CONF`.
    pub(crate) fn shell(&self, commands: &str) -> Session {
        self.write_conf();
        let mut command = Command::new("sh");
        command.current_dir(&self.folder);
        Session::start(command.args(["-c", &format!("client='{} files {CONF}'; {commands}", program())]))
    }

    /// Uploads these bytes under this name, which must succeed.
    #[track_caller]
    pub(crate) fn upload(&self, name: &str, bytes: &[u8]) -> Outcome {
        self.put(name, bytes);
        self.run(&["Upload", name]).succeeds()
    }

    /// Downloads a file, which must succeed and give exactly these bytes.
    #[track_caller]
    pub(crate) fn download(&self, name: &str, bytes: &[u8]) -> Outcome {
        self.forget_downloads();
        let outcome = self.run(&["Download", name]).succeeds();
        self.has_downloaded(name, bytes);
        outcome
    }

    /// Tries to download a file that cannot be had: refused as incomplete, and not a byte of it is there.
    #[track_caller]
    pub(crate) fn download_is_incomplete(&self, name: &str) -> Outcome {
        self.forget_downloads();
        let outcome = self.run(&["Download", name]).fails_with(1);
        self.has_no_downloads();
        outcome.complains_of("incomplete").complains_of(name)
    }

    /// The download under this name is exactly these bytes.
    #[track_caller]
    pub(crate) fn has_downloaded(&self, name: &str, bytes: &[u8]) {
        let found = self.downloaded(name);
        let found = found.unwrap_or_else(|| panic!("{name} was not downloaded"));
        if found != bytes {
            let same = found.iter().zip(bytes).take_while(|(a, b)| a == b).count();
            let (found, bytes) = (found.len(), bytes.len());
            panic!("{name}: {found} bytes for {bytes}, different from byte {same} on");
        }
    }

    /// Neither a file nor the beginning of one has been left in the downloads folder.
    #[track_caller]
    pub(crate) fn has_no_downloads(&self) {
        let left = disk::files_below(&self.folder.join("Downloads"));
        assert!(left.is_empty(), "these should not be there: {left:?}");
    }
}
