//! What the client reports while it works. It prints nothing itself: its caller passes a [`Report`].

use std::fmt;
use std::time::{Duration, Instant};

use crate::commit::Skew;
use crate::name::{FilePath, ServerName};
use crate::peer::Direction;

/// Something worth reporting that does not stop the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A server that cannot be used now, and why.
    ServerDown {
        /// Which.
        server: ServerName,
        /// Why.
        why: String,
    },
    /// A server that was down and can be used again.
    ServerBack {
        /// Which.
        server: ServerName,
    },
    /// A copy of a piece that was not what the client wrote; another copy was used.
    BadCopy {
        /// The file.
        path: FilePath,
        /// The piece's number.
        piece: u8,
        /// The server that sent it.
        server: ServerName,
        /// What was wrong.
        why: String,
    },
    /// An upload that continues one that was cut off.
    Continued {
        /// The file.
        path: FilePath,
        /// Bytes of it that the servers have already; they count as done.
        there: u64,
        /// All its bytes.
        size: u64,
    },
    /// A download that continues one that was cut off.
    DownloadContinued {
        /// The file.
        path: FilePath,
        /// Bytes of it that are on this side already; they count as done.
        there: u64,
        /// All its bytes.
        size: u64,
    },
    /// A download that failed, and of which enough has arrived to continue with it.
    DownloadKept {
        /// The file.
        path: FilePath,
    },
    /// A file of which only the beginning could be written to an output.
    CutShort {
        /// The file.
        path: FilePath,
        /// Bytes that were written.
        written: u64,
        /// All its bytes.
        size: u64,
    },
    /// An upload that has fewer copies than asked for.
    FewerCopies {
        /// The file.
        path: FilePath,
        /// Copies of its rarest piece.
        copies: usize,
        /// Copies asked for.
        wanted: usize,
    },
    /// An upload with parity after which fewer than two servers may be lost.
    FewerLosses {
        /// The file.
        path: FilePath,
        /// How many; `None` if those that confirmed it do not suffice.
        losses: Option<usize>,
    },
    /// So many servers are down that one of them may have a newer version than the upload.
    MayBeOutdated {
        /// Which are down.
        away: Vec<ServerName>,
    },
    /// This client's clock is far from those of most servers: new versions do not get their generations from it.
    ClockNotUsed {
        /// From which servers', and how far.
        servers: Vec<(ServerName, Skew)>,
    },
    /// So many servers did not report what they hold that a download, delete or move may have missed a newer version on
    /// them.
    NewerUnseen {
        /// Which.
        unseen: Vec<ServerName>,
    },
    /// A server accepted no piece of an upload; others did.
    NotPlaced {
        /// The file.
        path: FilePath,
        /// Which server.
        server: ServerName,
        /// Why.
        why: String,
    },
    /// A download over a local file that was modified after the stored one.
    NewerReplaced {
        /// The file.
        path: FilePath,
    },
    /// A download over something with fewer permission bits than were stored, which it did not get.
    KeptNarrower {
        /// The file, or the entry of the folder.
        path: FilePath,
        /// The bits that it has now.
        kept: u16,
        /// The stored ones.
        stored: u16,
    },
    /// A download on a file system that does not set permission bits, or into a folder of somebody else.
    PermissionsNotSet {
        /// The file, or the entry of the folder.
        path: FilePath,
        /// Why.
        why: String,
    },
    /// An upload that replaced a file made under another password or `Key`.
    OtherKeyReplaced {
        /// The file.
        path: FilePath,
    },
    /// A file that a change of password leaves as it is, because it was made under another password or `Key`.
    OtherKeyKept {
        /// The file.
        path: FilePath,
    },
    /// A server that refused to list a folder.
    ListRefused {
        /// Which.
        server: ServerName,
        /// Why.
        why: String,
    },
    /// A delete that some servers missed.
    DeleteNotEverywhere {
        /// The deleted name.
        path: FilePath,
        /// The servers that missed it.
        missing: Vec<ServerName>,
    },
    /// A local file that grew while it was uploaded; it is stored without what came later.
    Grew {
        /// The stored file.
        path: FilePath,
    },
    /// A local file or folder with a setuid, setgid or sticky bit, which is not stored.
    BitsNotStored {
        /// The stored file or folder.
        path: FilePath,
    },
    /// A local file of the client's own that will soon be gone, and so was skipped.
    Temporary {
        /// As the user would write it.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// A local file or folder that was skipped, and why.
    LeftOut {
        /// As the user would write it.
        what: String,
        /// Why.
        why: String,
    },
}

/// One step of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// What was done in it: bytes of files, or names if [`Report::begin`] announced no bytes.
    pub done: u64,
}

/// Where a command's time goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// To connect to the servers, one after another, and ask for a login.
    Connect,
    /// To wait for the challenges.
    Challenge,
    /// To derive the login's keys from the password.
    LoginKeys,
    /// To wait for the welcomes.
    Welcome,
    /// To derive the key of the user's files.
    MasterKey,
    /// To ask which server holds what.
    Survey,
    /// To encrypt, send and sync the pieces of an upload.
    Stage,
    /// To publish them.
    Commit,
    /// To fetch, verify and decrypt the pieces of a download.
    Fetch,
    /// To list a folder.
    List,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Connect => "connect",
            Phase::Challenge => "challenge",
            Phase::LoginKeys => "login keys (PBKDF2)",
            Phase::Welcome => "welcome",
            Phase::MasterKey => "master key (PBKDF2)",
            Phase::Survey => "survey",
            Phase::Stage => "stage",
            Phase::Commit => "commit",
            Phase::Fetch => "fetch",
            Phase::List => "list",
        })
    }
}

/// Does some work and reports how long it took.
pub(crate) fn timed<T>(report: &dyn Report, phase: Phase, work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let done = work();
    report.phase(phase, begin.elapsed());
    done
}

/// What a command is doing with its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Has servers hash their copies.
    Checking,
    /// Reads copies, and verifies what comes.
    Reading,
    /// Copies pieces from one server to another.
    Copying,
    /// Makes pieces of others.
    Making,
}

/// Takes notices and progress. Called from several threads.
pub trait Report: Send + Sync {
    /// Something worth reporting.
    fn notice(&self, notice: Notice);

    /// A line of the protocol has travelled.
    fn trace(&self, _server: &ServerName, _direction: Direction, _line: &str) {}

    /// A phase of a command has ended, and how long it took. Phases follow one another, except for the two derivations
    /// of keys, which run at the same time as the login.
    fn phase(&self, _phase: Phase, _took: Duration) {}

    /// The command will process this many files in all; what begins from now on are parts of it.
    fn expect(&self, _files: usize) {}

    /// What the command does from now on, if it does more than one thing with the same files.
    fn doing(&self, _what: Doing) {}

    /// A part of the command that will move this many files and bytes begins; with no bytes, one that processes this
    /// many names.
    fn begin(&self, _files: usize, _bytes: u64) {}

    /// Some more of it is done.
    fn progress(&self, _progress: Progress) {}

    /// The last part has ended.
    fn end(&self) {}
}

/// Reports nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Report for Silent {
    fn notice(&self, _: Notice) {}
}
