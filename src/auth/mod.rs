//! Login: SCRAM-SHA-256 (RFC 5802, RFC 7677), both ends, without sockets, clocks or randomness.
//!
//! Each step consumes the one before it, so that a wrong order does not compile. Both ends arrive at the same
//! [`SessionKeys`], bound to the server's name and to this exchange.

mod scram;
mod users;

pub use crate::config::{DEFAULT_ITERATIONS, MAX_ITERATIONS, MIN_ITERATIONS};
pub use scram::{
    ClientChallenge, ClientFirst, ClientProof, MAX_NONCE, MAX_SALT, Salted, ScramError, ServerChallenge,
    ServerFirst, SessionKeys, Verifier,
};
pub use users::{MAX_USERS_FILE, UserTable, UsersError};
