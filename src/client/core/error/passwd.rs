//! Why a change of password was not completed.

use std::fmt;

use super::words::Reasons;
use crate::name::{FilePath, ServerName};

/// Why a change of password was not completed.
#[derive(Debug)]
pub enum PasswdError {
    /// A file that must be repaired before the password can be changed, and why it could not be.
    NotRepaired(FilePath, String),
    /// A file that does not have its header under the new password on all its servers yet; each with the reason.
    NotConfirmed(FilePath, Vec<(ServerName, String)>),
    /// This server did not accept the new password, and why. It was changed on the servers before this one, and not on
    /// those after it.
    NotEverywhere(ServerName, String),
    /// A server that reports in advance that it could not change the password, and why.
    CannotChange(ServerName, String),
    /// This server knows of an unfinished change to another password.
    OtherChange(ServerName),
    /// So many files are under another key while a change of password is being taken back.
    UnderOtherPassword(usize),
    /// A connection was lost during a change of password, and made again.
    Interrupted,
}

impl fmt::Display for PasswdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PasswdError::NotRepaired(path, why) => {
                write!(f, "{path} could not be repaired first ({why})")
            }
            PasswdError::NotConfirmed(path, reasons) => {
                write!(f, "not every server confirmed the new key of {path} ({})", Reasons(reasons))
            }
            PasswdError::NotEverywhere(server, why) => {
                write!(f, "{server} did not accept the new password ({why}); all files are under it already")
            }
            PasswdError::CannotChange(server, why) => {
                write!(f, "{server} cannot accept a new password ({why})")
            }
            PasswdError::OtherChange(server) => {
                write!(f, "{server} reports an unfinished change to a different password")
            }
            PasswdError::UnderOtherPassword(1) => {
                f.write_str("1 file is already under a different password or Key line")
            }
            PasswdError::UnderOtherPassword(files) => {
                write!(f, "{files} files are already under a different password or Key line")
            }
            PasswdError::Interrupted => {
                f.write_str("a connection was lost; some servers do not have the new password yet")
            }
        }
    }
}

impl PasswdError {
    /// What the user might do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            PasswdError::NotRepaired(..) => "Verify gives details; a file that is lost can be deleted".into(),
            PasswdError::UnderOtherPassword(_) => {
                "an unfinished change of password must be finished, not taken back: run Passwd again where it was \
                begun, with the same new password as there"
                    .into()
            }
            PasswdError::OtherChange(_) => {
                "run Passwd again where that change was begun, with the same new password; or, if no file is under that \
                one yet, take the change back: run Passwd with the password that is in this .conf"
                    .into()
            }
            _ => return None,
        })
    }
}
