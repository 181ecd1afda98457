//! A client's connection to one server: login, then requests and replies, each phase with its time
//! limit. Requests may be sent ahead of their replies, which come in the same order.

use std::fmt;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::auth::{ClientFirst, ClientProof, Salted, ScramError, SessionKeys, Verifier};
use crate::config::ServerAddress;
use crate::name::{ServerName, UserName};
use crate::primitives::{Bytes32, Keystream, sha256};
use crate::wire::{
    LineError, LineOpener, LineSealer, Login, MAX_LIFE_SIGNS, MAX_TEXT, ParseError, Refusal, Reply, Request,
    StageEnd, read_line,
};

const BUFFER: usize = 64 * 1024;
/// Longer than this a client does not wait for a step of a payload: another server, whose payload waits
/// meanwhile, gives up after twice as long.
const MAX_ANSWER: Duration = Duration::from_secs(30);

/// The time limits of a connection, by phase; all follow from the .conf's `Timeout`.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// To connect to one address.
    pub connect: Duration,
    /// For each of the two answers of a login.
    pub login: Duration,
    /// For an answer that needs no disk to be synced, and for each step of a payload.
    pub answer: Duration,
    /// For an answer that does.
    pub durable: Duration,
}

impl Limits {
    /// With this much to connect. A server that is merely busy must not count as silent, so the
    /// other limits have floors.
    pub fn from_timeout(timeout: Duration) -> Self {
        let at_least = |factor: u32, floor: u64| (timeout * factor).max(Duration::from_secs(floor));
        Self {
            connect: timeout,
            login: at_least(3, 3),
            answer: at_least(10, 10).min(MAX_ANSWER),
            durable: at_least(20, 20),
        }
    }
}

/// Why a server is of no more use for now.
#[derive(Debug)]
pub enum PeerError {
    /// The host's name was not found.
    Resolve(io::Error),
    /// Nobody listens there, or the network says no.
    Connect(io::Error),
    /// No answer within the time limit.
    Silent,
    /// It closed the connection.
    Closed,
    /// The connection failed.
    Io(io::Error),
    /// It refused the connection in the protocol's words.
    Refused(Refusal, String),
    /// It speaks another protocol.
    Protocol(ParseError),
    /// It sent a line that is too long, or not text.
    BadLine,
    /// A line or its payload was altered on its way.
    Altered,
    /// It calls itself by another name than the .conf.
    OtherName(ServerName),
    /// The login failed in the client's eyes.
    Login(ScramError),
}

impl PeerError {
    /// Whether it refused the user's name or password.
    pub fn is_denied(&self) -> bool {
        matches!(self, PeerError::Refused(Refusal::Denied, _))
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerError::Resolve(error) => write!(f, "host not found: {error}"),
            PeerError::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                f.write_str("refused the connection")
            }
            PeerError::Connect(error) => write!(f, "cannot be reached: {error}"),
            PeerError::Silent => f.write_str("did not answer in time"),
            PeerError::Closed => f.write_str("closed the connection"),
            PeerError::Io(error) => write!(f, "connection failed: {error}"),
            PeerError::Refused(Refusal::Denied, _) => f.write_str("refused the username or password"),
            PeerError::Refused(refusal, _) => write!(f, "refused: {refusal}"),
            PeerError::Protocol(error) => write!(f, "does not speak ShareIt's protocol: {error}"),
            PeerError::BadLine => f.write_str("does not speak ShareIt's protocol: bad line"),
            PeerError::Altered => f.write_str("a message was altered on its way"),
            PeerError::OtherName(name) => write!(f, "calls itself {name}"),
            PeerError::Login(error) => write!(f, "login failed: {error}"),
        }
    }
}

impl std::error::Error for PeerError {}

impl From<io::Error> for PeerError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => PeerError::Silent,
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => PeerError::Closed,
            _ => PeerError::Io(error),
        }
    }
}

impl From<LineError> for PeerError {
    fn from(error: LineError) -> Self {
        match error {
            LineError::Closed | LineError::Cut => PeerError::Closed,
            LineError::TooLong | LineError::NotUtf8 => PeerError::BadLine,
            LineError::Io(error) => error.into(),
        }
    }
}

impl From<ParseError> for PeerError {
    fn from(error: ParseError) -> Self {
        PeerError::Protocol(error)
    }
}

