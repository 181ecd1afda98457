//! Servers that are not what they should be, and wires with somebody on them.

use super::raw::nonce;
use shareit::auth::{ServerFirst, Verifier};
use shareit::commit::PieceState;
use shareit::name::{FilePath, ServerName};
use shareit::placement::PieceSet;
use shareit::primitives::sha256;
use shareit::sealed::{Claim, Facts, Header};
use shareit::wire::{
    Entry, LineOpener, LineSealer, Login, NameReport, Refusal, Reply, Reported, Request, StageEnd, read_line,
};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Something that listens where a client expects a server.
pub(crate) struct Rogue {
    port: u16,
    over: Arc<AtomicBool>,
    heard: Arc<Mutex<Vec<String>>>,
}

/// A reply, and the bytes that its line announces.
pub(crate) type Told = (Reply, Vec<u8>);

/// The lines that a rogue has heard so far.
type Heard = Mutex<Vec<String>>;

impl Rogue {
    /// Has each connection served by `serve`, on a thread of its own.
    fn start(serve: impl Fn(TcpStream, &Heard) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (over, heard, serve) =
            (Arc::new(AtomicBool::new(false)), Arc::<Heard>::default(), Arc::new(serve));
        let rogue = Self { port, over: Arc::clone(&over), heard: Arc::clone(&heard) };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                client.set_nodelay(true).unwrap();
                let (serve, heard) = (Arc::clone(&serve), Arc::clone(&heard));
                thread::spawn(move || serve(client, &heard));
            }
        });
        rogue
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The first words of the lines that came in.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// Answers a login with a server-first message that is made from the client's nonce, and the proof, if
    /// there is one, with this server-final message.
    pub(crate) fn at_login(
        server_first: impl Fn(&str) -> String + Send + Sync + 'static,
        last: &str,
    ) -> Self {
        let last = last.to_owned();
        Self::start(move |client, heard| {
            let mut client = BufReader::new(client);
            let Some(Login::Login(message)) = login(&mut client, heard) else { return };
            let (_, client_nonce) = message.rsplit_once("r=").unwrap();
            let name = ServerName::parse("Server1").unwrap();
            say(&mut client, &Reply::Challenge(name, server_first(client_nonce)));
            if login(&mut client, heard).is_some() {
                say(&mut client, &Reply::Welcome(last.clone()));
            }
        })
    }

    /// Lets the user with this verifier in as Server1, and then answers as it likes.
    pub(crate) fn answering(
        verifier: Verifier,
        answer: impl Fn(&Request) -> Told + Send + Sync + 'static,
    ) -> Self {
        Self::keeping(verifier, move |request, _| answer(request))
    }

    /// The same for one that looks at what it is asked to stage: the claim that the piece will have.
    pub(crate) fn keeping(
        verifier: Verifier,
        answer: impl Fn(&Request, Option<Claim>) -> Told + Send + Sync + 'static,
    ) -> Self {
        Self::serving(verifier, move |request, staged, talk| {
            let (reply, bytes) = answer(request, staged);
            talk.say(&reply)?;
            talk.send(&bytes)
        })
    }

    /// The same, for answers that are more than a reply; the connection ends when one fails.
    pub(crate) fn talking(
        verifier: Verifier,
        answer: impl Fn(&Request, &mut Talk) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::serving(verifier, move |request, _, talk| answer(request, talk))
    }

    fn serving(
        verifier: Verifier,
        answer: impl Fn(&Request, Option<Claim>, &mut Talk) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |client, heard| {
            // However the connection ends, it is over.
            let _ = serve(client, &verifier, &answer, heard);
        })
    }

    /// Passes everything on to a real server, and gives its challenge another name.
    pub(crate) fn relaying_to(port: u16, name: &'static str, as_name: &'static str) -> Self {
        Self::start(move |mut client, _| {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { return };
            let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || io::copy(&mut from_client, &mut to_server));
            let mut server = BufReader::new(server);
            let challenge = read_line(&mut server).unwrap_or_default().replace(name, as_name);
            let _ = client.write_all(format!("{challenge}\n").as_bytes());
            let _ = io::copy(&mut server, &mut client);
            let _ = client.shutdown(Shutdown::Both);
        })
    }

    /// Passes everything on to a real server, but turns a bit of the byte at `up` on its way there, and of
    /// the byte at `down` on its way back.
    pub(crate) fn turning_bits(port: u16, up: Option<usize>, down: Option<usize>) -> Self {
        Self::start(move |client, _| {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { return };
            server.set_nodelay(true).unwrap();
            let (client_too, server_too) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || forward(client_too, server_too, up));
            forward(server, client, down);
        })
    }
}

/// A rogue's end of a connection that is logged in.
pub(crate) struct Talk {
    client: BufReader<TcpStream>,
    sealer: LineSealer,
}

impl Talk {
    pub(crate) fn say(&mut self, reply: &Reply) -> io::Result<()> {
        self.client.get_mut().write_all(self.sealer.seal(&reply.to_line()).as_bytes())
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.client.get_mut().write_all(bytes)
    }

    /// Says that it is still at work.
    pub(crate) fn give_life_sign(&mut self) -> io::Result<()> {
        self.say(&Reply::More(0, sha256(b"")))
    }

