//! Every call fails once, and every call is the last one of its process.

use super::disk::{Bytes, Fault, MemoryDisk};
use super::ledger::{Ledger, Since};
use super::scenario::{Name, Random, Server, Step, new_disk, upload};
use shareit::store::StoreError;
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// With this many changes that are not safe, or fewer, every subset of them is tried.
const ALL_SUBSETS: usize = 5;
/// With more: every prefix, each one alone, each one missing, and this many random subsets.
const RANDOM_SUBSETS: usize = 16;

/// Steps that are taken on a server while something goes wrong.
pub(crate) struct Scenario {
    /// Taken before, on a server that was then stopped.
    pub before: Vec<Step>,
    pub steps: Vec<Step>,
}

/// What was tried.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub calls: usize,
    pub kills: usize,
    pub kills_of_restarts: usize,
    pub faults: usize,
    pub power_failures: usize,
    wrongs: BTreeMap<String, (usize, String)>,
    /// Disks and ledgers, by fingerprint, that were tried.
    tried: HashSet<u64>,
}

impl Tally {
    /// Ends the test.
    #[track_caller]
    pub(crate) fn report(self, scenario: &str) {
        let Tally { calls, kills, kills_of_restarts, faults, power_failures, wrongs, .. } = self;
        println!(
            "{scenario}: {calls} calls, {faults} faults, {kills} kill points, \
             {kills_of_restarts} kill points in restarts, {power_failures} power failures"
        );
        let wrongs: Vec<String> = wrongs
            .iter()
            .map(|(what, (times, first))| format!("{times} x {what}\n     first: {first}"))
            .collect();
        assert!(wrongs.is_empty(), "{scenario}:\n{}", wrongs.join("\n"));
        assert!(faults > 0 && kills > 0 && power_failures > 0);
    }

    /// Whether this question to this disk is a new one.
    fn is_new(&mut self, question: &str, disk: &MemoryDisk, ledger: &Ledger) -> bool {
        let mut hasher = DefaultHasher::new();
        (question, disk.fingerprint(), ledger).hash(&mut hasher);
        self.tried.insert(hasher.finish())
    }

    fn note(&mut self, wrongs: Vec<String>, when: impl Fn() -> String) {
        for what in wrongs {
            self.wrongs.entry(what).or_insert_with(|| (0, when())).0 += 1;
        }
    }
}

/// Where steps stopped.
enum Stop {
    Killed,
    /// The server did not start, or a step was refused; later ones were not taken.
    Refused(StoreError),
    AtTheEnd,
}

/// What the clients do when a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Leave,
    TryAgain,
}

/// A scenario at its start.
struct Start {
    disk: MemoryDisk,
    ledger: Ledger,
}

impl Scenario {
    fn prepare(&self, together: usize) -> Start {
        let disk = new_disk();
        disk.sync_together(together);
        let mut ledger = Ledger::default();
        if !self.before.is_empty() {
            let mut server = Server::start(&disk).unwrap();
            self.before.iter().for_each(|&step| server.take(step, &mut ledger).unwrap());
        }
        Start { disk: disk.after_a_kill(), ledger }
    }

    /// Every call of the scenario is the last one of the server, and then power fails too, or the
    /// server is started again at once, is killed at each call of that, and then power fails.
    pub(crate) fn kill_at_every_call(&self, together: usize, tally: &mut Tally) {
        let start = self.prepare(together);
        for at in 1.. {
            let (mut disk, mut ledger) = (start.disk.after_a_kill(), start.ledger.clone());
            disk.plan(at, Fault::Kill);
            let (_, stop) = self.run(&mut disk, &mut ledger, Then::Leave);
            let Stop::Killed = stop else {
                tally.calls += at - 1;
                return;
            };
            tally.kills += 1;
            let call = disk.met().unwrap_or_default();
            let when = |what: &str| format!("killed at call {at} ({call}), {what}");
            let left = disk.after_a_kill();
            if !tally.is_new("killed", &left, &ledger) {
                continue;
            }
            power_fails(&left, &ledger, tally, &when);
            start_again(&left, &ledger, tally, &|what| when(&format!("started again, {what}")));
            kill_while_starting(&left, &ledger, tally, &when);
        }
    }

    /// Every call of the scenario fails in every way.
    pub(crate) fn fail_every_call(&self, together: usize, tally: &mut Tally) {
        for fault in [Fault::Error, Fault::Full, Fault::FullFromThere, Fault::ShortWrite] {
            for then in [Then::Leave, Then::TryAgain] {
                self.fail_every_call_by(together, fault, then, tally);
            }
        }
    }