/// A server's "no" to one request; the connection goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct No {
    /// The protocol's word.
    pub refusal: Refusal,
    /// The server's own words.
    pub detail: String,
}

impl fmt::Display for No {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let general = self.refusal.to_string();
        f.write_str(&general)?;
        if self.detail != general && !self.detail.is_empty() {
            write!(f, ": {}", self.detail.escape_debug())
        } else {
            Ok(())
        }
    }
}

/// What a request gave: its value or the server's "no"; or the connection is lost.
pub type Answer<T> = Result<Result<T, No>, PeerError>;

/// A stream with the read limit that is set on it, so that it is set only when it changes.
struct Socket {
    stream: TcpStream,
    limit: Duration,
    /// For a line: when all its bytes must be here, so that a server that drips them gains nothing.
    deadline: Option<Instant>,
}

impl Socket {
    fn limit_reads(&mut self, limit: Duration) -> io::Result<()> {
        if self.limit != limit {
            self.stream.set_read_timeout(Some(limit))?;
            self.limit = limit;
        }
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.limit_reads(left)?;
        }
        self.stream.read(buffer)
    }
}

struct Wire {
    reader: BufReader<Socket>,
    writer: BufWriter<TcpStream>,
    limits: Limits,
}

impl Drop for Wire {
    /// A buffer that is dropped is written first, and would wait for a silent server once more.
    fn drop(&mut self) {
        // Closed already is just as well.
        let _ = self.reader.get_ref().stream.shutdown(Shutdown::Both);
    }
}

impl Wire {
    fn receive_line(&mut self, limit: Duration) -> Result<String, PeerError> {
        self.reader.get_mut().deadline = Some(Instant::now() + limit);
        let line = read_line(&mut self.reader);
        let socket = self.reader.get_mut();
        socket.deadline = None;
        socket.limit_reads(self.limits.answer)?;
        Ok(line?)
    }

    fn send_line(&mut self, line: &str) -> Result<(), PeerError> {
        self.writer.write_all(line.as_bytes())?;
        self.writer.write_all(b"\n")?;
        Ok(self.writer.flush()?)
    }

    fn receive_plain(&mut self) -> Result<Reply, PeerError> {
        match Reply::parse(&self.receive_line(self.limits.login)?)? {
            Reply::No(refusal, detail) => Err(PeerError::Refused(refusal, detail)),
            reply => Ok(reply),
        }
    }
}

/// A connection whose login has been asked for.
pub struct Connected {
    wire: Wire,
    expected: ServerName,
    first: ClientFirst,
}

/// A connection that waits for the salted password.
pub struct Challenged {
    wire: Wire,
    server: ServerName,
    challenge: crate::auth::ClientChallenge,
}

/// A connection that has sent its proof.
pub struct Proven {
    wire: Wire,
    server: ServerName,
    proof: ClientProof,
}

impl Connected {
    /// Connects, trying each address of the host within the limit, and asks for a login. `nonce` is
    /// as in [`ClientFirst::new`].
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn open(
        server: &ServerAddress,
        user: &UserName,
        nonce: &str,
        limits: Limits,
    ) -> Result<Self, PeerError> {
        let stream = connect(&server.address, limits.connect)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limits.login))?;
        stream.set_write_timeout(Some(limits.answer))?;
        let writer = BufWriter::with_capacity(BUFFER, stream.try_clone()?);
        let reader = BufReader::with_capacity(BUFFER, Socket { stream, limit: limits.login, deadline: None });
        let mut wire = Wire { reader, writer, limits };
        let first = ClientFirst::new(user, nonce);
        wire.send_line(&Login::Login(first.message()).to_line())?;
        Ok(Self { wire, expected: server.name.clone(), first })
    }

    /// Waits for the challenge.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn challenged(mut self) -> Result<Challenged, PeerError> {
        let Reply::Challenge(server, message) = self.wire.receive_plain()? else {
            return Err(PeerError::Protocol(ParseError("CHALLENGE")));
        };
        if !server.as_str().eq_ignore_ascii_case(self.expected.as_str()) {
            return Err(PeerError::OtherName(server));
        }
        let challenge = self.first.challenge(&message).map_err(PeerError::Login)?;
        Ok(Challenged { wire: self.wire, server, challenge })
    }
}

