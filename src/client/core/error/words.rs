//! The parts of errors, as text.

use std::fmt;
use std::os::unix::ffi::OsStrExt;

/// What a pattern means.
pub(super) const PATTERNS: &str = "* stands for any part of a name, **/ for any folders";

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

/// A path as text that is safe for a terminal; bytes that are not UTF-8 are escaped (`\xff`).
pub(crate) struct Shown<'a>(pub(crate) &'a std::path::Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.as_os_str().as_bytes().utf8_chunks() {
            printable(chunk.valid()).fmt(f)?;
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
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
    fn bytes_that_are_not_utf_8_are_seen() {
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(b"t/\xff\xc3\xbc\t\xc3"));
        assert_eq!(Shown(path).to_string(), "t/\\xffü\\t\\xc3");
    }

    #[test]
    fn a_reason_that_all_have_is_said_once() {
        assert_eq!(reasons(&[("A", "is late")]), "A: is late");
        assert_eq!(reasons(&[("A", "is late"), ("B", "is late")]), "A, B: is late");
        assert_eq!(reasons(&[("A", "is late"), ("B", "is ill")]), "A: is late, B: is ill");
    }
}
