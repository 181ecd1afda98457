//! What the programs are built from, held by a test: Rust alone. A C compiler is needed to link, as for any Rust
//! program, and compiles nothing.

use crate::common::Json;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Who may run something while it is built. Each build script was read: it asks rustc for its version and what it
/// knows, and no other program. A new one must be read too.
const BUILD_SCRIPTS: &[&str] = &["getrandom", "libc", "nix", "rustix"];

/// What the feature `line-editing` adds, and nothing else does.
const OF_LINE_EDITING: &[&str] = &[
    "buffer-redux",
    "cfg_aliases",
    "ctrlc",
    "log",
    "memchr",
    "nix",
    "rustyline",
    "unicode-segmentation",
    "unicode-width",
    "utf8parse",
];

/// Files that nothing compiles: a kernel module, for that package's own tests.
const NEVER_COMPILED: &[&str] = &["test/test_kmod/hello_mod/hello.c"];

/// Packages that compile or find what is not Rust. Cargo.lock has those of tests and other systems too.
const FOREIGN: &[&str] = &[
    "autotools",
    "bindgen",
    "cbindgen",
    "cc",
    "cmake",
    "cxx",
    "gcc",
    "meson",
    "nasm-rs",
    "pkg-config",
    "vcpkg",
];

/// How files end that a C compiler, an assembler or a linker takes.
const FOREIGN_FILES: &[&str] = &["a", "asm", "c", "cc", "cpp", "cxx", "h", "hpp", "o", "s", "so"];

#[test]
fn nothing_that_compiles_c_is_in_the_lock_file() {
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let found: Vec<&str> = names.filter(|name| FOREIGN.contains(name) || name.ends_with("-sys")).collect();
    // Bindings to the system's own calls, as Rust alone.
    let bindings = ["linux-raw-sys", "windows-sys"];
    assert!(found.iter().all(|name| bindings.contains(name)), "{found:?}");
}

#[test]
fn only_the_line_editor_brings_what_it_needs() {
    let names = |features: &[&str]| {
        let metadata = metadata(features);
        let programs = packages_of_the_programs(&metadata);
        let of_programs = list(metadata.get("packages")).iter().filter(|p| programs.contains(&p.text("id")));
        of_programs.map(|package| package.text("name").to_owned()).collect::<BTreeSet<String>>()
    };
    let (without, with) = (names(&[]), names(LINE_EDITING));
    assert!(without.is_subset(&with), "{without:?}");
    assert_eq!(with.difference(&without).collect::<Vec<_>>(), OF_LINE_EDITING);
}

#[test]
fn no_package_of_this_system_links_or_brings_what_is_not_rust() {
    let metadata = metadata(LINE_EDITING);
    let programs = packages_of_the_programs(&metadata);
    assert!(programs.len() > 10, "the list is read wrongly: {programs:?}");
    for package in list(metadata.get("packages")) {
        let name = package.text("name");
        assert_eq!(*package.get("links"), Json::Null, "{name} links a library");
        let builds = list(package.get("targets"))
            .iter()
            .any(|target| list(target.get("kind")).contains(&Json::Text("custom-build".into())));
        let known = BUILD_SCRIPTS.contains(&name) || !programs.contains(&package.text("id"));
        assert!(!builds || known, "{name} has a build script that nobody has read");
        if *package.get("source") != Json::Null {
            let folder = Path::new(package.text("manifest_path")).parent().unwrap();
            assert_eq!(foreign_files(folder), Vec::<String>::new(), "in {name}");
        }
    }
}

const LINE_EDITING: &[&str] = &["--features", "line-editing"];

/// What cargo knows of all packages, tests' included, that are built on this system.
fn metadata(features: &[&str]) -> Json {
    let cargo = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO"))
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let arguments = ["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", host];
    Json::parse(&cargo(&[&arguments, features].concat()))
}

/// The ids of all packages that the programs, and their build scripts, are built from.
fn packages_of_the_programs(metadata: &Json) -> Vec<&str> {
    let resolve = metadata.get("resolve");
    let mut found = vec![resolve.text("root")];
    let mut next = 0;
    while let Some(&id) = found.get(next) {
        let node = list(resolve.get("nodes")).iter().find(|node| node.text("id") == id).unwrap();
        for dependency in list(node.get("deps")) {
            let of_tests = |kind: &Json| *kind.get("kind") == Json::Text("dev".into());
            let id = dependency.text("pkg");
            if !list(dependency.get("dep_kinds")).iter().all(of_tests) && !found.contains(&id) {
                found.push(id);
            }
        }
        next += 1;
    }
    found
}

fn list(value: &Json) -> &[Json] {
    let Json::List(list) = value else { panic!("not a list: {value:?}") };
    list
}

fn foreign_files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(foreign_files(&entry));
        }
        let ending = entry.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let is_compiled = !NEVER_COMPILED.iter().any(|file| entry.ends_with(file));
        if FOREIGN_FILES.contains(&ending.as_str()) && is_compiled {
            found.push(entry.display().to_string());
        }
    }
    found
}
