//! Why a server did not start.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::auth::UsersError;
use crate::store::{LockError, StoreError};

/// Why a server did not start.
#[derive(Debug)]
pub enum StartError {
    /// Another server uses ROOT/NAME.
    Lock(LockError),
    /// The server cannot listen on the address.
    Listen(SocketAddr, io::Error),
    /// ROOT/NAME or a file in it cannot be used.
    Store(PathBuf, StoreError),
    /// ROOT or a file in it cannot be used.
    Root(PathBuf, io::Error),
    /// Users.conf is not understood.
    Users(PathBuf, UsersError),
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
