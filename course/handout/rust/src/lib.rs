//! What the client and the server have in common.

#![allow(unused)] // TODO: take this line out when you are done

pub mod conf;
pub mod placement;
pub mod sha256;
pub mod wire;
