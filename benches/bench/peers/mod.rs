//! Other programs for comparable tasks, where they are installed, with their normal settings.

use crate::contest::Contestant;
use crate::options::Options;
use crate::scratch::Scratch;

/// Those that are wanted and installed. What is missing is told on standard error.
pub(crate) fn installed(_options: &Options, _scratch: &Scratch) -> Vec<Box<dyn Contestant>> {
    Vec::new()
}
