//! A terminal for a program: a pseudo-terminal, which `script` of util-linux makes.

use super::client::{CONF, Client, program};
use super::process::Session;
use std::process::{Command, Stdio};

/// Says `hidden` when the terminal has stopped to send signals for keys, as it does while a password is typed.
pub(crate) const TELL_WHEN_HIDDEN: &str = "(tries=0; while [ $tries -lt 5000 ]; do tries=$((tries + 1)); \
    if stty -a </dev/tty | grep -q -e -isig; then echo hidden; break; fi; done) &";

impl Client {
    /// Runs shell commands on a terminal of this width, with `$client` for `Client DIR CONF`. Both outputs come on
    /// the session's standard output, with the terminal's line ends. None, with a message, without `script`.
    pub(crate) fn on_terminal(&self, width: usize, commands: &str) -> Option<Session> {
        let there =
            Command::new("script").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            eprintln!("not tested: `script`, which makes a terminal, is missing");
            return None;
        }
        self.write_conf();
        let line = format!("client='{} files {CONF}'; stty rows 24 cols {width}; {commands}", program());
        let mut command = Command::new("script");
        command.current_dir(self.folder()).env("SHELL", "/bin/sh").env("TERM", "xterm");
        command.env_remove("COLUMNS").env_remove("NO_COLOR");
        Some(Session::start(command.args(["-q", "-e", "-f", "-c", &line, "/dev/null"])))
    }
}

/// Text without its escape sequences, and without what a line that was drawn over another took away.
pub(crate) fn as_seen(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let line = line.trim_end_matches('\r');
        let mut seen = String::new();
        for (index, part) in line.rsplit('\r').next().unwrap_or("").split('\x1b').enumerate() {
            let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
            seen.push_str(if index == 0 { part } else { &part[end..] });
        }
        lines.push(seen);
    }
    lines
}
