//! How long files live: servers that die, and the Repair that follows, over many simulated years.
//!
//!     cargo run --release --example durability
//!     cargo run --release --example durability -- --svg docs/images/durability.svg
//!
//! Which server holds which piece comes from [`shareit::placement`], so the simulation follows the program.
//! Every row is computed twice: by simulation, and by a formula. `docs/SCALING.md` says what follows from it, and a test
//! compares its tables with the formula.

mod formula;
mod life;
mod plot;
mod random;

use std::process::ExitCode;

use formula::{Fatal, availability, loss_given_shock, nines, within};
use life::{Cluster, Estimate, Operator, simulate};
use shareit::placement::Scheme;

/// Deaths of one server in a year. Disks: 1.57% of Backblaze's 301,120 in 2024 (Drive Stats for 2024);
/// "2-4% common" of some 100,000 in Schroeder and Gibson, FAST 2007. A server dies of other things too.
pub(crate) const DEATHS_A_YEAR: f64 = 0.04;
/// The time over which a loss is counted.
pub(crate) const YEARS: f64 = 10.0;
pub(crate) const DAY: f64 = 1.0 / 365.25;
pub(crate) const WEEK: f64 = 7.0 * DAY;

/// How long after a death the lost copies are made again.
const DELAYS: [(&str, f64); 4] =
    [("1 day", DAY), ("1 week", WEEK), ("4 weeks", 4.0 * WEEK), ("26 weeks", 26.0 * WEEK)];
const SEED: u64 = 2026;
/// Lives that are simulated for each row of a table.
const LIVES: u32 = 100_000;
/// Servers, and copies of each piece.
const COPIES: [(u32, u32); 8] = [(4, 1), (4, 2), (8, 2), (16, 2), (4, 3), (8, 3), (16, 3), (4, 4)];
/// Servers, with parity.
const PARITY: [u32; 3] = [4, 5, 8];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            print_tables();
            ExitCode::SUCCESS
        }
        ["--svg", file] => match std::fs::write(file, plot::svg(SEED)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("durability: cannot write {file} ({error})");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("usage: durability [--svg FILE]");
            ExitCode::from(2)
        }
    }
}

/// How files are kept safe in the tables.
fn redundancy(cluster: &Cluster) -> String {
    match cluster.scheme {
        Scheme::Copies => cluster.copies.to_string(),
        Scheme::Parity => "parity".to_owned(),
    }
}

/// Of all these numbers of servers and copies, and of these servers with parity.
fn clusters(copies: &[(u32, u32)], parity: &[u32]) -> Vec<Cluster> {
    let copies = copies.iter().map(|&(servers, copies)| Cluster::new(servers, copies));
    copies.chain(parity.iter().map(|&servers| Cluster::parity(servers))).collect()
}

fn print_tables() {
    println!(
        "Each server dies for good {:.0} times in 100 years; {LIVES} lives of {YEARS:.0} years each, seed {SEED}.",
        DEATHS_A_YEAR * 100.0
    );
    println!("\nAn empty server in its place, and Repair, this long after a death: some file lost\n");
    println!(
        "servers copies      after  simulated            formula  years to a loss  nines a year   one given file"
    );
    for cluster in clusters(&COPIES, &PARITY) {
        let (servers, copies) = (cluster.servers, redundancy(&cluster));
        let (fatal, of_one_file) = (Fatal::of(&cluster), Fatal::of_one_file(&cluster));
        for (word, after) in DELAYS {
            let rate = fatal.rate(DEATHS_A_YEAR, after);
            let one_file = of_one_file.rate(DEATHS_A_YEAR, after);
            let estimate = simulate(&cluster, &Operator::replaces(after), LIVES, SEED);
            println!(
                "{servers:>7} {copies:>6} {word:>10}  {:<17} {:>10}  {:>15}  {:>12.1}  {:>15}",
                shown(estimate),
                power(within(rate, YEARS)),
                short(1.0 / rate),
                nines(rate),
                power(within(one_file, YEARS)),
            );
        }
    }

    println!("\nRepair soon on the remaining servers, the new server four weeks after the death\n");
    println!("servers copies  Repair after  simulated");
    for cluster in clusters(&[(4, 2), (8, 2), (4, 3)], &PARITY) {
        let (servers, copies) = (cluster.servers, redundancy(&cluster));
        for (word, after) in [("1 day", DAY), ("4 weeks", 4.0 * WEEK)] {
            let operator = Operator { repairs_after: after, replaces_after: 4.0 * WEEK };
            let estimate = simulate(&cluster, &operator, LIVES, SEED);
            println!("{servers:>5} {copies:>6}  {word:>12}  {}", shown(estimate));
        }
    }

    println!("\nOther codes, by formula: repaired after 1 week\n");
    println!("                                        storage  lost in {YEARS:.0} years  nines a year");
    for (name, storage, fatal) in [
        ("two copies, 4 servers", 2.0, Fatal::of(&Cluster::new(4, 2))),
        ("three copies, 4 servers", 3.0, Fatal::of(&Cluster::new(4, 3))),
        ("parity, 4 servers", 2.0, Fatal::of(&Cluster::parity(4))),
        ("Reed-Solomon 4 + 2, 6 servers", 1.5, Fatal::any(3, 6)),
        ("Reed-Solomon 8 + 3, 11 servers", 1.375, Fatal::any(4, 11)),
    ] {
        let rate = fatal.rate(DEATHS_A_YEAR, WEEK);
        println!("{name:<38} {storage:>7.3}x  {:>15}  {:>12.1}", power(within(rate, YEARS)), nines(rate));
    }

    println!(
        "\nOne event that takes each server with even odds (a flood, a batch of bad disks, a mistake), by counting\n"
    );
    println!("servers copies  lost if it comes   once in 100 years: nines a year at best");
    for cluster in clusters(&[(4, 2), (4, 3), (4, 4), (8, 2), (8, 3)], &PARITY) {
        let (servers, copies) = (cluster.servers, redundancy(&cluster));
        let lost = loss_given_shock(&cluster, 0.5);
        println!("{servers:>5} {copies:>6}  {lost:>14.3}     {:>10.1}", nines(lost / 100.0));
    }

    println!("\nA file can be read, if each server is up this share of the time, by counting\n");
    println!("servers copies        99%       99.9%");
    for cluster in clusters(&[(4, 1), (4, 2), (4, 3), (4, 4), (8, 2), (16, 2)], &PARITY) {
        let (servers, copies) = (cluster.servers, redundancy(&cluster));
        let [two, three] = [0.99, 0.999].map(|up| 100.0 * availability(&cluster, up));
        println!("{servers:>5} {copies:>6}   {two:>9.5}%  {three:>9.7}%");
    }
}

