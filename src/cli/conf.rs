//! The .conf as a file.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, fcntl_setfl};
use zeroize::Zeroizing;

use super::hints::{self, did_you_mean, nearest};
use crate::config::{Config, MAX_CONFIG, Problem};

/// The keys, for one that is mistyped.
const KEYS: [&str; 7] = ["Server", "Username", "Password", "Replicas", "Timeout", "Key", "MinIterations"];
/// The permission bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Why a .conf cannot be used, with the file and the line, and what the user might do about it.
pub(super) type BadConf = (String, Option<String>);

/// Reads a .conf. Also returns whether anyone but its owner has any rights to the file.
///
/// # Errors
/// If it cannot be read, or has a mistake.
pub(super) fn read(conf: &str) -> Result<(Config, bool), BadConf> {
    // A text that grows would leave copies behind, which nobody wipes.
    let mut text = Zeroizing::new(String::with_capacity(MAX_CONFIG + 1));
    let exposed = read_text(conf, &mut text).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => (format!("{conf}: not UTF-8 text"), None),
        _ => {
            let near = hints::local(Path::new(""), Path::new(conf));
            (format!("{conf}: {error}"), near.map(|name| did_you_mean(&name)))
        }
    })?;
    let config = Config::parse(&text).map_err(|error| {
        let hint = match &error.problem {
            Problem::UnknownKey(key) => nearest(key, KEYS).map(did_you_mean),
            _ => None,
        };
        match error.line {
            Some(line) => (format!("{conf}:{line}: {}", error.problem), hint),
            None => (format!("{conf}: {}", error.problem), hint),
        }
    })?;
    Ok((config, exposed))
}

fn read_text(conf: &str, text: &mut String) -> io::Result<bool> {
    // A FIFO that has a writer is read to its end, as a shell's `<(...)` needs it; one without is taken as empty and
    // not waited for.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(conf)?;
    fcntl_setfl(&file, OFlags::empty())?;
    let metadata = file.metadata()?;
    file.take(MAX_CONFIG as u64 + 1).read_to_string(text)?;
    Ok(metadata.is_file() && metadata.mode() & OTHERS != 0)
}

/// The shell command that keeps others from a .conf.
pub(super) fn protect(conf: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%,:=".contains(c);
    let dot = if conf.starts_with('-') { "./" } else { "" };
    if conf.chars().all(plain) {
        return format!("chmod 600 {dot}{conf}");
    }
    format!("chmod 600 '{dot}{}'", conf.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_protects_a_conf_can_be_pasted() {
        for (conf, command) in [
            ("home.conf", "chmod 600 home.conf"),
            ("../a b.conf", "chmod 600 '../a b.conf'"),
            ("it's", "chmod 600 'it'\\''s'"),
            ("-x", "chmod 600 ./-x"),
            ("-x y", "chmod 600 './-x y'"),
            ("~/x", "chmod 600 '~/x'"),
        ] {
            assert_eq!(protect(conf), command);
        }
    }
}
