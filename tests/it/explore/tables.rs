//! What the program's rules give, as the text that `tables()` of the page makes of its own.

use std::fmt::Write;

use shareit::commit::{self, Held, PieceState, Step};
use shareit::placement::{PieceSet, Scheme, parity, suffices};
use shareit::primitives::sha256;
use shareit::version::Version;

fn joined<T: ToString>(items: impl IntoIterator<Item = T>, between: &str) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(between)
}

fn version(generation: u64) -> Version {
    Version { generation, upload: [generation as u8; 16] }
}

fn held(piece: u8, generation: u64, state: PieceState) -> Held {
    Held { piece, version: version(generation), state }
}

/// What a server may answer, by number; 0 is silence.
fn answer(number: usize) -> Option<Vec<Held>> {
    let (old, new) = (held(1, 1, PieceState::Published), held(2, 2, PieceState::Published));
    let staged = |open| Held { state: PieceState::Staged { open }, ..new };
    match number {
        0 => None,
        1 => Some(vec![]),
        2 => Some(vec![old]),
        3 => Some(vec![old, staged(true)]),
        4 => Some(vec![old, staged(false)]),
        _ => Some(vec![new]),
    }
}

pub(crate) fn tables() -> String {
    [hashes(), placements(), rings(), mended(), recipes(), resolved(), commits()].concat()
}

fn hashes() -> String {
    let mut text = String::new();
    for name in ["", "abc", "poem.txt", "holiday/earth.gif", "ä ⊕ 𝄞", &"x".repeat(119)] {
        let hash = sha256(name.as_bytes()).map(|byte| format!("{byte:02x}")).concat();
        writeln!(text, "hash {name}: {hash}").unwrap();
        for servers in 3..=6 {
            let holders = Scheme::Copies.holders(&sha256(name.as_bytes()), &vec![true; servers], 1);
            writeln!(text, "home {servers}: {}", joined(holders.concat(), " ")).unwrap();
        }
    }
    text
}

fn placements() -> String {
    let mut text = String::new();
    for servers in 3..=6_usize {
        for bits in 0..1_usize << servers {
            let up: Vec<bool> = (0..servers).map(|server| bits >> server & 1 == 1).collect();
            let mask = joined(up.iter().map(|up| u8::from(*up)), "");
            for x in 0..servers {
                let mut hash = [0; 32];
                hash[31] = x as u8;
                let places = |holders: &[Vec<usize>]| {
                    let of = |of: &Vec<usize>| if of.is_empty() { "-".into() } else { joined(of, ",") };
                    joined(holders.iter().map(of), " ")
                };
                for replicas in 1..=3 {
                    let holders = places(&Scheme::Copies.holders(&hash, &up, replicas));
                    writeln!(text, "copies {servers} {replicas} {x} {mask}: {holders}").unwrap();
                }
                let holders = Scheme::Parity.holders(&hash, &up, 0);
                let on =
                    |server| (1..=8).filter(|p| holders[usize::from(*p) - 1].contains(&server)).collect();
                let disks: Vec<PieceSet> = (0..servers).map(on).collect();
                let bears = Scheme::Parity.losses(&disks).map_or(-1, |losses| losses as i64);
                writeln!(text, "parity {servers} {x} {mask}: {} bears {bears}", places(&holders)).unwrap();
            }
        }
    }
    text
}

/// In which order servers are considered for a piece.
fn rings() -> String {
    let mut text = String::new();
    for (name, scheme) in [("copies", Scheme::Copies), ("parity", Scheme::Parity)] {
        for servers in 3..=6 {
            for x in 0..servers {
                let mut hash = [0; 32];
                hash[31] = x as u8;
                for piece in 1..=8 {
                    let ring = joined(scheme.ring(&hash, servers, piece), ",");
                    writeln!(text, "ring {name} {servers} {x} {piece}: {ring}").unwrap();
                }
            }
        }
    }
    text
}

