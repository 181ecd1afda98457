//! ShareIt: a small distributed file store.
//!
//! A client splits a file into four pieces, encrypts them with keys that no server sees, and puts
//! each on two of a few plain servers, so that any one server can die, be stolen or lie.
//!
//! Read from the ground up; each floor uses only the floors below it:
//!
//! 0. [`name`], [`text`], [`placement`], [`throttle`]: pure rules. [`descriptors`]: the limit on open files.
//! 1. [`version`], [`primitives`], [`config`], [`tcp`], [`link`]: versions, cryptography, the .conf file, connections.
//! 2. [`commit`], [`sealed`]: the two-step commit, the piece format.
//! 3. [`wire`], [`auth`]: the protocol's lines, login.
//! 4. [`store`]: a server's disk.
//! 5. [`peer`]: one connection.
//! 6. [`server`], [`client`]: the two programs, which never use each other.
//! 7. [`cli`]: arguments, messages, exit codes.

#![forbid(unsafe_code)]

pub mod auth;
pub mod cli;
pub mod client;
pub mod commit;
pub mod config;
pub mod descriptors;
pub mod link;
pub mod name;
pub mod peer;
pub mod placement;
pub mod primitives;
pub mod sealed;
pub mod server;
pub mod store;
pub mod tcp;
pub mod text;
pub mod throttle;
pub mod version;
pub mod wire;
