//! How long servers have been silent. A client that waits for one server waits for all from which an answer is due: so
//! several that are silent cost it no more time than one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A clock that runs only while a client waits for a server. Connections on which one thread waits share one.
///
/// Other clocks also count the time in which the client was stopped, or busy: then it heard nothing because it did not
/// listen.
#[derive(Clone, Default)]
pub struct WaitClock(Arc<AtomicU64>);

impl WaitClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    /// The client has waited for a server.
    pub fn advance(&self, waited: Duration) {
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// Since when a server has been silent: since it was asked, or last heard.
pub(super) struct Silence {
    clock: WaitClock,
    since: Duration,
}

impl Silence {
    pub(super) fn new(clock: &WaitClock) -> Self {
        Self { clock: clock.clone(), since: clock.now() }
    }

    /// Something was sent to the server.
    pub(super) fn begin(&mut self) {
        self.since = self.clock.now();
    }

    /// How much is left of a limit on silence.
    pub(super) fn left_of(&self, limit: Duration) -> Duration {
        limit.saturating_sub(self.clock.now().saturating_sub(self.since))
    }

    /// The server was heard, or given up, after the client had waited so long for it alone.
    pub(super) fn end(&mut self, waited: Duration) {
        self.clock.advance(waited);
        self.begin();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(3);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn several_silent_servers_are_waited_for_as_long_as_one() {
        let clock = WaitClock::default();
        let mut servers: Vec<Silence> = (0..8).map(|_| Silence::new(&clock)).collect();
        for server in &mut servers {
            let left = server.left_of(LIMIT);
            server.end(left);
        }
        assert_eq!(clock.now(), LIMIT);
    }

    #[test]
    fn a_server_has_its_whole_limit_from_when_it_was_asked() {
        let clock = WaitClock::default();
        let mut one = Silence::new(&clock);
        one.end(seconds(2));
        let mut other = Silence::new(&clock);
        assert_eq!(other.left_of(LIMIT), LIMIT, "what was waited before does not count");
        one.begin();
        one.end(seconds(1));
        assert_eq!(other.left_of(LIMIT), seconds(2));
        other.begin();
        assert_eq!(other.left_of(LIMIT), LIMIT, "it was asked again");
    }

    #[test]
    fn a_server_that_is_heard_begins_anew() {
        let clock = WaitClock::default();
        let (mut slow, mut other) = (Silence::new(&clock), Silence::new(&clock));
        // Two replies, each within its limit.
        slow.end(seconds(2));
        assert_eq!(slow.left_of(LIMIT), LIMIT);
        slow.end(seconds(2));
        assert_eq!(other.left_of(LIMIT), Duration::ZERO, "nothing came from it in four seconds");
        other.end(Duration::ZERO);
        assert_eq!(other.left_of(LIMIT), LIMIT);
    }
}
