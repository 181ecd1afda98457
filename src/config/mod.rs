//! The client's .conf file: who the user is, and which servers to use.
//!
//! One `KEY VALUE` per line, keys in any order and case, with an optional colon or equals sign after the key; a line
//! that begins with `#` is a comment. The grammar is in `docs/ARCHITECTURE.md`. Errors carry the line number.

mod limits;
mod lines;
mod problem;

use std::time::Duration;

use zeroize::Zeroizing;

pub use limits::{
    DEFAULT_ITERATIONS, DEFAULT_TIMEOUT, MAX_CONFIG, MAX_ITERATIONS, MAX_PASSWORD, MAX_SERVERS,
    MAX_TIMEOUT_SECONDS, MIN_ITERATIONS,
};
pub use lines::{KEYS, PasswordSource, ServerAddress};
pub use problem::{ConfigError, Problem};

use crate::name::UserName;
use crate::placement::{self, PARITY_REPLICAS, PIECES, Scheme};
use lines::{BYTE_ORDER_MARK, Unchecked, split_key};

/// A parsed .conf file.
#[derive(Clone)]
pub struct Config {
    /// The ring of servers, in the file's order.
    pub servers: Vec<ServerAddress>,
    /// Who logs in.
    pub user: UserName,
    /// The password, in plain text.
    pub password: Zeroizing<String>,
    /// By which scheme new files are protected.
    pub scheme: Scheme,
    /// R, 1 to the number of servers: any R - 1 servers may be lost. With copies, how many of each piece there are.
    pub replicas: usize,
    /// Time limit for one connect; the others are derived from it, see `peer::Limits`.
    pub timeout: Duration,
    /// Source of the master key instead of the password.
    pub key: Option<Zeroizing<[u8; 32]>>,
    /// Fewest PBKDF2 iterations that a server may ask for at login: with fewer, a rogue server could
    /// guess the password from the proof at a lower cost.
    pub min_iterations: u32,
}

/// A .conf file whose password may be elsewhere.
pub struct ConfFile {
    /// Where the password is.
    pub source: PasswordSource,
    /// All the rest.
    config: Config,
}

impl ConfFile {
    /// Parses the text of a .conf file.
    ///
    /// # Errors
    /// The first mistake, with its line number.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.len() > MAX_CONFIG {
            return Err(ConfigError { line: None, problem: Problem::TooLong });
        }
        let mut unchecked = Unchecked::default();
        for (index, line) in text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).lines().enumerate() {
            let line_number = index + 1;
            unchecked
                .take(line, line_number)
                .map_err(|problem| ConfigError { line: Some(line_number), problem })?;
        }
        Self::of(unchecked)
    }

    /// What the lines say together.
    fn of(lines: Unchecked) -> Result<Self, ConfigError> {
        let missing = |key| ConfigError { line: None, problem: Problem::Missing(key) };
        if lines.servers.is_empty() {
            return Err(missing("Server"));
        }
        let (redundancy_line, scheme) = lines.redundancy.unzip();
        let scheme = scheme.unwrap_or_default();
        if scheme == Scheme::Parity && lines.servers.len() < usize::from(PIECES) {
            let problem = Problem::FewForParity(lines.servers.len());
            return Err(ConfigError { line: redundancy_line, problem });
        }
        let replicas = match lines.replicas {
            Some((line, _)) if scheme == Scheme::Parity => {
                return Err(ConfigError { line: Some(line), problem: Problem::ReplicasOfParity });
            }
            None if scheme == Scheme::Parity => usize::from(PARITY_REPLICAS),
            None => placement::copies_wanted(placement::DEFAULT_REPLICAS, lines.servers.len()),
            Some((line, value)) => value
                .parse()
                .ok()
                .filter(|r| (1..=lines.servers.len()).contains(r))
                .ok_or(ConfigError { line: Some(line), problem: Problem::Replicas(value) })?,
        };
        let config = Config {
            user: lines.user.ok_or(missing("Username"))?,
            password: Zeroizing::default(),
            timeout: lines.timeout.unwrap_or(DEFAULT_TIMEOUT),
            key: lines.key,
            min_iterations: lines.min_iterations.unwrap_or(DEFAULT_ITERATIONS),
            servers: lines.servers,
            scheme,
            replicas,
        };
        Ok(Self { source: lines.source.unwrap_or(PasswordSource::Asked), config })
    }

    /// Who logs in.
    pub fn user(&self) -> &UserName {
        &self.config.user
    }

    /// The file with the password that its source has given.
    pub fn with_password(self, password: Zeroizing<String>) -> Config {
        Config { password, ..self.config }
    }

    /// Source of the master key instead of the password.
    pub fn key(&self) -> Option<&[u8; 32]> {
        self.config.key.as_deref()
    }
}

