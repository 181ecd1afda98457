//! A proxy in front of each server, in which everything can go wrong that goes wrong on a network, at a byte
//! that was chosen beforehand; and a meter of the bytes that have passed, which tells others when it is time.

pub(crate) use crate::common::Way;
use crate::common::process::LIMIT;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread;

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    /// The connection is closed, and new ones at once.
    Close,
    /// Nothing passes any more, in neither direction; connections stay open and new ones are taken.
    BlackHole,
    /// Each byte travels alone, for a while.
    OneByte,
    /// The connection is reset, once.
    Reset,
    /// One bit is turned over, once.
    Flip,
    /// One bit of every [`LIE_EVERY`] bytes is turned over.
    Lies,
}

/// How many bytes travel alone.
const SINGLE_BYTES: usize = 20_000;
/// Few enough that some messages arrive unaltered, and many enough that no larger piece does.
const LIE_EVERY: usize = 3_000;
const BUFFER: usize = 16 * 1024;

#[derive(Default)]
struct Wire {
    up: usize,
    down: usize,
    /// The trouble to come: when this many bytes have gone this way.
    plan: Option<(Way, usize, Trouble)>,
    trouble: Option<(Way, Trouble)>,
    single_bytes_left: usize,
    happened: bool,
    connections: Vec<Weak<Connection>>,
}

/// A connection of a client, and the one to the server that belongs to it.
struct Connection {
    client: TcpStream,
    server: TcpStream,
}

/// All proxies.
pub(crate) struct Network {
    wires: Mutex<Vec<Wire>>,
    changed: Condvar,
    ports: Vec<u16>,
}

/// What happens to bytes in transit.
enum Passage {
    Whole,
    OneByOne,
    /// So many pass, then the connection is closed.
    CutAfter(usize),
    /// So many pass, then the connection is reset.
    ResetAfter(usize),
}

impl Network {
    /// Proxies to these ports of this machine. Servers are counted from 1.
    pub(crate) fn to(servers: &[u16]) -> Arc<Self> {
        let listeners: Vec<TcpListener> =
            servers.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let network = Arc::new(Self {
            wires: Mutex::new(servers.iter().map(|_| Wire::default()).collect()),
            changed: Condvar::new(),
            ports: listeners.iter().map(|l| l.local_addr().unwrap().port()).collect(),
        });
        for ((index, listener), &server) in listeners.into_iter().enumerate().zip(servers) {
            // The thread ends with the process: it costs nothing while nobody connects.
            let network = Arc::clone(&network);
            thread::spawn(move || {
                listener.incoming().flatten().for_each(|client| network.connect(index, client, server));
            });
        }
        network
    }

    pub(crate) fn port(&self, server: usize) -> u16 {
        self.ports[server - 1]
    }

