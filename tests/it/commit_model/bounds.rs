//! What may happen, and which rules are broken on purpose.

use shareit::placement::{PARITY_REPLICAS, Scheme};

/// Which of the writers deletes. Its number is its upload id: it loses a tie against one upload, and wins
/// against the other.
pub(crate) const DELETER: usize = 1;

/// How much may happen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Three servers and two copies, or four and XORs.
    pub(crate) scheme: Scheme,
    /// Uploads, at most two.
    pub(crate) uploads: u8,
    /// Whether there is a delete.
    pub(crate) delete: bool,
    /// With one upload: whether the delete has the greater id.
    pub(crate) delete_wins_ties: bool,
    /// How often the first server crashes.
    pub(crate) crashes: u8,
    /// How many writers die.
    pub(crate) deaths: u8,
    /// How many connections break though both ends live.
    pub(crate) breaks: u8,
    /// Whether a repair that began long ago may still put back what it saw then.
    pub(crate) late_repair: bool,
    /// Whether a server gets a tombstone once more that it has forgotten before all others have.
    pub(crate) bury_again: bool,
    /// Whether stages that seem abandoned are aborted.
    pub(crate) aborts: bool,
    /// Whether a writer's pieces may arrive at the servers in another order than theirs.
    pub(crate) any_order: bool,
    /// How often a writer that failed tries again.
    pub(crate) retries: u8,
    /// How often an upload whose connection to a server was lost stages there again, or without that server on the others.
    pub(crate) restages: u8,
    /// Whether the last server lies: it shows a version as published that it was once asked to stage, and whose writer has
    /// given it up since, or died.
    pub(crate) liar: bool,
    /// Whether writers may be unable to reach some servers that others reach. Each has a clock that can be used.
    pub(crate) partitions: bool,
    /// Whether the delete is that of a move: of what was copied, and of nothing newer.
    pub(crate) moves: bool,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            scheme: Scheme::Copies,
            uploads: 2,
            delete: true,
            delete_wins_ties: false,
            crashes: 1,
            deaths: 3,
            breaks: 0,
            late_repair: true,
            bury_again: false,
            aborts: true,
            any_order: true,
            retries: 0,
            restages: 0,
            liar: false,
            partitions: false,
            moves: false,
        }
    }
}

impl Bounds {
    /// The fewest servers on which files can be as safe as their scheme makes them.
    pub(crate) fn servers(&self) -> usize {
        match self.scheme {
            Scheme::Copies => 3,
            Scheme::Parity => 4,
        }
    }

    /// R: one more than may be lost.
    pub(crate) fn replicas(&self) -> usize {
        match self.scheme {
            Scheme::Copies => 2,
            Scheme::Parity => PARITY_REPLICAS.into(),
        }
    }

    /// Whether a writer takes part.
    pub(crate) fn has(&self, writer: usize) -> bool {
        match writer {
            DELETER => self.delete,
            0 => self.uploads == 2 || self.uploads == 1 && self.delete_wins_ties,
            _ => self.uploads == 2 || self.uploads == 1 && !self.delete_wins_ties,
        }
    }
}

/// Rules to break on purpose; none by default.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    /// Abort although the writer's connection is open.
    pub(crate) abort_open: bool,
    /// Abort although a server does not answer.
    pub(crate) abort_unanswered: bool,
    /// Abort after one look at each server, one after another, without their promises.
    pub(crate) abort_without_promise: bool,
    /// Promise, even if a newer version is published, not to publish one that may have been replaced by it.
    pub(crate) promise_behind: bool,
    /// Forget a tombstone as soon as its delete is decided.
    pub(crate) forget_early: bool,
    /// Stage whatever the floor is.
    pub(crate) no_floor: bool,
    /// Ask the rules when a piece is announced, and not when it has arrived.
    pub(crate) check_at_door_only: bool,
    /// Drop a forgotten tombstone before the drops that it caused are safe.
    pub(crate) forget_unsynced: bool,
    /// Drop a forgotten tombstone although what it replaced may still be there.
    pub(crate) forget_half_done: bool,
    /// Acknowledge a commit after a tombstone that a power failure could take back.
    pub(crate) behind_unsynced: bool,
    /// Try again with the generation of the last try.
    pub(crate) retry_same: bool,
    /// Where a server is replaced, count what another has staged on a connection that was lost since.
    pub(crate) count_lost: bool,
    /// Count generations from what was seen, and do not look at the clock.
    pub(crate) no_clock: bool,
    /// Publish the rest of a version on the word of one server.
    pub(crate) no_doubt: bool,
    /// Drop what is older as soon as what is newer can be rebuilt.
    pub(crate) retire_early: bool,
    /// After a copy, delete whatever the old name is by then.
    pub(crate) move_deletes_all: bool,
}
