//! The simulation: one life is a cluster's decade, death by death.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};

use shareit::placement::{self, PARITY_REPLICAS, PieceSet, Scheme};

use crate::random::Random;
use crate::{DEATHS_A_YEAR, YEARS};

/// Servers as bits.
pub(crate) type Set = u32;

/// Where a file's pieces begin, which servers are up, and the holders of its pieces.
type Found = (u32, Set, Vec<Set>);
/// The holders of its pieces after a Repair, and whether it is as safe as it should be.
type Remade = (Vec<Set>, bool);

/// What placement does with a number of servers and a scheme. Files differ only in where their pieces begin
/// on the ring, so one file for each start represents any number of files.
pub(crate) struct Cluster {
    pub(crate) servers: u32,
    pub(crate) scheme: Scheme,
    /// Of each piece; with parity 1.
    pub(crate) copies: u32,
    /// For each piece of each file who holds it after an upload with all servers up.
    pub(crate) holders: Vec<Set>,
    /// What Repair made of files with parity: the same few come again in every life.
    remade: RefCell<HashMap<Found, Remade>>,
}

impl Cluster {
    /// Servers with so many copies of each piece.
    pub(crate) fn new(servers: u32, copies: u32) -> Self {
        Self::of(servers, Scheme::Copies, copies)
    }

    /// Servers with XORs instead of copies.
    pub(crate) fn parity(servers: u32) -> Self {
        Self::of(servers, Scheme::Parity, 1)
    }

    fn of(servers: u32, scheme: Scheme, copies: u32) -> Self {
        let mut cluster = Self { servers, scheme, copies, holders: Vec::new(), remade: RefCell::default() };
        let all = cluster.everybody();
        cluster.holders = (0..servers).flat_map(|start| cluster.placed(start, all)).collect();
        cluster
    }

    /// Who holds each piece of a file after an upload with these servers up.
    fn placed(&self, start: u32, up: Set) -> Vec<Set> {
        let holders = self.scheme.holders(&path_hash(start), &self.usable(up), self.copies as usize);
        holders.into_iter().map(|piece| piece.into_iter().fold(0, |set, server| set | 1 << server)).collect()
    }

    pub(crate) fn everybody(&self) -> Set {
        (1 << self.servers) - 1
    }

    /// The holders of one file's pieces.
    pub(crate) fn one_file(&self) -> &[Set] {
        &self.holders[..usize::from(self.scheme.count())]
    }

    /// Whether a file can be rebuilt, if `file` has the holders of its pieces and these servers are `up`.
    pub(crate) fn is_readable(file: &[Set], up: Set) -> bool {
        let has = |piece: u8| file.get(usize::from(piece) - 1).is_some_and(|holders| holders & up != 0);
        // Most often nothing is missing, and this is asked after each death.
        placement::pieces().all(has) || placement::suffices(has)
    }

    /// Whether some file cannot be rebuilt if only these servers are up.
    pub(crate) fn is_lost(&self, held: &[Set], up: Set) -> bool {
        held.chunks(usize::from(self.scheme.count())).any(|file| !Self::is_readable(file, up))
    }

    /// As the program's Repair, on the servers that are up. Whether every file is as safe as it should be now.
    fn repair(&self, held: &mut [Set], up: Set) -> bool {
        let files = (0..).zip(held.chunks_mut(usize::from(self.scheme.count())));
        match self.scheme {
            Scheme::Copies => files.fold(true, |safe, (start, file)| self.copy(file, start, up) && safe),
            Scheme::Parity => files.fold(true, |safe, (start, file)| self.remake(file, start, up) && safe),
        }
    }

    /// Each piece with too few copies gets more, along its way around the ring.
    fn copy(&self, file: &mut [Set], start: u32, up: Set) -> bool {
        for (holders, piece) in file.iter_mut().zip(self.scheme.pieces()) {
            for server in self.scheme.ring(&path_hash(start), self.servers as usize, piece) {
                if holders.count_ones() >= self.copies {
                    break;
                }
                *holders |= up & (1 << server);
            }
        }
        file.iter().all(|holders| holders.count_ones() >= self.copies)
    }

    /// The pieces that the program would make of others.
    fn remake(&self, file: &mut [Set], start: u32, up: Set) -> bool {
        let pieces = usize::from(self.scheme.count());
        if file == &self.holders[start as usize * pieces..][..pieces] {
            return true;
        }
        let mut remade = self.remade.borrow_mut();
        let (holders, is_safe) = remade.entry((start, up, file.to_vec())).or_insert_with(|| {
            let mut holders = file.to_vec();
            let made = self.scheme.to_make(&path_hash(start), &self.held(file), &self.usable(up));
            for (piece, server) in made.into_iter().flatten() {
                holders[usize::from(piece) - 1] |= 1 << server;
            }
            let is_safe = self.losses(&holders) == Some(usize::from(PARITY_REPLICAS) - 1);
            (holders, is_safe)
        });
        file.copy_from_slice(holders);
        *is_safe
    }

