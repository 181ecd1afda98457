//! The client's .conf file: who the user is, and which servers to use.
//!
//! One `KEY VALUE` per line, keys in any order and case, with an optional colon or equals sign after the key; a line
//! that begins with `#` is a comment. The grammar is in `docs/ARCHITECTURE.md`. Errors carry the line number.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::name::{NameError, ServerName, UserName, printable};
use crate::placement::{self, PARITY_REPLICAS, PIECES, Scheme};
use crate::text::{is_digits, parse_hex};

/// Most servers in one .conf.
pub const MAX_SERVERS: usize = 64;
/// Longest .conf file, in bytes.
pub const MAX_CONFIG: usize = 64 * 1024;
/// The keys of a .conf. After `Server` more may follow in the same word.
pub const KEYS: [&str; 9] = [
    "Server",
    "Username",
    "Password",
    "PasswordCommand",
    "Redundancy",
    "Replicas",
    "Timeout",
    "Key",
    "MinIterations",
];
/// What some editors put at the start of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';
/// Longest password, in bytes.
pub const MAX_PASSWORD: usize = 1024;
/// Time limit for a connect if the .conf has no `Timeout`.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
/// Fewest PBKDF2 iterations that `MinIterations` may ask for, the floor of RFC 7677, and that a verifier may have.
pub const MIN_ITERATIONS: u32 = 4096;
/// Most iterations that a client accepts, about a second of work: a rogue server could otherwise keep it
/// busy forever.
pub const MAX_ITERATIONS: u32 = 5_000_000;
/// Iterations of new verifiers, and by default the fewest that a client accepts. The same number as for the master
/// key: someone who steals a server's disk has both the verifier and the pieces, and would attack the cheaper one.
pub const DEFAULT_ITERATIONS: u32 = 600_000;
/// Most seconds that `Timeout` may ask for.
pub const MAX_TIMEOUT_SECONDS: f64 = 600.0;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    /// The name that it was started with.
    pub name: ServerName,
    /// `host:port`; the host has not been looked up yet.
    pub address: String,
}

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

/// Where the password of a .conf is.
#[derive(Clone, PartialEq, Eq)]
pub enum PasswordSource {
    /// In the file.
    Stated(Zeroizing<String>),
    /// A program prints it: the words as they are in the file, and the line that they are on, from 1.
    Command(String, usize),
    /// The file does not say: somebody has to be asked.
    Asked,
}

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

/// The lines read so far, before the file is checked as a whole. A value that is checked later keeps its line number.
#[derive(Default)]
struct Unchecked {
    servers: Vec<ServerAddress>,
    user: Option<UserName>,
    source: Option<PasswordSource>,
    redundancy: Option<(usize, Scheme)>,
    replicas: Option<(usize, String)>,
    timeout: Option<Duration>,
    key: Option<Zeroizing<[u8; 32]>>,
    min_iterations: Option<u32>,
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
        unchecked.finish()
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

/// The key and the value of a line without blanks before it. A colon or an equals sign may follow the key, or stand
/// between blanks after it: one that is not alone there begins the value.
fn split_key(line: &str) -> (&str, &str) {
    let is_separator = |c: char| c == ':' || c == '=';
    let end = line.find(|c: char| is_separator(c) || c.is_whitespace()).unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    let value = rest.strip_prefix(is_separator).unwrap_or_else(|| without_separator(rest.trim_start()));
    (key, value.trim_start())
}

/// A value without the colon or equals sign that stands alone before it.
fn without_separator(value: &str) -> &str {
    value.strip_prefix([':', '=']).filter(|rest| rest.starts_with(char::is_whitespace)).unwrap_or(value)
}

/// `HOST PORT` as `HOST:PORT`; anything else is unchanged.
fn with_colon(address: &str) -> String {
    match address.split_once(char::is_whitespace) {
        Some((host, port)) if is_digits(port.trim_start()) => format!("{host}:{}", port.trim_start()),
        _ => address.to_owned(),
    }
}

/// Whether it is `HOST:PORT`, with a port from 1 to 65535.
fn is_address(address: &str) -> bool {
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
    let is_port = port.is_some_and(|p| p.parse::<u16>().is_ok_and(|p| p > 0));
    is_port && !address.contains(char::is_whitespace)
}

impl Unchecked {
    fn take(&mut self, line: &str, line_number: usize) -> Result<(), Problem> {
        let line = line.trim();
        // Other programs' files have headings in brackets.
        let is_heading = line.starts_with('[') && line.ends_with(']');
        if line.is_empty() || line.starts_with('#') || is_heading {
            return Ok(());
        }
        let (key, value) = split_key(line);
        if value.is_empty() && is_known(key) {
            return Err(Problem::NoValue(key.to_owned()));
        }
        match key.to_ascii_lowercase().as_str() {
            "username" => set(&mut self.user, key, parse_user(value)?),
            "password" => self.set_source(key, PasswordSource::Stated(parse_password(value)?)),
            "passwordcommand" => self.set_source(key, PasswordSource::Command(value.to_owned(), line_number)),
            "replicas" => set(&mut self.replicas, key, (line_number, value.to_owned())),
            "redundancy" => set(&mut self.redundancy, key, (line_number, parse_redundancy(value)?)),
            "timeout" => set(&mut self.timeout, key, parse_timeout(value)?),
            "key" => set(&mut self.key, key, parse_key(value)?),
            "miniterations" => set(&mut self.min_iterations, key, parse_iterations(value)?),
            "server" => {
                let (name, address) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
                self.add_server(name, without_separator(address.trim_start()).trim_start())
            }
            lower if lower.starts_with("server") => {
                self.add_server(&format!("Server{}", &key["server".len()..]), value)
            }
            _ if is_address(&with_colon(value)) => Err(Problem::ServerKey(key.to_owned(), with_colon(value))),
            _ => Err(Problem::UnknownKey(key.to_owned())),
        }
    }