/// An estimate with the half width of its 95% interval.
fn shown(estimate: Estimate) -> String {
    if estimate.events == 0 {
        return "none seen".to_owned();
    }
    format!("{} ± {:.0}%", power(estimate.mean), 100.0 * 1.96 * estimate.error / estimate.mean)
}

fn power(number: f64) -> String {
    format!("{number:.2e}")
}

fn short(years: f64) -> String {
    if years < 1e5 { format!("{years:.0}") } else { power(years) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `0.80`, `1 in 2,850` or `3 in 10^6`: the number, and by what part of it the true one may differ.
    fn documented(cell: &str) -> (f64, f64) {
        let number = |text: &str| text.replace(',', "").parse::<f64>().unwrap();
        let Some((events, of)) = cell.split_once(" in ") else { return (number(cell), 0.02) };
        match of.strip_prefix("10^") {
            Some(power) => (number(events) / 10_f64.powf(number(power)), 0.5 / number(events)),
            // What the simulation cannot know better.
            None => (number(events) / number(of), 0.05),
        }
    }

    /// The rows below a table's head, without the line of dashes.
    fn table<'a>(text: &'a str, head: &str) -> Vec<Vec<&'a str>> {
        let rows = text.lines().skip_while(|line| !line.starts_with(head)).skip(2);
        let cells = |line: &'a str| line.trim_matches('|').split('|').map(str::trim).collect();
        rows.take_while(|line| line.starts_with('|')).map(cells).collect()
    }

    fn cluster(servers: &str, redundancy: &str) -> Cluster {
        let servers = servers.parse().unwrap();
        match redundancy {
            "parity" => Cluster::parity(servers),
            copies => Cluster::new(servers, copies.parse().unwrap()),
        }
    }

    #[test]
    fn the_document_has_the_figures_of_this_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/SCALING.md");
        let text = std::fs::read_to_string(path).unwrap();
        let rows = table(&text, "| servers | copies | storage |");
        assert_eq!(rows.len(), 10);
        for row in rows {
            let fatal = Fatal::of(&cluster(row[0], row[1]));
            for (cell, (word, after)) in row[3..].iter().zip(DELAYS) {
                let formula = within(fatal.rate(DEATHS_A_YEAR, after), YEARS);
                let (stated, rounding) = documented(cell);
                // After so long the formula is too high, as the document says.
                let too_high = if after > 10.0 * WEEK { 0.25 } else { 0.0 };
                let range = formula * (1.0 - too_high - rounding)..formula * (1.0 + rounding);
                assert!(range.contains(&stated), "{row:?} after {word}: {formula:.3e}");
            }
        }
        let rows = table(&text, "| | storage | servers | lost within ten years |");
        let codes = [
            ("two copies", Cluster::new(4, 2)),
            ("three copies", Cluster::new(4, 3)),
            ("parity", Cluster::parity(4)),
        ];
        for (name, cluster) in codes {
            let row = rows.iter().find(|row| row[0].starts_with(name)).unwrap();
            let (stated, rounding) = documented(row[3]);
            let formula = within(Fatal::of(&cluster).rate(DEATHS_A_YEAR, WEEK), YEARS);
            assert!((stated / formula - 1.0).abs() < rounding, "{row:?}: {formula:.3e}");
        }
    }
}
