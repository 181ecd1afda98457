//! What happens in a run, round by round: who does what, and what goes wrong in the meantime. It follows from the
//! seed alone, not from how the servers fare.
//!
//! The story keeps within the promise. With two copies, one server at a time may be down, wiped, damaged or behind a bad
//! wire; and after one has lost data, no other may fail before a Repair with all of them up. With parity it may be two at
//! a time; what is stored meanwhile bears one more loss, so that then only one other may fail before a Repair.

use super::model::Content;
use super::network::{Trouble, Way};
use super::random::Random;
use shareit::placement::Scheme;

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
    /// Users work, perhaps while servers fail.
    Work {
        /// Servers that are well again from the beginning of this round on.
        heal: Vec<usize>,
        faults: Vec<(usize, Fault)>,
        acts: Vec<Act>,
    },
    /// Every server is up, and a Repair must restore all that was lost.
    Mend { heal: Vec<usize> },
}

/// The source of rounds.
pub(crate) struct Story {
    random: Random,
    scheme: Scheme,
    /// The servers that are not well, and for how many rounds yet.
    ill: Vec<(usize, usize)>,
    /// The servers of which the others hold what they have lost.
    weak: Vec<usize>,
    /// After how many rounds that is repaired.
    mend_after: Option<usize>,
    /// With parity: which servers were ill together since the last Repair. What was stored meanwhile is on all others, and
    /// perhaps on some of them.
    failed: Vec<Vec<usize>>,
}

impl Story {
    pub(crate) fn new(seed: u64, scheme: Scheme) -> Self {
        let (random, mend_after) = (Random::new(seed), None);
        Self { random, scheme, ill: Vec::new(), weak: Vec::new(), mend_after, failed: Vec::new() }
    }

    pub(crate) fn next_round(&mut self) -> Round {
        let heal = self.who_is_well_again();
        if self.ill.is_empty() && self.mend_after == Some(0) {
            self.is_mended();
            return Round::Mend { heal };
        }
        self.mend_after = self.mend_after.map(|rounds| rounds.saturating_sub(1));
        let acts = self.acts();
        let mut faults = Vec::new();
        for _ in 0..self.most() {
            if self.may_fail().next().is_some() && self.random.chance(50) {
                faults.push(self.fault());
            }
        }
        if self.scheme == Scheme::Parity && !self.unwell().is_empty() {
            self.failed.push(self.ill.iter().map(|(server, _)| *server).collect());
            if self.mend_after.is_none() {
                self.mend_after = Some(2 + self.random.below(8));
            }
        }
        Round::Work { heal, faults, acts }
    }

    /// The last round of a run, or of a part of it.
    pub(crate) fn end(&mut self) -> Round {
        let heal = self.ill.drain(..).map(|(server, _)| server).collect();
        self.is_mended();
        Round::Mend { heal }
    }

    fn is_mended(&mut self) {
        (self.weak, self.mend_after, self.failed) = (Vec::new(), None, Vec::new());
    }

    /// How many servers may be unwell at a time.
    fn most(&self) -> usize {
        match self.scheme {
            Scheme::Copies => 1,
            Scheme::Parity => 2,
        }
    }

    /// The servers that are ill or have lost something.
    pub(crate) fn unwell(&self) -> Vec<usize> {
        let ill = self.ill.iter().map(|(server, _)| *server);
        let mut unwell: Vec<usize> = ill.chain(self.weak.iter().copied()).collect();
        unwell.sort_unstable();
        unwell.dedup();
        unwell
    }

    /// The servers that may fail now.
    fn may_fail(&self) -> impl Iterator<Item = usize> {
        let is_ill = |server: usize| self.ill.iter().any(|(ill, _)| *ill == server);
        (1..=SERVERS).filter(move |&server| {
            let mut unwell = self.unwell();
            if !unwell.contains(&server) {
                unwell.push(server);
            }
            !is_ill(server)
                && unwell.len() <= self.most()
                && self.failed.iter().all(|ill| may_be_lost(&unwell, ill))
        })
    }

