//! The architecture, held by a test: which module may use which, which of its files may use which, and who may touch
//! the outside world.
//!
//! The floors come from the tables in docs/ARCHITECTURE.md, so that the map which people read is the one that
//! is kept. The test reads the source as text. That is crude, but it sees what a reader sees, and needs no compiler.

mod source;

use source::{Sources, code_of, is_part_of_word, paths};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Where the floors are written down: the tables whose head rows begin so, in this document.
const DOCUMENT: &str = "docs/ARCHITECTURE.md";
const MODULES: &str = "| floor | modules |";
const ROOMS: &str = "| folder | floor | rooms |";

/// What only some modules may name, and which these are.
const RESERVED: &[(&[&str], &[&str])] = &[
    (&["aes", "ctr", "hmac", "sha2", "polyval", "pbkdf2", "hkdf", "getrandom"], &["primitives"]),
    (&["std::net"], &["link", "peer", "server", "tcp"]),
    (&["TcpListener::bind(", "TcpStream::connect(", "TcpStream::connect_timeout("], &["tcp"]),
    (&["rustix"], &["descriptors", "cli", "client", "link", "server", "store", "tcp"]),
    (&["SystemTime"], &["cli", "client", "server"]),
    (&["println!", "eprintln!", "print!", "eprint!", "dbg!"], &["cli", "bin"]),
];

/// The floors of each folder of src/ from the ground up, by the folder's path from there. That of src/ itself is empty.
type Floors = BTreeMap<Vec<String>, Vec<Vec<String>>>;

#[test]
fn every_file_has_its_floor_and_every_floor_its_files() {
    let mut in_source: BTreeMap<Vec<String>, BTreeSet<String>> = BTreeMap::new();
    for file in sources().files.iter().filter(|file| file.top() != Some("bin")) {
        for depth in 0..file.module.len() {
            in_source.entry(file.module[..depth].to_vec()).or_default().insert(file.module[depth].clone());
        }
    }
    let floors = floors();
    let folders: BTreeSet<_> = in_source.keys().chain(floors.keys()).collect();
    for folder in folders {
        let name = folder.join("/");
        let listed: Vec<&String> = floors.get(folder).into_iter().flatten().flatten().collect();
        let known: BTreeSet<String> =
            listed.iter().copied().filter(|room| *room != OWN_FILE).cloned().collect();
        let real = in_source.get(folder).cloned().unwrap_or_default();
        assert_eq!(known, real, "the table in {DOCUMENT} and src/{name} have different files and folders");
        let once: BTreeSet<_> = listed.iter().collect();
        assert_eq!(
            once.len(),
            listed.len(),
            "something appears twice in the table of {DOCUMENT}: src/{name}"
        );
    }
}

#[test]
fn the_reading_order_of_the_library_is_that_of_the_table() {
    let lib = read("src/lib.rs");
    let order: Vec<Vec<String>> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .map(|line| between(line, "[`", "`]"))
        .collect();
    assert_eq!(order, floors()[&vec![]]);
}

