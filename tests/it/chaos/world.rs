//! The real processes of a run: four servers behind their proxies, and the clients of three seats.

use super::network::Network;
use super::random::Random;
use super::story::{Act, Fault, SERVERS, Seat, Task};
use crate::common::process::{LIMIT, Transcript};
use crate::common::{Client, Cluster, USER, client, cluster};
use shareit::auth::MIN_ITERATIONS;
use shareit::placement::Scheme;
use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::{fs, thread};

/// The status of a client that did not end by itself in any reasonable time.
pub(crate) const HANGS: i32 = -1;

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// `None` if the client was killed before it had ended by itself.
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// What a Download left at its target.
    pub(crate) file: Option<Vec<u8>>,
}

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) network: Arc<Network>,
    seats: [Client; 3],
    prompt: Option<Prompt>,
    are_down: Vec<usize>,
    /// Bytes that were downloaded and looked at.
    pub(crate) bytes_checked: usize,
}

/// A client's process that others may kill while its output is waited for.
#[derive(Clone)]
struct Process {
    child: Arc<Mutex<Child>>,
    was_killed: Arc<AtomicBool>,
    stdout: Transcript,
    stderr: Transcript,
}

/// A client at its prompt.
struct Prompt {
    process: Process,
    stdin: ChildStdin,
    commands: usize,
}

impl World {
    pub(crate) fn new(scheme: Scheme) -> Self {
        let cluster = Cluster::quick(SERVERS);
        let ports: Vec<u16> = (1..=SERVERS).map(|n| cluster.port(n)).collect();
        let network = Network::to(&ports);
        let seats = [0; 3].map(|_| seat(&cluster, &network, scheme));
        Self { cluster, network, seats, prompt: None, are_down: Vec::new(), bytes_checked: 0 }
    }

    pub(crate) fn heal(&mut self, server: usize) {
        self.network.heal(server);
        if let Some(at) = self.are_down.iter().position(|down| *down == server) {
            self.are_down.remove(at);
            self.cluster.start(server);
        }
    }

    /// Ends every connection that a killed client may have left open.
    pub(crate) fn restart_all(&mut self) {
        self.prompt = None;
        (1..=SERVERS).for_each(|n| self.cluster.restart(n));
    }

    /// Carries out a round; gives the outcome of each act, and of each planned fault whether it came in time.
    pub(crate) fn play(&mut self, acts: &[Act], faults: &[(usize, Fault)]) -> (Vec<Outcome>, Vec<bool>) {
        self.network.begin_round();
        let mut kills = Vec::new();
        for (server, fault) in faults {
            match fault {
                Fault::Wire { way, after, trouble } => self.network.plan(*server, *way, *after, *trouble),
                Fault::Kill { after, at_once } => kills.push((*server, *after, *at_once)),
                Fault::Damage { seed } => self.damage(*server, *seed),
                Fault::Wipe => self.cluster.wipe(*server),
            }
        }
        kills.sort_unstable_by_key(|(_, after, _)| *after);
        let mut prompt = self.prompt_for(acts);
        let (network, seats, cluster) = (&self.network, &self.seats, &mut self.cluster);
        let at_work = AtomicUsize::new(acts.len());
        let mut prompt_of_one = prompt.as_mut();
        let outcomes: Vec<Outcome> = thread::scope(|scope| {
            let mut users = Vec::new();
            for act in acts {
                let prompt = if act.seat == Seat::Prompt { prompt_of_one.take() } else { None };
                let at_work = &at_work;
                users.push(scope.spawn(move || {
                    let outcome = perform(act, &seats[act.seat as usize], prompt, network);
                    at_work.fetch_sub(1, Ordering::SeqCst);
                    network.wake();
                    outcome
                }));
            }
            for &(server, after, at_once) in &kills {
                network.wait_for_bytes(Some(server), after, || at_work.load(Ordering::SeqCst) == 0);
                cluster.stop(server);
                if at_once {
                    cluster.start(server);
                }
            }
            users.into_iter().map(|user| user.join().unwrap()).collect()
        });
        self.are_down.extend(kills.iter().filter(|(.., at_once)| !at_once).map(|(server, ..)| *server));
        // Sometimes a fresh one: a client that never ends would know its servers too well.
        // One may be killed when its command is just done.
        let lives = |prompt: &Prompt| !prompt.process.was_killed.load(Ordering::SeqCst);
        self.prompt = prompt.filter(|prompt| lives(prompt) && prompt.commands < 25);
        self.bytes_checked += outcomes.iter().filter_map(|o| o.file.as_ref()).map(Vec::len).sum::<usize>();
        let happened = faults.iter().map(|(server, fault)| match fault {
            Fault::Wire { .. } => self.network.has_happened(*server),
            _ => true,
        });
        let happened = happened.collect();
        (outcomes, happened)
    }

