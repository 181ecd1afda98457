//! docs/explore.html: its rules are the program's, and it works in a browser, by keyboard, wide and narrow.

pub(crate) mod browser;
mod tables;

use crate::common::disk::TempFolder;
use crate::common::process::run;
use crate::common::{Cluster, Json, subsets};
use browser::{Browser, Look};
use shareit::primitives::sha256;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const CHECKS: &str = include_str!("explore/checks.js");

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> PathBuf {
    top().join("docs/explore.html")
}

/// What is in a script of the page.
fn script(page: &str, id: &str) -> String {
    let (_, rest) = page.split_once(&format!("<script id=\"{id}\"")).unwrap();
    let (_, text) = rest.split_once('>').unwrap();
    text.split("</script>").next().unwrap().to_owned()
}

/// A browser, or none, with a word about it.
fn browser() -> Option<Browser> {
    let found = Browser::launch();
    if found.is_none() {
        eprintln!("not tested: there is no Chromium");
    }
    found
}

/// The page knows the hash of the program's tables, and compares its own with it in whichever browser it is opened.
#[test]
fn the_page_knows_the_tables_of_the_program() {
    let hash = sha256(tables::tables().as_bytes());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let known = script(&fs::read_to_string(page()).unwrap(), "tables");
    assert_eq!(known, format!(r#"{{"sha256":"{hash}"}}"#), "the tables of the program have changed");
}

#[test]
fn the_rules_of_the_page_give_the_tables_of_the_program() {
    let rules = script(&fs::read_to_string(page()).unwrap(), "rules");
    if let Some(mut browser) = browser() {
        browser.open(&page());
        are_the_programs(&browser.text("tables()"));
        assert_eq!(browser.text(&format!("{CHECKS}\ncheck()")), "as it should be");
        browser.wait_for("$('check').textContent.startsWith('✓')");
    } else if Command::new("node").arg("--version").stdout(Stdio::null()).status().is_ok() {
        let folder = TempFolder::new();
        let program = folder.path().join("rules.js");
        fs::write(&program, format!("{rules}\n{CHECKS}\nconsole.log(check()); console.log(tables());"))
            .unwrap();
        let printed = run(Command::new("node").arg(program), "").succeeds().stdout;
        let (checked, tables) = printed.split_once('\n').unwrap();
        assert_eq!(checked, "as it should be");
        are_the_programs(tables);
    } else {
        eprintln!("not tested: there is no node either");
    }
}

#[track_caller]
fn are_the_programs(tables: &str) {
    let expected = tables::tables();
    let differs = expected.lines().zip(tables.lines()).find(|(expected, line)| expected != line);
    assert_eq!(differs, None);
    assert_eq!(tables.trim_end(), expected.trim_end());
}

#[test]
fn the_page_loads_nothing() {
    let text = fs::read_to_string(page()).unwrap();
    assert!(text.contains("default-src 'none'"));
    for other in ["https:", "src=", "@import", "url(", "fetch(", "import("] {
        assert!(!text.contains(other), "{other}");
    }
    let known = ["http://www.w3.org/2000/svg"];
    assert_eq!(text.matches("http:").count(), known.len(), "the name of SVG alone");
    let own = text.lines().filter(|line| !line.starts_with("{\"time\":"));
    assert!(own.count() < 970, "the page has become long");
}

#[test]
fn servers_die_and_are_repaired_by_keyboard_alone() {
    let Some(mut browser) = browser() else { return };
    for look in Look::all() {
        browser.look(look);
        browser.open(&page());
        let said = |browser: &mut Browser| browser.text("$('said').textContent");
        browser.tab_to("#servers li:nth-child(2) .power");
        browser.press("Enter");
        assert_eq!(
            said(&mut browser),
            "Server2 is down. With copies the file is readable, and with parity it is readable."
        );
        browser.tab_to("#servers li:nth-child(3) .power");
        browser.press(" ");
        assert_eq!(
            said(&mut browser),
            "Server3 is down. With copies the file is incomplete, and with parity it is readable."
        );
        assert!(browser.is("$('copies').textContent.includes('Incomplete')"), "{look:?}");
        browser.press(" ");
        browser.tab_to("#servers li:nth-child(4) .wipe");
        browser.press("Enter");
        browser.tab_to("#repair");
        browser.press("Enter");
        let repaired = said(&mut browser);
        assert!(repaired.contains("Parity: reads pieces ") && repaired.contains(", makes "), "{repaired}");
        // Whoever wants no motion sees none; the others see pieces move.
        browser.eval("$('reset').click(); $('name').value = 'ship.txt'; $('name').oninput()");
        assert_eq!(browser.is("document.getAnimations().length > 0"), look.has_motion(), "{look:?}");
        let unnamed = "[...document.querySelectorAll('.chip')].filter((chip) => !chip.ariaLabel).length";
        assert!(browser.is(&format!("{unnamed} === 0")), "{look:?}: pieces without a name");
        browser.is_well(look);
    }
}

#[test]
fn each_server_is_repaired_from_three_pieces_where_there_is_parity() {
    let Some(mut browser) = browser() else { return };
    browser.open(&page());
    for n in 1..=4 {
        browser.eval("$('reset').click()");
        browser.eval(&format!("document.querySelectorAll('.wipe')[{}].click()", n - 1));
        browser.eval("$('repair').click()");
        let said = browser.text("$('said').textContent");
        let read = said.split("Parity: reads pieces ").nth(1).unwrap().split(", makes").next().unwrap();
        assert_eq!(read.replace(" and ", ", ").split(", ").count(), 3, "{said}");
        assert!(browser.is(&format!("pieces.disks.parity[{}].length === 2", n - 1)), "{said}");
    }
}

#[test]
fn an_upload_that_no_server_takes_loses_nothing() {
    let Some(mut browser) = browser() else { return };
    browser.open(&page());
    let click = |n: usize| format!("document.querySelectorAll('#servers .power')[{}].click()", n - 1);
    for n in 2..=4 {
        browser.eval(&click(n));
    }
    let missing = browser.text("$('parity').textContent");
    assert!(missing.contains("Piece 1 comes back with Server2 or Server3 or Server4."), "{missing}");
    browser.eval(&click(1));
    for change in ["$('again').click()", "$('name').value = ''; $('name').oninput()"] {
        browser.eval(change);
        let said = browser.text("$('said').textContent");
        assert!(said.starts_with("No server is available"), "{said}");
    }
    browser.eval("$('repair').click()");
    let said = browser.text("$('said').textContent");
    assert_eq!(said.matches("too little is available").count(), 2, "{said}");
    for n in 1..=4 {
        browser.eval(&click(n));
    }
    assert!(browser.is("SCHEMES.every((scheme) => pieces.disks[scheme].flat().length === 8)"));
    assert_eq!(
        browser.text("$('said').textContent"),
        "Server4 is back, with what is on its disk. With copies the file is readable, and with parity it is readable."
    );
}

/// The page's copies and those of a real cluster, for the same name and the same servers down.
#[test]
fn pieces_are_where_the_servers_have_them() {
    let Some(mut browser) = browser() else { return };
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    browser.open(&page());
    for (number, up) in subsets(4).filter(|up| up.len() >= 2).enumerate() {
        cluster.run_only(&up);
        let name = format!("f{number}");
        aditi.upload(&name, b"where am I?");
        browser.eval(&format!("$('reset').click(); $('name').value = '{name}'; $('name').oninput()"));
        for n in (1..=4).filter(|n| !up.contains(n)) {
            browser.eval(&format!("document.querySelectorAll('#servers .power')[{}].click()", n - 1));
        }
        browser.eval("$('again').click()");
        for piece in 1..=4 {
            let holders: Vec<String> =
                cluster.holders(&name, piece).iter().map(|n| (n - 1).to_string()).collect();
            let shown = browser.text(&format!("on(pieces.disks.copies, pieces.up, {piece}).join()"));
            assert_eq!(shown, holders.join(","), "piece {piece} of {name}, {up:?} up");
        }
    }
}

#[test]
fn an_upload_is_old_or_new_wherever_it_crashes() {
    let Some(mut browser) = browser() else { return };
    for look in Look::all() {
        browser.look(look);
        browser.open(&page());
        for steps in 0..=8 {
            browser.eval("$('restart').click()");
            browser.eval(&format!("for (let i = 0; i < {steps}; i++) $('step').click()"));
            browser.eval("$('crash').focus()");
            browser.press("Enter");
            let expected =
                if steps <= 4 { "✓ The old version, whole" } else { "✓ The new version, whole" };
            assert_eq!(browser.text("$('reader').textContent"), expected, "after {steps} steps");
            let rolls_forward = browser.is("$('why').textContent.includes('first commits it on Server')");
            assert_eq!(rolls_forward, (5..8).contains(&steps), "after {steps} steps");
            assert!(browser.is("document.activeElement === $('visit')"), "the focus is lost");
            browser.press("Enter");
            assert_eq!(browser.text("$('reader').textContent"), expected, "after {steps} steps");
            assert!(browser.is("world.held.flat().every((h) => h.state === 'published')"));
        }
        browser.is_well(look);
    }
}

#[test]
fn a_recorded_run_is_replayed_line_by_line() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.put("<!-- <script>", b"a name that would end a script");
    let uploaded = aditi.run(&["Upload", "<!-- <script>", "--trace=json"]).succeeds();
    cluster.stop(2);
    let downloaded = aditi.run(&["Download", "<!-- <script>", "--trace=json"]).succeeds();
    let folder = TempFolder::new();
    let [recording, made] = ["run.jsonl", "run.html"].map(|name| folder.path().join(name));
    fs::write(&recording, format!("{}{}", uploaded.stderr, downloaded.stderr)).unwrap();
    let script_file = top().join("scripts/replay.sh");
    run(Command::new(&script_file).args([&made, &recording]), "").succeeds();
    let text = fs::read_to_string(&made).unwrap();
    let events = Json::lines(script(&text, "recording").trim());
    assert_eq!(events.iter().filter(|event| event.has("command")).count(), 2);
    let is_look = |event: &Json| event.has("line") && event.text("line") == "LOOK %3C%21--%20%3Cscript%3E";
    assert!(events.iter().any(is_look), "{events:?}");
    let nothing = run(Command::new(&script_file).args([&made, &top().join("README.md")]), "");
    assert!(nothing.status == 1 && nothing.stderr.contains("no event of --trace=json in"), "{nothing}");

    let Some(mut browser) = browser() else { return };
    for look in Look::all() {
        browser.look(look);
        browser.open(&made);
        assert_eq!(
            browser.text("[...$('runs').options].map((o) => o.textContent).join('|')"),
            "Upload \"<!-- <script>\"|Download \"<!-- <script>\""
        );
        browser.tab_to("#forth");
        for _ in 0..5 {
            browser.press("Enter");
        }
        let line = browser.text("$('line').textContent");
        assert!(line.starts_with("6 of "), "{line}");
        browser.tab_to("#when");
        browser.press("ArrowRight");
        assert!(browser.text("$('line').textContent").starts_with("7 of "));
        browser.eval("$('runs').value = '1'; $('runs').onchange()");
        assert!(browser.is("replay.run.events.some((e) => e.kind === 'down' && e.server === 'Server2')"));
        browser.is_well(look);
    }
}

/// More lines than a window has pixels, and than a function has arguments; the names of servers are long, too.
#[test]
fn a_long_recording_is_drawn() {
    let Some(mut browser) = browser() else { return };
    for look in Look::all() {
        browser.look(look);
        browser.open(&page());
        browser.eval(
            "openRecording(range(130000).map((i) => JSON.stringify({ time: i / 1000, \
             server: `server${i % 12}.${'x'.repeat(50)}`, direction: i % 2 ? 'sent' : 'received', line: 'LOOK a' })).join('\\n'))",
        );
        browser.tab_to("#forth");
        browser.press("Enter");
        let line = browser.text("$('line').textContent");
        assert!(line.starts_with("2 of 130000. To server1."), "{line}");
        assert!(browser.is("$('lanes').querySelectorAll('line').length < 20000"));
        let names = browser
            .text("[...$('lanes').querySelectorAll('.name')].map((n) => n.textContent.split('.')[0]).join()");
        assert!(names.ends_with("server9,server10,server11"), "{names}");
        browser.is_well(look);
    }
}
