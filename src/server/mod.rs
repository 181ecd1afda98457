//! The server: an accept loop, and a thread for each client.
//!
//! It knows users and bytes, not other servers, and holds no key that opens a piece. A client speaks
//! to one session's thread; all of them share one [`Store`].

mod admission;
mod channel;
mod limits;
mod log;
mod login;
mod refusal;
mod session;
mod space;
mod users;
mod voice;

use std::fmt;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use admission::{
    DESCRIPTORS, FAILED_LOGINS_PER_MINUTE, MAX_CONNECTIONS, MAX_STRANGERS_PER_ADDRESS, USERS_SHARE,
};
pub use limits::{IDLE_LIMIT, LEAST_RATE, LOGIN_LIMIT, STALL_LIMIT};
pub use login::FAILED_LOGIN_DELAY;
pub use session::{MAX_BATCH, MAX_BATCH_BYTES, SPACE_CHECK};
pub use users::{AddUserError, USERS_LOCK_LIMIT, add_user, has_user};
pub use voice::LIFE_SIGN;

use crate::name::ServerName;
use crate::store::{FolderLock, LockError, OsDisk, Store, StoreError};
use crate::tcp;
use crate::text::is_digits;
use admission::Admission;
use log::Log;
use users::Users;
use voice::Voices;

/// Stack of a client's thread, in bytes. Buffers are on the heap, so this is ample.
const THREAD_STACK: usize = 256 * 1024;
/// Pause after a failed accept, so that a lack of descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// ROOT/NAME is another server's.
    Lock(LockError),
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// ROOT/NAME or a file in it cannot be used.
    Store(PathBuf, StoreError),
    /// ROOT or a file in it cannot be used.
    Root(PathBuf, io::Error),
    /// Users.conf is not understood.
    Users(PathBuf, crate::auth::UsersError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Lock(error) => error.fmt(f),
            StartError::Listen(address, error) => write!(f, "cannot listen on {address} ({error})"),
            StartError::Store(path, error) => write!(f, "cannot use {} ({error})", path.display()),
            StartError::Root(path, error) => write!(f, "cannot use {} ({error})", path.display()),
            StartError::Users(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for StartError {}

/// Why a text is no address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressError {
    /// A port out of range.
    Port,
    /// Something else than a number before the port.
    Host,
    /// Neither `PORT` nor `ADDR:PORT`.
    Form,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressError::Port => "a port is a number from 1 to 65535",
            AddressError::Host => "ADDR is a number such as 127.0.0.1, or [::1]",
            AddressError::Form => "PORT or ADDR:PORT is meant",
        })
    }
}

impl std::error::Error for AddressError {}

/// Understands `PORT`, which means this machine only, or `ADDR:PORT`.
///
/// # Errors
/// See [`AddressError`].
pub fn parse_address(text: &str) -> Result<SocketAddr, AddressError> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    text.parse().map_err(|_| match text.rsplit_once(':') {
        _ if is_digits(text) => AddressError::Port,
        Some((_, port)) if port.parse::<u16>().is_ok() => AddressError::Host,
        Some((_, port)) if is_digits(port) => AddressError::Port,
        _ => AddressError::Form,
    })
}

/// The clock, in milliseconds since 1970 UTC.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// From now on what this process makes is its user's alone: files that others cannot read, folders that they cannot
/// look into.
pub fn make_private_files() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// What all sessions share.
struct Shared {
    name: ServerName,
    /// ROOT/NAME.
    folder: PathBuf,
    store: Store<OsDisk>,
    users: Users,
    admission: Admission,
    voices: Voices,
    log: Log,
}

/// A server that is ready to accept.
pub struct Server {
    shared: Arc<Shared>,
    listener: TcpListener,
    address: SocketAddr,
    _lock: FolderLock,
}

impl Server {
    /// Listens, locks ROOT/NAME, brings its disk in order and reads Users.conf. The log goes to `log`.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(
        root: &Path,
        name: ServerName,
        address: SocketAddr,
        log: Box<dyn Write + Send>,
    ) -> Result<Self, StartError> {
        // First what makes nothing on the disk. A client that comes early waits to be accepted.
        let listener = tcp::listen(address).map_err(|error| {
            if FolderLock::is_taken(root, &name) {
                // The likely reason, where the same server is started twice.
                return StartError::Lock(LockError::Taken(name.clone()));
            }
            StartError::Listen(address, error)
        })?;
        let address = listener.local_addr().map_err(|error| StartError::Listen(address, error))?;
        let lock = FolderLock::take(root, &name).map_err(StartError::Lock)?;
        let log = Log::start(name.clone(), log);
        let users = Users::open(root, &log)?;
        let folder = root.join(name.as_str());
        let store = Store::open(OsDisk::default(), root, &name, now(), &mut |text| log.line(text))
            .map_err(|error| StartError::Store(folder.clone(), error))?;
        let (admission, voices) = (Admission::default(), Voices::start());
        let shared = Arc::new(Shared { folder, name, store, users, admission, voices, log });
        let settling = Arc::clone(&shared);
        // Clients need not wait for it: what is not in order yet of a user is put so at the first request.
        std::thread::spawn(move || {
            settling.store.settle(|user, error| settling.log.line(&format!("warning: {user}: {error}")));
        });
        Ok(Self { shared, listener, address, _lock: lock })
    }

    /// Where it listens, with the real port where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts clients, for ever.
    pub fn serve(&self) -> ! {
        loop {
            match self.listener.accept() {
                Ok((stream, from)) => self.admit(stream, from),
                Err(error) => {
                    self.shared.log.line(&format!("cannot accept: {error}"));
                    self.shared.admission.drop_oldest_stranger();
                    std::thread::sleep(ACCEPT_PAUSE);
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, from: SocketAddr) {
        let Some(visit) = self.shared.admission.enter(stream, from) else {
            self.shared.log.line(&format!("{from} refused: full house"));
            return;
        };
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name(from.to_string()).stack_size(THREAD_STACK);
        // On failure the closure is dropped, and with it the visit and the connection.
        if let Err(error) = thread.spawn(move || session::run(&shared, visit)) {
            self.shared.log.line(&format!("{from} refused: no thread ({error})"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_port_or_has_a_number_before_it() {
        assert_eq!(parse_address("8008"), Ok(SocketAddr::from(([127, 0, 0, 1], 8008))));
        assert_eq!(parse_address("0.0.0.0:8008"), Ok(SocketAddr::from(([0, 0, 0, 0], 8008))));
        assert!(parse_address("[::1]:8008").is_ok());
        for port in ["99999", "65536", "0.0.0.0:99999"] {
            assert_eq!(parse_address(port), Err(AddressError::Port), "{port}");
        }
        for host in ["localhost:8008", "1.2.3:8008"] {
            assert_eq!(parse_address(host), Err(AddressError::Host), "{host}");
        }
        for form in ["", "port", "1.2.3.4", "1.2.3.4:", "::1:8008:", "-1"] {
            assert_eq!(parse_address(form), Err(AddressError::Form), "{form}");
        }
    }
}
