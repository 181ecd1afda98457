//! `--json`: every line is an object with the members that the man page names, whatever happens to the files.

use crate::common::{Client, Cluster, Json, noise};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// For each command, what the man page has in bold in its entry below `JSON OUTPUT`: members, and values in quotes.
fn manual() -> BTreeMap<String, BTreeSet<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("man/shareit.1");
    let page = fs::read_to_string(page).unwrap();
    let section = page.split(".SH \"JSON OUTPUT\"\n").nth(1).unwrap().split("\n.SH ").next().unwrap();
    let mut commands: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in section.split(".TP\n").skip(1) {
        let (head, text) = entry.split_once('\n').unwrap();
        let bold = |line: &str| {
            let words: Vec<String> = line.split(' ').map(|word| word.replace("\\(dq", "\"")).collect();
            match words[0].as_str() {
                ".B" => words.get(1).cloned(),
                ".BR" => words.get(1).cloned(),
                ".RB" => None,
                _ => None,
            }
        };
        let words: BTreeSet<String> = text.lines().filter_map(bold).collect();
        for command in head.trim_start_matches(".BR ").trim_start_matches(".B ").split(" \", \" ") {
            for command in command.split("\", \"") {
                commands.insert(command.trim_matches([' ', '"', ',']).to_owned(), words.clone());
            }
        }
    }
    commands
}

/// Runs commands, and checks that all that they print are objects as the man page describes them.
struct Reader {
    manual: BTreeMap<String, BTreeSet<String>>,
    seen: BTreeMap<String, BTreeSet<String>>,
}

impl Reader {
    fn new() -> Self {
        Self { manual: manual(), seen: BTreeMap::new() }
    }

    /// The objects of a command that ends with this status.
    #[track_caller]
    fn run(&mut self, client: &Client, status: i32, command: &str) -> Vec<Json> {
        let mut args: Vec<&str> = command.split(' ').collect();
        args.push("--json");
        let outcome = client.run(&args).exits(status);
        let objects = Json::lines(&outcome.stdout);
        let known = self.manual.get(args[0]).unwrap_or_else(|| panic!("the man page has no {}", args[0]));
        for object in &objects {
            let Json::Object(members) = object else { panic!("{object:?}") };
            for (name, value) in members {
                let mut words = vec![name.clone()];
                if let ("action" | "type" | "state" | "redundancy", Json::Text(value)) =
                    (name.as_str(), value)
                {
                    words.push(format!("\"{value}\""));
                }
                for word in words {
                    assert!(known.contains(&word), "the man page does not name {word} of {command}");
                    self.seen.entry(args[0].to_owned()).or_default().insert(word);
                }
            }
        }
        objects
    }

    /// Everything that the man page names of these commands, in one entry, has been seen.
    #[track_caller]
    fn has_seen_all(&self, of: &[&str]) {
        let is_member = |word: &&String| !word.starts_with('\\') && word.as_str() != "/";
        let is_seen = |word: &&String| of.iter().any(|command| self.seen[*command].contains(*word));
        let named = self.manual[of[0]].iter().filter(is_member);
        let missing: Vec<&String> = named.filter(|word| !is_seen(word)).collect();
        assert!(missing.is_empty(), "no {of:?} gave {missing:?}");
    }
}

/// What became of each name.
fn fates(objects: &[Json]) -> Vec<(&str, &str, bool)> {
    let fate = |object| (Json::text(object, "name"), Json::text(object, "action"), is_done(object));
    objects.iter().map(fate).collect()
}

fn is_done(object: &Json) -> bool {
    *object.get("done") == Json::Bool(true)
}

