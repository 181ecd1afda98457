//! What happens in a run, round by round: who does what, and what goes wrong in the meantime. It follows from the
//! seed alone, not from how the servers fare.
//!
//! The story keeps within the promise: with two copies, one server at a time may be down, wiped, damaged or
//! behind a bad wire; and after one has lost data, no other may fail before a Repair with all of them up.

use super::model::Content;
use super::network::{Trouble, Way};
use super::random::Random;

pub(crate) const SERVERS: usize = 4;

/// Every name of the story.
pub(crate) const NAMES: [&str; 14] = [
    "a.bin",
    "b.bin",
    "c.bin",
    "h.bin",
    "i.bin",
    "two words.txt",
    "notes/d.bin",
    "notes/e.bin",
    "notes/deep/f.bin",
    "notes/deep/ü.bin",
    "other/g.bin",
    "other/j.bin",
    "other/k.bin",
    "deep/er/l.bin",
];

/// The folders that are listed; the first is the root.
const FOLDERS: [&str; 5] = ["", "notes", "notes/deep", "other", "deep/er"];

/// Sizes at which something changes: nothing in a piece, a byte in the last one, a chunk, two chunks, a piece
/// that Repair streams.
const EDGES: [usize; 18] = [
    0, 1, 3, 4, 5, 7, 8, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, 524_289, 1_048_575, 1_048_576,
    1_048_577, 1_048_581,
];

/// A command of a user.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Task {
    Upload { name: &'static str, content: Content },
    Download { name: &'static str },
    Delete { name: &'static str },
    Move { old: &'static str, new: &'static str },
    ShowFiles { folder: &'static str },
    Verify,
    Repair,
}

impl Task {
    /// The names that it may change or read.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        match self {
            Task::Upload { name, .. } | Task::Download { name } | Task::Delete { name } => vec![name],
            Task::Move { old, new } => vec![old, new],
            Task::ShowFiles { .. } | Task::Verify | Task::Repair => Vec::new(),
        }
    }

    pub(crate) fn writes(&self) -> bool {
        matches!(self, Task::Upload { .. } | Task::Delete { .. } | Task::Move { .. })
    }
}

/// Where a user sits: two who start the client for each command, one who stays at its prompt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seat {
    First,
    Second,
    Prompt,
}

#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) seat: Seat,
    pub(crate) task: Task,
    /// The client is killed when this many bytes of the round have passed.
    pub(crate) killed_after: Option<usize>,
}

/// What goes wrong with a server.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Killed when so many bytes of the round have passed it; started again at once, or when it is healed.
    Kill { after: usize, at_once: bool },
    /// Its wire fails when so many bytes of the round have gone this way.
    Wire { way: Way, after: usize, trouble: Trouble },
    /// Bytes on its disk change.
    Damage { seed: u64 },
    /// Its disk is lost, and it starts with an empty one.
    Wipe,
}

/// What happens at the same time.
#[derive(Clone, Debug)]
pub(crate) enum Round {
    /// Users work, perhaps while a server fails.
    Work {
        /// A server that is well again from the beginning of this round on.
        heal: Option<usize>,
        fault: Option<(usize, Fault)>,
        acts: Vec<Act>,
    },
    /// Every server is up, and a Repair must restore all that was lost.
    Mend { heal: Option<usize> },
}

/// The source of rounds.
pub(crate) struct Story {
    random: Random,
    /// The server that is not well, and for how many rounds yet.
    ill: Option<(usize, usize)>,
    /// The server of which the others hold the only copies, and after how many rounds that is repaired.
    weak: Option<(usize, usize)>,
}

