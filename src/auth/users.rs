//! Users.conf: `NAME VERIFIER` or, as in the original exercise, `NAME PASSWORD`, one per line.

use std::collections::HashMap;
use std::fmt;

use super::scram::Verifier;
use crate::config::DEFAULT_ITERATIONS;
use crate::name::{NameError, UserName};
use crate::primitives::{Bytes32, hmac_sha256};

/// Longest Users.conf, in bytes.
pub const MAX_USERS_FILE: u64 = 4 << 20;

/// A line of Users.conf that is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsersError {
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: UsersProblem,
}

/// What can be wrong in Users.conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsersProblem {
    /// A name that breaks the grammar.
    Name(NameError),
    /// A name without password or verifier.
    NoPassword,
    /// A verifier that does not have PostgreSQL's form, or whose iterations are out of range.
    Verifier,
    /// A name that appears twice.
    Twice,
}

impl fmt::Display for UsersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.problem {
            UsersProblem::Name(why) => why.fmt(f),
            UsersProblem::NoPassword => f.write_str("a name without a password"),
            UsersProblem::Verifier => f.write_str("not a SCRAM-SHA-256 verifier"),
            UsersProblem::Twice => f.write_str("the user appears twice"),
        }
    }
}

impl std::error::Error for UsersError {}

#[derive(Clone)]
struct Credential {
    verifier: Verifier,
    /// Kept so that a line that did not change need not be derived again when the file changes.
    plain: Option<String>,
}

/// The users of a server.
#[derive(Clone)]
pub struct UserTable {
    users: HashMap<UserName, Credential>,
    secret: Bytes32,
}

impl UserTable {
    /// An empty table. `secret` is the server's own. It makes the salts of users without a verifier and of unknown
    /// users, so that both look alike and stay the same.
    pub fn new(secret: Bytes32) -> Self {
        Self { users: HashMap::new(), secret }
    }

    /// The table of a new text of Users.conf. Each password in plain text costs a derivation, except those that this
    /// table already has.
    ///
    /// # Errors
    /// The first line that is not understood.
    pub fn read(&self, text: &str) -> Result<UserTable, UsersError> {
        let mut table = UserTable::new(self.secret);
        for (index, line) in text.lines().enumerate() {
            let at_line = |problem| UsersError { line: index + 1, problem };
            let Some((user, secret)) = parse_line(line).map_err(at_line)? else { continue };
            let credential = match secret {
                Secret::Verifier(verifier) => Credential { verifier, plain: None },
                Secret::Plain(password) => self.plain_credential(&user, password),
            };
            if table.users.insert(user, credential).is_some() {
                return Err(at_line(UsersProblem::Twice));
            }
        }
        Ok(table)
    }

    /// Whether a text is a Users.conf, without the cost of deriving anything.
    ///
    /// # Errors
    /// The first line that is not understood.
    pub fn check(text: &str) -> Result<(), UsersError> {
        for (index, line) in text.lines().enumerate() {
            parse_line(line).map_err(|problem| UsersError { line: index + 1, problem })?;
        }
        Ok(())
    }

    fn plain_credential(&self, user: &UserName, password: &str) -> Credential {
        match self.users.get(user) {
            Some(known) if known.plain.as_deref() == Some(password) => known.clone(),
            _ => Credential {
                verifier: Verifier::derive(password, &self.salt(user), DEFAULT_ITERATIONS),
                plain: Some(password.to_owned()),
            },
        }
    }

    fn salt(&self, user: &UserName) -> [u8; 16] {
        let mut salt = [0; 16];
        salt.copy_from_slice(&hmac_sha256(&self.secret, &[b"salt\0", user.as_str().as_bytes()])[..16]);
        salt
    }

    /// The verifier to challenge a user with. An unknown user gets one too: always the same, and no password matches
    /// it.
    pub fn verifier(&self, user: &UserName) -> Verifier {
        let mock_keys = hmac_sha256(&self.secret, &[b"keys\0", user.as_str().as_bytes()]);
        let mock = Verifier::mock(&self.salt(user), DEFAULT_ITERATIONS, mock_keys);
        self.users.get(user).map_or(mock, |credential| credential.verifier.clone())
    }

    /// The number of users.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether the table has no users.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The users whose passwords are in plain text in the file, in alphabetical order.
    pub fn plain_text_users(&self) -> Vec<&UserName> {
        let mut users: Vec<_> =
            self.users.iter().filter(|(_, c)| c.plain.is_some()).map(|(user, _)| user).collect();
        users.sort_unstable();
        users
    }
}

enum Secret<'a> {
    Verifier(Verifier),
    Plain(&'a str),
}

/// A line's user and secret; `None` for an empty line or a comment.
fn parse_line(line: &str) -> Result<Option<(UserName, Secret<'_>)>, UsersProblem> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, secret) = line.split_once(char::is_whitespace).ok_or(UsersProblem::NoPassword)?;
    let user = UserName::parse(name).map_err(UsersProblem::Name)?;
    let secret = secret.trim();
    if !secret.starts_with("SCRAM-SHA-256$") {
        return Ok(Some((user, Secret::Plain(secret))));
    }
    let verifier = secret.parse().map_err(|_| UsersProblem::Verifier)?;
    Ok(Some((user, Secret::Verifier(verifier))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserName {
        UserName::parse(name).unwrap()
    }

    #[test]
    fn both_forms_are_read() {
        let verifier = Verifier::derive("pencil", b"0123456789abcdef", 4096);
        let table = UserTable::new([1; 32])
            .read(&format!("# users\n\nAditi Aditi@123\r\nRitu {verifier}\n"))
            .ok()
            .unwrap();
        assert_eq!(table.len(), 2);
        assert!(table.verifier(&user("Ritu")) == verifier);
        assert_eq!(table.plain_text_users(), [&user("Aditi")]);
        let expected = Verifier::derive("Aditi@123", &table.salt(&user("Aditi")), DEFAULT_ITERATIONS);
        assert!(table.verifier(&user("Aditi")) == expected);
    }

    #[test]
    fn an_unknown_user_looks_like_any_other_and_always_the_same() {
        let table = UserTable::new([1; 32]);
        let mock = table.verifier(&user("nobody"));
        assert!(mock == table.verifier(&user("nobody")));
        assert_eq!((mock.salt.len(), mock.iterations), (16, DEFAULT_ITERATIONS));
        assert_ne!(mock.salt, table.verifier(&user("somebody")).salt);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let error =
            |text: &str| UserTable::new([1; 32]).read(text).err().map(|e| e.to_string()).unwrap_or_default();
        assert_eq!(error("# x\nAditi"), "line 2: a name without a password");
        assert!(error("../x y").starts_with("line 1: a user or server name"));
        assert_eq!(error("a SCRAM-SHA-256$1:x$y:z"), "line 1: not a SCRAM-SHA-256 verifier");
        let verifier = Verifier::derive("p", b"salt", 4096);
        assert_eq!(error(&format!("a {verifier}\na {verifier}")), "line 2: the user appears twice");
    }
}
