//! The exit statuses.

/// The command failed.
pub const FAILED: u8 = 1;
/// Usage, or a mistake in the .conf.
pub const USAGE: u8 = 2;
/// The user name or password was refused.
pub const DENIED: u8 = 3;
/// Too few servers can be reached.
pub const NO_SERVER: u8 = 4;
/// Ctrl-C while a password is typed, by the convention of shells.
pub const INTERRUPTED: u8 = 130;
