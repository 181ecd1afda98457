//! How TCP connections are made: as the system makes them, but over loopback without pacing.
//!
//! Congestion control estimates the rate of a line; loopback has none. BBR (draft-ietf-ccwg-bbr), the default of some
//! systems, estimates one nevertheless and holds what it sends to that, with a timer for each burst. Reno (RFC 5681)
//! sets no timer, is built into every Linux, and by default any user may choose it. It must be chosen before the
//! connection is established: pacing that BBR has switched on stays on.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Whether this is a loopback address, so that nothing to or from it meets a line.
#[must_use]
pub fn is_local(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Listens at an address. A listener on all addresses is left as the system has it: most of what it accepts comes
/// over a line.
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

    use rustix::io::{Errno, retry_on_intr};
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
        // With a time limit it is interrupted when the process is stopped and goes on: signal(7). Asked again, it
        // waits anew for the connect that is under way.
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

        /// A socket with an address of its own, at which nobody listens yet.
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
            // There are machines without IPv6.
            if let Ok(listener) = listen("[::1]:0".parse().unwrap()) {
                assert_unpaced(&listener);
            }
        }

        #[test]
        fn a_listener_on_all_addresses_is_as_the_system_has_it() {
            let usual = tcp_congestion(TcpListener::bind("0.0.0.0:0").unwrap()).unwrap();
            let ours = tcp_congestion(listen("0.0.0.0:0".parse().unwrap()).unwrap()).unwrap();
            assert_eq!(ours, usual);
        }

        #[test]
        fn where_nobody_listens_a_connect_is_refused() {
            let socket = bound();
            let error = connect(&socket.local_addr().unwrap(), LIMIT).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        }

        #[test]
        fn a_connect_that_nobody_answers_ends_in_time() {
            let listener = bound();
            // Room for one that is not accepted. Who comes after it gets no answer, for two minutes if nobody else
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