impl Story {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), ill: None, weak: None }
    }

    pub(crate) fn next_round(&mut self) -> Round {
        let heal = self.who_is_well_again();
        if self.ill.is_none() && matches!(self.weak, Some((_, 0))) {
            self.weak = None;
            return Round::Mend { heal };
        }
        self.weak = self.weak.map(|(server, rounds)| (server, rounds.saturating_sub(1)));
        let acts = self.acts();
        let fault = if self.ill.is_none() && self.random.chance(50) { Some(self.fault()) } else { None };
        Round::Work { heal, fault, acts }
    }

    /// The last round of a run, or of a part of it.
    pub(crate) fn end(&mut self) -> Round {
        self.weak = None;
        Round::Mend { heal: self.ill.take().map(|(server, _)| server) }
    }

    fn who_is_well_again(&mut self) -> Option<usize> {
        match self.ill {
            Some((server, 0)) => {
                self.ill = None;
                Some(server)
            }
            Some((server, rounds)) => {
                self.ill = Some((server, rounds - 1));
                None
            }
            None => None,
        }
    }

    fn fault(&mut self) -> (usize, Fault) {
        let anybody = 1 + self.random.below(SERVERS);
        let server = self.weak.map_or(anybody, |(server, _)| server);
        let rounds = self.random.pick(&[0, 0, 0, 1, 2, 4]);
        let after = self.bytes();
        let fault = match self.random.below(100) {
            0..35 => Fault::Kill { after, at_once: self.random.chance(30) },
            35..82 => {
                let trouble = self.random.pick(&[
                    Trouble::Close,
                    Trouble::Close,
                    Trouble::Reset,
                    Trouble::Reset,
                    Trouble::Flip,
                    Trouble::Flip,
                    Trouble::Lies,
                    Trouble::OneByte,
                ]);
                // A silent server costs whole seconds.
                let trouble = if self.random.chance(2) { Trouble::BlackHole } else { trouble };
                Fault::Wire { way: self.random.pick(&[Way::Up, Way::Down]), after, trouble }
            }
            82..92 => Fault::Damage { seed: self.random.next() },
            _ => Fault::Wipe,
        };
        match fault {
            Fault::Damage { .. } | Fault::Wipe => self.weak = Some((server, self.random.below(4))),
            Fault::Wire { trouble: Trouble::BlackHole, .. } => self.ill = Some((server, 0)),
            Fault::Kill { .. } | Fault::Wire { .. } => self.ill = Some((server, rounds)),
        }
        (server, fault)
    }

    /// A moment, in bytes: during log-in, in the middle of a small file, or of a large one.
    fn bytes(&mut self) -> usize {
        let end = self.random.pick(&[400, 1_500, 1_500, 4_000, 4_000, 40_000, 400_000]);
        self.random.below(end)
    }

    fn acts(&mut self) -> Vec<Act> {
        let task = self.task();
        let seat = if self.random.chance(30) { Seat::Prompt } else { Seat::First };
        let mut tasks = vec![(seat, task)];
        if self.random.chance(40) {
            let rival = self.rival_of(&tasks[0].1);
            tasks.push((Seat::Second, rival));
        }
        let mut acts = Vec::new();
        for (seat, task) in tasks {
            let killed_after = self.random.chance(15).then(|| 3 * self.bytes());
            acts.push(Act { seat, task, killed_after });
        }
        acts
    }

    fn task(&mut self) -> Task {
        let name = self.random.pick(&NAMES);
        match self.random.below(100) {
            0..36 => Task::Upload { name, content: self.content() },
            36..60 => Task::Download { name },
            60..74 => Task::Delete { name },
            74..82 => {
                let others: Vec<&str> = NAMES.into_iter().filter(|other| *other != name).collect();
                Task::Move { old: name, new: self.random.pick(&others) }
            }
            82..89 => Task::ShowFiles { folder: self.random.pick(&FOLDERS) },
            89..94 => Task::Verify,
            _ => Task::Repair,
        }
    }

    /// What somebody else does at the same time: often to the same name. Not with a Move: its two names would
    /// make everything possible, and the model could not tell wrong from right.
    fn rival_of(&mut self, task: &Task) -> Task {
        if let [name] = task.names()[..]
            && self.random.chance(60)
        {
            return match self.random.below(10) {
                0..6 => Task::Upload { name, content: self.content() },
                6..9 => Task::Download { name },
                _ => Task::Delete { name },
            };
        }
        loop {
            let rival = self.task();
            let apart = rival.names().iter().all(|name| !task.names().contains(name));
            if apart {
                return rival;
            }
        }
    }

    fn content(&mut self) -> Content {
        let len = match self.random.below(10) {
            0..4 => self.random.pick(&EDGES),
            4..8 => self.random.below(6_000),
            _ => self.random.below(1_100_000),
        };
        // Below 8 bytes two contents could be alike by chance, but then it does not matter which is read.
        Content::File { seed: self.random.next(), len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_server_fails_while_another_is_ill_or_not_yet_repaired() {
        for seed in 0..50 {
            let (mut story, mut ill, mut lost) = (Story::new(seed), None, None);
            for _ in 0..500 {
                match story.next_round() {
                    Round::Mend { heal } => {
                        assert!(ill.is_none() || ill == heal);
                        (ill, lost) = (None, None);
                    }
                    Round::Work { heal, fault, .. } => {
                        if heal.is_some() {
                            assert_eq!(heal, ill.take());
                        }
                        let Some((server, fault)) = fault else { continue };
                        assert!(ill.is_none() && lost.is_none_or(|lost| lost == server));
                        match fault {
                            Fault::Damage { .. } | Fault::Wipe => lost = Some(server),
                            _ => ill = Some(server),
                        }
                    }
                }
            }
        }
    }
}