/// What Repair stores of a file that was stored while all servers were up, for those that are up and wiped now.
fn mended() -> String {
    let mut text = String::new();
    let mut hash = [0; 32];
    hash[31] = 1;
    let sets = || (0..16_usize).map(|bits| [0, 1, 2, 3].map(|server| bits >> server & 1 == 1));
    for (up, wiped) in sets().flat_map(|up| sets().map(move |wiped| (up, wiped))) {
        let stored = Scheme::Parity.placed(&hash, &[true; 4], 0);
        let is_there = |server: usize| up[server] && !wiped[server];
        let held = |(server, held)| if is_there(server) { held } else { PieceSet::default() };
        let held: Vec<PieceSet> = stored.into_iter().enumerate().map(held).collect();
        let way = Scheme::Parity
            .to_make(&hash, &held, &up)
            .map(|way| joined(way.iter().map(|(piece, server)| format!("{piece}@{server}")), " "));
        let mask = |set: [bool; 4]| joined(set.map(u8::from), "");
        let way = way.unwrap_or("none".into());
        writeln!(text, "mend {} {}: {way}", mask(up), mask(wiped)).unwrap();
    }
    text
}

fn recipes() -> String {
    let mut text = String::new();
    for bits in 0..256_u16 {
        let held: PieceSet = (1..=8).filter(|piece| bits >> (piece - 1) & 1 == 1).collect();
        for wanted in [&[1, 2, 3, 4][..], &[2, 6]] {
            let wanted: PieceSet = wanted.iter().copied().collect();
            let recipe = parity::recipes(held, wanted).into_iter().next().map(|recipe| {
                let made = |(piece, of): &(u8, PieceSet)| format!("{piece}={}", joined(of.iter(), "^"));
                format!("{} {}", recipe.read, joined(recipe.made.iter().map(made), " "))
            });
            let is_enough = suffices(|piece| held.contains(piece));
            let recipe = recipe.unwrap_or("none".into());
            writeln!(text, "recipe {held} {is_enough} {wanted}: {recipe}").unwrap();
        }
    }
    text
}

fn resolved() -> String {
    let mut text = String::new();
    for number in 0..6_usize.pow(4) {
        let of = [216, 36, 6, 1].map(|place| number / place % 6);
        let view = commit::resolve(&of.map(answer));
        let decided = view.decided.map_or(0, |version| version.generation);
        let abandoned =
            view.abandoned.iter().map(|(version, on)| format!("{}@{}", version.generation, joined(on, ",")));
        let (forward, abandoned) = (joined(&view.forward, ","), joined(abandoned, " "));
        writeln!(text, "resolve {}: {decided} {forward} {abandoned}", joined(of, "")).unwrap();
    }
    text
}

/// What a server holds after these steps.
fn after(mut held: Vec<Held>, steps: &[Step]) -> Vec<Held> {
    for step in steps {
        match *step {
            Step::Publish { piece, version } => {
                held.retain(|h| {
                    h.piece != piece || (h.version != version && h.state != PieceState::Published)
                });
                held.push(Held { piece, version, state: PieceState::Published });
            }
            Step::DropPublished { piece } => {
                held.retain(|h| h.piece != piece || h.state != PieceState::Published);
            }
            Step::DropStaged { piece, version } => {
                let is_it = |h: &Held| (h.piece, h.version) == (piece, version);
                held.retain(|h| !is_it(h) || h.state == PieceState::Published);
            }
        }
    }
    held.sort_unstable();
    held
}

fn commits() -> String {
    let mut text = String::new();
    for number in 1..6 {
        for generation in [1, 2] {
            let held = answer(number).unwrap_or_default();
            let state = |state| match state {
                PieceState::Published => "published",
                PieceState::Staged { open: true } => "open",
                PieceState::Staged { open: false } => "staged",
            };
            let line = |h: &Held| format!("{}@{} {}", h.piece, h.version.generation, state(h.state));
            let outcome = commit::commit(&held, version(generation))
                .map_or("refused".into(), |steps| joined(after(held, &steps).iter().map(line), ", "));
            writeln!(text, "commit {number} {generation}: {outcome}").unwrap();
        }
    }
    text
}
