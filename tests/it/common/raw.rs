//! A client that keeps to the protocol only as far as a test wants it to.

use super::USER;
use super::process::LIMIT;
use shareit::auth::{ClientFirst, MIN_ITERATIONS, Salted};
use shareit::name::{FilePath, ServerName, UserName};
use shareit::primitives::{Bytes32, PayloadMac, sha256};
use shareit::sealed::{Claim, Header, MasterKey};
use shareit::text::base64_encode;
use shareit::version::Version;
use shareit::wire::{LineOpener, LineSealer, Login, NameReport, Reply, read_line};
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};

/// A connection that is not logged in.
pub(crate) struct Stranger(BufReader<TcpStream>);

/// A connection whose login waits for the proof.
pub(crate) struct Waiting {
    stranger: Stranger,
    server: ServerName,
    challenge: shareit::auth::ClientChallenge,
}

/// A connection that is logged in.
pub(crate) struct Guest {
    stranger: Stranger,
    sealer: LineSealer,
    opener: LineOpener,
    payloads: Bytes32,
}

/// Never the same twice, which is all that a test needs of a nonce.
pub(crate) fn nonce() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    base64_encode(format!("test nonce {:08}", COUNT.fetch_add(1, Ordering::Relaxed)).as_bytes())
}

impl Stranger {
    pub(crate) fn at(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Sends bytes. A server that has closed the connection does not read them; the test will see that.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.get_mut().write_all(bytes.as_ref());
    }

    pub(crate) fn send_login(&mut self, login: Login) {
        self.send(format!("{}\n", login.to_line()));
    }

    /// The next line, or nothing if the server has closed the connection.
    pub(crate) fn line(&mut self) -> Option<String> {
        read_line(&mut self.0).ok()
    }

    /// The next line as a reply.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> Reply {
        Reply::parse(&self.line().unwrap_or_else(|| panic!("closed"))).unwrap()
    }

    /// The server has closed the connection, without another word.
    #[track_caller]
    pub(crate) fn is_closed(&mut self) {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => {
                panic!("not closed: {error}")
            }
            _ => assert!(rest.is_empty(), "not the last word: {}", String::from_utf8_lossy(&rest)),
        }
    }

    /// Asks for a login, and gets its challenge.
    #[track_caller]
    pub(crate) fn ask_in(mut self, user: &str) -> Waiting {
        let first = ClientFirst::new(&UserName::parse(user).unwrap(), &nonce());
        self.send_login(Login::Login(first.message()));
        let Reply::Challenge(server, message) = self.reply() else { panic!("no challenge") };
        let challenge = first.challenge(&message, MIN_ITERATIONS).unwrap();
        Waiting { stranger: self, server, challenge }
    }
}

impl Waiting {
    /// Gives the proof, and says what the server answered to it.
    pub(crate) fn answer(self, password: &str) -> Result<Guest, String> {
        let Waiting { mut stranger, server, challenge } = self;
        let salted = Salted::derive(password, &challenge.salt, challenge.iterations);
        let proof = challenge.prove(salted);
        stranger.send_login(Login::Prove(proof.message().to_owned()));
        let line = stranger.line().unwrap_or_default();
        let Ok(Reply::Welcome(message)) = Reply::parse(&line) else { return Err(line) };
        let keys = proof.finish(&message, &server).map_err(|error| error.to_string())?;
        let (sealer, opener) = (LineSealer::new(keys.client_lines), LineOpener::new(keys.server_lines));
        Ok(Guest { stranger, sealer, opener, payloads: *keys.payloads })
    }
}

impl Guest {
    /// Logs in.
    #[track_caller]
    pub(crate) fn at(port: u16, user: &str, password: &str) -> Self {
        let answer = Stranger::at(port).ask_in(user).answer(password);
        answer.unwrap_or_else(|line| panic!("not welcome: {line}"))
    }

    /// The next line with this text, as it would travel.
    pub(crate) fn seal(&mut self, text: &str) -> String {
        self.sealer.seal(text)
    }

    /// The tag of a payload that follows the line sealed last.
    pub(crate) fn tag(&self, payload: &[u8]) -> Bytes32 {
        let mut mac = PayloadMac::new(&self.payloads, self.sealer.last());
        mac.update(payload);
        mac.finish()
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stranger.send(bytes);
    }

    /// The next reply.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> Reply {
        let line = self.stranger.line().unwrap_or_else(|| panic!("closed"));
        Reply::parse(self.opener.open(&line).unwrap()).unwrap()
    }

    /// Sends a line as it should be, and gets the reply.
    #[track_caller]
    pub(crate) fn ask(&mut self, text: &str) -> Reply {
        let line = self.seal(text);
        self.send(line);
        self.reply()
    }

    /// What the server says of a name.
    #[allow(dead_code, reason = "not every test that has this file looks")]
    #[track_caller]
    pub(crate) fn look(&mut self, path: &str) -> NameReport {
        let Reply::Text(length, _) = self.ask(&format!("LOOK {path}")) else { panic!("no text") };
        let mut text = vec![0; length as usize];
        self.stranger.0.read_exact(&mut text).unwrap();
        NameReport::parse(std::str::from_utf8(&text).unwrap()).unwrap()
    }

    #[track_caller]
    pub(crate) fn is_closed(&mut self) {
        self.stranger.is_closed();
    }
}

/// A delete as Aditi's client would seal it under a key.
pub(crate) fn tombstone(path: &str, generation: u64, key: &Bytes32) -> Claim {
    let key = MasterKey::from_key(key);
    let (user, path) = (UserName::parse(USER).unwrap(), FilePath::parse(path).unwrap());
    let version = Version { generation, upload: [7; 16] };
    let header = Header::tombstone(user, path, version, 2, key.check_value());
    let root = sha256(b"");
    let seal = key.seal(&header.encode(), &root);
    Claim { header, root, seal }
}