impl Challenged {
    /// The salt and the iterations that the server asks for.
    pub fn parameters(&self) -> (&[u8], u32) {
        (&self.challenge.salt, self.challenge.iterations)
    }

    /// Sends the proof.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn prove(mut self, salted: Salted) -> Result<Proven, PeerError> {
        let proof = self.challenge.prove(salted);
        self.wire.send_line(&Login::Prove(proof.message().to_owned()).to_line())?;
        Ok(Proven { wire: self.wire, server: self.server, proof })
    }
}

impl Proven {
    /// Waits for the welcome.
    ///
    /// # Errors
    /// See [`PeerError`]; [`PeerError::is_denied`] for a wrong name or password.
    pub fn welcomed(mut self) -> Result<Peer, PeerError> {
        let Reply::Welcome(message) = self.wire.receive_plain()? else {
            return Err(PeerError::Protocol(ParseError("WELCOME")));
        };
        let SessionKeys { client_lines, server_lines, secrets } =
            self.proof.finish(&message, &self.server).map_err(PeerError::Login)?;
        Ok(Peer {
            tracer: None,
            wire: self.wire,
            sealer: LineSealer::new(client_lines),
            opener: LineOpener::new(server_lines),
            secrets,
        })
    }
}

fn connect(address: &str, limit: Duration) -> Result<TcpStream, PeerError> {
    let deadline = Instant::now() + limit;
    let mut last = PeerError::Resolve(io::ErrorKind::NotFound.into());
    for address in address.to_socket_addrs().map_err(PeerError::Resolve)? {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(PeerError::Silent);
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => last = PeerError::Silent,
            Err(error) => last = PeerError::Connect(error),
        }
    }
    Err(last)
}

/// Which way a line travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From this client to the server.
    Sent,
    /// From the server to this client.
    Received,
}

/// Sees the text of each line after login, without its MAC. Nothing in it is secret: a new verifier
/// travels encrypted.
pub type Tracer = Box<dyn Fn(Direction, &str) + Send>;

/// A connection that is logged in.
pub struct Peer {
    tracer: Option<Tracer>,
    wire: Wire,
    sealer: LineSealer,
    opener: LineOpener,
    secrets: Bytes32,
}

impl Peer {
    /// From now on `tracer` sees each line.
    pub fn trace(&mut self, tracer: Tracer) {
        self.tracer = Some(tracer);
    }

    /// Whether the server has closed the connection, or sent what nobody asked for.
    pub fn is_stale(&self) -> bool {
        let stream = &self.wire.reader.get_ref().stream;
        if stream.set_nonblocking(true).is_err() {
            return true;
        }
        let peeked = stream.peek(&mut [0]);
        let quiet = matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        stream.set_nonblocking(false).is_err() || !quiet
    }

    /// Sends a request, perhaps only into a buffer: see [`Peer::flush`]. A STAGE's payload and end
    /// follow by [`Peer::send_payload`] and [`Peer::send_end`].
    ///
    /// # Errors
    /// See [`PeerError`]; after any error the connection is of no more use.
    pub fn send(&mut self, request: &Request) -> Result<(), PeerError> {
        self.send_text(&request.to_line())
    }

    /// Sends a new verifier for the user, encrypted; `block` is random.
    ///
    /// # Errors
    /// As [`Peer::send`].
    pub fn send_verifier(&mut self, verifier: &Verifier, block: &[u8; 16]) -> Result<(), PeerError> {
        let mut bytes = verifier.to_string().into_bytes();
        Keystream::new(&self.secrets, block).apply(&mut bytes);
        self.send(&Request::Passwd { block: *block, verifier: bytes })
    }

    /// Sends bytes of a STAGE's payload.
    ///
    /// # Errors
    /// As [`Peer::send`].
    pub fn send_payload(&mut self, bytes: &[u8]) -> Result<(), PeerError> {
        Ok(self.wire.writer.write_all(bytes)?)
    }

    /// Sends the line behind a STAGE's payload.
    ///
    /// # Errors
    /// As [`Peer::send`].
    pub fn send_end(&mut self, end: &StageEnd) -> Result<(), PeerError> {
        self.send_text(&end.to_line())
    }

    fn send_text(&mut self, text: &str) -> Result<(), PeerError> {
        if let Some(tracer) = &self.tracer {
            tracer(Direction::Sent, text);
        }
        Ok(self.wire.writer.write_all(self.sealer.seal(text).as_bytes())?)
    }

