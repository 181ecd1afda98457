//! The architecture, held by a test: which module may use which, and who may touch the outside world.
//!
//! The floors come from the table in docs/ARCHITECTURE.md, so that the map which people read is the one that
//! is kept. The test reads the source as text. That is crude, but it sees what a reader sees, and needs no compiler.

#![allow(clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the floors are written down: the table whose head row begins so, in this document.
const DOCUMENT: &str = "docs/ARCHITECTURE.md";
const TABLE: &str = "| floor | modules |";

/// What only some modules may name, and which these are.
const RESERVED: &[(&[&str], &[&str])] = &[
    (&["aes", "ctr", "hmac", "sha2", "polyval", "pbkdf2", "hkdf", "getrandom"], &["primitives"]),
    (&["std::net"], &["link", "peer", "server", "tcp"]),
    (&["TcpListener::bind(", "TcpStream::connect(", "TcpStream::connect_timeout("], &["tcp"]),
    (&["rustix"], &["cli", "client", "link", "server", "store", "tcp"]),
    (&["SystemTime"], &["client", "server"]),
    (&["println!", "eprintln!", "print!", "eprint!", "dbg!"], &["cli", "bin"]),
];

/// One file of the library or of the programs.
struct Source {
    path: PathBuf,
    /// `store` for src/store.rs and all of src/store/; `bin` for the programs; none for src/lib.rs.
    module: Option<String>,
    /// The code alone, without comments and unit tests.
    code: String,
}

#[test]
fn every_module_has_its_floor_and_every_floor_its_modules() {
    let in_table: Vec<String> = floors().into_iter().flatten().collect();
    let in_source: BTreeSet<String> =
        sources().into_iter().filter_map(|source| source.module).filter(|module| module != "bin").collect();
    let known: BTreeSet<String> = in_table.iter().cloned().collect();
    assert_eq!(known, in_source, "the table in {DOCUMENT} and src/ have different modules");
    assert_eq!(known.len(), in_table.len(), "a module stands twice in the table of {DOCUMENT}");
}

#[test]
fn the_reading_order_of_the_library_is_that_of_the_table() {
    let lib = read(&folder().join("src/lib.rs"));
    let order: Vec<Vec<String>> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .map(|line| between(line, "[`", "`]"))
        .collect();
    assert_eq!(order, floors());
}

