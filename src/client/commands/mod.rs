//! The commands that are neither an upload nor a download. Read in this order; each file uses only those before it.

pub(crate) mod delete;
pub(crate) mod passwd;
pub(crate) mod rename;
pub(crate) mod repair;
mod reseal;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod verify;
