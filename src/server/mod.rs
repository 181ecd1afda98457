//! The server: an accept loop, and a thread for each client.
//!
//! It knows users and bytes, but no other servers, and holds no key that opens a piece. Each connection has a session
//! with a thread of its own; all sessions share one [`Store`].

mod address;
mod admission;
mod channel;
mod clock;
mod error;
mod inbox;
mod limits;
mod log;
mod login;
mod refusal;
mod session;
mod shared;
mod space;
mod users;
mod voice;

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use address::{AddressError, parse_address};
pub use admission::{
    DESCRIPTORS, FAILED_LOGINS_PER_MINUTE, MAX_CONNECTIONS, MAX_STRANGERS_PER_ADDRESS, USERS_SHARE,
};
pub use error::StartError;
pub use limits::{IDLE_LIMIT, LEAST_RATE, LOGIN_LIMIT, STALL_LIMIT};
pub use login::FAILED_LOGIN_DELAY;
pub use session::{MAX_BATCH, MAX_BATCH_BYTES, SPACE_CHECK};
pub use users::{AddUserError, USERS_LOCK_LIMIT, add_user, has_user};
pub use voice::LIFE_SIGN;

use crate::name::ServerName;
use crate::store::{FolderLock, LockError, OsDisk, Store};
use crate::tcp;
use admission::Admission;
use clock::now;
use log::Log;
use shared::Shared;
use users::Users;
use voice::Voices;

/// Stack of a client's thread, in bytes. Buffers are on the heap, so this is ample.
const THREAD_STACK: usize = 256 * 1024;
/// Pause after a failed accept, so that a lack of descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// From now on, what this process creates is private to its user: files that others cannot read, directories that they
/// cannot list.
pub fn make_private_files() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// A server that is ready to accept.
pub struct Server {
    shared: Arc<Shared>,
    listener: TcpListener,
    address: SocketAddr,
    _lock: FolderLock,
}

impl Server {
    /// Listens, locks ROOT/NAME, opens the store and reads Users.conf. The log goes to `log`.
    pub fn start(
        root: &Path,
        name: ServerName,
        address: SocketAddr,
        log: Box<dyn Write + Send>,
    ) -> Result<Self, StartError> {
        // First the step that creates nothing on the disk. A client that connects early waits to be accepted.
        let listener = tcp::listen(address).map_err(|error| {
            if FolderLock::is_taken(root, &name) {
                // The likely reason if the same server is started twice.
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
        // Clients need not wait for this: a user's part that is not recovered yet is recovered at the first request.
        std::thread::spawn(move || {
            settling.store.recover_all(|user, error| settling.log.line(&format!("warning: {user}: {error}")));
        });
        Ok(Self { shared, listener, address, _lock: lock })
    }

    /// The address that it listens on, with the actual port if port 0 was requested.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts clients for ever.
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
            self.shared.log.line(&format!("{from} refused: too many connections"));
            return;
        };
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name(from.to_string()).stack_size(THREAD_STACK);
        // On failure the closure is dropped, and with it the visit and the connection.
        if let Err(error) = thread.spawn(move || session::run(&shared, visit)) {
            self.shared.log.line(&format!("{from} refused: cannot start a thread ({error})"));
        }
    }
}