    /// One command at the first seat, while nothing else happens.
    pub(crate) fn calmly(&mut self, task: Task) -> Outcome {
        let act = Act { seat: Seat::First, task, killed_after: None };
        let (mut outcomes, _) = self.play(&[act], &[]);
        outcomes.remove(0)
    }

    fn prompt_for(&mut self, acts: &[Act]) -> Option<Prompt> {
        let prompt = self.prompt.take();
        if acts.iter().all(|act| act.seat != Seat::Prompt) {
            return prompt;
        }
        Some(prompt.unwrap_or_else(|| {
            let (process, stdin) = Process::start(&self.seats[Seat::Prompt as usize], &[]);
            Prompt { process, stdin, commands: 0 }
        }))
    }

    /// Changes one to three piece files of a server.
    fn damage(&mut self, server: usize, seed: u64) {
        let mut random = Random::new(seed);
        for _ in 0..1 + random.below(3) {
            let pieces = self.cluster.pieces_on(server);
            if pieces.is_empty() {
                return;
            }
            let folder = self.cluster.user_folder(server, USER);
            let any = |random: &mut Random| folder.join(&pieces[random.below(pieces.len())]);
            let (file, other) = (any(&mut random), any(&mut random));
            let mut bytes = fs::read(&file).unwrap();
            let at = random.below(bytes.len().max(1));
            match random.below(7) {
                0..3 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
                3 => bytes.truncate(at),
                4 => bytes.extend_from_slice(b"more than there was"),
                5 => bytes = fs::read(other).unwrap(),
                _ => {
                    fs::remove_file(file).unwrap();
                    continue;
                }
            }
            fs::write(file, bytes).unwrap();
        }
    }
}

/// Does what a user does, to the end or until the client is killed.
fn perform(act: &Act, seat: &Client, prompt: Option<&mut Prompt>, network: &Network) -> Outcome {
    let words = words(&act.task, seat);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let target = match &act.task {
        Task::Download { name } => Some(*name),
        _ => None,
    };
    if target.is_some() {
        seat.forget_downloads();
    }
    let (process, _stdin) = match &prompt {
        Some(prompt) => (prompt.process.clone(), None),
        None => {
            let (process, stdin) = Process::start(seat, &words);
            (process, Some(stdin))
        }
    };
    let is_done = AtomicBool::new(false);
    let mut outcome = thread::scope(|scope| {
        if let Some(bytes) = act.killed_after {
            let (process, is_done) = (process.clone(), &is_done);
            scope.spawn(move || {
                network.wait_for_bytes(None, bytes, || is_done.load(Ordering::SeqCst));
                if !is_done.load(Ordering::SeqCst) {
                    process.kill();
                }
            });
        }
        let outcome = match prompt {
            Some(prompt) => prompt.command(&words),
            None => process.finish(),
        };
        is_done.store(true, Ordering::SeqCst);
        network.wake();
        outcome
    });
    outcome.file = target.and_then(|name| seat.downloaded(name));
    outcome
}