impl Config {
    /// Parses the text of a .conf file that contains the password; others are for [`ConfFile`].
    ///
    /// # Errors
    /// The first mistake, with its line number.
    pub fn parse(text: &str) -> Result<Config, ConfigError> {
        let mut file = ConfFile::parse(text)?;
        match std::mem::replace(&mut file.source, PasswordSource::Asked) {
            PasswordSource::Stated(password) => Ok(file.with_password(password)),
            _ => Err(ConfigError { line: None, problem: Problem::Missing("Password") }),
        }
    }

    /// Whether a password can be written in a .conf and in Users.conf.
    pub fn is_password(password: &str) -> bool {
        let plain = password.trim() == password && !password.chars().any(char::is_control);
        plain && !password.is_empty() && password.len() <= MAX_PASSWORD
    }

    /// The text of a .conf with another password; all the rest is unchanged. None if it has no password.
    pub fn with_password(text: &str, password: &str) -> Option<String> {
        let mut out = String::with_capacity(text.len() + password.len() + ": ".len());
        let mut found = false;
        for line in text.split_inclusive('\n') {
            let content = line.trim_end_matches(['\n', '\r']);
            let inner = content.trim_start_matches(|c: char| c == BYTE_ORDER_MARK || c.is_whitespace());
            let (key, value) = split_key(inner);
            if !key.eq_ignore_ascii_case("password") {
                out.push_str(line);
                continue;
            }
            found = true;
            let (indent, before) =
                (&content[..content.len() - inner.len()], &inner[..inner.len() - value.len()]);
            let rewritten = Zeroizing::new(format!("{before}{password}"));
            out.push_str(indent);
            // One that begins like a separator needs one before it.
            match split_key(&rewritten) == (key, password) {
                true => out.push_str(&rewritten),
                false => out.push_str(&Zeroizing::new(format!("{key}: {password}"))),
            }
            out.push_str(&line[content.len()..]);
        }
        found.then_some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGINAL: &str = "Server1 localhost:8008\nServer2 localhost:8080\nServer3 localhost:8800\n\
                            Server4 localhost:8880\nUsername Aditi\nPassword Aditi@123\n";

    fn error_of(text: &str) -> String {
        Config::parse(text).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_original_form_is_read_unchanged() {
        let config = Config::parse(ORIGINAL).ok().unwrap();
        assert_eq!(config.servers.len(), 4);
        assert_eq!(config.servers[3].name.as_str(), "Server4");
        assert_eq!(config.servers[3].address, "localhost:8880");
        assert_eq!((config.user.as_str(), config.password.as_str()), ("Aditi", "Aditi@123"));
        assert_eq!((config.replicas, config.timeout, config.key), (2, DEFAULT_TIMEOUT, None));
        assert_eq!(config.min_iterations, DEFAULT_ITERATIONS);
    }

    #[test]
    fn the_classic_form_colons_case_order_and_comments_are_free() {
        let config = Config::parse(
            "# mine\n\npassword: a b # c\r\nUSERNAME: Ritu\nServer DFS1 127.0.0.1:10001\nserver2 [::1]:5\nReplicas 1\n\
             Timeout 0.25\nMinIterations 4096\nKey 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eFF",
        )
        .ok()
        .unwrap();
        assert_eq!(config.servers[0].name.as_str(), "DFS1");
        assert_eq!(config.servers[1].name.as_str(), "Server2");
        assert_eq!(*config.password, "a b # c");
        assert_eq!((config.replicas, config.timeout), (1, Duration::from_millis(250)));
        assert_eq!(config.min_iterations, 4096);
        assert_eq!(config.key.unwrap()[31], 0xff);
    }

    #[test]
    fn a_new_password_changes_only_its_line() {
        let changed = |text, password| Config::with_password(text, password).unwrap();
        assert_eq!(
            changed("# x\r\n  password:  old one\r\nUsername u", "new one"),
            "# x\r\n  password:  new one\r\nUsername u"
        );
        let marked = "\u{feff}Password old\n";
        assert_eq!(changed(marked, "new"), "\u{feff}Password new\n");
        assert_eq!(Config::with_password("PasswordCommand pass\nUsername u\n", "new"), None);
        assert!(Config::parse(&format!("{marked}Server1 a:1\nUsername u\n")).is_ok());
        assert!(Config::is_password("a b"));
        assert!(["", " a", "a\n", &"x".repeat(MAX_PASSWORD + 1)].iter().all(|p| !Config::is_password(p)));
    }

    #[test]
    fn any_password_is_read_back_from_any_form_of_its_line() {
        for line in ["Password old", "password:old", "PASSWORD:\told", "Password = old", "Password=old"] {
            for password in ["new", ":new", "=new", ": new", "= new", "= = new", "a:b c=d", "="] {
                let text = format!("Server1 a:1\nUsername u\n{line}\n");
                let text = Config::with_password(&text, password).unwrap();
                let read = Config::parse(&text).ok().unwrap_or_else(|| panic!("{text}"));
                assert_eq!(*read.password, password, "{text}");
            }
        }
    }

    /// The kinds of files that people have from the classic assignment, with their own names and passwords replaced.
    #[test]
    fn the_forms_of_the_classic_assignment_are_read() {
        let one = "127.0.0.1:10001";
        for (text, name, address, user, password) in [
            ("Server DFS1 127.0.0.1:10001\nUsername: Alice\nPassword: pw", "DFS1", one, "Alice", "pw"),
            ("server dfs1 127.0.0.1:10001 \r\nusername Alice\r\npassword pw ", "dfs1", one, "Alice", "pw"),
            ("Server\tDFS1\t127.0.0.1:10001\t\nUsername:\tAlice\nPassword:\tpw", "DFS1", one, "Alice", "pw"),
            ("Server DFS1 127.0.0.1:10001\n\nUsername:Alice\nPassword:p:w", "DFS1", one, "Alice", "p:w"),
            ("Server DFS1 127.0.0.1 10001 \nUsername: Alice \nPassword: pw \n", "DFS1", one, "Alice", "pw"),
            (
                "Server1 localhost 8008\nUsername Alice\nPassword p w",
                "Server1",
                "localhost:8008",
                "Alice",
                "p w",
            ),
            (
                "[Servers]\nServer:DFS1 127.0.0.1:10001\n\n[User]\nUsername Alice\nPassword :pw",
                "DFS1",
                one,
                "Alice",
                ":pw",
            ),
            (
                "[Servers]\nserver dfs1 = 127.0.0.1:10001\n[Credentials]\nusername = Alice\npassword = =pw\n",
                "dfs1",
                one,
                "Alice",
                "=pw",
            ),
            ("Server DFS1 = 127.0.0.1 10001\nusername=Alice\npassword=pw=", "DFS1", one, "Alice", "pw="),
        ] {
            let config = Config::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert_eq!(config.servers[0].name.as_str(), name, "{text}");
            assert_eq!(config.servers[0].address, address, "{text}");
            assert_eq!((config.user.as_str(), config.password.as_str()), (user, password), "{text}");
        }
        for (text, expected) in [
            ("DFS1 127.0.0.1:10001\n", "line 1: unknown key 'DFS1': a server's line begins with Server"),
            ("DFS1=127.0.0.1:10001\n", "line 1: unknown key 'DFS1': a server's line begins with Server"),
            ("127.0.0.1:8080\n", "line 1: unknown key '127.0.0.1'"),
            ("User: alice\n", "line 1: unknown key 'User'"),
            ("/* mine */\n", "line 1: unknown key '/*'"),
            (
                "Username: Bob Password: pw\n",
                "line 1: a user name has no spaces; each key is on a line of its own",
            ),
            ("Username:A\nPassword:p\nUsername:B\n", "line 3: 'Username' appears twice"),
            ("server dfs1 127.0.0.1:10001\n", "there is no 'Username' line"),
        ] {
            assert_eq!(error_of(text), expected);
        }
    }

    #[test]
    fn a_password_may_be_elsewhere_and_only_in_one_place() {
        let source =
            |text: &str| ConfFile::parse(&format!("Server1 a:1\nUsername u\n{text}")).map(|f| f.source);
        let command = |text: &str| PasswordSource::Command(text.into(), 3);
        assert!(source("PasswordCommand: pass show 'x y' # z\n") == Ok(command("pass show 'x y' # z")));
        assert!(source("passwordcommand=gpg -d x\n") == Ok(command("gpg -d x")));
        assert!(source("") == Ok(PasswordSource::Asked));
        assert!(source("Password p") == Ok(PasswordSource::Stated("p".to_owned().into())));
        for (text, expected) in [
            (
                "Password p\nPasswordCommand c\n",
                "line 4: 'Password' and 'PasswordCommand' exclude each other",
            ),
            (
                "PasswordCommand c\nPassword p\n",
                "line 4: 'Password' and 'PasswordCommand' exclude each other",
            ),
            ("PasswordCommand c\nPasswordCommand c\n", "line 4: 'PasswordCommand' appears twice"),
            ("PasswordCommand\n", "line 3: 'PasswordCommand' has no value"),
        ] {
            assert_eq!(source(text).err().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn parity_takes_four_servers_and_bears_the_loss_of_two() {
        let config = Config::parse(&format!("{ORIGINAL}redundancy: Parity\n")).ok().unwrap();
        assert_eq!((config.scheme, config.replicas), (Scheme::Parity, 3));
        let config = Config::parse(&format!("{ORIGINAL}Redundancy copies\nReplicas 3\n")).ok().unwrap();
        assert_eq!((config.scheme, config.replicas), (Scheme::Copies, 3));
        let three = ORIGINAL.split_once('\n').unwrap().1;
        assert_eq!(
            error_of(&format!("{three}Redundancy parity\n")),
            "line 6: 'Redundancy parity' needs at least 4 servers, and there are 3"
        );
    }

    #[test]
    fn one_server_has_one_copy() {
        assert_eq!(Config::parse("Server1 a:1\nUsername u\nPassword p").ok().unwrap().replicas, 1);
    }

    #[test]
    fn every_mistake_is_named_with_its_line() {
        for (change, expected) in [
            ("Colour red", "line 7: unknown key 'Colour'"),
            ("Username Ritu", "line 7: 'Username' appears twice"),
            ("Server5 localhost", "line 7: bad address 'localhost'"),
            ("Server5 localhost:0", "line 7: bad address"),
            ("Server5 localhost:99999", "line 7: bad address"),
            ("Server5 :80", "line 7: bad address"),
            ("Server5", "line 7: 'Server5' has no value"),
            ("server1 localhost:1", "line 7: server 'Server1' appears twice"),
            ("Server5 localhost:8008", "line 7: two servers have the address"),
            ("Server", "line 7: 'Server' has no value"),
            ("Replicas 5", "line 7: bad Replicas '5'"),
            ("Replicas 0", "line 7: bad Replicas '0'"),
            ("Redundancy raid", "line 7: bad Redundancy 'raid': expected copies or parity"),
            ("Redundancy parity\nReplicas 2", "line 8: 'Replicas' is for copies"),
            ("Replicas 2\nRedundancy parity", "line 7: 'Replicas' is for copies"),
            ("Timeout -1", "line 7: bad Timeout"),
            ("Timeout NaN", "line 7: bad Timeout"),
            ("Timeout 1e300", "line 7: bad Timeout"),
            ("Timeout 1e-300", "line 7: bad Timeout"),
            ("Key abc", "line 7: bad Key"),
            ("Key", "line 7: 'Key' has no value"),
        ] {
            let message = error_of(&format!("{ORIGINAL}{change}\n"));
            assert!(message.starts_with(expected), "{change}: {message}");
        }
        assert_eq!(error_of("Server1 a:1\nUsername u\n"), "there is no 'Password' line");
        assert_eq!(error_of("Server1 a:1\nPassword u\n"), "there is no 'Username' line");
        assert_eq!(
            error_of("Username u\nPassword u\n"),
            "there is no line for a server, such as 'Server1 localhost:8008'"
        );
        assert!(error_of("Username ../x").contains("bad name"));
    }
}
