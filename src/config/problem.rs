//! What may be wrong with a .conf file, and how it is said.

use std::fmt;

use super::limits::{
    MAX_CONFIG, MAX_ITERATIONS, MAX_PASSWORD, MAX_SERVERS, MAX_TIMEOUT_SECONDS, MIN_ITERATIONS,
};
use crate::name::{NameError, printable};
use crate::placement::PIECES;

/// What is wrong with a .conf file, and on which line (from 1; `None` if something is missing).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The line that is wrong.
    pub line: Option<usize>,
    /// What is wrong with it.
    pub problem: Problem,
}

/// The kinds of mistakes in a .conf file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// An unknown key.
    UnknownKey(String),
    /// A key without a value.
    NoValue(String),
    /// A key that appears twice.
    Twice(String),
    /// A required key is missing.
    Missing(&'static str),
    /// A password, and a program that prints it.
    TwoPasswords,
    /// A server's name in place of a key, and its address.
    ServerKey(String, String),
    /// A user's name and more on one line. It is not shown: it may be the password.
    UserAndMore,
    /// A server or user name that breaks the grammar.
    Name(String, NameError),
    /// An address that is not `host:port` with a port from 1 to 65535.
    Address(String),
    /// Two servers with the same name.
    ServerTwice(String),
    /// Two servers at the same address.
    AddressTwice(String),
    /// More than [`MAX_SERVERS`].
    TooManyServers,
    /// `Replicas` is not a number from 1 to the number of servers.
    Replicas(String),
    /// `Redundancy` is neither `copies` nor `parity`.
    Redundancy(String),
    /// Parity with fewer than four servers, of which there are so many.
    FewForParity(usize),
    /// `Replicas` beside parity.
    ReplicasOfParity,
    /// `Timeout` is not a number of seconds above 0 and at most [`MAX_TIMEOUT_SECONDS`].
    Timeout(String),
    /// `Key` is not 64 hexadecimal digits. The value is not shown: it may be almost right.
    Key,
    /// `MinIterations` is not a number from [`MIN_ITERATIONS`] to [`MAX_ITERATIONS`].
    MinIterations(String),
    /// The password is longer than [`MAX_PASSWORD`].
    PasswordTooLong,
    /// The file is longer than [`MAX_CONFIG`].
    TooLong,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::UnknownKey(key) => write!(f, "unknown key '{}'", printable(key)),
            Problem::NoValue(key) => write!(f, "'{key}' has no value"),
            Problem::Twice(key) => write!(f, "'{key}' appears twice"),
            Problem::Missing("Server") => {
                f.write_str("there is no line for a server, such as 'Server1 localhost:8008'")
            }
            Problem::Missing(key) => write!(f, "there is no '{key}' line"),
            Problem::TwoPasswords => f.write_str("'Password' and 'PasswordCommand' exclude each other"),
            Problem::ServerKey(key, _) => {
                write!(f, "unknown key '{}': a server's line begins with Server", printable(key))
            }
            Problem::UserAndMore => {
                f.write_str("a user name has no spaces; each key is on a line of its own")
            }
            Problem::Name(name, why) => write!(f, "bad name '{}': {why}", printable(name)),
            Problem::Address(address) => {
                write!(
                    f,
                    "bad address '{}': expected host:port with a port from 1 to 65535",
                    printable(address)
                )
            }
            Problem::ServerTwice(name) => write!(f, "server '{name}' appears twice"),
            Problem::AddressTwice(address) => write!(f, "two servers have the address '{address}'"),
            Problem::TooManyServers => write!(f, "there are more than {MAX_SERVERS} servers"),
            Problem::Replicas(value) => {
                write!(
                    f,
                    "bad Replicas '{}': expected a number from 1 to the number of servers",
                    printable(value)
                )
            }
            Problem::Redundancy(value) => {
                write!(f, "bad Redundancy '{}': expected copies or parity", printable(value))
            }
            Problem::FewForParity(servers) => {
                write!(f, "'Redundancy parity' needs at least {PIECES} servers, and there are {servers}")
            }
            Problem::ReplicasOfParity => {
                f.write_str("'Replicas' is for copies: with 'Redundancy parity' any two servers may be lost")
            }
            Problem::Timeout(value) => {
                write!(
                    f,
                    "bad Timeout '{}': expected seconds, above 0 and at most {MAX_TIMEOUT_SECONDS}",
                    printable(value)
                )
            }
            Problem::Key => f.write_str("bad Key: expected 64 hexadecimal digits"),
            Problem::MinIterations(value) => {
                write!(
                    f,
                    "bad MinIterations '{}': expected a number from {MIN_ITERATIONS} to {MAX_ITERATIONS}",
                    printable(value)
                )
            }
            Problem::PasswordTooLong => write!(f, "the password is longer than {MAX_PASSWORD} bytes"),
            Problem::TooLong => write!(f, "the file is longer than {MAX_CONFIG} bytes"),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.problem),
            None => self.problem.fmt(f),
        }
    }
}

impl std::error::Error for ConfigError {}
