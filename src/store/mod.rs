//! A server's disk: the only module that writes pieces.
//!
//! What is acknowledged is on disk: a caller collects work in a [`Batch`], and acknowledges it only after
//! [`Store::flush`]. A process may die at any instant: the next one recovers the disk it leaves, by the rules of
//! [`crate::commit`].

mod apply;
mod batch;
mod cache;
mod connections;
mod core;
mod disk;
mod drops;
mod error;
mod files;
mod incoming;
mod index;
mod keys;
mod listing;
mod lock;
mod locked;
mod output;
mod partial;
mod piece;
mod places;
mod reading;
mod receive;
mod recovery;
mod rekey;
mod settle;
#[cfg(test)]
mod tests;

pub use batch::Batch;
pub use connections::Connection;
pub use core::{Ending, Store};
pub use disk::{Disk, MAX_SYNC_THREADS, MAX_WATCHES, Mount, NotAFile, OsDisk, Stamp, Watch, open_regular};
pub use error::StoreError;
pub use incoming::IncomingPiece;
pub use index::{
    MAX_DIRECTORIES, MAX_FLOORS, MAX_PUBLISHED, MAX_STAGED_OF_USER, MAX_WAITING, RESERVED_FOR_DELETES,
    RESERVED_WAITING,
};
pub use lock::{FolderLock, LockError, open_lock};