#[test]
fn every_line_is_an_object_as_the_man_page_has_it() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let mut reader = Reader::new();
    aditi.put("tree/a \"quoted\"\n\\", b"12345");
    aditi.put("tree/b", b"");
    symlink("b", aditi.files().join("tree/link")).unwrap();
    std::os::unix::net::UnixListener::bind(aditi.files().join("tree/socket")).unwrap();

    let would = reader.run(&aditi, 1, "Upload -n tree");
    assert_eq!(would.iter().filter(|object| is_done(object)).count(), 0, "{would:?}");
    let stored = reader.run(&aditi, 1, "Upload tree");
    let names = [
        ("files/tree/socket", "skipped", false),
        ("tree/", "uploaded", true),
        ("tree/a \"quoted\"\n\\", "uploaded", true),
        ("tree/b", "uploaded", true),
        ("tree/link", "uploaded", true),
    ];
    assert_eq!(fates(&stored), names);
    assert_eq!(*stored[1].get("size"), Json::Null);
    assert_eq!(*stored[2].get("size"), Json::Number(5.0));
    fs::remove_file(aditi.files().join("tree/socket")).unwrap();
    reader.run(&aditi, 0, "Upload tree");
    let again = reader.run(&aditi, 0, "Upload -u tree");
    assert!(fates(&again).iter().all(|(_, action, done)| *action == "unchanged" && *done), "{again:?}");
    assert_eq!(
        fates(&reader.run(&aditi, 1, "Upload tree/b nothing --to .")),
        [("nothing", "failed", false), ("b", "uploaded", true)]
    );
    assert_eq!(reader.run(&aditi, 1, "Upload nothing"), []);

    reader.run(&aditi, 0, "ShowFiles");
    reader.run(&aditi, 0, "ShowFiles -r");
    let gotten = reader.run(&aditi, 0, "Download tree");
    let count = gotten.iter().filter(|object| object.text("action") == "downloaded").count();
    assert_eq!(count, 4, "{gotten:?}");
    assert_eq!(fates(&reader.run(&aditi, 0, "Download -u b")), [("b", "downloaded", true)]);
    assert_eq!(fates(&reader.run(&aditi, 0, "Download -u b")), [("b", "unchanged", true)]);
    assert_eq!(
        fates(&reader.run(&aditi, 1, "Download b nothing b")),
        [("nothing", "failed", false), ("b", "downloaded", true)]
    );

    // A mirror, both ways.
    fs::remove_file(aditi.files().join("tree/b")).unwrap();
    assert!(
        fates(&reader.run(&aditi, 0, "Upload -u --delete -n tree")).contains(&("tree/b", "deleted", false))
    );
    assert!(fates(&reader.run(&aditi, 0, "Upload -u --delete tree")).contains(&("tree/b", "deleted", true)));
    let gone = "Downloads/Aditi/tree/b";
    assert!(fates(&reader.run(&aditi, 0, "Download -u --delete tree")).contains(&(gone, "removed", true)));

    let moved = reader.run(&aditi, 0, "Move b c");
    assert_eq!((fates(&moved), moved[0].text("to")), (vec![("b", "moved", true)], "c"));
    assert_eq!(reader.run(&aditi, 1, "Move b d"), []);
    reader.run(&aditi, 0, "Status");

    // What is lost.
    aditi.upload("lost", &noise(1, 100_000));
    aditi.upload("poor", &noise(2, 100_000));
    for n in cluster.holders("lost", 2) {
        fs::remove_file(cluster.piece_file(n, "lost", 2)).unwrap();
    }
    let poor = cluster.holders("poor", 2)[0];
    fs::remove_file(cluster.piece_file(poor, "poor", 2)).unwrap();
    cluster.client("Aditi").with("Redundancy parity").upload("xor", &noise(3, 100_000));
    fs::remove_file(cluster.piece_file(cluster.holders("xor", 7)[0], "xor", 7)).unwrap();
    let failed = reader.run(&aditi, 1, "Download c lost poor");
    let expected = [("c", "downloaded", true), ("lost", "failed", false), ("poor", "downloaded", true)];
    assert_eq!(fates(&failed), expected);
    assert!(failed[1].text("why").contains("piece 2 missing"), "{failed:?}");
    reader.run(&aditi, 1, "Verify");
    let repaired = reader.run(&aditi, 1, "Repair");
    assert!(fates(&repaired).contains(&("xor", "made", true)), "{repaired:?}");
    reader.run(&aditi, 0, "ShowFiles");

    let all = reader.run(&aditi, 1, "Delete -n *");
    assert_eq!(fates(&all)[..2], [("tree", "failed", false), ("c", "deleted", false)]);
    assert_eq!(fates(&reader.run(&aditi, 0, "Delete -n c")), [("c", "deleted", false)]);
    assert_eq!(fates(&reader.run(&aditi, 0, "Delete c")), [("c", "deleted", true)]);
    reader.run(&aditi, 0, "Delete -r tree");
    cluster.stop(2);
    reader.run(&aditi, 0, "Status");
    for commands in [&["Upload", "Download"][..], &["Delete"], &["Status"], &["Verify"]] {
        reader.has_seen_all(commands);
    }
    // As at every other command, nothing is printed by one that finds no server.
    cluster.run_only(&[]);
    for command in ["Upload poor", "Download poor", "Delete poor", "Move poor c"] {
        assert_eq!(reader.run(&aditi, 4, command), []);
    }
}

#[test]
fn a_terminal_gets_nothing_but_objects_either() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.put("a", b"a");
    aditi.put("b", b"b");
    let commands = "$client Upload a b --to . --json && $client Verify --json && $client Repair --json \
                    && $client Move a c --json && $client Delete c --json";
    let Some(session) = aditi.on_terminal(80, commands) else { return };
    let shown = session.finish().succeeds().stdout;
    let actions: Vec<String> =
        Json::lines(&shown.replace('\r', "")).iter().map(|o| o.text("action").to_owned()).collect();
    assert_eq!(actions, ["uploaded", "uploaded", "moved", "deleted"]);
}
