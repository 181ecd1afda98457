//! The client's dfc.conf. This file is complete.

use std::net::{SocketAddr, ToSocketAddrs};

/// A line `Server NAME HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub name: String,
    pub address: SocketAddr,
}

/// The servers of a dfc.conf, in its order. Lines with other keys are left alone: level 2 will need
/// `Username` and `Password`.
///
/// # Errors
/// A message with the number of the wrong line.
pub fn parse(text: &str) -> Result<Vec<Server>, String> {
    let mut servers = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.first() != Some(&"Server") {
            continue;
        }
        let [_, name, address] = words[..] else {
            return Err(format!("line {}: expected Server NAME HOST:PORT", number + 1));
        };
        let resolved = address.to_socket_addrs().ok().and_then(|mut found| found.next());
        let address = resolved.ok_or(format!("line {}: no address '{address}'", number + 1))?;
        servers.push(Server { name: name.to_string(), address });
    }
    if servers.len() != 4 {
        return Err(format!("{} servers, expected 4", servers.len()));
    }
    Ok(servers)
}
