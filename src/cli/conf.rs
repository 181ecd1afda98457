//! The .conf as a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::nearest::nearest;
use super::suggest;
use crate::config::{Config, MAX_CONFIG, Problem};

/// The keys, for one that is mistyped.
const KEYS: [&str; 6] = ["Server", "Username", "Password", "Replicas", "Timeout", "Key"];

/// Reads and understands a .conf; what is wrong is told with file and line, and perhaps with a hint.
pub(super) fn read(conf: &str) -> Result<Config, (String, Option<String>)> {
    // As long as it can be: a text that grows leaves copies behind, which nobody wipes.
    let mut text = Zeroizing::new(String::with_capacity(MAX_CONFIG + 1));
    let file = File::open(conf);
    file.and_then(|file| file.take(MAX_CONFIG as u64 + 1).read_to_string(&mut text)).map_err(|error| {
        match error.kind() {
            io::ErrorKind::InvalidData => (format!("{conf}: it is not text (UTF-8)"), None),
            _ => (format!("{conf}: {error}"), suggest::local(Path::new(""), Path::new(conf)).map(meant)),
        }
    })?;
    Config::parse(&text).map_err(|error| {
        let hint = match &error.problem {
            Problem::UnknownKey(key) => nearest(key, KEYS).map(|key| meant(key.to_owned())),
            _ => None,
        };
        match error.line {
            Some(line) => (format!("{conf}:{line}: {}", error.problem), hint),
            None => (format!("{conf}: {}", error.problem), hint),
        }
    })
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
        let text = Zeroizing::new(fs::read_to_string(conf)?);
        // A link stays a link: what it points to is replaced.
        let place = fs::canonicalize(conf)?;
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let draft = Self { draft: place.with_file_name(name), place };
        // Of a process of this number that was killed.
        let _ = fs::remove_file(&draft.draft);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft.draft)?;
        file.set_permissions(draft.place.metadata()?.permissions())?;
        file.write_all(Zeroizing::new(Config::with_password(&text, password)).as_bytes())?;
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