    fn fail_every_call_by(&self, together: usize, fault: Fault, then: Then, tally: &mut Tally) {
        let start = self.prepare(together);
        let mut calls = 0;
        self.count(&start, &mut calls);
        for at in 1..=calls {
            let (mut disk, mut ledger) = (start.disk.after_a_kill(), start.ledger.clone());
            disk.plan(at, fault);
            let (server, stop) = self.run(&mut disk, &mut ledger, then);
            let Some(call) = disk.met() else { continue };
            tally.faults += 1;
            let when = |what: &str| format!("{fault:?} at call {at} ({call}), clients {then:?}, {what}");
            match (stop, then) {
                (Stop::Refused(error), Then::TryAgain) => {
                    tally.note(vec![format!("refused once more: {error}")], || when("then"));
                }
                (Stop::Refused(StoreError::Disk(_)), _) if fault != Fault::Error => {
                    tally.note(vec!["a full disk is not called full".into()], || when("then"));
                }
                _ => {}
            }
            disk.heal();
            let mut server = match server {
                Some(server) => server,
                None => Server::start(&disk).unwrap(),
            };
            let at_once = disk.after_a_kill();
            power_fails(&at_once, &ledger, tally, &|what| when(&format!("nobody looks, {what}")));
            let wrongs = ledger.wrongs(&server, &disk, Since::Asked);
            tally.note(wrongs, || when("then"));
            power_fails(&disk.after_a_kill(), &ledger, tally, &when);
            upload_again(&mut server, &disk, &mut ledger, tally, &when);
        }
    }

    /// How many calls the scenario has when nothing goes wrong.
    fn count(&self, start: &Start, calls: &mut usize) {
        let (mut disk, mut ledger) = (start.disk.after_a_kill(), start.ledger.clone());
        disk.plan(0, Fault::Error);
        let (server, stop) = self.run(&mut disk, &mut ledger, Then::Leave);
        assert!(matches!(stop, Stop::AtTheEnd), "the scenario works when the disk does");
        *calls = disk.calls();
        let server = server.unwrap();
        assert_eq!(ledger.wrongs(&server, &disk, Since::Asked), Vec::<String>::new());
    }

    fn run(&self, disk: &mut MemoryDisk, ledger: &mut Ledger, then: Then) -> (Option<Server>, Stop) {
        let mut server = match Server::start(disk) {
            Ok(server) => server,
            Err(_) if disk.is_killed() => return (None, Stop::Killed),
            Err(error) if then == Then::Leave => return (None, Stop::Refused(error)),
            Err(_) => {
                disk.heal();
                Server::start(disk).unwrap()
            }
        };
        for &step in &self.steps {
            let Err(error) = server.take(step, ledger) else { continue };
            if disk.is_killed() {
                return (None, Stop::Killed);
            }
            if then == Then::Leave {
                server.everybody_leaves(ledger);
                return (Some(server), Stop::Refused(error));
            }
            disk.heal();
            if let Err(error) = server.take_again(step, ledger) {
                return (Some(server), Stop::Refused(error));
            }
        }
        // A kill that the store does not report is one all the same.
        if disk.is_killed() { (None, Stop::Killed) } else { (Some(server), Stop::AtTheEnd) }
    }
}

type When<'a> = &'a dyn Fn(&str) -> String;

/// Power fails in every way; each time the server starts, keeps its promises and takes an upload.
fn power_fails(disk: &MemoryDisk, ledger: &Ledger, tally: &mut Tally, when: When<'_>) {
    for (left, how) in power_failures(disk) {
        tally.power_failures += 1;
        start_again(&left, ledger, tally, &|what| when(&format!("power failed ({how}), {what}")));
    }
}

/// The server starts on what is left, keeps its promises, takes an upload of each name, and keeps that
/// even if power fails.
fn start_again(disk: &MemoryDisk, ledger: &Ledger, tally: &mut Tally, when: When<'_>) {
    if !tally.is_new("start again", disk, ledger) {
        return;
    }
    let (disk, mut ledger) = (disk.after_a_kill(), ledger.clone());
    let mut server = match Server::start(&disk) {
        Ok(server) => server,
        Err(error) => return tally.note(vec![format!("the server does not start: {error}")], || when("")),
    };
    tally.note(ledger.wrongs(&server, &disk, Since::Started), || when("then"));
    // What was shown holds, whatever happens next.
    keeps_at_least(&disk.after_a_kill(), &ledger, tally, &|what| when(&format!("looked at, {what}")));
    upload_again(&mut server, &disk, &mut ledger, tally, when);
}

