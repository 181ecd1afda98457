//! The address to listen on, as given on the command line.

use std::fmt;
use std::net::SocketAddr;

use crate::text::is_digits;

/// Why a text is not an address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressError {
    /// A port out of range.
    Port,
    /// Something other than an IP address before the port.
    Host,
    /// Neither `PORT` nor `ADDR:PORT`.
    Form,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressError::Port => "a port must be a number from 1 to 65535",
            AddressError::Host => "ADDR must be an IP address such as 127.0.0.1 or [::1]",
            AddressError::Form => "expected PORT or ADDR:PORT",
        })
    }
}

impl std::error::Error for AddressError {}

/// Parses `PORT`, which means this machine only, or `ADDR:PORT`.
pub fn parse_address(text: &str) -> Result<SocketAddr, AddressError> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    text.parse().map_err(|_| match text.rsplit_once(':') {
        _ if is_digits(text) => AddressError::Port,
        Some((_, port)) if port.parse::<u16>().is_ok() => AddressError::Host,
        Some((_, port)) if is_digits(port) => AddressError::Port,
        _ => AddressError::Form,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_port_or_has_a_number_before_it() {
        assert_eq!(parse_address("8008"), Ok(SocketAddr::from(([127, 0, 0, 1], 8008))));
        assert_eq!(parse_address("0.0.0.0:8008"), Ok(SocketAddr::from(([0, 0, 0, 0], 8008))));
        assert!(parse_address("[::1]:8008").is_ok());
        for port in ["99999", "65536", "0.0.0.0:99999"] {
            assert_eq!(parse_address(port), Err(AddressError::Port), "{port}");
        }
        for host in ["localhost:8008", "1.2.3:8008"] {
            assert_eq!(parse_address(host), Err(AddressError::Host), "{host}");
        }
        for form in ["", "port", "1.2.3.4", "1.2.3.4:", "::1:8008:", "-1"] {
            assert_eq!(parse_address(form), Err(AddressError::Form), "{form}");
        }
    }
}
