//! The .conf as a file.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_setfl};

use super::nearest::nearest;
use super::suggest;
use crate::config::{Config, MAX_CONFIG, Problem};

/// The keys, for one that is mistyped.
const KEYS: [&str; 7] = ["Server", "Username", "Password", "Replicas", "Timeout", "Key", "MinIterations"];

/// Reads and understands a .conf; what is wrong is told with file and line, and perhaps with a hint. And whether
/// others than its owner can do something with the file.
pub(super) fn read(conf: &str) -> Result<(Config, bool), (String, Option<String>)> {
    let mut text = String::new();
    let exposed = read_text(conf, &mut text).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => (format!("{conf}: it is not text (UTF-8)"), None),
        _ => (format!("{conf}: {error}"), suggest::local(Path::new(""), Path::new(conf)).map(meant)),
    })?;
    let config = Config::parse(&text).map_err(|error| {
        let hint = match &error.problem {
            Problem::UnknownKey(key) => nearest(key, KEYS).map(|key| meant(key.to_owned())),
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
    // A FIFO whose writer is there is read to its end, as `<(...)` of a shell needs it; one without a writer is
    // empty, and not waited for.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(conf)?;
    fcntl_setfl(&file, OFlags::empty())?;
    let metadata = file.metadata()?;
    file.take(MAX_CONFIG as u64 + 1).read_to_string(text)?;
    Ok(metadata.is_file() && metadata.mode() & OTHERS != 0)
}

/// The permission bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// What keeps others from a .conf, as it can be given to a shell.
pub(super) fn protect(conf: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%,:=".contains(c);
    let dot = if conf.starts_with('-') { "./" } else { "" };
    if conf.chars().all(plain) {
        return format!("chmod 600 {dot}{conf}");
    }
    format!("chmod 600 '{dot}{}'", conf.replace('\'', "'\\''"))
}

fn meant(what: String) -> String {
    format!("did you mean {what}?")
}

/// A .conf with another password, written and synced beside the one that it is to replace. Dropped, it goes.
pub(super) struct Draft {
    draft: PathBuf,
    place: PathBuf,
}

impl Draft {
    /// Everything but the password's line stays as it is.
    pub(super) fn write(conf: &Path, password: &str) -> io::Result<Self> {
        let text = fs::read_to_string(conf)?;
        // A link stays a link: what it points to is replaced.
        let place = fs::canonicalize(conf)?;
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let draft = Self { draft: place.with_file_name(name), place };
        // Of a process of this number that was killed.
        let _ = fs::remove_file(&draft.draft);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft.draft)?;
        file.set_permissions(draft.place.metadata()?.permissions())?;
        file.write_all(Config::with_password(&text, password).as_bytes())?;
        file.sync_all()?;
        Ok(draft)
    }

    /// Puts it in its place, in one step.
    pub(super) fn publish(self) -> io::Result<()> {
        fs::rename(&self.draft, &self.place)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After `publish` it is not there any more.
        let _ = fs::remove_file(&self.draft);
    }
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
