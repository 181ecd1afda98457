//! Lines that are edited at a terminal: arrows, the session's history, Tab. Names are private, so no history is written
//! to a file.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::exit;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Helper};

use super::INTERRUPTED;
use super::arguments::parse_folder;
use super::colour::knows_escapes;
use super::completion::{Candidate, Place, complete};
use super::interrupt::{Ends, Running};
use super::session::Session;
use super::words::{BadLine, MAX_LINE};
use crate::client::Stop;

/// Lines that are remembered.
const HISTORY: usize = 1000;
/// How long Tab waits for servers.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most names of a local folder that Tab looks at.
const LOCAL_NAMES: usize = 100_000;

/// The line editor that is used.
type Lines<'a, 's> = rustyline::Editor<Tab<'a, 's>, DefaultHistory>;

/// Reads lines from the terminal.
pub(super) struct Editor<'a, 's> {
    session: &'a RefCell<&'a mut Session<'s>>,
    editor: Lines<'a, 's>,
    /// Lines that were pasted together and not run yet.
    pasted: VecDeque<String>,
}

impl<'a, 's> Editor<'a, 's> {
    /// None if the terminal cannot do it, or standard input or output is none.
    pub(super) fn new(session: &'a RefCell<&'a mut Session<'s>>) -> Option<Self> {
        let can_edit = io::stdin().is_terminal()
            && io::stdout().is_terminal()
            && knows_escapes(std::env::var_os("TERM"));
        if !can_edit {
            return None;
        }
        let editor = begin(session, None)?;
        Some(Self { session, editor, pasted: VecDeque::new() })
    }

    /// The next line; `None` at the end of input. Ctrl-C discards what is typed. With `afresh`, what was typed or pasted
    /// before is discarded too.
    pub(super) fn next(&mut self, prompt: &str, afresh: bool) -> Option<Result<String, BadLine>> {
        if afresh {
            self.pasted.clear();
            self.editor = begin(self.session, Some(std::mem::take(self.editor.history_mut())))?;
        }
        if let Some(tab) = self.editor.helper_mut() {
            tab.listed.take();
        }
        loop {
            if let Some(line) = self.pasted.pop_front() {
                // In memory it cannot fail.
                let _ = self.editor.add_history_entry(line.as_str());
                return Some(if line.len() < MAX_LINE { Ok(line) } else { Err(BadLine::TooLong) });
            }
            match self.editor.readline(prompt) {
                Ok(text) => self.pasted.extend(text.split('\n').map(str::to_owned)),
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    return Some(Err(BadLine::NotUtf8));
                }
                Err(_) => return None,
            }
        }
    }
}

/// An editor into which nothing has been typed.
fn begin<'a, 's>(
    session: &'a RefCell<&'a mut Session<'s>>,
    history: Option<DefaultHistory>,
) -> Option<Lines<'a, 's>> {
    let config =
        Config::builder().completion_type(CompletionType::List).max_history_size(HISTORY).ok()?.build();
    let history = history.unwrap_or_else(|| DefaultHistory::with_config(&config));
    let mut editor = Lines::with_history(config, history).ok()?;
    editor.set_helper(Some(Tab { session, listed: RefCell::default() }));
    Some(editor)
}

/// From now on Ctrl-C ends a command that is running, and not the process. At a question, or if it is pressed again, it
/// still ends the process.
pub(super) fn handle_interrupts(running: &Running, stop: Stop) {
    let running = running.clone();
    running.reset();
    let handle = move || match running.interrupt() {
        Ends::Command => stop.request(),
        Ends::Nothing => {}
        Ends::Process => exit(i32::from(INTERRUPTED)),
    };
    // Without a handler it ends the process, which loses nothing either.
    let _ = ctrlc::set_handler(handle);
}

/// What Tab asks for names.
struct Tab<'a, 's> {
    /// It is free while a line is typed.
    session: &'a RefCell<&'a mut Session<'s>>,
    /// What the servers have listed for this line: the folder, and its names.
    listed: RefCell<Option<(String, Vec<String>)>>,
}

impl Tab<'_, '_> {
    fn stored(&self, folder: &str) -> Vec<String> {
        let mut listed = self.listed.borrow_mut();
        match &*listed {
            Some((of, names)) if of == folder => names.clone(),
            _ => {
                let names = self.ask(folder);
                *listed = Some((folder.to_owned(), names.clone()));
                names
            }
        }
    }

    /// Asks the servers that are up. One that does not answer in time is left out, and found to be down, or not, by the
    /// next command.
    fn ask(&self, folder: &str) -> Vec<String> {
        let Ok(mut session) = self.session.try_borrow_mut() else { return Vec::new() };
        let name = Some(folder).filter(|folder| !folder.is_empty());
        let Ok(folder) = parse_folder(name) else { return Vec::new() };
        let console = session.console;
        let stop = session.client.stop();
        // A message would be written into the line.
        console.mute(true);
        let names = thread::scope(|scope| {
            let (done, is_done) = mpsc::channel::<()>();
            let watch = move || {
                if is_done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                    stop.request();
                }
            };
            // Nobody waits without a limit.
            let watches = thread::Builder::new().spawn_scoped(scope, watch).is_ok();
            let names = if watches { session.client.glance(&folder) } else { Vec::new() };
            drop(done);
            names
        });
        console.mute(false);
        names
    }
}

impl Completer for Tab<'_, '_> {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, found) = complete(&line[..at], |place, folder| match place {
            Place::Servers => self.stored(folder),
            Place::Dir => match self.session.try_borrow() {
                Ok(session) => local(&session.dir, folder),
                Err(_) => Vec::new(),
            },
            Place::Here => local(Path::new("."), folder),
        });
        let pair = |found: Candidate| Pair { display: found.shown, replacement: found.typed };
        Ok((start, found.into_iter().map(pair).collect()))
    }
}

impl Hinter for Tab<'_, '_> {
    type Hint = String;
}
impl Highlighter for Tab<'_, '_> {}
impl Validator for Tab<'_, '_> {}
impl Helper for Tab<'_, '_> {}

/// The names in a folder, which is absolute or below `base`. Links to folders are folders.
fn local(base: &Path, folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(base.join(folder)) else { return Vec::new() };
    let name = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let kind = entry.file_type().ok()?;
        let is_folder = kind.is_dir() || kind.is_symlink() && entry.path().is_dir();
        Some(if is_folder { name + "/" } else { name })
    };
    entries.take(LOCAL_NAMES).filter_map(|entry| name(entry.ok()?)).collect()
}
