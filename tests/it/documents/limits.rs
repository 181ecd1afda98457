//! Every number in a limits table is the code's, and every public limit of the code is in a table.

use std::collections::BTreeSet;
use std::time::Duration;

use super::markdown::Document;
use shareit::{auth, config, name, peer, placement, sealed, server, store, wire};

#[derive(Debug, PartialEq, Eq)]
enum Limit {
    Count(u64),
    Time(Duration),
}

fn count(number: impl TryInto<u64>) -> Limit {
    Limit::Count(number.try_into().ok().expect("a limit fits 64 bits"))
}

/// The code's limits, by the names that the documents give them.
fn constants() -> Vec<(&'static str, Limit)> {
    vec![
        ("name::MAX_USER", count(name::MAX_USER)),
        ("name::MAX_SEGMENT", count(name::MAX_SEGMENT)),
        ("name::MAX_PATH", count(name::MAX_PATH)),
        ("placement::PIECES", count(placement::PIECES)),
        ("placement::SCHEME_COPIES", count(placement::SCHEME_COPIES)),
        ("placement::SCHEME_PARITY", count(placement::SCHEME_PARITY)),
        ("placement::PARITY_REPLICAS", count(placement::PARITY_REPLICAS)),
        ("placement::DEFAULT_REPLICAS", count(placement::DEFAULT_REPLICAS)),
        ("sealed::HEADER_FIXED", count(sealed::HEADER_FIXED)),
        ("sealed::MAX_HEADER", count(sealed::MAX_HEADER)),
        ("sealed::TAIL", count(sealed::TAIL)),
        ("sealed::MIN_CHUNK_LOG2", count(sealed::MIN_CHUNK_LOG2)),
        ("sealed::MAX_CHUNK_LOG2", count(sealed::MAX_CHUNK_LOG2)),
        ("sealed::MAX_CHUNKS", count(sealed::MAX_CHUNKS)),
        ("sealed::MAX_FILE_SIZE", count(sealed::MAX_FILE_SIZE)),
        ("sealed::MAX_LINK", count(sealed::MAX_LINK)),
        ("sealed::NONCE", count(sealed::NONCE)),
        ("sealed::MODE_BITS", count(sealed::MODE_BITS)),
        ("sealed::MASTER_ITERATIONS", count(sealed::MASTER_ITERATIONS)),
        ("wire::PROTOCOL_VERSION", count(wire::PROTOCOL_VERSION)),
        ("wire::MAX_LINE", count(wire::MAX_LINE)),
        ("wire::MAX_TEXT", count(wire::MAX_TEXT)),
        ("wire::MAX_LISTING", count(wire::MAX_LISTING)),
        ("wire::MAX_ENTRIES", count(wire::MAX_ENTRIES)),
        ("wire::MAX_NAMES", count(wire::MAX_NAMES)),
        ("wire::MAX_RECORDS", count(wire::MAX_RECORDS)),
        ("wire::MAX_DETAIL", count(wire::MAX_DETAIL)),
        ("wire::MAX_LIFE_SIGNS", count(wire::MAX_LIFE_SIGNS)),
        ("wire::MAX_STAGED", count(wire::MAX_STAGED)),
        ("wire::MIN_PARTIAL", count(wire::MIN_PARTIAL)),
        ("config::MAX_SERVERS", count(config::MAX_SERVERS)),
        ("config::MAX_PASSWORD", count(config::MAX_PASSWORD)),
        ("auth::MIN_ITERATIONS", count(auth::MIN_ITERATIONS)),
        ("auth::MAX_ITERATIONS", count(auth::MAX_ITERATIONS)),
        ("auth::DEFAULT_ITERATIONS", count(auth::DEFAULT_ITERATIONS)),
        ("auth::MAX_NONCE", count(auth::MAX_NONCE)),
        ("auth::MAX_SALT", count(auth::MAX_SALT)),
        ("auth::MAX_USERS_FILE", count(auth::MAX_USERS_FILE)),
        ("server::LOGIN_LIMIT", Limit::Time(server::LOGIN_LIMIT)),
        ("server::IDLE_LIMIT", Limit::Time(server::IDLE_LIMIT)),
        ("server::STALL_LIMIT", Limit::Time(server::STALL_LIMIT)),
        ("server::FAILED_LOGIN_DELAY", Limit::Time(server::FAILED_LOGIN_DELAY)),
        ("server::FAILED_LOGINS_PER_MINUTE", count(server::FAILED_LOGINS_PER_MINUTE)),
        ("server::MAX_CONNECTIONS", count(server::MAX_CONNECTIONS)),
        ("server::MAX_STRANGERS_PER_ADDRESS", count(server::MAX_STRANGERS_PER_ADDRESS)),
        ("server::SPACE_CHECK", count(server::SPACE_CHECK)),
        ("server::MAX_BATCH", count(server::MAX_BATCH)),
        ("server::MAX_BATCH_BYTES", count(server::MAX_BATCH_BYTES)),
        ("server::LEAST_RATE", count(server::LEAST_RATE)),
        ("server::USERS_SHARE", count(server::USERS_SHARE)),
        ("server::DESCRIPTORS", count(server::DESCRIPTORS)),
        ("store::MAX_STAGED_OF_USER", count(store::MAX_STAGED_OF_USER)),
        ("store::MAX_WAITING", count(store::MAX_WAITING)),
        ("store::RESERVED_FOR_DELETES", count(store::RESERVED_FOR_DELETES)),
        ("store::RESERVED_WAITING", count(store::RESERVED_WAITING)),
        ("server::LIFE_SIGN", Limit::Time(server::LIFE_SIGN)),
        ("version::MAX_GENERATION", count(shareit::version::MAX_GENERATION)),
        ("commit::MAX_JUMP", count(shareit::commit::MAX_JUMP)),
        ("commit::MAX_AHEAD", count(shareit::commit::MAX_AHEAD)),
        ("commit::MAX_SKEW", Limit::Time(Duration::from_millis(shareit::commit::MAX_SKEW))),
    ]
}