/// The command line of a task; what it uploads is put in its place.
fn words(task: &Task, seat: &Client) -> Vec<String> {
    let words: &[&str] = match task {
        Task::Upload { name, content } => {
            seat.put(name, &content.bytes().unwrap_or_default());
            match name.rsplit_once('/') {
                Some((folder, _)) => &["Upload", name, folder],
                None => &["Upload", name],
            }
        }
        Task::Download { name } => &["Download", name],
        Task::Delete { name } => &["Delete", name],
        Task::Move { old, new } => &["Move", old, new],
        Task::ShowFiles { folder: "" } => &["ShowFiles"],
        Task::ShowFiles { folder } => &["ShowFiles", folder],
        Task::Verify => &["Verify", "-r"],
        Task::Repair => &["Repair"],
    };
    words.iter().map(ToString::to_string).collect()
}

/// A user whose connections go through the proxies.
fn seat(cluster: &Cluster, network: &Network, scheme: Scheme) -> Client {
    let mut client = cluster.client(USER);
    client.conf = (1..=SERVERS).map(|n| format!("Server{n} 127.0.0.1:{}\n", network.port(n))).collect();
    client.conf += &format!("Username {USER}\nPassword {}\n", cluster::password(USER));
    // Short waits; and no time goes by for deriving a key from the password.
    client.conf += &format!("Timeout 0.3\nMinIterations {MIN_ITERATIONS}\nKey {}\n", "5e".repeat(32));
    if scheme == Scheme::Parity {
        client.conf += "Redundancy parity\n";
    }
    client.write_conf();
    client
}

impl Process {
    fn start(seat: &Client, words: &[&str]) -> (Self, ChildStdin) {
        let mut child = Command::new(client::PROGRAM)
            .current_dir(seat.folder())
            .args(["files", client::CONF])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = Transcript::of(child.stdout.take().unwrap());
        let stderr = Transcript::of(child.stderr.take().unwrap());
        let child = Arc::new(Mutex::new(child));
        (Self { child, was_killed: Arc::default(), stdout, stderr }, stdin)
    }

    fn kill(&self) {
        self.was_killed.store(true, Ordering::SeqCst);
        // It may have ended by itself in the meantime.
        let _ = self.child.lock().unwrap().kill();
    }

    /// Waits for the end of the process.
    fn finish(&self) -> Outcome {
        let hangs = !(self.stdout.wait_for_end() && self.stderr.wait_for_end());
        if hangs {
            self.kill();
        }
        let status = self.child.lock().unwrap().wait().unwrap().code();
        let mut outcome =
            Outcome { status, stdout: self.stdout.text(), stderr: self.stderr.text(), file: None };
        if hangs {
            (outcome.status, outcome.stderr) =
                (Some(HANGS), format!("{}not done after {LIMIT:?}", outcome.stderr));
        }
        outcome
    }
}

impl Prompt {
    /// Types a command and waits until it is done: until the answer to an unknown one.
    fn command(&mut self, words: &[&str]) -> Outcome {
        self.commands += 1;
        let before = self.process.stderr.text().len();
        let mark = format!("mark{}", self.commands);
        let line: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        // A client that was killed does not read it; its outcome will say so.
        let _ = writeln!(self.stdin, "{}\n{mark}", line.join(" ")).and_then(|()| self.stdin.flush());
        let answer = format!("unknown command '{mark}'");
        let answered = self.process.stderr.wait_for_line(|line| line.contains(&answer).then_some(()));
        if answered.is_none() {
            let whole = self.process.finish();
            return Outcome { stderr: whole.stderr[before..].to_string(), ..whole };
        }
        let stderr = self.process.stderr.text()[before..].to_string();
        let stderr = stderr.split("Client: error: unknown command").next().unwrap_or_default().to_string();
        let status = Some(i32::from(stderr.contains("Client: error:")));
        Outcome { status, stdout: String::new(), stderr, file: None }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if Arc::strong_count(&self.child) == 1 {
            self.kill();
            let _ = self.child.lock().unwrap().wait();
        }
    }
}
