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
mod stream;
mod users;

use std::fmt;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use admission::{FAILED_LOGINS_PER_MINUTE, MAX_CONNECTIONS, MAX_STRANGERS_PER_ADDRESS};
pub use limits::{IDLE_LIMIT, LOGIN_LIMIT, STALL_LIMIT};
pub use login::FAILED_LOGIN_DELAY;
pub use session::{LIFE_SIGN, MAX_BATCH, MAX_BATCH_BYTES, SPACE_CHECK};
pub use users::{AddUserError, add_user};

use crate::name::ServerName;
use crate::store::{FolderLock, LockError, OsDisk, Store, StoreError};
use admission::Admission;
use log::Log;
use users::Users;

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
    /// The disk failed.
    Store(StoreError),
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
            StartError::Store(error) => error.fmt(f),
            StartError::Root(path, error) => write!(f, "cannot use {} ({error})", path.display()),
            StartError::Users(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for StartError {}

/// Understands `PORT`, which means this machine only, or `ADDR:PORT`.
pub fn parse_address(text: &str) -> Option<SocketAddr> {
    match text.parse::<u16>() {
        Ok(port) => Some(SocketAddr::from(([127, 0, 0, 1], port))),
        Err(_) => text.parse().ok(),
    }
}

/// What all sessions share.
struct Shared {
    name: ServerName,
    /// ROOT/NAME.
    folder: PathBuf,
    store: Store<OsDisk>,
    users: Users,
    admission: Admission,
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
    /// Locks ROOT/NAME, brings its disk in order, reads Users.conf and listens. The log goes to `log`.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(
        root: &Path,
        name: ServerName,
        address: SocketAddr,
        log: Box<dyn Write + Send>,
    ) -> Result<Self, StartError> {
        let lock = FolderLock::take(root, &name).map_err(StartError::Lock)?;
        let log = Log::start(name.clone(), log);
        let users = Users::open(root, &log)?;
        let store = Store::open(OsDisk::default(), root, &name).map_err(StartError::Store)?;
        let cannot_listen = |error| StartError::Listen(address, error);
        let listener = TcpListener::bind(address).map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        let admission = Admission::default();
        Ok(Self {
            shared: Arc::new(Shared { folder: root.join(name.as_str()), name, store, users, admission, log }),
            listener,
            address,
            _lock: lock,
        })
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