    /// Lets some time go by, unless the client goes before that.
    pub(crate) fn pause(&mut self, time: Duration) -> io::Result<()> {
        self.client.get_ref().set_read_timeout(Some(time))?;
        let heard = self.client.fill_buf().map(<[u8]>::is_empty);
        self.client.get_ref().set_read_timeout(None)?;
        match heard {
            Ok(true) => Err(io::ErrorKind::UnexpectedEof.into()),
            // The next request is there already.
            Ok(false) => Ok(()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections, so that it sees that it is over.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, turn: Option<usize>) {
    let (mut buffer, mut passed) = ([0; 16 * 1024], 0);
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if let Some(at) = turn.filter(|at| (passed..passed + count).contains(at)) {
            buffer[at - passed] ^= 1;
        }
        passed += count;
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn login(client: &mut BufReader<TcpStream>, heard: &Heard) -> Option<Login> {
    let line = read_line(client).ok()?;
    heard.lock().unwrap().push(line.clone());
    Login::parse(&line).ok()
}

fn say(client: &mut BufReader<TcpStream>, reply: &Reply) {
    // The client may have gone, which the test will see.
    let _ = client.get_mut().write_all(format!("{}\n", reply.to_line()).as_bytes());
}

fn serve(
    client: TcpStream,
    verifier: &Verifier,
    answer: &impl Fn(&Request, Option<Claim>, &mut Talk) -> io::Result<()>,
    heard: &Heard,
) -> Option<()> {
    let name = ServerName::parse("Server1").unwrap();
    let mut client = BufReader::new(client);
    let Login::Login(message) = login(&mut client, heard)? else { return None };
    let challenge = ServerFirst::parse(&message).ok()?.challenge(verifier.clone(), &nonce());
    say(&mut client, &Reply::Challenge(name.clone(), challenge.message().to_owned()));
    let Login::Prove(message) = login(&mut client, heard)? else { return None };
    let (last, keys) = challenge.finish(&message, &name).ok()?;
    say(&mut client, &Reply::Welcome(last));
    let mut opener = LineOpener::new(keys.client_lines);
    let mut talk = Talk { client, sealer: LineSealer::new(keys.server_lines) };
    loop {
        let line = read_line(&mut talk.client).ok()?;
        let request = Request::parse(opener.open(&line).ok()?).ok()?;
        let mut staged = None;
        if let Request::Stage { header, length, .. } | Request::Resume { header, length, .. } = &request {
            io::copy(&mut (&mut talk.client).take(*length), &mut io::sink()).ok()?;
            let end = StageEnd::parse(opener.open(&read_line(&mut talk.client).ok()?).ok()?).ok()?;
            if let StageEnd::End { root, seal, .. } = end {
                staged = Some(Claim { header: (**header).clone(), root, seal });
            }
        }
        answer(&request, staged, &mut talk).ok()?;
    }
}

/// The clock, in milliseconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

pub(crate) fn text(text: &str) -> Told {
    (Reply::Text(text.len() as u64, sha256(text.as_bytes())), text.as_bytes().to_vec())
}

/// What a server answers that says yes to everything and has nothing.
pub(crate) fn yes_to_all(request: &Request) -> Told {
    match request {
        Request::Look(_) => text(&NameReport { clock: now(), ..NameReport::default() }.to_text()),
        Request::List { .. } => text(""),
        Request::Status => text("0 0 unknown\n"),
        Request::Read { .. } => (Reply::no(Refusal::NotFound), Vec::new()),
        _ => (Reply::Ok, Vec::new()),
    }
}

/// Piece files under the names at which a rogue shows them.
#[derive(Clone, Default)]
pub(crate) struct Shelf {
    pub(crate) floor: u64,
    /// Its own clock, unless it claims another time.
    pub(crate) clock: Option<u64>,
    pub(crate) pieces: Vec<(&'static str, Vec<u8>)>,
    pub(crate) staged: bool,
}

impl Shelf {
    pub(crate) fn answer(&self, request: &Request) -> Told {
        match request {
            Request::Look(path) => text(&self.report(path).to_text()),
            Request::List { .. } => {
                let entry = |(name, bytes): &(&str, Vec<u8>)| {
                    let header = Header::decode(bytes).unwrap();
                    Entry::File {
                        path: FilePath::parse(name).unwrap(),
                        published: !self.staged,
                        pieces: PieceSet::from_iter([header.piece]),
                        facts: Facts::from(&header),
                    }
                };
                text(&self.pieces.iter().map(|piece| entry(piece).to_line()).collect::<String>())
            }
            Request::Read { path, piece, offset, length, .. } => {
                let found = self.named(path).find(|bytes| Header::decode(bytes).unwrap().piece == *piece);
                let Some(bytes) = found else { return yes_to_all(request) };
                let part = bytes.iter().skip(*offset as usize).take(*length as usize);
                (Reply::Data(*length), part.copied().collect())
            }
            other => yes_to_all(other),
        }
    }

    fn named<'a>(&'a self, path: &'a FilePath) -> impl Iterator<Item = &'a Vec<u8>> {
        self.pieces.iter().filter(|(name, _)| *name == path.as_str()).map(|(_, bytes)| bytes)
    }

    fn report(&self, path: &FilePath) -> NameReport {
        let state = if self.staged { PieceState::Staged { open: false } } else { PieceState::Published };
        let pieces = self.named(path).map(|bytes| Reported::Piece(state, Box::new(claim(bytes)))).collect();
        NameReport { floor: self.floor, clock: self.clock.unwrap_or_else(now), pieces }
    }
}

/// What a piece file claims to be.
pub(crate) fn claim(bytes: &[u8]) -> Claim {
    let tail = bytes.len() - 64;
    Claim {
        header: Header::decode(bytes).unwrap(),
        root: bytes[tail..tail + 32].try_into().unwrap(),
        seal: bytes[tail + 32..].try_into().unwrap(),
    }
}
