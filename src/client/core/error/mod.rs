//! Why a command failed.

mod local;
mod passwd;
mod words;

use std::fmt;
use std::io;

pub use local::LocalError;
pub use passwd::PasswdError;

use crate::name::{FilePath, FolderPath, NameError, ServerName, printable};
pub(crate) use words::Shown;
use words::{PATTERNS, Reasons};

/// Why a client could not be launched.
#[derive(Debug)]
pub enum LaunchError {
    /// Every server that answered refused the name or password.
    Denied,
    /// Servers answered that they currently accept no login from here; each with the reason.
    Busy(Vec<(ServerName, String)>),
    /// No server could be reached; each with the reason.
    NoServer(Vec<(ServerName, String)>),
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LaunchError::Denied => f.write_str("Invalid username or password"),
            LaunchError::Busy(reasons) | LaunchError::NoServer(reasons) => {
                write!(f, "no server is available ({})", Reasons(reasons))
            }
        }
    }
}

impl LaunchError {
    /// What the user might do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            LaunchError::Denied => None,
            LaunchError::Busy(_) => Some("check the password, and wait a minute".into()),
            LaunchError::NoServer(_) => Some(START_SERVERS.into()),
        }
    }
}

/// What to do if no server can be reached.
const START_SERVERS: &str = "start the servers, or check their addresses in the .conf";
/// What may have happened to a file if no server has one of its pieces.
pub const DELETED_BEFORE: &str = "if it was deleted before, a server that was restored from an old backup may show it \
                                  again: Delete it once more";
/// What to do if everything found is under another key.
pub const OTHER_KEY_HINT: &str =
    "the Key line or the password in the .conf is not the one that it was uploaded with";

impl std::error::Error for LaunchError {}

/// A piece for which no good copy was found, with what each server reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingPiece {
    /// The piece's number.
    pub piece: u8,
    /// Why each server could not provide it.
    pub reasons: Vec<(ServerName, String)>,
}

impl fmt::Display for MissingPiece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "piece {} missing ({})", self.piece, Reasons(&self.reasons))
    }
}