    fn who_is_well_again(&mut self) -> Vec<usize> {
        let well: Vec<usize> =
            self.ill.iter().filter(|(_, rounds)| *rounds == 0).map(|(server, _)| *server).collect();
        self.ill.retain(|(server, _)| !well.contains(server));
        self.ill.iter_mut().for_each(|(_, rounds)| *rounds -= 1);
        well
    }

    fn fault(&mut self) -> (usize, Fault) {
        let anybody = self.random.below(SERVERS);
        let candidates: Vec<usize> = self.may_fail().collect();
        let server = *candidates.iter().find(|server| **server > anybody).unwrap_or(&candidates[0]);
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
            Fault::Damage { .. } | Fault::Wipe => {
                self.weak.push(server);
                self.mend_after = Some(self.random.below(4));
            }
            Fault::Wire { trouble: Trouble::BlackHole, .. } => self.ill.push((server, 0)),
            Fault::Kill { .. } | Fault::Wire { .. } => self.ill.push((server, rounds)),
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

/// Whether these servers may be lost of a file with parity that was stored while others were ill: two if none was, and one
/// of those that may hold it if it is not on all four.
fn may_be_lost(lost: &[usize], ill: &[usize]) -> bool {
    let others = lost.iter().filter(|server| !ill.contains(server)).count();
    match ill.len() {
        0 => true,
        1 => others <= 1,
        _ => others == 0 || lost.len() == 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shareit::placement::{PARITY_REPLICAS, suffices};

    /// Whether what was stored while these were ill, by whatever of them was up after all, outlives the loss of others.
    fn survives(lost: &[usize], ill: &[usize]) -> bool {
        (0..16_usize).filter(|up| (1..=SERVERS).all(|s| up >> (s - 1) & 1 == 1 || ill.contains(&s))).all(
            |up| {
                let usable: Vec<bool> = (0..SERVERS).map(|s| up >> s & 1 == 1).collect();
                let holders = Scheme::Parity.holders(&[0; 32], &usable, PARITY_REPLICAS.into());
                suffices(|piece| {
                    holders[usize::from(piece) - 1].iter().any(|holder| !lost.contains(&(holder + 1)))
                })
            },
        )
    }

    #[test]
    fn no_server_fails_while_another_is_ill_or_not_yet_repaired() {
        for (seed, scheme) in (0..100).map(|n| (n / 2, [Scheme::Copies, Scheme::Parity][n as usize % 2])) {
            let most = if scheme == Scheme::Parity { 2 } else { 1 };
            let (mut story, mut ill, mut lost) = (Story::new(seed, scheme), Vec::new(), Vec::new());
            let mut together: Vec<Vec<usize>> = Vec::new();
            for _ in 0..500 {
                match story.next_round() {
                    Round::Mend { heal } => {
                        assert_eq!(heal, ill);
                        (ill, lost, together) = (Vec::new(), Vec::new(), Vec::new());
                    }
                    Round::Work { heal, faults, .. } => {
                        assert!(heal.iter().all(|server| ill.contains(server)));
                        ill.retain(|server| !heal.contains(server));
                        for (server, fault) in faults {
                            assert!(!ill.contains(&server));
                            match fault {
                                Fault::Damage { .. } | Fault::Wipe => lost.push(server),
                                _ => ill.push(server),
                            }
                        }
                        let mut unwell = [&ill[..], &lost].concat();
                        unwell.sort_unstable();
                        unwell.dedup();
                        assert!(unwell.len() <= most, "{unwell:?}");
                        if scheme == Scheme::Parity {
                            together.push(ill.clone());
                            assert!(
                                together.iter().all(|ill| survives(&unwell, ill)),
                                "{together:?} {unwell:?}"
                            );
                        }
                    }
                }
            }
        }
    }
}
