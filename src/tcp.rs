//! How TCP connections are made: between machines as the system does it, within one machine without pacing.
//!
//! Congestion control looks for the rate of a line, and within one machine there is none. BBR
//! (draft-ietf-ccwg-bbr), the usual one on some systems, looks all the same, and sends no faster than it believes in,
//! with a timer for each burst. Reno (RFC 5681) has none, is part of every Linux, and may be chosen by anybody. It
//! has to be chosen before the connection is established: a socket that began with BBR stays a paced one.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Whether an address is of this machine, so that what it sends and receives never meets a line.
#[must_use]
pub fn is_local(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Listens at an address. What connects to one of this machine alone is not paced.
///
/// # Errors
/// As [`TcpListener::bind`].
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    #[cfg(target_os = "linux")]
    if is_local(address.ip()) {
        unpaced::choose_reno(&listener);
    }
    Ok(listener)
}

/// Connects to an address within a time limit, which must not be zero.
///
/// # Errors
/// As [`TcpStream::connect_timeout`]: [`io::ErrorKind::TimedOut`] if nobody has answered by then.
pub fn connect(address: &SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    #[cfg(target_os = "linux")]
    if is_local(address.ip()) {
        return unpaced::connect(address, limit);
    }
    TcpStream::connect_timeout(address, limit)
}

#[cfg(target_os = "linux")]
mod unpaced {
    use std::os::fd::AsFd;

    use rustix::io::Errno;
    use rustix::net::sockopt::{Timeout, set_socket_timeout, set_tcp_congestion};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, connect as connect_socket, socket_with};

    use super::{Duration, SocketAddr, TcpStream, io};

    /// For a connection that is not established yet, or for all that a listener will accept.
    pub(super) fn choose_reno(socket: &impl AsFd) {
        // A system that does not let us choose has a slower connection, and else the same.
        let _ = set_tcp_congestion(socket, "reno");
    }

    /// std has no socket that is not connected yet.
    pub(super) fn connect(address: &SocketAddr, limit: Duration) -> io::Result<TcpStream> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        choose_reno(&socket);
        // It limits a connect too: socket(7), SO_SNDTIMEO.
        set_socket_timeout(&socket, Timeout::Send, Some(limit))?;
        match connect_socket(&socket, address) {
            Err(Errno::INPROGRESS) => return Err(io::ErrorKind::TimedOut.into()),
            connected => connected?,
        }
        let stream = TcpStream::from(socket);
        stream.set_write_timeout(None)?;
        Ok(stream)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::net::sockopt::tcp_congestion;
    use rustix::net::{AddressFamily, SocketType};

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn within_one_machine_neither_end_is_paced() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // There are machines without IPv6.
            let Ok(listener) = listen(address.parse().unwrap()) else { continue };
            let client = connect(&listener.local_addr().unwrap(), LIMIT).unwrap();
            let (server, _) = listener.accept().unwrap();
            assert_eq!(tcp_congestion(&client).unwrap(), "reno");
            assert_eq!(tcp_congestion(&server).unwrap(), "reno");
        }
    }

    #[test]
    fn a_listener_for_other_machines_is_as_the_system_has_it() {
        let usual = tcp_congestion(TcpListener::bind("0.0.0.0:0").unwrap()).unwrap();
        let ours = tcp_congestion(listen("0.0.0.0:0".parse().unwrap()).unwrap()).unwrap();
        assert_eq!(ours, usual);
    }

    #[test]
    fn where_nobody_listens_a_connect_is_refused() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = connect(&address, LIMIT).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_connect_that_nobody_answers_ends_in_time() {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
        // Room for one that is not accepted; whoever comes after it gets no answer.
        rustix::net::listen(&socket, 0).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let _first = connect(&address, LIMIT).unwrap();
        let error = connect(&address, Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn local_is_what_never_meets_a_line() {
        let local = |address: &str| is_local(address.parse().unwrap());
        assert!(local("127.0.0.1") && local("127.9.9.9") && local("::1") && local("::ffff:127.0.0.1"));
        assert!(!local("192.168.1.2") && !local("0.0.0.0") && !local("::") && !local("::ffff:10.0.0.1"));
    }
}