fn upload_again(
    server: &mut Server,
    disk: &MemoryDisk,
    ledger: &mut Ledger,
    tally: &mut Tally,
    when: When<'_>,
) {
    for name in ledger.names() {
        if let Err(wrong) = upload_one(server, ledger, name) {
            tally.note(vec![wrong], || when("then"));
        }
    }
    keeps_at_least(disk, ledger, tally, &|what| when(&format!("uploaded again, {what}")));
}

fn upload_one(server: &mut Server, ledger: &mut Ledger, name: Name) -> Result<(), String> {
    const PIECES: &[u8] = &[1, 4];
    let generation = ledger.next_generation(server, name)?;
    server.take(Step::LogIn('Z'), ledger).map_err(|error| format!("the next log-in fails: {error}"))?;
    for step in upload('Z', name, generation, PIECES) {
        server.take(step, ledger).map_err(|error| format!("{name}: the next upload fails: {error}"))?;
    }
    match &ledger.wrongs_after_upload(server, name, generation, PIECES)[..] {
        [] => Ok(()),
        wrongs => Err(wrongs.join("; ")),
    }
}

/// Power fails in the ways that take the most; the server keeps its promises.
fn keeps_at_least(disk: &MemoryDisk, ledger: &Ledger, tally: &mut Tally, when: When<'_>) {
    let (changes, _) = disk.unsafe_changes();
    let mut random = Random(changes as u64);
    let mask = random.next();
    let ways: [(&str, &dyn Fn(usize) -> bool); 3] = [
        ("keeps nothing", &|_| false),
        ("keeps the last change", &|at| at + 1 == changes),
        ("keeps some", &|at| mask >> (at % 64) & 1 == 1),
    ];
    let ways = if changes == 0 { &ways[..1] } else { &ways[..] };
    for (how, keeps) in ways {
        let left = disk.after_a_power_failure(keeps, Bytes::Lost);
        if !tally.is_new("keep", &left, ledger) {
            continue;
        }
        tally.power_failures += 1;
        let mut ledger = ledger.clone();
        match Server::start(&left) {
            Ok(server) => {
                let wrongs = ledger.wrongs(&server, &left, Since::Started);
                tally.note(wrongs, || when(&format!("power failed ({how})")));
            }
            Err(error) => tally.note(vec![format!("the server does not start: {error}")], || when(how)),
        }
    }
}

/// The process that ends what the last one left is killed as well, at each of its calls.
fn kill_while_starting(left: &MemoryDisk, ledger: &Ledger, tally: &mut Tally, when: When<'_>) {
    for at in 1.. {
        let disk = left.after_a_kill();
        disk.plan(at, Fault::Kill);
        // Whether it reports that it was killed does not matter.
        drop(Server::start(&disk));
        let Some(call) = disk.met() else { return };
        tally.kills_of_restarts += 1;
        let disk = disk.after_a_kill();
        if tally.is_new("killed", &disk, ledger) {
            let when =
                |what: &str| when(&format!("killed again at call {at} of the restart ({call}), {what}"));
            power_fails(&disk, ledger, tally, &when);
        }
    }
}

/// What different power failures leave, each with how it came about.
fn power_failures(disk: &MemoryDisk) -> Vec<(MemoryDisk, String)> {
    let (changes, files) = disk.unsafe_changes();
    let bytes: &[Bytes] = match files {
        0 => &[Bytes::Kept],
        _ => &[Bytes::Lost, Bytes::Cut, Bytes::Holed, Bytes::Kept],
    };
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for kept in subsets(changes) {
        for &bytes in bytes {
            let left = disk.after_a_power_failure(|at| kept[at], bytes);
            if seen.insert(left.fingerprint()) {
                let kept: String = kept.iter().map(|&kept| if kept { '+' } else { '-' }).collect();
                found.push((left, format!("changes {kept}, bytes {bytes:?}")));
            }
        }
    }
    found
}

fn subsets(changes: usize) -> Vec<Vec<bool>> {
    let subset = |keeps: &dyn Fn(usize) -> bool| (0..changes).map(keeps).collect::<Vec<bool>>();
    if changes <= ALL_SUBSETS {
        return (0..1usize << changes).map(|mask| subset(&|at| mask >> at & 1 == 1)).collect();
    }
    let mut random = Random(changes as u64);
    let prefixes = (0..=changes).map(|end| subset(&|at| at < end));
    let alone = (0..changes).map(|one| subset(&|at| at == one));
    let missing = (0..changes).map(|one| subset(&|at| at != one));
    let drawn = (0..RANDOM_SUBSETS).map(|_| {
        let mask = random.next();
        subset(&|at| mask >> (at % 64) & 1 == 1)
    });
    prefixes.chain(alone).chain(missing).chain(drawn).collect()
}
