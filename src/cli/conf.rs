//! The .conf as a file.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use super::nearest::nearest;
use super::suggest;
use crate::config::{Config, MAX_CONFIG, Problem};

/// The keys, for one that is mistyped.
const KEYS: [&str; 6] = ["Server", "Username", "Password", "Replicas", "Timeout", "Key"];

/// Reads and understands a .conf; what is wrong is told with file and line, and perhaps with a hint.
pub(super) fn read(conf: &str) -> Result<Config, (String, Option<String>)> {
    let mut text = String::new();
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

/// Puts a new password into a .conf, in one step; everything else stays as it is.
pub(super) fn rewrite_password(conf: &Path, password: &str) -> io::Result<()> {
    let text = fs::read_to_string(conf)?;
    // A link stays a link: what it points to is replaced.
    let place = fs::canonicalize(conf)?;
    let draft = place.with_extension(format!("conf.{}", std::process::id()));
    let mut file = File::create_new(&draft)?;
    let written = file
        .set_permissions(place.metadata()?.permissions())
        .and_then(|()| file.write_all(Config::with_password(&text, password).as_bytes()))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&draft, &place));
    if written.is_err() {
        // The error that matters is told; this one would only hide it.
        let _ = fs::remove_file(&draft);
    }
    written
}
