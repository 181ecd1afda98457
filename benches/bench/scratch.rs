//! The folder that everything happens in, and the end of all that was started, however the benchmarks end.
//!
//! A second process of this program waits for the end of the first. It then ends the servers that are still
//! on its list, by their pids, and removes the folder: even after an error, Ctrl-C or SIGKILL.

use std::fs;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::Fallible;
use crate::process::own_program;

/// A folder for one run.
pub(crate) struct Scratch {
    path: PathBuf,
    watch: Watch,
    keeper: Child,
    counter: AtomicUsize,
}

/// Tells the keeper which processes exist.
#[derive(Clone)]
pub(crate) struct Watch(Arc<Mutex<Option<std::process::ChildStdin>>>);

impl Watch {
    fn tell(&self, text: &str) {
        // Without a keeper there is nothing to tell; processes are then ended by their owner alone.
        if let Ok(mut pipe) = self.0.lock()
            && let Some(pipe) = pipe.as_mut()
        {
            let _ = writeln!(pipe, "{text}");
        }
    }

    pub(crate) fn started(&self, pid: u32) {
        self.tell(&format!("+{pid}"));
    }

    pub(crate) fn ended(&self, pid: u32) {
        self.tell(&format!("-{pid}"));
    }
}

impl Scratch {
    pub(crate) fn new(parent: &Path) -> Fallible<Self> {
        let path = parent.join(format!("shareit-bench-{}", std::process::id()));
        fs::create_dir(&path)?;
        let mut keeper = Command::new(own_program())
            .arg("keeper")
            .arg(&path)
            .stdin(Stdio::piped())
            // Ctrl-C goes to the group of the first process.
            .process_group(0)
            .spawn()?;
        let watch = Watch(Arc::new(Mutex::new(keeper.stdin.take())));
        Ok(Self { path, watch, keeper, counter: AtomicUsize::new(0) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// A new folder in it.
    pub(crate) fn folder(&self, name: &str) -> Fallible<PathBuf> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let folder = self.path.join(format!("{name}-{number}"));
        fs::create_dir(&folder)?;
        Ok(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Ok(mut pipe) = self.watch.0.lock() {
            pipe.take();
        }
        let _ = self.keeper.wait();
    }
}

/// The second process.
pub(crate) fn keep(folder: &Path) -> Fallible<()> {
    let mut running: Vec<String> = Vec::new();
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        match line.split_at_checked(1) {
            Some(("+", pid)) => running.push(pid.to_owned()),
            Some((_, pid)) => running.retain(|p| p != pid),
            None => {}
        }
    }
    if !running.is_empty() {
        // The shell's own `kill`: the program of that name is not on every machine.
        Command::new("sh")
            .args(["-c", r#"kill -9 "$@""#, "sh"])
            .args(&running)
            .stderr(Stdio::null())
            .status()?;
    }
    Ok(fs::remove_dir_all(folder)?)
}
