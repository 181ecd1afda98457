//! A connection before the login is done: types that consume each other, so that a wrong order does not compile.

use super::error::PeerError;
use super::limits::Limits;
use super::silence::WaitClock;
use super::socket::Socket;
use crate::auth::{ClientChallenge, ClientFirst, ClientProof, Salted, SessionKeys};
use crate::config::ServerAddress;
use crate::link::Stop;
use crate::name::{ServerName, UserName};
use crate::wire::{Login, ParseError, Reply};

/// A connection that has asked for a login.
pub struct Connected {
    socket: Socket,
    expected: ServerName,
    first: ClientFirst,
    min_iterations: u32,
}

/// A connection that waits for the salted password.
pub struct Challenged {
    socket: Socket,
    server: ServerName,
    challenge: ClientChallenge,
}

/// A connection that has sent its proof.
pub struct Proven {
    socket: Socket,
    server: ServerName,
    proof: ClientProof,
}

impl Connected {
    /// Connects, trying each address of the host within the limit, and asks for a login. `nonce` is that of
    /// [`ClientFirst::new`], `min_iterations` the least that [`ClientFirst::challenge`] accepts.
    pub fn open(
        server: &ServerAddress,
        user: &UserName,
        nonce: &str,
        min_iterations: u32,
        limits: Limits,
    ) -> Result<Self, PeerError> {
        let mut socket = Socket::open(&server.address, limits)?;
        let first = ClientFirst::new(user, nonce);
        socket.send_line(&Login::Login(first.message()).to_line())?;
        Ok(Self { socket, expected: server.name.clone(), first, min_iterations })
    }

    /// From now on the time that is spent waiting for this server is counted on this clock.
    pub fn count_on(&mut self, clock: &WaitClock) {
        self.socket.count_on(clock);
    }

    /// From now on this ends what waits for this server.
    pub fn stop_by(&mut self, stop: &Stop) {
        self.socket.stop_by(stop);
    }

    /// Waits for the challenge.
    pub fn challenged(mut self) -> Result<Challenged, PeerError> {
        let Reply::Challenge(server, message) = self.socket.receive_plain()? else {
            return Err(PeerError::Protocol(ParseError("CHALLENGE")));
        };
        if !server.as_str().eq_ignore_ascii_case(self.expected.as_str()) {
            return Err(PeerError::OtherName(server));
        }
        let challenge = self.first.challenge(&message, self.min_iterations).map_err(PeerError::Login)?;
        Ok(Challenged { socket: self.socket, server, challenge })
    }
}

impl Challenged {
    /// The salt and the number of iterations that the server asks for.
    pub fn parameters(&self) -> (&[u8], u32) {
        (&self.challenge.salt, self.challenge.iterations)
    }

    /// Sends the proof.
    pub fn prove(mut self, salted: Salted) -> Result<Proven, PeerError> {
        let proof = self.challenge.prove(salted);
        self.socket.send_line(&Login::Prove(proof.message().to_owned()).to_line())?;
        Ok(Proven { socket: self.socket, server: self.server, proof })
    }
}

impl Proven {
    /// Waits for the welcome; returns the session's keys.
    pub(super) fn finish(mut self) -> Result<(Socket, SessionKeys), PeerError> {
        let Reply::Welcome(message) = self.socket.receive_plain()? else {
            return Err(PeerError::Protocol(ParseError("WELCOME")));
        };
        let keys = self.proof.finish(&message, &self.server).map_err(PeerError::Login)?;
        Ok((self.socket, keys))
    }
}
