//! Why a command failed.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::name::{FilePath, FolderPath, NameError, ServerName, printable};

/// Why a client could not be launched.
#[derive(Debug)]
pub enum LaunchError {
    /// Every server that answered refused the name or password.
    Denied,
    /// Servers answered that they accept no login from here for now; each with the reason.
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

/// A piece of which no good copy was found, with what each server had to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingPiece {
    /// The piece's number.
    pub piece: u8,
    /// Why each server could not give it.
    pub reasons: Vec<(ServerName, String)>,
}

impl fmt::Display for MissingPiece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "piece {} missing ({})", self.piece, Reasons(&self.reasons))
    }
}

/// Servers, each with a reason, as text.
pub(crate) struct Reasons<'a>(pub(super) &'a [(ServerName, String)]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What all have in common is said once.
        if let [(_, common), _, ..] = self.0
            && self.0.iter().all(|(_, why)| why == common)
        {
            let names: Vec<&str> = self.0.iter().map(|(server, _)| server.as_str()).collect();
            return write!(f, "{}: {common}", names.join(", "));
        }
        for (index, (server, why)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{server}: {why}")?;
        }
        Ok(())
    }
}

/// Why a command failed, or failed for one file.
#[derive(Debug)]
pub enum ClientError {
    /// A name on the servers that breaks the grammar.
    Name(String, NameError),
    /// A local path that leaves DIR.
    Outside(PathBuf),
    /// A local file that does not exist.
    LocalMissing(PathBuf),
    /// A local path that is neither a file nor a folder.
    LocalKind(PathBuf),
    /// A local file that cannot be read or written.
    Local(PathBuf, io::Error),
    /// A link in the place of a folder below Downloads: it may lead anywhere.
    LinkBelowDownloads(PathBuf),
    /// A local file that changed while it was read.
    Changed(PathBuf),
    /// A local file that is larger than the format allows.
    TooLarge(PathBuf),
    /// A local folder without a file in it.
    NothingToUpload(PathBuf),
    /// Nothing of that name on the servers.
    NotFound(String),
    /// Nothing of that name on the servers that answered, and so many did not, each with the reason, that one of them
    /// may be the only one to know it.
    OutOfSight(String, Vec<(ServerName, String)>),
    /// What was found was dealt with, but so many servers did not say what they hold, each with the reason, that they
    /// may know of more.
    NotAllSeen(Vec<(ServerName, String)>),
    /// A folder where a file was expected; to delete one needs `-r`.
    IsFolder(FolderPath),
    /// A server that is up would not list a folder, so that nothing can be said of all of it.
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
    /// A move for whose copies too few servers are up: how many it needs, and those that are down, each with
    /// the reason.
    NeedsServers(FilePath, usize, Vec<(ServerName, String)>),
    /// A move that went half of the way, and why: the old name is kept beside the new one.
    HalfMoved(FilePath, FilePath, String),
    /// A move during which the old name got a newer version. That is kept, and the new name has the one before.
    MovedOlder(FilePath, FilePath),
    /// A delete during which the name got a newer version, which is kept.
    Replaced(FilePath),
    /// Other clients kept replacing the file.
    Contended(FilePath),
    /// No server answered the commit: it may be done or not.
    Undecided(FilePath),
    /// The same, because another client changed the password during the commit.
    UndecidedAtChange(FilePath),
    /// A name whose newest version has the last possible generation.
    UsedUp(FilePath),
    /// A command that needs every server; those that are down, with the reason.
    NeedsEveryServer(Vec<(ServerName, String)>),
    /// A file that must be repaired before the password can be changed, and why it could not be.
    NotInOrder(FilePath, String),
    /// A file that does not have its header under the new password on all its servers yet; each with the reason.
    NotRewrapped(FilePath, Vec<(ServerName, String)>),
    /// The password was changed on the servers before this one, and not on it and those after it; and why.
    PasswordNotEverywhere(ServerName, String),
    /// A server that says beforehand that it could not change the password, and why.
    CannotChange(ServerName, String),
    /// This server knows of an unfinished change to another password.
    OtherChange(ServerName),
    /// So many files are under another key while a change of password is being taken back.
    UnderOtherPassword(usize),
    /// A connection was lost during a change of password, and made again.
    Interrupted,
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
    /// The system gave no random bytes.
    Random(io::Error),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Name(name, why) => write!(f, "bad name '{}': {why}", printable(name)),
            ClientError::Outside(path) => {
                write!(f, "'{}' is outside the folder that Upload reads from", Shown(path))
            }
            ClientError::LocalMissing(path) => write!(f, "no such file: '{}'", Shown(path)),
            ClientError::LocalKind(path) => write!(f, "neither a file nor a folder: '{}'", Shown(path)),
            ClientError::Local(path, error) => write!(f, "cannot use '{}' ({error})", Shown(path)),
            ClientError::LinkBelowDownloads(path) => {
                write!(f, "'{}' is a link, and Download follows none there; nothing was written", Shown(path))
            }
            ClientError::Changed(path) => {
                write!(f, "'{}' changed while it was read; nothing was stored", Shown(path))
            }
            ClientError::TooLarge(path) => write!(f, "'{}' is larger than 1 TiB", Shown(path)),
            ClientError::NothingToUpload(path) => write!(f, "no file in '{}'", Shown(path)),
            ClientError::NotFound(name) => write!(f, "not found: '{}'", printable(name)),
            ClientError::OutOfSight(name, unseen) => {
                write!(f, "cannot tell whether '{}' exists ({})", printable(name), Reasons(unseen))
            }
            ClientError::NotAllSeen(unseen) => {
                write!(f, "not everything could be seen ({})", Reasons(unseen))
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
            ClientError::NeedsServers(path, count, reasons) => {
                write!(f, "cannot move {path}: its copies need {count} servers ({})", Reasons(reasons))
            }
            ClientError::HalfMoved(old, new, why) => write!(f, "{old} was kept beside {new} ({why})"),
            ClientError::MovedOlder(old, new) => {
                write!(f, "{old} was replaced in the meantime and was kept; {new} has the version before it")
            }
            ClientError::Replaced(path) => {
                write!(f, "{path} was replaced in the meantime; the newer version was kept")
            }
            ClientError::Contended(path) => write!(f, "other clients kept replacing {path}"),
            ClientError::Undecided(path) => {
                write!(
                    f,
                    "{path}: every server was lost during the commit; it is stored as a whole or not at all"
                )
            }
            ClientError::UndecidedAtChange(path) => {
                write!(
                    f,
                    "{path}: the password was changed during the commit; it is stored as a whole or not at all"
                )
            }
            ClientError::UsedUp(path) => {
                write!(f, "cannot store {path}: no generation is left for a newer version of it")
            }
            ClientError::NeedsEveryServer(reasons) => {
                write!(f, "every server is needed ({})", Reasons(reasons))
            }
            ClientError::NotInOrder(path, why) => {
                write!(f, "{path} could not be repaired first ({why})")
            }
            ClientError::NotRewrapped(path, reasons) => {
                write!(f, "not every server confirmed the new key of {path} ({})", Reasons(reasons))
            }
            ClientError::PasswordNotEverywhere(server, why) => {
                write!(f, "{server} did not accept the new password ({why}); all files are under it already")
            }
            ClientError::CannotChange(server, why) => {
                write!(f, "{server} cannot accept a new password ({why})")
            }
            ClientError::OtherChange(server) => {
                write!(f, "{server} reports an unfinished change to a different password")
            }
            ClientError::UnderOtherPassword(1) => {
                f.write_str("1 file is already under a different password or Key line")
            }
            ClientError::UnderOtherPassword(files) => {
                write!(f, "{files} files are already under a different password or Key line")
            }
            ClientError::Interrupted => {
                f.write_str("a connection was lost; some servers do not have the new password yet")
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

impl ClientError {
    /// What the user might do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            ClientError::Outside(_) => "use an absolute path for a file elsewhere".into(),
            ClientError::LocalMissing(path) if path.is_relative() => {
                "paths are looked up in DIR; put a name with spaces in quotes".into()
            }
            ClientError::Exists(_) => "Delete it first, or choose another name".into(),
            ClientError::HalfMoved(..) => {
                "fix that, then run the same Move again: it continues where it stopped".into()
            }
            ClientError::NotTaken(..) => "Verify gives details; Repair restores lost copies".into(),
            ClientError::LinkBelowDownloads(_) => {
                "remove the link, or move it: Downloads itself and the user's folder in it may be links"
                    .into()
            }
            ClientError::NotFound(_) => "ShowFiles lists what is stored".into(),
            ClientError::OutOfSight(..) => {
                "no server that answered has it; start the servers that are down and try again".into()
            }
            ClientError::NotAllSeen(_) => {
                "files, deletes or damage may be known to servers that did not answer: start them and run it again"
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
            ClientError::OtherKey(_) => OTHER_KEY_HINT.into(),
            ClientError::NotInOrder(..) => "Verify gives details; a file that is lost can be deleted".into(),
            ClientError::UnderOtherPassword(_) => {
                "an unfinished change of password must be finished, not taken back: run Passwd again where it was \
                begun, with the same new password as there"
                    .into()
            }
            ClientError::Lost(..) => {
                "run it again; servers that are down at the start are skipped".into()
            }
            ClientError::OtherChange(_) => {
                "run Passwd again where that change was begun, with the same new password; or, if no file is under that \
                one yet, take the change back: run Passwd with the password that is in this .conf"
                    .into()
            }
            ClientError::Rekeyed(_) => {
                "wait until that Passwd has ended, or run it again where it was cut off; \
                then start the Client with the new password in the .conf"
                    .into()
            }
            ClientError::PasswordChanged | ClientError::UndecidedAtChange(_) => {
                "start the Client again, with the new password in the .conf".into()
            }
            ClientError::Ended(_) => "try again; a client that changes the password ends all others".into(),
            ClientError::NoServer(_) | ClientError::NeedsServers(..) => START_SERVERS.into(),
            _ => return None,
        })
    }
}

/// A path as text that cannot disturb a terminal.
struct Shown<'a>(&'a std::path::Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        printable(&self.0.to_string_lossy()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(of: &[(&str, &str)]) -> String {
        let reasons: Vec<_> =
            of.iter().map(|(name, why)| (ServerName::parse(name).unwrap(), (*why).to_owned())).collect();
        Reasons(&reasons).to_string()
    }

    #[test]
    fn a_reason_that_all_have_is_said_once() {
        assert_eq!(reasons(&[("A", "is late")]), "A: is late");
        assert_eq!(reasons(&[("A", "is late"), ("B", "is late")]), "A, B: is late");
        assert_eq!(reasons(&[("A", "is late"), ("B", "is ill")]), "A: is late, B: is ill");
    }
}
