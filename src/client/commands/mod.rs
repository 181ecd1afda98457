//! The commands that are neither an upload nor a download. `repair`, `rename`, `move_folder` and `passwd` use some
//! of the others, which do not use them.

pub(crate) mod delete;
pub(crate) mod move_folder;
pub(crate) mod passwd;
pub(crate) mod rename;
pub(crate) mod repair;
mod reseal;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod verify;
