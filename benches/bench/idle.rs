//! Sessions that log in and then do nothing.

use std::io::{Read, stdin};
use std::time::Duration;

use shareit::auth::Salted;
use shareit::config::{DEFAULT_ITERATIONS, ServerAddress};
use shareit::name::{ServerName, UserName};
use shareit::peer::{Connected, Limits, Peer};
use shareit::primitives::random;
use shareit::text::hex;

use crate::Fallible;
use crate::ours::{PASSWORD, USER};

/// Holds as many sessions until standard input ends; prints `ready` when all are logged in.
pub(crate) fn run(server: &str, port: &str, count: &str) -> Fallible<()> {
    let name = ServerName::parse(server).map_err(|e| e.to_string())?;
    let server = ServerAddress { name, address: format!("127.0.0.1:{port}") };
    let user = UserName::parse(USER).map_err(|e| e.to_string())?;
    let mut salted = None;
    let mut sessions = Vec::new();
    for _ in 0..count.parse::<usize>()? {
        sessions.push(log_in(&server, &user, &mut salted)?);
    }
    println!("ready");
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// The password's key is derived once: the salt is the same for all.
fn log_in(server: &ServerAddress, user: &UserName, salted: &mut Option<Salted>) -> Fallible<Peer> {
    let limits = Limits::from_timeout(Duration::from_secs(10));
    let challenged =
        Connected::open(server, user, &hex(&random::<18>()?), DEFAULT_ITERATIONS, limits)?.challenged()?;
    let (salt, iterations) = challenged.parameters();
    let salted = salted.get_or_insert_with(|| Salted::derive(PASSWORD, salt, iterations)).clone();
    Ok(challenged.prove(salted)?.welcomed()?)
}
