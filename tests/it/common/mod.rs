//! A cluster of real processes, with faults as verbs.
//!
//! The scenario tests start the same `Server` and `Client` programs that a user starts, and look only at what
//! a user can see: exit codes, output, downloaded files and the files on the servers' disks. So a test here
//! does not know how the program works inside, and stays true when that changes.
//!
//! Nothing in here sleeps. A test waits for an event (a line of output, the end of a process, a byte on the
//! wire, a state that the kernel shows) and for no longer than [`process::LIMIT`]; what has not happened by
//! then is a failure, with the output of everyone involved.

pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod definitions;
pub(crate) mod disk;
pub(crate) mod json;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod python;
pub(crate) mod raw;
pub(crate) mod rogue;
pub(crate) mod snapshot;
pub(crate) mod terminal;

pub(crate) use client::Client;
pub(crate) use cluster::{Cluster, USER, subsets};
pub(crate) use disk::noise;
pub(crate) use json::Json;
pub(crate) use process::{Outcome, Session};
pub(crate) use proxy::{Fault, Proxy, Trap, Way, travelled};
pub(crate) use python::python;
pub(crate) use terminal::as_seen;