    fn set_source(&mut self, key: &str, source: PasswordSource) -> Result<(), Problem> {
        let is_stated = |source: &PasswordSource| matches!(source, PasswordSource::Stated(_));
        if self.source.as_ref().is_some_and(|other| is_stated(other) != is_stated(&source)) {
            return Err(Problem::TwoPasswords);
        }
        set(&mut self.source, key, source)
    }

    fn add_server(&mut self, name: &str, address: &str) -> Result<(), Problem> {
        let name = ServerName::parse(name).map_err(|why| Problem::Name(name.to_owned(), why))?;
        let address = with_colon(address);
        if !is_address(&address) {
            return Err(Problem::Address(address));
        }
        if self.servers.iter().any(|s| s.name.as_str().eq_ignore_ascii_case(name.as_str())) {
            return Err(Problem::ServerTwice(name.to_string()));
        }
        if self.servers.iter().any(|s| s.address.eq_ignore_ascii_case(&address)) {
            return Err(Problem::AddressTwice(address));
        }
        if self.servers.len() == MAX_SERVERS {
            return Err(Problem::TooManyServers);
        }
        self.servers.push(ServerAddress { name, address });
        Ok(())
    }

    fn finish(self) -> Result<ConfFile, ConfigError> {
        let missing = |key| ConfigError { line: None, problem: Problem::Missing(key) };
        if self.servers.is_empty() {
            return Err(missing("Server"));
        }
        let (redundancy_line, scheme) = self.redundancy.unzip();
        let scheme = scheme.unwrap_or_default();
        if scheme == Scheme::Parity && self.servers.len() < usize::from(PIECES) {
            let problem = Problem::FewForParity(self.servers.len());
            return Err(ConfigError { line: redundancy_line, problem });
        }
        let replicas = match self.replicas {
            Some((line, _)) if scheme == Scheme::Parity => {
                return Err(ConfigError { line: Some(line), problem: Problem::ReplicasOfParity });
            }
            None if scheme == Scheme::Parity => usize::from(PARITY_REPLICAS),
            None => placement::copies_wanted(placement::DEFAULT_REPLICAS, self.servers.len()),
            Some((line, value)) => value
                .parse()
                .ok()
                .filter(|r| (1..=self.servers.len()).contains(r))
                .ok_or(ConfigError { line: Some(line), problem: Problem::Replicas(value) })?,
        };
        let config = Config {
            user: self.user.ok_or(missing("Username"))?,
            password: Zeroizing::default(),
            timeout: self.timeout.unwrap_or(DEFAULT_TIMEOUT),
            key: self.key,
            min_iterations: self.min_iterations.unwrap_or(DEFAULT_ITERATIONS),
            servers: self.servers,
            scheme,
            replicas,
        };
        Ok(ConfFile { source: self.source.unwrap_or(PasswordSource::Asked), config })
    }
}

fn is_known(key: &str) -> bool {
    KEYS.iter().any(|known| known.eq_ignore_ascii_case(key)) || key.to_ascii_lowercase().starts_with("server")
}

fn set<T>(slot: &mut Option<T>, key: &str, value: T) -> Result<(), Problem> {
    if slot.is_some() {
        return Err(Problem::Twice(key.to_owned()));
    }
    *slot = Some(value);
    Ok(())
}

fn parse_user(value: &str) -> Result<UserName, Problem> {
    if value.contains(char::is_whitespace) {
        return Err(Problem::UserAndMore);
    }
    UserName::parse(value).map_err(|why| Problem::Name(value.to_owned(), why))
}

fn parse_password(value: &str) -> Result<Zeroizing<String>, Problem> {
    if value.len() > MAX_PASSWORD {
        return Err(Problem::PasswordTooLong);
    }
    Ok(value.to_owned().into())
}

fn parse_redundancy(value: &str) -> Result<Scheme, Problem> {
    let is = |word: &str| value.eq_ignore_ascii_case(word);
    match () {
        () if is("copies") => Ok(Scheme::Copies),
        () if is("parity") => Ok(Scheme::Parity),
        () => Err(Problem::Redundancy(value.to_owned())),
    }
}

fn parse_timeout(value: &str) -> Result<Duration, Problem> {
    value
        .parse::<f64>()
        .ok()
        .filter(|s| *s > 0.0 && *s <= MAX_TIMEOUT_SECONDS)
        .map(Duration::from_secs_f64)
        .filter(|d| !d.is_zero())
        .ok_or_else(|| Problem::Timeout(value.to_owned()))
}

fn parse_iterations(value: &str) -> Result<u32, Problem> {
    let number = is_digits(value).then(|| value.parse().ok()).flatten();
    number
        .filter(|n| (MIN_ITERATIONS..=MAX_ITERATIONS).contains(n))
        .ok_or_else(|| Problem::MinIterations(value.to_owned()))
}

fn parse_key(value: &str) -> Result<Zeroizing<[u8; 32]>, Problem> {
    let lower_case = Zeroizing::new(value.to_ascii_lowercase());
    parse_hex(&lower_case).map(Zeroizing::new).ok_or(Problem::Key)
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
