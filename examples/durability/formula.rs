//! The same by arithmetic: the simulation is checked against it, and it replaces the simulation for events that are too
//! rare to be seen.

use crate::life::{Cluster, Set};

/// The smallest sets of servers whose death at once loses a file.
pub(crate) struct Fatal {
    sets: f64,
    size: i32,
}

impl Fatal {
    /// Those of a placement, for any file.
    pub(crate) fn of(cluster: &Cluster) -> Self {
        Self::among(&cluster.holders, cluster)
    }

    /// Those of a placement, for one file.
    pub(crate) fn of_one_file(cluster: &Cluster) -> Self {
        Self::among(cluster.one_file(), cluster)
    }

    /// Found by trying every set of servers.
    fn among(files: &[Set], cluster: &Cluster) -> Self {
        let mut sets = vec![0_u32; cluster.servers as usize + 1];
        for lost in 0..=cluster.everybody() {
            sets[lost.count_ones() as usize] += u32::from(cluster.is_lost(files, !lost));
        }
        let size = sets.iter().position(|&sets| sets > 0).unwrap_or(0);
        Self { sets: f64::from(sets[size]), size: size as i32 }
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
        if cluster.is_lost(&cluster.holders, !lost) { probability(cluster, lost, odds) } else { 0.0 }
    })
}

/// The probability that a file can be read, if each server is up with `odds`.
pub(crate) fn availability(cluster: &Cluster, odds: f64) -> f64 {
    let file = cluster.one_file();
    sum_over_subsets(cluster.everybody(), |up| {
        if Cluster::is_readable(file, up) { probability(cluster, up, odds) } else { 0.0 }
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

    /// On a larger ring three of a row's four servers; of three in a row there are two such rows.
    #[test]
    fn with_parity_any_three_of_four_servers_are_fatal() {
        for (servers, sets) in [(4, 4), (5, 10), (8, 24)] {
            let fatal = Fatal::of(&Cluster::parity(servers));
            assert_eq!((fatal.sets, fatal.size), (f64::from(sets), 3), "{servers}");
            let fatal = Fatal::of_one_file(&Cluster::parity(servers));
            assert_eq!((fatal.sets, fatal.size), (4.0, 3), "{servers}");
        }
    }

    #[test]
    fn a_pair_of_pairs_that_stand_opposite_may_be_away() {
        // Four up, one away, or two opposite ones: 1 + 4 + 2 of 16 subsets.
        let cluster = Cluster::new(4, 2);
        assert!((availability(&cluster, 0.5) - 7.0 / 16.0).abs() < 1e-12);
        assert!((loss_given_shock(&cluster, 0.5) - 9.0 / 16.0).abs() < 1e-12);
        // Any two: 1 + 4 + 6.
        let cluster = Cluster::parity(4);
        assert!((availability(&cluster, 0.5) - 11.0 / 16.0).abs() < 1e-12);
        assert!((loss_given_shock(&cluster, 0.5) - 5.0 / 16.0).abs() < 1e-12);
    }

    #[test]
    fn nines_count_nines() {
        assert!((nines(within(1e-3, 1.0)) - 3.0).abs() < 0.01);
    }
}