#[test]
fn a_module_uses_only_modules_on_floors_below() {
    let floors = floors();
    let floor = |module: &str| floors.iter().position(|floor| floor.iter().any(|name| name == module));
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(module) = &source.module else { continue };
        for used in modules_used(&source.code) {
            let below = module == "bin" || floor(&used) < floor(module);
            if !below && used != *module {
                wrong.push(format!("{}: {module} uses {used}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_programs_use_nothing_but_the_command_line() {
    for source in sources() {
        if source.module.as_deref() == Some("bin") {
            let path = source.path.display();
            let used = words_after(&source.code, "shareit::");
            assert!(used.iter().all(|module| module == "cli"), "{path}: {used:?}");
        }
    }
}

#[test]
fn cryptography_sockets_and_printing_each_have_their_place() {
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.module.as_deref().unwrap_or("lib");
        for (words, owners) in RESERVED {
            let strange = words.iter().filter(|word| names(&source.code, word));
            if !owners.contains(&module) {
                wrong.extend(strange.map(|word| format!("{}: {word}", source.path.display())));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_reader_of_the_table_sees_every_floor() {
    let document = "| x | y |\n\n| floor | modules | what |\n|---|---|---|\n| 0 | `a`, `b` | `c` |\n| 1 | `d` | |\n\n| 9 | `e` |";
    assert_eq!(floors_of(document), [vec!["a", "b"], vec!["d"]]);
}

#[test]
fn the_reader_of_the_source_sees_every_way_to_name_a_module() {
    let code = "use crate::name::Path;\nuse crate::{\n  wire::{Line, limits},\n  store,\n};\n\
                let x = crate::config::read();\nuse mycrate::peer;";
    assert_eq!(modules_used(code), ["config", "name", "store", "wire"]);
    assert!(names("use sha2::Digest;", "sha2"));
    assert!(names("x = hmac::mac()", "hmac"));
    assert!(names("use std::{fmt, net::TcpStream};", "std::net"));
    assert!(
        names("TcpStream::connect(a)", "TcpStream::connect(")
            && !names("tcp::connect(a)", "TcpStream::connect(")
    );
    assert!(!names("let hmac = my_hmac::x; self::ctr();", "hmac"));
    assert!(names("eprintln!(\"x\")", "eprintln!") && !names("eprintln!(\"x\")", "println!"));
    assert_eq!(code_of("a // b\n/// c\nd \"http://e\"\n#[cfg(test)]\nmod tests {}"), "a \nd \"http://e\"\n");
}

/// The modules of each floor from the ground up, as the table of [`DOCUMENT`] has them: the first cell of a row
/// is the floor's number, the second has its modules between backticks.
fn floors() -> Vec<Vec<String>> {
    floors_of(&read(&folder().join(DOCUMENT)))
}

fn floors_of(document: &str) -> Vec<Vec<String>> {
    let (_, table) = document.split_once(TABLE).unwrap_or_else(|| panic!("no table of floors in {DOCUMENT}"));
    let mut floors = Vec::new();
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells[1], floors.len().to_string(), "floors are counted from 0 without a gap: {row}");
        floors.push(between(cells[2], "`", "`"));
    }
    floors
}

/// What stands between each `open` and the `close` behind it.
fn between(text: &str, open: &str, close: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((inside, behind)) = rest.split_once(open).and_then(|(_, after)| after.split_once(close)) {
        found.push(inside.to_owned());
        rest = behind;
    }
    found
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn sources() -> Vec<Source> {
    let src = folder().join("src");
    let mut found = Vec::new();
    let mut todo = vec![src.clone()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !is_unit_test(&path) {
                found.push(source(&src, path));
            }
        }
    }
    assert!(!found.is_empty(), "no source to look at");
    found
}

/// Unit tests in a file of their own may use what they like.
fn is_unit_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests") || path.iter().any(|part| part == "tests")
}

fn source(src: &Path, path: PathBuf) -> Source {
    let text = read(&path);
    let from_src = path.strip_prefix(src).unwrap_or(&path).with_extension("");
    let module = from_src.iter().next().map(|m| m.to_string_lossy().into_owned());
    Source { module: module.filter(|module| module != "lib"), code: code_of(&text), path }
}

/// Leaves out comments, and the unit tests, which are the last part of a file.
fn code_of(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or("");
    let mut kept = String::new();
    for line in code.lines().filter(|l| !l.trim_start().starts_with("//")) {
        // A comment at the end of a line begins after a blank; `//` in a URL does not.
        kept.push_str(
            line.split_inclusive(' ').take_while(|word| !word.starts_with("//")).collect::<String>().as_str(),
        );
        kept.push('\n');
    }
    kept
}

/// The modules that a text names by `crate::X` or `crate::{X, Y}`, sorted.
fn modules_used(code: &str) -> Vec<String> {
    words_after(code, "crate::")
}

/// The words that follow `prefix`, or stand in the braces that follow it.
fn words_after(code: &str, prefix: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].ends_with(is_part_of_word) {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(list) => words.extend(heads(list)),
            None => words.push(word(rest)),
        }
    }
    words.sort();
    words.dedup();
    words
}

/// The first word of each member of a list in braces, of which the opening one has been read.
fn heads(list: &str) -> Vec<String> {
    let mut depth = 0;
    let mut heads = vec![word(list.trim_start())];
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(word(list[at + 1..].trim_start())),
            _ => {}
        }
    }
    // A comma after the last member leads to nothing.
    heads.retain(|head| !head.is_empty());
    heads
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| is_part_of_word(*c)).collect()
}

fn is_part_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a text names a macro, a module of std, or a crate (as the beginning of a path).
fn names(code: &str, what: &str) -> bool {
    if let Some(module) = what.strip_prefix("std::") {
        return words_after(code, "std::").iter().any(|word| word == module);
    }
    let is_call = what.ends_with(['!', '(']);
    code.match_indices(what).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + what.len()..]);
        let starts = !before.ends_with(is_part_of_word) && !before.ends_with("::");
        starts && (is_call || after.starts_with("::"))
    })
}