    fn wires(&self) -> MutexGuard<'_, Vec<Wire>> {
        self.wires.lock().unwrap()
    }

    /// Sets all meters to zero.
    pub(crate) fn begin_round(&self) {
        for wire in self.wires().iter_mut() {
            (wire.up, wire.down) = (0, 0);
        }
    }

    /// Waits until this many bytes of the round have passed, to and from one server or (with `None`) all; or
    /// until it is over, which is announced by [`Network::wake`].
    pub(crate) fn wait_for_bytes(&self, server: Option<usize>, bytes: usize, is_over: impl Fn() -> bool) {
        let passed = |wires: &[Wire]| -> usize {
            let wires = wires.iter().enumerate();
            wires.filter(|(s, _)| server.is_none_or(|n| n == s + 1)).map(|(_, w)| w.up + w.down).sum()
        };
        let waiting = |wires: &mut Vec<Wire>| !is_over() && passed(wires) < bytes;
        drop(self.changed.wait_timeout_while(self.wires(), LIMIT, waiting).unwrap());
    }

    /// Lets everybody who waits look again.
    pub(crate) fn wake(&self) {
        // With the lock, so that nobody is just between looking and waiting.
        let _wires = self.wires();
        self.changed.notify_all();
    }

    /// Lets something go wrong when this many bytes of the round have gone this way.
    pub(crate) fn plan(&self, server: usize, way: Way, after: usize, trouble: Trouble) {
        let wire = &mut self.wires()[server - 1];
        wire.plan = Some((way, after, trouble));
        wire.single_bytes_left = SINGLE_BYTES;
        wire.happened = false;
    }

    /// Whether the planned trouble has come.
    pub(crate) fn has_happened(&self, server: usize) -> bool {
        self.wires()[server - 1].happened
    }

    /// Lets everything pass again. Connections that were in trouble are closed: what they held back must
    /// not arrive later.
    pub(crate) fn heal(&self, server: usize) {
        let mut wires = self.wires();
        let wire = &mut wires[server - 1];
        wire.plan = None;
        if wire.trouble.take().is_some() {
            wire.connections.drain(..).filter_map(|c| c.upgrade()).for_each(|c| c.close());
        }
        self.changed.notify_all();
    }

    /// Joins a client to a server that may be down: then the connection closes at once.
    fn connect(self: &Arc<Self>, index: usize, client: TcpStream, port: u16) {
        if matches!(self.wires()[index].trouble, Some((_, Trouble::Close))) {
            return;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { return };
        // The two ends send small messages to and fro; the proxy must not save them up.
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        let connection = Arc::new(Connection { client, server });
        let connections = &mut self.wires()[index].connections;
        connections.retain(|c| c.strong_count() > 0);
        connections.push(Arc::downgrade(&connection));
        for way in [Way::Up, Way::Down] {
            let (network, connection) = (Arc::clone(self), Arc::clone(&connection));
            thread::spawn(move || network.forward(index, way, &connection));
        }
    }

    fn forward(&self, index: usize, way: Way, connection: &Connection) {
        let (mut from, mut to) = match way {
            Way::Up => (&connection.client, &connection.server),
            Way::Down => (&connection.server, &connection.client),
        };
        let mut buffer = [0; BUFFER];
        while let Ok(count @ 1..) = from.peek(&mut buffer) {
            let passage = self.pass(index, way, &mut buffer[..count]);
            if let Passage::ResetAfter(part) = passage {
                // The rest stays unread, and the sender's socket is not shut down: closed so, it is reset.
                let _ = to.write_all(&buffer[..part]);
                let _ = to.shutdown(Shutdown::Both);
                return;
            }
            let consumed = from.read_exact(&mut [0; BUFFER][..count]);
            let sent = match passage {
                Passage::OneByOne => buffer[..count].iter().try_for_each(|&byte| to.write_all(&[byte])),
                Passage::CutAfter(part) => {
                    let _ = to.write_all(&buffer[..part]);
                    Err(std::io::ErrorKind::ConnectionAborted.into())
                }
                _ => to.write_all(&buffer[..count]),
            };
            if consumed.and(sent).is_err() {
                connection.close();
                return;
            }
        }
        // Pass the end on, but leave the other direction to end by itself.
        let _ = to.shutdown(Shutdown::Write);
    }

    /// Counts bytes in transit, and applies what was planned to them.
    fn pass(&self, index: usize, way: Way, bytes: &mut [u8]) -> Passage {
        let mut wires = self.wires();
        let wire = &mut wires[index];
        let meter = match way {
            Way::Up => &mut wire.up,
            Way::Down => &mut wire.down,
        };
        let before = *meter;
        *meter += bytes.len();
        // Where in these bytes the trouble begins, if it is not older.
        let mut begin = 0;
        if let Some((planned_way, after, trouble)) = wire.plan
            && planned_way == way
            && before + bytes.len() > after
        {
            begin = after.saturating_sub(before);
            wire.plan = None;
            wire.happened = true;
            wire.trouble = Some((way, trouble));
        }
        self.changed.notify_all();
        let Some((bad_way, trouble)) = wires[index].trouble else { return Passage::Whole };
        let wire = &mut wires[index];
        match trouble {
            Trouble::Close => return Passage::CutAfter(begin),
            Trouble::Reset => {
                wire.trouble = None;
                return Passage::ResetAfter(begin);
            }
            Trouble::BlackHole => {
                let silent = |wires: &mut Vec<Wire>| wires[index].trouble.is_some();
                drop(self.changed.wait_while(wires, silent).unwrap());
                return Passage::CutAfter(0);
            }
            Trouble::Flip if bad_way == way => {
                wire.trouble = None;
                bytes[begin] ^= 1 << (before % 8);
            }
            Trouble::Lies if bad_way == way => {
                for (at, byte) in bytes.iter_mut().enumerate().skip(begin) {
                    if (before + at).is_multiple_of(LIE_EVERY) {
                        *byte ^= 0x10;
                    }
                }
            }
            Trouble::OneByte if bad_way == way => {
                wire.single_bytes_left = wire.single_bytes_left.saturating_sub(bytes.len());
                if wire.single_bytes_left == 0 {
                    wire.trouble = None;
                }
                return Passage::OneByOne;
            }
            Trouble::Flip | Trouble::Lies | Trouble::OneByte => {}
        }
        Passage::Whole
    }
}

impl Connection {
    fn close(&self) {
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}