/// `64 bytes`, `1 to 64 bytes`, `10 s`, `250 ms`, `4`.
fn documented(cell: &str) -> Limit {
    let words: Vec<&str> = cell.split(' ').collect();
    let number = words.iter().rev().find_map(|word| word.parse().ok());
    let number: u64 = number.unwrap_or_else(|| panic!("no number in {cell:?}"));
    match words.last() {
        Some(&"s") => Limit::Time(Duration::from_secs(number)),
        Some(&"ms") => Limit::Time(Duration::from_millis(number)),
        _ => Limit::Count(number),
    }
}

#[test]
fn the_tables_of_limits_have_the_codes_numbers() {
    let constants = constants();
    let mut seen = BTreeSet::new();
    for document in ["FORMAT.md", "PROTOCOL.md"] {
        for row in Document::read(document).section("Limits").table("limit") {
            let [limit, value, constant] = &row[..] else { panic!("{document}: {row:?}") };
            let known = constants.iter().find(|(name, _)| name == constant);
            let (name, in_code) = known.unwrap_or_else(|| panic!("{document}: {constant} is not compared"));
            assert_eq!(documented(value), *in_code, "{document}: {limit} ({constant})");
            seen.insert(*name);
        }
    }
    let missing: Vec<_> = constants.iter().filter(|(name, _)| !seen.contains(name)).collect();
    assert!(missing.is_empty(), "in no table: {missing:?}");
}

/// `10 T, at least 10 s and at most 30 s` for a T in seconds.
fn formula(cell: &str, timeout: u64) -> Duration {
    let after = |words: &str| {
        let (_, rest) = cell.split_once(words)?;
        rest.split(' ').next()?.parse::<u64>().ok()
    };
    if let Some(seconds) = cell.strip_suffix(" s").and_then(|number| number.parse().ok()) {
        return Duration::from_secs(seconds);
    }
    let factor = cell.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(1);
    let least = after("at least ").unwrap_or(0);
    let most = after("at most ").unwrap_or(u64::MAX);
    Duration::from_secs((factor * timeout).max(least).min(most))
}

#[test]
fn a_clients_time_limits_follow_from_its_timeout() {
    let protocol = Document::read("PROTOCOL.md");
    let rows = protocol.section("Limits").table("a client waits for");
    assert_eq!(rows.len(), 6);
    for row in rows {
        for (column, timeout) in [(2, 1), (3, 5)] {
            let limits = peer::Limits::from_timeout(Duration::from_secs(timeout));
            assert_eq!(documented(&row[column]), Limit::Time(formula(&row[1], timeout)), "{}", row[0]);
            let in_code = match row[4].as_str() {
                "peer::Limits::connect" => limits.connect,
                "peer::Limits::login" => limits.login,
                "peer::Limits::ping" => limits.ping,
                "peer::Limits::answer" => limits.answer,
                "peer::Limits::durable" => limits.durable,
                "peer::Limits::life" => limits.life,
                other => panic!("{other} is not compared"),
            };
            assert_eq!(documented(&row[column]), Limit::Time(in_code), "{} at {timeout} s", row[0]);
        }
    }
    // Behind the table, in words.
    assert_eq!(peer::LEAST_RATE, 16 << 10);
    assert_eq!(peer::LEAST_DISK_RATE, 1 << 20);
    assert_eq!(peer::LIST_FACTOR, 6);
}
