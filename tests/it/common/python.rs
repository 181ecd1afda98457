//! Python 3.10 or later, which the course asks for, where there is one.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

/// Python, which writes nothing beside the sources; none, with a word about it, on a machine without it.
pub(crate) fn python() -> Option<Command> {
    // Not `python3` itself: where that is a script that chooses a version, it takes longer than what it starts.
    static PROGRAM: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let script = "import sys; print(sys.executable if sys.version_info >= (3, 10) else '')";
        let output = Command::new("python3").args(["-c", script]).output().ok()?;
        let program = String::from_utf8(output.stdout).ok()?;
        let is_there = output.status.success() && !program.trim().is_empty();
        is_there.then(|| PathBuf::from(program.trim_end()))
    });
    if PROGRAM.is_none() {
        println!("not tested: there is no Python 3.10 or later");
    }
    let mut command = Command::new(PROGRAM.as_ref()?);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}
