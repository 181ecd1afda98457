//! What a client sends before it is logged in.

use super::limits::PROTOCOL_VERSION;
use super::words::{ParseError, Words};
use crate::text::base64_encode;

/// A client's two lines before it is logged in; they carry no MAC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// `LOGIN 1 BASE64`: the SCRAM client-first message.
    Login(String),
    /// `PROVE BASE64`: the SCRAM client-final message.
    Prove(String),
}

impl Login {
    /// The line without its LF.
    pub fn to_line(&self) -> String {
        match self {
            Login::Login(message) => {
                format!("LOGIN {PROTOCOL_VERSION} {}", base64_encode(message.as_bytes()))
            }
            Login::Prove(message) => format!("PROVE {}", base64_encode(message.as_bytes())),
        }
    }

    /// Parses a line without its LF.
    pub fn parse(line: &str) -> Result<Self, ParseError> {
        let mut words = Words::of(line);
        let login = match words.next("LOGIN or PROVE")? {
            "LOGIN" => {
                if words.number::<u32>("protocol version")? != PROTOCOL_VERSION {
                    return Err(ParseError("protocol version 1"));
                }
                Login::Login(words.message()?)
            }
            "PROVE" => Login::Prove(words.message()?),
            _ => return Err(ParseError("LOGIN or PROVE")),
        };
        words.end()?;
        Ok(login)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines_come_back_and_no_other_is_understood() {
        for login in [Login::Login("n,,n=u,r=x".into()), Login::Prove("c=biws".into())] {
            assert_eq!(Login::parse(&login.to_line()), Ok(login));
        }
        for line in ["", "LOGIN", "LOGIN 1", "LOGIN 2 eA==", "LOGIN 1 eA== x", "PROVE", "PROVE eA", "LOOK a"]
        {
            assert!(Login::parse(line).is_err(), "{line}");
        }
    }
}
