//! The protocol's version and its limits.

/// The protocol's version, the first word of a login.
pub const PROTOCOL_VERSION: u32 = 1;
/// Longest line, its LF included: the longest path with every byte percent-encoded, a header in base64
/// and a MAC fit.
pub const MAX_LINE: usize = 8192;
/// Most bytes of a text payload (LOOK, LIST); a longer list is sent in several.
pub const MAX_TEXT: usize = 1 << 20;
/// Most bytes in all parts of one LIST that a client accepts: more than [`MAX_ENTRIES`] entries with names of usual
/// lengths take. A rogue server could otherwise repeat the same ones for ever.
pub const MAX_LISTING: usize = 1 << 28;
/// Most entries of one LIST that a client accepts: files, in each version and phase, and folders. In memory they take
/// about 200 bytes each, so a rogue server costs a client a few hundred MiB at most; users have hundreds of thousands
/// of files.
pub const MAX_ENTRIES: usize = 1_000_000;
/// Most bytes of names in one LIST that a client accepts, for the same reason.
pub const MAX_NAMES: usize = 1 << 27;
/// Most signs of life and parts of a text that a client accepts in one answer: as many as the longest CHECK sends,
/// with one each second. How long it waits for them is another limit (`peer::Limits::life`).
pub const MAX_LIFE_SIGNS: usize = 300_000;
/// Most bytes of the detail of a refusal, before percent-encoding triples them at worst.
pub const MAX_DETAIL: usize = 300;
/// Most staged pieces that a server keeps for one name, so that a report of them fits [`MAX_TEXT`].
pub const MAX_STAGED: usize = 256;
/// Fewest bytes of a body that a server keeps if the connection is lost while a piece arrives.
pub const MIN_PARTIAL: u64 = 1 << 20;
/// The greatest number of a piece: a piece file's name ends in one digit.
pub(super) const MAX_PIECE: u8 = 9;
/// Most records of one name: the staged and partial pieces; for each number a published or a damaged one, of which
/// number 0 is a tombstone's; and what is arriving.
pub const MAX_RECORDS: usize = MAX_STAGED + MAX_PIECE as usize + 2;
