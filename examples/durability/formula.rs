//! The same by arithmetic: the simulation is checked against it, and it replaces the simulation for events that are too
//! rare to be seen.

use crate::life::{Cluster, Set};

/// The smallest sets of servers whose death at once loses a file.
pub(crate) struct Fatal {
    sets: f64,
    size: i32,
}

impl Fatal {
    /// Those of a placement, for any file: the different sets of holders, all of one size.
    pub(crate) fn of(cluster: &Cluster) -> Self {
        Self::among(&cluster.holders, cluster)
    }

    /// Those of a placement, for one file.
    pub(crate) fn of_one_file(cluster: &Cluster) -> Self {
        Self::among(cluster.one_file(), cluster)
    }

    fn among(holders: &[Set], cluster: &Cluster) -> Self {
        let mut sets = holders.to_vec();
        sets.sort_unstable();
        sets.dedup();
        Self { sets: sets.len() as f64, size: cluster.copies as i32 }
    }

    /// Any `size` of so many servers: a code that bears `size` - 1 lost ones, whichever they are.
    pub(crate) fn any(size: u32, servers: u32) -> Self {
        let sets = (0..size).fold(1.0, |product, i| product * f64::from(servers - i) / f64::from(i + 1));
        Self { sets, size: size as i32 }
    }

    /// Losses a year. A set of k servers is lost when the last of them dies while the others wait for their
    /// Repair: k * deaths * (deaths * after)^(k - 1).
    ///
    /// It is the leading term of the mean time to data loss of the Markov chain in which up to k servers wait
    /// (Patterson, Gibson, Katz, 1988, for k = 2), and holds for waiting times of any distribution with this mean.
    pub(crate) fn rate(&self, deaths: f64, after: f64) -> f64 {
        self.sets * f64::from(self.size) * deaths * (deaths * after).powi(self.size - 1)
    }
}

/// The probability of at least one event of a rate within so many years.
pub(crate) fn within(rate: f64, years: f64) -> f64 {
    -(-rate * years).exp_m1()
}

/// 3 for a probability of 0.999 to lose nothing in a year.
pub(crate) fn nines(rate: f64) -> f64 {
    -within(rate, 1.0).log10()
}

/// The probability that some file is lost when each server is, with `odds`, at one stroke.
pub(crate) fn loss_given_shock(cluster: &Cluster, odds: f64) -> f64 {
    sum_over_subsets(cluster.everybody(), |lost| {
        let fatal = cluster.holders.iter().any(|holders| holders & !lost == 0);
        if fatal { probability(cluster, lost, odds) } else { 0.0 }
    })
}

/// The probability that a file can be read, if each server is up with `odds`: of each piece one holder must be.
pub(crate) fn availability(cluster: &Cluster, odds: f64) -> f64 {
    let file = cluster.one_file();
    sum_over_subsets(cluster.everybody(), |up| {
        let readable = shareit::placement::suffices(|piece| file[usize::from(piece) - 1] & up != 0);
        if readable { probability(cluster, up, odds) } else { 0.0 }
    })
}

/// The probability of exactly this set, if each server belongs to it with `odds`.
fn probability(cluster: &Cluster, set: Set, odds: f64) -> f64 {
    let inside = set.count_ones();
    let outside = cluster.servers - inside;
    odds.powi(inside as i32) * (1.0 - odds).powi(outside as i32)
}

fn sum_over_subsets(everybody: Set, value: impl Fn(Set) -> f64) -> f64 {
    (0..=everybody).map(value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fatal_sets_are_neighbours_on_the_ring() {
        for (servers, copies, sets) in [(4, 1, 4), (4, 2, 4), (16, 2, 16), (4, 3, 4), (8, 3, 8), (4, 4, 1)] {
            let fatal = Fatal::of(&Cluster::new(servers, copies));
            assert_eq!((fatal.sets, fatal.size), (f64::from(sets), copies as i32), "{servers} {copies}");
        }
        assert_eq!(Fatal::any(3, 6).sets, 20.0);
    }

    #[test]
    fn a_pair_of_pairs_that_stand_opposite_may_be_away() {
        // Four up, one away, or two opposite ones: 1 + 4 + 2 of 16 subsets.
        let cluster = Cluster::new(4, 2);
        assert!((availability(&cluster, 0.5) - 7.0 / 16.0).abs() < 1e-12);
        assert!((loss_given_shock(&cluster, 0.5) - 9.0 / 16.0).abs() < 1e-12);
    }

    #[test]
    fn nines_count_nines() {
        assert!((nines(within(1e-3, 1.0)) - 3.0).abs() < 0.01);
    }
}