    /// How many more servers may be lost, whichever they are.
    fn losses(&self, file: &[Set]) -> Option<usize> {
        self.scheme.losses(&self.held(file))
    }

    /// What each server has of a file.
    fn held(&self, file: &[Set]) -> Vec<PieceSet> {
        let held_by = |server: u32| {
            let pieces = (1..).zip(file).filter(move |(_, holders)| *holders >> server & 1 == 1);
            pieces.map(|(piece, _)| piece).collect()
        };
        (0..self.servers).map(held_by).collect()
    }

    fn usable(&self, up: Set) -> Vec<bool> {
        (0..self.servers).map(|server| up >> server & 1 == 1).collect()
    }
}

/// The hash of a path of which the pieces begin at this server: any with this remainder represents all of them.
fn path_hash(start: u32) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[28..].copy_from_slice(&start.to_be_bytes());
    hash
}

/// What is done about a dead server, and when, in years after its death.
pub(crate) struct Operator {
    /// Repair is run, on the servers that are up.
    pub(crate) repairs_after: f64,
    /// An empty server takes its place, and Repair is run.
    pub(crate) replaces_after: f64,
}

impl Operator {
    pub(crate) fn replaces(after: f64) -> Self {
        Self { repairs_after: after, replaces_after: after }
    }
}

/// A probability, found by simulation.
#[derive(Clone, Copy)]
pub(crate) struct Estimate {
    pub(crate) mean: f64,
    /// Standard error.
    pub(crate) error: f64,
    /// Lives that ended in a loss.
    pub(crate) events: u32,
}

/// The probability that at least one file is lost within [`YEARS`].
pub(crate) fn simulate(cluster: &Cluster, operator: &Operator, lives: u32, seed: u64) -> Estimate {
    let mut random = Random::new(seed);
    let (mut sum, mut squares, mut events) = (0.0, 0.0, 0);
    for _ in 0..lives {
        let weight = live(cluster, operator, &mut random);
        sum += weight;
        squares += weight * weight;
        events += u32::from(weight > 0.0);
    }
    let lives = f64::from(lives);
    let mean = sum / lives;
    let error = ((squares / lives - mean * mean).max(0.0) / lives).sqrt();
    Estimate { mean, error, events }
}

/// One life: 0 if every file is there at its end, otherwise its weight.
///
/// Losses are rare, so while some file is less safe than it should be, servers die more often than they do in
/// truth (*failure biasing*, a form of importance sampling; Lewis and Böhm, 1984). The weight, how much more
/// likely this life is in truth than here, takes that back.
fn live(cluster: &Cluster, operator: &Operator, random: &mut Random) -> f64 {
    let mut held = cluster.holders.clone();
    let mut up = cluster.everybody();
    // Expected deaths until the next step of the operator: about one for a life, so that the weights of
    // lives do not differ too much.
    let wanted = 1.0 / (DEATHS_A_YEAR * f64::from(cluster.servers) * YEARS).max(1.0);
    let (mut to_repair, mut to_replace) = (VecDeque::new(), VecDeque::new());
    let (mut now, mut weight, mut whole) = (0.0, 1.0, true);
    loop {
        // Both wait the same time for all, so the first to have died are the first in their row.
        let repair: f64 = to_repair.front().copied().unwrap_or(f64::INFINITY);
        let replace: f64 = to_replace.front().map_or(f64::INFINITY, |&(at, _)| at);
        let next = YEARS.min(repair).min(replace);
        let true_rate = DEATHS_A_YEAR * f64::from(up.count_ones());
        let hurry = if whole { 1.0 } else { (wanted / (true_rate * (next - now))).max(1.0) };
        let rate = true_rate * hurry;
        let wait = random.waiting_time(rate);
        weight *= ((rate - true_rate) * wait.min(next - now)).exp();
        if wait < next - now {
            now += wait;
            weight /= hurry;
            let dead = nth(up, random.below(up.count_ones()));
            up &= !dead;
            held.iter_mut().for_each(|holders| *holders &= !dead);
            if cluster.is_lost(&held, up) {
                return weight;
            }
            to_repair.push_back(now + operator.repairs_after);
            to_replace.push_back((now + operator.replaces_after, dead));
            whole = false;
            continue;
        }
        now = next;
        if now >= YEARS {
            return 0.0;
        }
        if repair <= now {
            to_repair.pop_front();
        }
        if replace <= now
            && let Some((_, server)) = to_replace.pop_front()
        {
            up |= server;
        }
        whole = cluster.repair(&mut held, up);
    }
}

