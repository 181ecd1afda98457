//! The parts of errors, as text.

use std::fmt;

use crate::name::{ServerName, printable};

/// Servers, each with a reason, as text.
pub(super) struct Reasons<'a>(pub(super) &'a [(ServerName, String)]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What all have in common is written once.
        if let [(_, common), _, ..] = self.0
            && self.0.iter().all(|(_, why)| why == common)
        {
            let names: Vec<&str> = self.0.iter().map(|(server, _)| server.as_str()).collect();
            return write!(f, "{}: {common}", names.join(", "));
        }
        for (index, (server, why)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{server}: {why}")?;
        }
        Ok(())
    }
}

/// A path as text that is safe for a terminal.
pub(super) struct Shown<'a>(pub(super) &'a std::path::Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        printable(&self.0.to_string_lossy()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(of: &[(&str, &str)]) -> String {
        let reasons: Vec<_> =
            of.iter().map(|(name, why)| (ServerName::parse(name).unwrap(), (*why).to_owned())).collect();
        Reasons(&reasons).to_string()
    }

    #[test]
    fn a_reason_that_all_have_is_said_once() {
        assert_eq!(reasons(&[("A", "is late")]), "A: is late");
        assert_eq!(reasons(&[("A", "is late"), ("B", "is late")]), "A, B: is late");
        assert_eq!(reasons(&[("A", "is late"), ("B", "is ill")]), "A: is late, B: is ill");
    }
}
