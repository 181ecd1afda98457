//! Signs of life, for a client that waits for a long operation; and CHECK, which is one.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::Session;
use crate::name::FilePath;
use crate::server::channel::End;
use crate::store::StoreError;
use crate::version::Version;

/// How often a long CHECK gives a sign of life.
pub const LIFE_SIGN: Duration = Duration::from_secs(1);

/// Tells a client that waits for a long operation that it goes on.
pub(super) struct LifeSigns {
    last: Instant,
    pub(super) sent: io::Result<()>,
}

impl Default for LifeSigns {
    fn default() -> Self {
        Self { last: Instant::now(), sent: Ok(()) }
    }
}

impl LifeSigns {
    pub(super) fn give(&mut self, session: &mut Session<'_>) {
        if self.last.elapsed() >= LIFE_SIGN && self.sent.is_ok() {
            session.lines.hand_over();
            self.sent = session.more("").and_then(|()| session.channel.writer.flush());
            self.last = Instant::now();
        }
    }
}

impl Session<'_> {
    pub(super) fn check(
        &mut self,
        what: &str,
        path: &FilePath,
        piece: u8,
        version: Version,
    ) -> Result<(), End> {
        let mut signs = LifeSigns::default();
        let (shared, user) = (self.shared, self.user.clone());
        let sound = shared.store.is_sound(&user, path, piece, version, || signs.give(self));
        signs.sent?;
        let result = sound.and_then(|sound| if sound { Ok(()) } else { Err(StoreError::Damaged) });
        self.done(what, result)
    }
}
