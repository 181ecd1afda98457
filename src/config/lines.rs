//! The lines of a .conf file, each by itself.

use std::time::Duration;

use zeroize::Zeroizing;

use super::limits::{MAX_ITERATIONS, MAX_PASSWORD, MAX_SERVERS, MAX_TIMEOUT_SECONDS, MIN_ITERATIONS};
use super::problem::Problem;
use crate::name::{ServerName, UserName};
use crate::placement::Scheme;
use crate::text::{is_digits, parse_hex};

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
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    /// The name that it was started with.
    pub name: ServerName,
    /// `host:port`; the host has not been looked up yet.
    pub address: String,
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

/// The lines read so far, before the file is checked as a whole. A value that is checked later keeps its line number.
#[derive(Default)]
pub(super) struct Unchecked {
    pub(super) servers: Vec<ServerAddress>,
    pub(super) user: Option<UserName>,
    pub(super) source: Option<PasswordSource>,
    pub(super) redundancy: Option<(usize, Scheme)>,
    pub(super) replicas: Option<(usize, String)>,
    pub(super) timeout: Option<Duration>,
    pub(super) key: Option<Zeroizing<[u8; 32]>>,
    pub(super) min_iterations: Option<u32>,
}

/// The key and the value of a line without blanks before it. A colon or an equals sign may follow the key, or stand
/// between blanks after it: one that is not alone there begins the value.
pub(super) fn split_key(line: &str) -> (&str, &str) {
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
    pub(super) fn take(&mut self, line: &str, line_number: usize) -> Result<(), Problem> {
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
