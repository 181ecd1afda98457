//! Making TCP connections: as the system makes them, except that those over loopback are not paced.
//!
//! Congestion control estimates the rate of a link; loopback has none. BBR (draft-ietf-ccwg-bbr), the default on some
//! systems, estimates one anyway and limits what it sends to it, with a timer for each burst. Reno (RFC 5681) sets no
//! timer, is built into every Linux, and by default any user may choose it. It must be chosen before the connection is
//! established: pacing that BBR has switched on stays on.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Whether this is a loopback address, so that traffic to and from it crosses no link.
#[must_use]
pub fn is_local(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Listens on an address. A listener on all addresses is left as the system makes it: most of its connections come over
/// a link.
///
/// # Errors
/// The system refuses the address, for example because it is in use.
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
/// The connection is refused or fails, or nobody has answered within the limit ([`io::ErrorKind::TimedOut`]).
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

    use rustix::io::{Errno, retry_on_intr};
    use rustix::net::sockopt::{Timeout, set_socket_timeout, set_tcp_congestion};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, connect as connect_socket, socket_with};

    use super::{Duration, SocketAddr, TcpStream, io};

    /// For a connection that is not established yet, or for all connections that a listener will accept.
    pub(super) fn choose_reno(socket: &impl AsFd) {
        // On a system that does not allow the choice the connection is slower, but otherwise the same.
        let _ = set_tcp_congestion(socket, "reno");
    }

    /// std has no socket that is not connected yet.
    pub(super) fn connect(address: &SocketAddr, limit: Duration) -> io::Result<TcpStream> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        choose_reno(&socket);
        // This limits a connect too: socket(7), SO_SNDTIMEO.
        set_socket_timeout(&socket, Timeout::Send, Some(limit))?;
        // A connect with a time limit is interrupted when the process is stopped and continued: signal(7). Called
        // again, it waits for the connect that is in progress.
        match retry_on_intr(|| connect_socket(&socket, address)) {
            Err(Errno::INPROGRESS | Errno::ALREADY) => return Err(io::ErrorKind::TimedOut.into()),
            connected => connected?,
        }
        let stream = TcpStream::from(socket);
        stream.set_write_timeout(None)?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_local() {
        let local = |address: &str| is_local(address.parse().unwrap());
        assert!(local("127.0.0.1") && local("127.9.9.9") && local("::1") && local("::ffff:127.0.0.1"));
        assert!(!local("192.168.1.2") && !local("0.0.0.0") && !local("::") && !local("::ffff:10.0.0.1"));
    }

    #[cfg(target_os = "linux")]
    mod on_linux {
        use std::time::Instant;

        use rustix::net::sockopt::tcp_congestion;
        use rustix::net::{AddressFamily, SocketType, bind, listen as listen_socket, socket};

        use super::*;

        const LIMIT: Duration = Duration::from_secs(60);
        const ANY_PORT: &str = "127.0.0.1:0";

        /// A socket with an address of its own, on which nobody listens yet.
        fn bound() -> TcpListener {
            let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
            bind(&socket, &ANY_PORT.parse::<SocketAddr>().unwrap()).unwrap();
            socket.into()
        }

        fn assert_unpaced(listener: &TcpListener) {
            let client = connect(&listener.local_addr().unwrap(), LIMIT).unwrap();
            let (server, _) = listener.accept().unwrap();
            assert_eq!(tcp_congestion(&client).unwrap(), "reno");
            assert_eq!(tcp_congestion(&server).unwrap(), "reno");
            assert_eq!(client.write_timeout().unwrap(), None);
        }

        #[test]
        fn over_loopback_neither_end_is_paced() {
            assert_unpaced(&listen(ANY_PORT.parse().unwrap()).unwrap());
            // Some machines have no IPv6.
            if let Ok(listener) = listen("[::1]:0".parse().unwrap()) {
                assert_unpaced(&listener);
            }
        }

        #[test]
        fn a_listener_on_all_addresses_is_as_the_system_makes_it() {
            let usual = tcp_congestion(TcpListener::bind("0.0.0.0:0").unwrap()).unwrap();
            let ours = tcp_congestion(listen("0.0.0.0:0".parse().unwrap()).unwrap()).unwrap();
            assert_eq!(ours, usual);
        }

        #[test]
        fn a_connect_to_an_address_without_listener_is_refused() {
            let socket = bound();
            let error = connect(&socket.local_addr().unwrap(), LIMIT).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        }

        #[test]
        fn a_connect_that_nobody_answers_ends_within_its_limit() {
            let listener = bound();
            // Room for one connection that is not accepted. The next one gets no answer: for two minutes, if nobody
            // sets a limit.
            listen_socket(&listener, 0).unwrap();
            let address = listener.local_addr().unwrap();
            let mut answered = vec![connect(&address, LIMIT).unwrap()];
            let began = Instant::now();
            let error = loop {
                match connect(&address, Duration::from_millis(1)) {
                    Ok(stream) => answered.push(stream),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(began.elapsed() < LIMIT);
        }
    }
}