/// The `n`-th server of a set, as a set of its own.
fn nth(mut set: Set, n: u32) -> Set {
    for _ in 0..n {
        set &= set - 1;
    }
    set & set.wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::{Fatal, within};
    use crate::{DAY, WEEK, redundancy};

    const LIVES: u32 = 20_000;

    /// Four standard errors, and one percent for what the formula leaves out.
    fn agree(estimate: Estimate, expected: f64) -> bool {
        estimate.events > 300 && (estimate.mean - expected).abs() < 4.0 * estimate.error + 0.01 * expected
    }

    #[test]
    fn a_pair_lives_as_long_as_the_closed_form_says() {
        // Two servers, two copies: MTTDL = (3 deaths + repairs) / (2 deaths^2), both a year.
        let repairs = 1.0 / WEEK;
        let years = (3.0 * DEATHS_A_YEAR + repairs) / (2.0 * DEATHS_A_YEAR * DEATHS_A_YEAR);
        let estimate = simulate(&Cluster::new(2, 2), &Operator::replaces(WEEK), LIVES, 1);
        assert!(agree(estimate, within(1.0 / years, YEARS)), "{} {}", estimate.mean, estimate.error);
    }

    #[test]
    fn simulation_and_formula_agree() {
        let copies = [(4, 1), (4, 2), (8, 2), (16, 2), (4, 3), (8, 3), (4, 4)];
        let copies = copies.map(|(servers, copies)| Cluster::new(servers, copies));
        for cluster in copies.into_iter().chain([4, 5, 8].map(Cluster::parity)) {
            let (servers, copies) = (cluster.servers, redundancy(&cluster));
            let expected = within(Fatal::of(&cluster).rate(DEATHS_A_YEAR, DAY), YEARS);
            let estimate = simulate(&cluster, &Operator::replaces(DAY), LIVES, 7);
            assert!(
                agree(estimate, expected),
                "{servers} servers, {copies}: {} ± {} against {expected}",
                estimate.mean,
                estimate.error
            );
        }
    }

    #[test]
    fn the_bias_changes_how_sure_the_answer_is_and_not_the_answer() {
        // Slow enough for losses to be seen without help.
        let (cluster, slow) = (Cluster::new(4, 2), Operator::replaces(13.0 * WEEK));
        let biased = simulate(&cluster, &slow, 100_000, 3);
        let mut random = Random::new(4);
        let lives = 100_000;
        let lost = (0..lives).filter(|_| is_lost_in_truth(&cluster, 13.0 * WEEK, &mut random)).count();
        let plain = lost as f64 / f64::from(lives);
        let error = (plain / f64::from(lives)).sqrt();
        assert!(
            (biased.mean - plain).abs() < 4.0 * (error + biased.error),
            "{} against {plain}",
            biased.mean
        );
    }

    /// The same without bias, written in another way: all deaths first, then what they do.
    fn is_lost_in_truth(cluster: &Cluster, after: f64, random: &mut Random) -> bool {
        let mut back = vec![0.0; cluster.servers as usize];
        let mut now = 0.0;
        loop {
            now += random.waiting_time(DEATHS_A_YEAR * f64::from(cluster.servers));
            if now > YEARS {
                return false;
            }
            let server = random.below(cluster.servers) as usize;
            if back[server] < now {
                back[server] = now + after;
            }
            let down =
                (0..cluster.servers).filter(|&s| back[s as usize] > now).fold(0, |set, s| set | 1 << s);
            if cluster.is_lost(&cluster.holders, !down) {
                return true;
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_answer() {
        let run = |seed| simulate(&Cluster::new(4, 2), &Operator::replaces(WEEK), 2_000, seed).mean.to_bits();
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
    }

    #[test]
    fn repair_on_the_servers_that_are_left_makes_pieces_whole_again() {
        let cluster = Cluster::new(4, 2);
        let up = 0b1101;
        let mut held: Vec<Set> = cluster.holders.iter().map(|holders| holders & up).collect();
        assert!(cluster.repair(&mut held, up));
        assert!(held.iter().all(|holders| holders.count_ones() == 2 && holders & !up == 0));
    }

    #[test]
    fn repair_with_parity_makes_what_makes_files_safer() {
        let after_one_died = |servers| {
            let cluster = Cluster::parity(servers);
            let up = cluster.everybody() & !0b10;
            let held: Vec<Set> = cluster.holders.iter().map(|holders| holders & up).collect();
            (cluster, up, held)
        };
        let (cluster, up, mut held) = after_one_died(4);
        let before = held.clone();
        assert!(!cluster.repair(&mut held, up), "three servers bear one loss");
        assert_eq!(held, before, "whatever is made");
        assert!(cluster.repair(&mut held, cluster.everybody()));
        assert_eq!(held, cluster.holders);

        let (cluster, up, mut held) = after_one_died(5);
        assert!(cluster.repair(&mut held, up), "the fifth takes its place");
        assert!(held.iter().all(|holders| *holders != 0 && holders & !up == 0));
    }
}