    /// Sends what is buffered.
    ///
    /// # Errors
    /// As [`Peer::send`].
    pub fn flush(&mut self) -> Result<(), PeerError> {
        Ok(self.wire.writer.flush()?)
    }

    fn receive(&mut self, limit: Duration) -> Result<Reply, PeerError> {
        let line = self.wire.receive_line(limit)?;
        match self.opener.open(&line) {
            Ok(text) => {
                if let Some(tracer) = &self.tracer {
                    tracer(Direction::Received, text);
                }
                Ok(Reply::parse(text)?)
            }
            Err(_) => Err(PeerError::Altered),
        }
    }

    /// The reply to a request that is answered when something is on disk, or done.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn receive_done(&mut self) -> Answer<()> {
        let limit = self.wire.limits.durable;
        for _ in 0..MAX_LIFE_SIGNS {
            match self.receive(limit)? {
                Reply::Ok => return Ok(Ok(())),
                Reply::No(refusal, detail) => return no(refusal, detail),
                Reply::More(0, _) => {}
                _ => return Err(PeerError::Protocol(ParseError("OK"))),
            }
        }
        Err(PeerError::Protocol(ParseError("an end to the signs of life")))
    }

    /// The reply to a request that is answered with text, of at most `most` bytes in all; each part of
    /// it goes to `sink`.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn receive_text(
        &mut self,
        most: usize,
        mut sink: impl FnMut(&str) -> Result<(), ParseError>,
    ) -> Answer<()> {
        let limit = self.wire.limits.answer;
        let mut left = most;
        loop {
            let (length, hash, last) = match self.receive(limit)? {
                Reply::Text(length, hash) => (length, hash, true),
                Reply::More(length, hash) => (length, hash, false),
                Reply::No(refusal, detail) => return no(refusal, detail),
                _ => return Err(PeerError::Protocol(ParseError("TEXT"))),
            };
            let part = self.receive_text_bytes(length, &hash)?;
            left = left.checked_sub(part.len()).ok_or(ParseError("a text within the limit"))?;
            if part.is_empty() && !last {
                return Err(PeerError::Protocol(ParseError("a part that is not empty")));
            }
            sink(&part)?;
            if last {
                return Ok(Ok(()));
            }
        }
    }

    /// The reply to a request that is answered with one text, understood by `parse`.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn receive_parsed<T>(&mut self, parse: impl Fn(&str) -> Result<T, ParseError>) -> Answer<T> {
        let mut text = String::new();
        let answer = self.receive_text(MAX_TEXT, |part| {
            text.push_str(part);
            Ok(())
        })?;
        Ok(match answer {
            Ok(()) => Ok(parse(&text)?),
            Err(no) => Err(no),
        })
    }

    fn receive_text_bytes(&mut self, length: u64, hash: &Bytes32) -> Result<String, PeerError> {
        let length = usize::try_from(length).ok().filter(|&length| length <= MAX_TEXT);
        let mut bytes = vec![0; length.ok_or(ParseError("a text within the limit"))?];
        self.wire.reader.read_exact(&mut bytes)?;
        if sha256(&bytes) != *hash {
            return Err(PeerError::Altered);
        }
        String::from_utf8(bytes).map_err(|_| PeerError::BadLine)
    }

    /// The reply to a READ of `length` bytes; they then come by [`Peer::receive_payload`].
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn receive_data(&mut self, length: u64) -> Answer<()> {
        let limit = self.wire.limits.answer;
        match self.receive(limit)? {
            Reply::Data(announced) if announced == length => Ok(Ok(())),
            Reply::No(refusal, detail) => no(refusal, detail),
            _ => Err(PeerError::Protocol(ParseError("DATA of the length asked for"))),
        }
    }

    /// Fills `buffer` with the next bytes of a payload.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub fn receive_payload(&mut self, buffer: &mut [u8]) -> Result<(), PeerError> {
        Ok(self.wire.reader.read_exact(buffer)?)
    }
}

/// A few refusals end the connection on the server's side; the others only the request.
fn no<T>(refusal: Refusal, detail: String) -> Answer<T> {
    match refusal {
        Refusal::BadRequest | Refusal::BadMac | Refusal::Slow => Err(PeerError::Refused(refusal, detail)),
        _ => Ok(Err(No { refusal, detail })),
    }
}