/// Why a command failed, or failed for one file.
#[derive(Debug)]
pub enum ClientError {
    /// Something is wrong with a local file.
    Local(LocalError),
    /// A change of password was not completed.
    Passwd(PasswdError),
    /// A name on the servers that breaks the grammar.
    Name(String, NameError),
    /// Nothing of that name on the servers.
    NotFound(String),
    /// Nothing on the servers matches a pattern.
    NoMatch(String),
    /// Nothing of that name on the servers that answered, and so many did not, each with the reason, that one of them
    /// may be the only one to know of it.
    OutOfSight(String, Vec<(ServerName, String)>),
    /// What was found was processed, but so many servers did not report what they hold, each with the reason, that they
    /// may know of more.
    NotAllSeen(Vec<(ServerName, String)>),
    /// A folder where a file was expected; deleting one needs `-r`.
    IsFolder(FolderPath),
    /// A server that is up did not list a folder, so that nothing can be said about all of it.
    NotListed(FolderPath),
    /// Pieces are missing.
    Incomplete {
        /// The file.
        path: FilePath,
        /// The pieces without a good copy.
        missing: Box<[MissingPiece]>,
        /// The servers that show pieces of it.
        shown: Box<[ServerName]>,
        /// Whether a server that is down may have one.
        down: bool,
    },
    /// Everything found was made under another password or `Key`.
    OtherKey(FilePath),
    /// No server accepted the upload, or not all its pieces; each with the reason.
    NotTaken(FilePath, Vec<(ServerName, String)>),
    /// A name that is a folder on the servers where a file was expected, or the other way round.
    Conflict(FilePath),
    /// A move to an existing name.
    Exists(FilePath),
    /// A move of a folder to a place below itself.
    IntoItself(FolderPath, FolderPath),
    /// A move that needs more servers than are up: how many it needs, and those that are down, each with the
    /// reason.
    NeedsServers(FilePath, usize, Vec<(ServerName, String)>),
    /// A move that was only half completed, and why: the old name is kept beside the new one.
    HalfMoved(FilePath, FilePath, String),
    /// A move during which the old name got a newer version. That is kept, and the new name has the previous one.
    MovedOlder(FilePath, FilePath),
    /// A delete during which the name got a newer version, which is kept.
    Replaced(FilePath),
    /// A file that was replaced or deleted when some of it had been written to an output.
    ReplacedWhileRead(FilePath),
    /// A link where a file was expected, and its target.
    IsLink(FilePath, String),
    /// An output that takes no more.
    Output(io::Error),
    /// Other clients kept replacing the file.
    Contended(FilePath),
    /// No server answered the commit: it may or may not be done.
    Undecided(FilePath),
    /// The same, because another client changed the password during the commit.
    UndecidedAtChange(FilePath),
    /// A name whose newest version has the last possible generation.
    UsedUp(FilePath),
    /// A command that needs every server; those that are down, with the reason.
    NeedsEveryServer(Vec<(ServerName, String)>),
    /// A file that stays as it is: its key was, or is being, retired by another client's change of password.
    Rekeyed(FilePath),
    /// The password was changed after this client logged in: no server accepts it anymore.
    PasswordChanged,
    /// The servers ended all connections, and accept logins again; each with the reason.
    Ended(Vec<(ServerName, String)>),
    /// A server was lost during a command that is about what all servers hold, and why.
    Lost(ServerName, String),
    /// No server is up.
    NoServer(Vec<(ServerName, String)>),
    /// The system provided no random bytes.
    Random(io::Error),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Local(error) => error.fmt(f),
            ClientError::Passwd(error) => error.fmt(f),
            ClientError::Name(name, why) => write!(f, "bad name '{}': {why}", printable(name)),
            ClientError::NotFound(name) => write!(f, "not found: '{}'", printable(name)),
            ClientError::NoMatch(pattern) => write!(f, "nothing stored matches '{}'", printable(pattern)),
            ClientError::OutOfSight(name, unseen) => {
                write!(f, "cannot tell whether '{}' exists ({})", printable(name), Reasons(unseen))
            }
            ClientError::NotAllSeen(unseen) => {
                write!(f, "some servers did not answer ({})", Reasons(unseen))
            }
            ClientError::IsFolder(folder) => write!(f, "'{folder}' is a folder"),
            ClientError::NotListed(folder) => write!(f, "cannot list all of '{folder}/'"),
            ClientError::Incomplete { path, missing, shown, .. } => {
                write!(f, "cannot rebuild {path} [incomplete]: ")?;
                for (index, piece) in missing.iter().enumerate() {
                    write!(f, "{}{piece}", if index > 0 { "; " } else { "" })?;
                }
                let shown: Vec<&str> = shown.iter().map(ServerName::as_str).collect();
                if shown.is_empty() { Ok(()) } else { write!(f, "; shown by {}", shown.join(", ")) }
            }
            ClientError::OtherKey(path) => {
                write!(f, "cannot decrypt {path}: it was encrypted under another key")
            }
            ClientError::NotTaken(path, reasons) => write!(f, "cannot store {path} ({})", Reasons(reasons)),
            ClientError::Conflict(path) => {
                write!(f, "cannot store {path}: a file and a folder cannot have the same name")
            }
            ClientError::Exists(path) => write!(f, "'{path}' already exists"),
            ClientError::IntoItself(old, new) => {
                write!(f, "cannot move '{old}' to '{new}': it is below the folder itself")
            }
            ClientError::NeedsServers(path, count, reasons) => {
                write!(f, "cannot move {path}: it needs {count} servers that are up ({})", Reasons(reasons))
            }
            ClientError::HalfMoved(old, new, why) => write!(f, "{old} was kept beside {new} ({why})"),
            ClientError::MovedOlder(old, new) => {
                write!(f, "{old} was replaced in the meantime and was kept; {new} has the previous version")
            }
            ClientError::Replaced(path) => {
                write!(f, "{path} was replaced in the meantime; the newer version was kept")
            }
            ClientError::ReplacedWhileRead(path) => {
                write!(f, "{path} was replaced or deleted while it was read")
            }
            ClientError::IsLink(path, target) => {
                write!(f, "'{path}' is a link to '{}', which is not followed", printable(target))
            }
            ClientError::Output(error) => write!(f, "cannot write results ({error})"),
            ClientError::Contended(path) => write!(f, "other clients kept replacing {path}"),
            ClientError::Undecided(path) => {
                write!(
                    f,
                    "{path}: every server was lost during the commit; it is stored completely or not at all"
                )
            }
            ClientError::UndecidedAtChange(path) => {
                write!(
                    f,
                    "{path}: the password was changed during the commit; it is stored completely or not at all"
                )
            }
            ClientError::UsedUp(path) => {
                write!(f, "cannot store {path}: no generation is left for a newer version of it")
            }
            ClientError::NeedsEveryServer(reasons) => {
                write!(f, "every server is needed ({})", Reasons(reasons))
            }
            ClientError::Rekeyed(path) => {
                write!(
                    f,
                    "cannot store {path}: the password was changed, or is being changed, by another client"
                )
            }
            ClientError::PasswordChanged => {
                f.write_str("the password was changed after this client logged in")
            }
            ClientError::Ended(reasons) => {
                write!(
                    f,
                    "the servers ended all connections ({}); they accept logins again",
                    Reasons(reasons)
                )
            }
            ClientError::Lost(server, why) => {
                write!(f, "lost the connection to {server} ({why}); the rest was not checked")
            }
            ClientError::NoServer(reasons) => write!(f, "no server is available ({})", Reasons(reasons)),
            ClientError::Random(error) => write!(f, "cannot get random bytes from the system ({error})"),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<LocalError> for ClientError {
    fn from(error: LocalError) -> Self {
        ClientError::Local(error)
    }
}

impl From<PasswdError> for ClientError {
    fn from(error: PasswdError) -> Self {
        ClientError::Passwd(error)
    }
}

impl ClientError {
    /// What the user might do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            ClientError::Local(error) => return error.hint(),
            ClientError::Passwd(error) => return error.hint(),
            ClientError::Conflict(_) => {
                "if a file has become a folder, or a folder a file or link, Delete the stored one first".into()
            }
            ClientError::Exists(_) => "Delete it first, or choose another name".into(),
            ClientError::HalfMoved(..) => {
                "fix that, then run the same Move again: it continues where it stopped".into()
            }
            ClientError::NotTaken(_, reasons) if reasons.iter().any(|(_, why)| why.contains("disk full")) => {
                "Status shows the free space; Delete makes room".into()
            }
            ClientError::NotTaken(..) => "Verify gives details; Repair restores lost copies".into(),
            ClientError::NotFound(_) => "ShowFiles lists what is stored".into(),
            ClientError::NoMatch(_) => format!("ShowFiles -r lists what is stored; {PATTERNS}"),
            ClientError::OutOfSight(..) => {
                "no server that answered has it; try again when the others answer".into()
            }
            ClientError::NotAllSeen(_) => {
                "servers that did not answer may know of files, deletes or damage: start them and run it again"
                    .into()
            }
            ClientError::Name(name, NameError::OuterSlash) => {
                format!("write it as '{}'", printable(name.trim_matches('/')))
            }
            ClientError::IsFolder(_) => "add -r to delete a folder with everything below it".into(),
            ClientError::Incomplete { down: false, .. } => {
                format!("every server is up, and none gave a good copy; upload the file again if you still have it; {DELETED_BEFORE}")
            }
            ClientError::Incomplete { .. } => {
                "start the servers that are down and try again; Verify shows what is missing".into()
            }
            ClientError::ReplacedWhileRead(_) => "run it again for the newer version".into(),
            ClientError::IsLink(..) => "name the file that it leads to; Download gets the link itself".into(),
            ClientError::OtherKey(_) => OTHER_KEY_HINT.into(),
            ClientError::Lost(..) => {
                "run it again; servers that are down at the start are skipped".into()
            }
            ClientError::Rekeyed(_) => {
                "wait until that Passwd has ended, or run it again where it was interrupted; \
                then start the client with the new password in the .conf"
                    .into()
            }
            ClientError::PasswordChanged | ClientError::UndecidedAtChange(_) => {
                "start the client again, with the new password in the .conf".into()
            }
            ClientError::Ended(_) => "try again; a client that changes the password ends all other sessions".into(),
            ClientError::NeedsServers(_, _, down) if down.is_empty() => return None,
            ClientError::NoServer(_) | ClientError::NeedsServers(..) => START_SERVERS.into(),
            _ => return None,
        })
    }
}