#[test]
fn a_file_uses_only_what_is_on_floors_below() {
    let wrong = upward(&sources(), &floors());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_file_uses_itself_by_way_of_others() {
    let sources = sources();
    let circles = circles(&sources);
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn the_programs_use_nothing_but_the_command_line() {
    let sources = sources();
    for arrow in sources.arrows() {
        let [from, to] = [arrow.from, arrow.to].map(|at| &sources.files[at]);
        assert!(from.top() != Some("bin") || to.top() == Some("cli"), "{} uses {}", from.path, to.path);
    }
}

#[test]
fn cryptography_sockets_and_printing_each_have_their_place() {
    let mut wrong = Vec::new();
    for source in sources().files {
        let module = source.top().unwrap_or("lib");
        for (words, owners) in RESERVED {
            let strange = words.iter().filter(|word| names(&source.code, word));
            if !owners.contains(&module) {
                wrong.extend(strange.map(|word| format!("{}: {word}", source.path)));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_reader_of_the_tables_sees_every_floor() {
    let document = "| x | y |\n\n\
        | floor | modules | what |\n|---|---|---|\n| 0 | `a`, `b` | `c` |\n| 1 | `d` | |\n\n| 9 | `e` |\n\n\
        | folder | floor | rooms |\n|---|---|---|\n| `d` | 0 | `f`: first. `g` |\n| | 1 | `mod` |\n| `d/h` | 0 | `i` |";
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let expected = [
        (words(&[]), vec![words(&["a", "b"]), words(&["d"])]),
        (words(&["d"]), vec![words(&["f", "g"]), words(&["mod"])]),
        (words(&["d", "h"]), vec![words(&["i"])]),
    ];
    assert_eq!(floors_of(document), BTreeMap::from(expected));
}

#[test]
fn the_reader_of_the_source_sees_every_way_to_name_something() {
    let code = "use crate::name::Path;\nuse crate::{\n  wire::{self, Line, limits as bounds},\n  store,\n};\n\
                let x: Vec<crate::config::X<'a>> = crate::config::read::<u8>('\"', '{', \"crate::not\");\n\
                pub(in crate::cli) fn f(x: super::super::y::Z) { for i in self::g() {} }";
    let found: Vec<String> = paths(code).iter().map(|path| path.words.join("::")).collect();
    let expected = [
        "crate::name::Path",
        "crate::wire",
        "crate::wire::Line",
        "crate::wire::limits",
        "crate::store",
        "crate::config::X",
        "crate::config::read",
        "super::super::y::Z",
        "self::g",
    ];
    assert_eq!(found, expected);
    assert!(names("use sha2::Digest;", "sha2"));
    assert!(names("x = hmac::mac()", "hmac"));
    assert!(names("use std::{fmt, net::TcpStream};", "std::net"));
    assert!(
        names("TcpStream::connect(a)", "TcpStream::connect(")
            && !names("tcp::connect(a)", "TcpStream::connect(")
    );
    assert!(!names("let hmac = my_hmac::x; self::ctr();", "hmac"));
    assert!(names("eprintln!(\"x\")", "eprintln!") && !names("eprintln!(\"x\")", "println!"));
    assert_eq!(
        code_of("a // b\n/// c\nd \"http://e\"\n#[test]\nmod tests {}"),
        "a \nd \"http://e\"\n#[test]\n"
    );
}

#[test]
fn the_reader_of_the_source_sees_who_uses_whom() {
    let sources = Sources::of([
        ("lib.rs", "pub mod a;\npub mod b;\npub mod c;"),
        ("a/mod.rs", "mod low;\nmod high;\npub use low::Low;\npub fn top() { high::go() }"),
        // By what the module passes on, and by the module itself.
        ("a/high.rs", "use super::Low;\npub fn go() {}"),
        ("a/low.rs", "pub struct Low;\n#[cfg(test)]\nmod tests { use super::super::high; }"),
        ("b/mod.rs", "mod low;\nuse crate::a;\npub fn base() { a::Low }\npub fn x() { low::y() }"),
        ("b/low.rs", "pub fn y() { super::base() }"),
        ("b/tests.rs", "use crate::c;"),
        (
            "c.rs",
            "use shareit::{a::{self as first}, b};\nfn f() { first::top() }\nmod d { use super::x; }\nfn x() {}",
        ),
    ]);
    let arrows: Vec<String> = sources
        .arrows()
        .iter()
        .map(|arrow| format!("{} {}", sources.files[arrow.from].path, sources.files[arrow.to].path))
        .collect();
    let expected = [
        "a/high.rs a/low.rs",
        "a/mod.rs a/high.rs",
        "a/mod.rs a/low.rs",
        "b/low.rs b/mod.rs",
        "b/mod.rs a/low.rs",
        "b/mod.rs a/mod.rs",
        "b/mod.rs b/low.rs",
        "c.rs a/mod.rs",
        "c.rs b/mod.rs",
    ];
    assert_eq!(arrows, expected);
    assert_eq!(circles(&sources), [["b/low.rs", "b/mod.rs"]]);
}

#[test]
fn a_use_of_a_floor_that_is_not_below_is_seen() {
    let wrong_with = |rooms: &str| {
        let table =
            format!("{MODULES}\n|---|---|\n| 0 | `a` |\n| 1 | `b` |\n\n{ROOMS}\n|---|---|---|\n{rooms}");
        let sources = Sources::of([
            ("lib.rs", ""),
            ("a.rs", ""),
            ("b/mod.rs", "pub struct Base;\nmod high;\nmod low;"),
            ("b/high.rs", "use super::low;\nuse crate::a;"),
            ("b/low.rs", "use super::Base;"),
        ]);
        upward(&sources, &floors_of(&table))
    };
    let to_top = "b/low.rs uses b/mod.rs (b::Base)";
    assert_eq!(wrong_with("| `b` | 0 | `low` |\n| | 1 | `high` |"), [to_top]);
    assert_eq!(wrong_with("| `b` | 0 | `low`, `high` |"), ["b/high.rs uses b/low.rs (b::low)", to_top]);
    assert_eq!(wrong_with("| `b` | 0 | `mod` |\n| | 1 | `low` |\n| | 2 | `high` |"), Vec::<String>::new());
}

/// The word in the table for a folder's own mod.rs. Where it is not in the table, it is above all others.
const OWN_FILE: &str = "mod";

/// Every use of something that is not on a floor below.
fn upward(sources: &Sources, floors: &Floors) -> Vec<String> {
    let mut wrong = Vec::new();
    for arrow in sources.arrows() {
        let [from, to] = [arrow.from, arrow.to].map(|at| &sources.files[at]);
        let shared = from.module.iter().zip(&to.module).take_while(|(a, b)| a == b).count();
        let folder = &from.module[..shared];
        let [user, used] = [from, to].map(|file| {
            let room = file.module.get(shared).map_or(OWN_FILE, String::as_str);
            let rooms_of_floors = floors.get(folder).into_iter().flatten();
            rooms_of_floors
                .enumerate()
                .find(|(_, rooms)| rooms.iter().any(|r| r == room))
                .map(|(floor, _)| floor)
        });
        // What has no floor is above all that have one.
        if used.is_none() || user.is_some_and(|user| used >= Some(user)) {
            wrong.push(format!("{} uses {} ({})", from.path, to.path, arrow.path));
        }
    }
    wrong
}

fn circles(sources: &Sources) -> Vec<Vec<&str>> {
    let path = |at: usize| sources.files[at].path.as_str();
    sources.circles().into_iter().map(|circle| circle.into_iter().map(path).collect()).collect()
}

fn floors() -> Floors {
    floors_of(&read(DOCUMENT))
}

/// The first table has the modules of each floor: the first cell of a row is the floor's number, the second has the
/// modules between backticks. The other has the same for the folders, whose names are in front, at the first of their
/// rows; in its last cell only rooms are between backticks.
fn floors_of(document: &str) -> Floors {
    let mut floors = Floors::new();
    for row in table(document, MODULES) {
        add_floor(&mut floors, &[], row[0], row[1]);
    }
    let mut folder = Vec::new();
    for row in table(document, ROOMS) {
        if let Some(name) = between(row[0], "`", "`").first() {
            folder = name.split('/').map(str::to_owned).collect();
        }
        add_floor(&mut floors, &folder, row[1], row[2]);
    }
    floors
}

fn add_floor(floors: &mut Floors, folder: &[String], number: &str, rooms: &str) {
    let floors = floors.entry(folder.to_vec()).or_default();
    assert_eq!(
        number,
        floors.len().to_string(),
        "floors are counted from 0 without a gap: {folder:?}, {rooms}"
    );
    floors.push(between(rooms, "`", "`"));
}

/// The rows of the table with this head, each with its cells.
fn table<'a>(document: &'a str, head: &str) -> impl Iterator<Item = Vec<&'a str>> {
    let (_, table) = document.split_once(head).unwrap_or_else(|| panic!("no table {head} in {DOCUMENT}"));
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
}

/// The texts between each `open` and the next `close`.
fn between(text: &str, open: &str, close: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((inside, after)) = rest.split_once(open).and_then(|(_, after)| after.split_once(close)) {
        found.push(inside.to_owned());
        rest = after;
    }
    found
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sources() -> Sources {
    Sources::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

/// Whether a text names a macro, a module of std, or a crate (as the beginning of a path).
fn names(code: &str, what: &str) -> bool {
    if what.ends_with(['!', '(']) {
        return code.match_indices(what).any(|(at, _)| {
            let before = &code[..at];
            !before.ends_with(is_part_of_word) && !before.ends_with("::")
        });
    }
    let what: Vec<&str> = what.split("::").collect();
    paths(code)
        .iter()
        .any(|path| path.words.len() >= what.len() && path.words.iter().zip(&what).all(|(a, b)| a == b))
}
