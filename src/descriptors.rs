//! How many files and connections this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit; `None` if there is none.
#[must_use]
pub fn limit() -> Option<usize> {
    usize::try_from(getrlimit(Resource::Nofile).current?).ok()
}

/// Raises the limit as far as this process is allowed to.
pub fn raise_limit() {
    let before = getrlimit(Resource::Nofile);
    // If that is not allowed it stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, ..before });
}
