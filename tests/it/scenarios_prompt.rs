//! What a person sees at a terminal, what a script sees, and Ctrl-C.

use crate::common::client::{has_line_editing, program};
use crate::common::process::wait_until;
use crate::common::terminal::TELL_WHEN_HIDDEN;
use crate::common::{Cluster, Fault, Json, Way, as_seen, disk, noise};
use std::fs;
use std::net::{TcpListener, TcpStream};

/// More than the buffers between client and server hold.
const LARGE: usize = 8 << 20;

const PROMPT: &str = "ShareIt> ";

#[test]
fn a_terminal_gets_a_greeting_and_a_table_with_the_servers_in_its_header() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("poem.txt", &noise(1, 40_000));
    let Some(mut session) = aditi.on_terminal(80, "$client") else { return };
    session.wait_for_text(PROMPT);
    session.send("ShowFiles");
    session.wait_for_text_after("39.1 KiB", PROMPT);
    cluster.stop(2);
    session.send("ShowFiles");
    session.wait_for_text_after("start Server2, or Repair", PROMPT);
    session.send("Exit");
    let seen = as_seen(&session.finish().succeeds().stdout);
    let text = seen.join("\n");
    assert!(text.contains("Welcome Aditi. Servers up: Server1, Server2, Server3, Server4.\n"), "{text}");
    assert!(
        text.contains("\nName          Size  Modified (UTC)    Server1 Server2 Server3 Server4\n"),
        "{text}"
    );
    assert!(text.contains("\nClient: warning: Server2 is down (refused the connection"), "{text}");
    let row = seen.iter().rfind(|line| line.starts_with("poem.txt")).unwrap();
    assert!(row.starts_with("poem.txt [degraded]  39.1 KiB  ") && row.contains(" down "), "{row}");
    assert!(text.contains("\n[degraded]  fewer copies than asked for: start Server2, or Repair\n"), "{text}");
    assert!(seen.iter().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, 100));
    cluster.stop(1);
    let Some(coloured) = aditi.on_terminal(80, "$client ShowFiles") else { return };
    let coloured = coloured.finish().succeeds().stdout;
    assert!(coloured.contains("\x1b[33mwarning:\x1b[0m"), "{coloured}");
    assert!(coloured.contains("\x1b[33m [degraded]\x1b[0m"), "{coloured}");
    for without in
        ["NO_COLOR=1 $client ShowFiles", "TERM=dumb $client ShowFiles", "$client ShowFiles 2>&1 | cat"]
    {
        let plain = aditi.on_terminal(80, without).unwrap().finish().succeeds().stdout;
        assert!(!plain.contains('\x1b'), "{without}: {plain:?}");
        assert!(plain.contains("Client: warning: Server1") && plain.contains("a [degraded]"), "{plain}");
    }
}

#[test]
fn a_narrow_terminal_is_filled_and_never_overfilled() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    for name in ["short", "a name that is far too long for a narrow terminal, to say the least.txt"] {
        aditi.upload(name, &noise(1, 100));
    }
    cluster.stop(3);
    for width in [20, 40, 60, 80, 132] {
        let Some(session) = aditi.on_terminal(width, "$client ShowFiles 2>errors") else { return };
        let seen = as_seen(&session.finish().succeeds().stdout);
        assert!(seen.iter().all(|line| line.chars().count() <= width), "{width}: {seen:#?}");
        assert!(seen.iter().any(|line| line.starts_with("short [degraded]")), "{width}: {seen:#?}");
    }
}

#[test]
fn a_pipe_gets_one_line_for_each_entry_whatever_it_is_asked_from() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a b", &noise(1, 100));
    aditi.put("d/c", b"c");
    aditi.run(&["Upload", "d"]).succeeds();
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a b", "d/"]);
    cluster.stop(3);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a b [degraded]", "d/"]);
    let outcome = aditi.run(&["ShowFiles", "-l"]).succeeds();
    let [file, folder] = outcome.lines()[..] else { panic!("{outcome}") };
    assert!(file.starts_with("a b [degraded] ") && file.contains(" Server3:down "), "{file}");
    assert_eq!(folder, "d/");
}

#[test]
fn a_progress_line_tells_who_is_waited_for_and_makes_room_for_messages() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    cluster.pause(2);
    let Some(session) = aditi.on_terminal(80, "$client ShowFiles; $client Status -q") else { return };
    session.wait_for_text("working");
    session.wait_for_text("Server1 Server2 Server3 Server4\x1b[K");
    let outcome = session.finish().succeeds();
    cluster.resume(2);
    assert!(outcome.stdout.contains("\r\x1b[KClient: "), "{outcome}");
    let seen = as_seen(&outcome.stdout);
    assert!(!seen.iter().any(|line| line.contains("working")), "it is still there: {seen:#?}");
    let quiet = outcome.stdout.split_once("nothing is stored here").unwrap().1;
    assert!(!quiet.contains("working"), "quiet: {outcome}");
}

#[test]
fn a_job_in_the_background_draws_no_progress_and_in_the_foreground_again_it_does() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    cluster.pause(2);
    let in_background = "set -m; $client ShowFiles & wait; echo over";
    let Some(session) = aditi.on_terminal(80, in_background) else { return };
    let outcome = session.finish().succeeds();
    assert!(outcome.stdout.contains("Server2 is down") && outcome.stdout.contains("over"), "{outcome}");
    assert!(!outcome.stdout.contains("working") && !outcome.stdout.contains("\r\x1b[K"), "{outcome}");
    let session = aditi.on_terminal(80, "set -m; $client ShowFiles & fg").unwrap();
    session.wait_for_text("working");
    session.finish().succeeds();
    cluster.resume(2);
}

#[test]
fn mistyped_words_bring_a_hint_of_what_was_meant() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("my notes.txt", b"x");
    let hint = |args: &[&str], status: i32, hint: &str| {
        aditi.run(args).fails_with(status).complains_of(&format!("Client: hint: {hint}"));
    };
    hint(&["Uplaod", "x"], 2, "did you mean Upload?");
    hint(&["ls"], 2, "did you mean ShowFiles?");
    hint(&["Status", "--jsno"], 2, "did you mean --json?");
    hint(&["Move", "x"], 2, "usage: Move OLD NEW");
    hint(&["Upload", "my notse.txt"], 1, "did you mean \"my notes.txt\"?");
    hint(&["Upload", "other"], 1, "looked for files/other; paths are looked up in DIR");
    hint(
        &["Upload", "files/my notes.txt"],
        1,
        "looked for files/files/my notes.txt; did you mean \"my notes.txt\"?",
    );
    hint(&["Upload", "my", "notes.txt"], 1, "did you mean \"my notes.txt\"?");
    hint(&["Upload", "your", "notes.txt"], 1, "looked for files/your; put a name with spaces in quotes");
    hint(&["Download", "my notse.txt"], 1, "did you mean \"my notes.txt\"?");
    hint(&["Download", "my notes"], 1, "did you mean \"my notes.txt\"?");
    hint(&["Download", "other"], 1, "ShowFiles lists what is stored");
    hint(&["Download", "-q", "my notse.txt"], 1, "ShowFiles lists what is stored");
    let Some(session) = aditi.on_terminal(80, "$client Download 'my notse.txt'") else { return };
    let seen = as_seen(&session.finish().exits(1).stdout);
    assert!(seen.iter().any(|line| line == "Client: hint: did you mean \"my notes.txt\"?"), "{seen:#?}");
}

#[test]
fn a_hint_for_many_files_is_shown_once() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    for name in ["d/a", "d/b", "d/c"] {
        aditi.put(name, &noise(1, 1000));
    }
    aditi.run(&["Upload", "d"]).succeeds();
    cluster.run_only(&[]);
    cluster.start(1);
    let outcome = aditi.run(&["Download", "d"]).fails_with(1);
    assert_eq!(outcome.stderr.matches("Client: error: cannot rebuild d/").count(), 4, "{outcome}");
    assert_eq!(outcome.stderr.matches("Client: hint: ").count(), 1, "{outcome}");
    cluster.run_all();
    disk::write(&aditi.folder().join("Downloads"), b"no folder");
    let outcome = aditi.run(&["Download", "d"]).fails_with(1);
    assert_eq!(outcome.stderr.matches("cannot use 'Downloads/Aditi'").count(), 1, "{outcome}");
    outcome.complains_of("error: the same for 3 more files");
}

#[test]
fn to_delete_everything_is_asked_about_on_a_terminal_and_nowhere_else() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    aditi.upload("b", b"b");
    aditi.run(&["Delete", "."]).fails_with(1).complains_of("error: '.' means everything you have stored");
    let Some(mut session) = aditi.on_terminal(80, "$client Delete -r /; echo \"status $?\"; $client") else {
        return;
    };
    session.wait_for_text("delete all 2 files? [y/N] ");
    session.send("n");
    session.wait_for_text_after("status 1", PROMPT);
    session.send("Delete -r .");
    session.wait_for_text_after("Delete -r .", "delete all 2 files? [y/N] ");
    session.send("\nDelete -r .");
    session.wait_for_text_after("nothing was deleted", "delete all 2 files? [y/N] ");
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a", "b"]);
    session.send("y");
    session.wait_for_text_after("2 files deleted", PROMPT);
    session.send("Exit");
    session.finish().succeeds();
    aditi.upload("a", b"a");
    aditi.run(&["Delete", "-r", "."]).succeeds();
    aditi.run(&["ShowFiles"]).succeeds().prints(&[]);
}

#[test]
fn messages_are_wrapped_between_words_on_a_terminal_and_nowhere_else() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    cluster.run_only(&[1]);
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let plain = aditi.run(&["Download", "a"]).fails_with(1);
    assert!(plain.stderr.lines().all(|line| line.starts_with("Client: ")), "{plain}");
    for width in [30, 60] {
        let Some(session) = aditi.on_terminal(width, "$client Download a") else { return };
        let seen = as_seen(&session.finish().exits(1).stdout);
        assert!(seen.iter().all(|line| line.chars().count() <= width), "{width}: {seen:#?}");
        assert_eq!(words(&seen.join("\n")), words(&plain.stderr), "{width}");
        assert!(seen.iter().any(|line| line.starts_with("        ")), "{width}: {seen:#?}");
    }
}

#[test]
fn an_arrow_at_the_prompt_does_nothing_and_says_what_would_help() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    // A build with line editing has this prompt where the terminal knows no escape sequences.
    let plain = if has_line_editing() { "TERM=dumb $client" } else { "$client" };
    let Some(mut session) = aditi.on_terminal(500, plain) else { return };
    session.wait_for_text(PROMPT);
    session.send("Delete a\x1b[A");
    session.wait_for_text_after(&format!("`rlwrap {} DIR CONF` has", program()), PROMPT);
    session.send("Exit");
    session.finish().succeeds();
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a"]);
}

#[test]
fn a_status_says_of_each_server_that_it_is_down_and_says_it_once() {
    let mut cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    cluster.stop(2);
    let outcome = aditi.run(&["Status"]).succeeds();
    assert!(outcome.lines()[1].starts_with("Server2: down (refused the connection"), "{outcome}");
    assert_eq!(outcome.stderr, "", "{outcome}");
    cluster.stop(1);
    let outcome = aditi.run(&["Status"]).fails_with(4);
    assert!(outcome.lines().iter().all(|line| line.contains(": down (refused")), "{outcome}");
    assert_eq!(outcome.lines().len(), 2, "{outcome}");
    let rows = Json::lines(&aditi.run(&["Status", "--json"]).fails_with(4).stdout);
    assert_eq!(rows.len(), 2);
    only_documented("Status", &rows);
}

#[test]
fn a_warning_names_the_servers_that_it_is_about() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, 1000));
    aditi.upload("b", &noise(1, 1000));
    cluster.stop(2);
    aditi
        .run(&["Verify"])
        .fails_with(1)
        .complains_of("2 of 2 files have problems (4 problems, 12 copies checked)");
    let verified = aditi.run(&["Verify"]).fails_with(1);
    assert!(
        verified.lines().iter().all(|line| line.ends_with("1 of 2 good copies (Server2 is down)")),
        "{verified}"
    );
    aditi.run(&["Delete", "b"]).succeeds().complains_of("b: Server2 missed the delete");
    cluster.stop(3);
    let outcome = aditi.run(&["Upload", "a"]).succeeds();
    outcome.complains_of(
        "warning: Server2 and Server3 are down; a newer version of an uploaded file, if stored there, replaces it",
    );
}

#[test]
fn help_needs_no_server() {
    let mut cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    cluster.stop(1);
    let list = aditi.run(&["Help"]).succeeds();
    for command in
        ["ShowFiles", "Upload", "Download", "Delete", "Move", "Passwd", "Verify", "Repair", "Status"]
    {
        assert!(list.lines().iter().any(|line| line.starts_with(command)), "{list}");
        let topic = aditi.run(&["Help", command]).succeeds();
        assert!(topic.lines()[0].starts_with(command), "{topic}");
        assert_eq!(aditi.run(&[command, "--help"]).succeeds().stdout, topic.stdout);
    }
}

/// The words in bold in the man page's entry for a command, under JSON OUTPUT.
fn documented(command: &str) -> Vec<String> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/man/shareit.1")).unwrap();
    let (_, section) = page.split_once(".SH \"JSON OUTPUT\"\n").unwrap();
    let (section, _) = section.split_once(".SH ").unwrap();
    let entry = section.split(".TP\n").find(|entry| entry.starts_with(&format!(".B {command}\n"))).unwrap();
    let bold = entry.lines().filter(|line| line.starts_with(".B") || line.starts_with(".RB"));
    let words = bold.flat_map(|line| line.split(' ').skip(1));
    words.map(|word| word.replace("\\(dq", "")).collect()
}

#[track_caller]
fn only_documented(command: &str, objects: &[Json]) {
    let words = documented(command);
    for object in objects {
        let Json::Object(members) = object else { panic!("{object:?}") };
        for (field, _) in members {
            assert!(words.contains(field), "{field} of {command} is not in the man page");
        }
    }
}

#[test]
fn json_has_the_fields_of_the_man_page_and_tells_outdated_and_damaged_pieces() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let pieces = |numbers: &[usize]| Json::List(numbers.iter().map(|&n| Json::Number(n as f64)).collect());
    aditi.upload("a", &noise(1, 40_000));
    let absent = cluster.holders("a", 1)[0];
    let held: Vec<usize> = (1..=4).filter(|&piece| cluster.holders("a", piece).contains(&absent)).collect();
    cluster.stop(absent);
    aditi.upload("a", &noise(2, 50_000));
    cluster.start(absent);
    aditi.put("d/b", &noise(3, 40_000));
    aditi.run(&["Upload", "d"]).succeeds();
    let (bad, absent_name) = (cluster.holders("d/b", 2)[0], format!("Server{absent}"));
    cluster.edit_piece(bad, "d/b", 2, |piece| piece[40] ^= 1);

    let listed = Json::lines(&aditi.run(&["ShowFiles", "--json"]).succeeds().stdout);
    only_documented("ShowFiles", &listed);
    let [file, folder] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((folder.text("name"), folder.text("type")), ("d", "folder"));
    assert_eq!((file.text("type"), file.text("state")), ("file", "whole"));
    assert_eq!(*file.get("size"), Json::Number(50_000.0));
    assert_eq!(file.text("modified").len(), "2026-11-22T12:00:00Z".len());
    assert_eq!(*file.get("servers").get(&absent_name), pieces(&[]));
    assert_eq!(*file.get("outdated"), Json::Object(vec![(absent_name.clone(), pieces(&held))]));
    assert_eq!((file.get("damaged"), file.get("other_key")), (&Json::Object(vec![]), &Json::Object(vec![])));
    let listed = Json::lines(&aditi.run(&["ShowFiles", "d", "--json"]).succeeds().stdout);
    assert_eq!(listed[0].text("state"), "degraded");
    assert_eq!(*listed[0].get("damaged"), Json::Object(vec![(format!("Server{bad}"), pieces(&[2]))]));

    let problems = Json::lines(&aditi.run(&["Verify", "-r", "--json"]).fails_with(1).stdout);
    only_documented("Verify", &problems);
    let has = |server: Json, piece: usize, what: &str| {
        problems.iter().any(|p| {
            *p.get("server") == server
                && *p.get("piece") == Json::Number(piece as f64)
                && p.text("problem") == what
        })
    };
    assert!(
        held.iter().all(|&piece| has(Json::Text(absent_name.clone()), piece, "outdated version")),
        "{problems:?}"
    );
    assert!(has(Json::Text(format!("Server{bad}")), 2, "damaged header or seal"), "{problems:?}");
    assert!(has(Json::Null, 2, "1 of 2 good copies"), "{problems:?}");

    let status = Json::lines(&aditi.run(&["Status", "--json"]).succeeds().stdout);
    only_documented("Status", &status);
    let planned = Json::lines(&aditi.run(&["Repair", "-n", "--json"]).succeeds().stdout);
    assert!(!planned.is_empty() && planned.iter().all(|step| *step.get("done") == Json::Bool(false)));
    let steps = Json::lines(&aditi.run(&["Repair", "--json"]).succeeds().stdout);
    only_documented("Repair", &steps);
    assert!(steps.iter().all(|step| *step.get("done") == Json::Bool(true)), "{steps:?}");
    let actions: Vec<&str> = steps.iter().map(|step| step.text("action")).collect();
    assert!(actions.contains(&"copied") && actions.contains(&"dropped"), "{steps:?}");
    assert!(actions.iter().all(|action| documented("Repair").contains(&(*action).to_owned())), "{actions:?}");
    cluster.stop(1);
    only_documented("Status", &Json::lines(&aditi.run(&["Status", "--json"]).succeeds().stdout));
}

#[test]
fn ctrl_c_ends_an_upload_at_once_and_loses_nothing() {
    let cluster = Cluster::quick(4);
    let (old, new) = (noise(1, 100_000), noise(2, 100_000));
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &old);

    let proxies = cluster.proxies();
    let interrupted = cluster.client_through("Aditi", &proxies);
    interrupted.put("a", &noise(3, LARGE));
    proxies[2].fail_after(Way::Up, 1 << 20, Fault::Silence);
    let upload = interrupted.start(&["Upload", "a"]);
    proxies[2].wait_for_the_fault();
    upload.interrupt().exits(-1);
    drop(proxies);

    cluster.wait_until_all_left();
    aditi.download("a", &old);
    aditi.upload("a", &new);
    aditi.download("a", &new);
    assert_eq!(cluster.unsettled(), [""; 0]);
    cluster.has_equal_copies("a", 2);
}

#[test]
fn ctrl_c_ends_a_download_at_once_and_the_next_one_goes_on_with_its_draft() {
    let cluster = Cluster::quick(4);
    let bytes = noise(1, LARGE);
    let direct = cluster.client("Aditi");
    direct.upload("a", &bytes);
    let proxies = cluster.proxies();
    let mut aditi = cluster.client_through("Aditi", &proxies);
    fs::create_dir_all(aditi.downloads()).unwrap();
    fs::write(aditi.downloads().join("a"), b"an older download").unwrap();
    for proxy in &proxies {
        proxy.fail_after(Way::Down, 1 << 20, Fault::Silence);
    }
    let download = aditi.start(&["Download", "a"]);
    let downloads = aditi.downloads();
    let is_written = |file: &String| {
        let bytes = fs::read(downloads.join(file)).unwrap();
        bytes.iter().filter(|byte| **byte != 0).count() > 512 << 10
    };
    wait_until("half a MiB in the draft", || disk::files_below(&downloads).iter().any(is_written));
    download.interrupt().exits(-1);
    aditi.has_downloaded("a", b"an older download");
    assert_eq!(disk::files_below(&aditi.downloads()).len(), 2, "the older download and the draft");

    aditi.conf = direct.conf.clone();
    aditi.run(&["Download", "a"]).succeeds().complains_of("are here already");
    aditi.has_downloaded("a", &bytes);
    assert_eq!(disk::files_below(&aditi.downloads()), ["a"]);
}

#[test]
fn ctrl_c_while_a_password_is_typed_leaves_a_terminal_that_shows_what_is_typed() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let conf = aditi.conf.clone();
    let commands = format!("{TELL_WHEN_HIDDEN} $client Passwd; echo \"status $?\"; stty -a");
    let Some(mut session) = aditi.on_terminal(80, &commands) else { return };
    session.wait_for_text("new password: ");
    session.wait_for_text("hidden");
    session.press("secret\x03");
    session.wait_for_text("status ");
    let outcome = session.finish();
    let (typed, settings) = outcome.stdout.split_once("status 130").unwrap_or_else(|| panic!("{outcome}"));
    assert!(!typed.contains("secret"), "{outcome}");
    let words: Vec<&str> = settings.split_whitespace().map(|word| word.trim_end_matches(';')).collect();
    for word in ["echo", "isig", "icanon"] {
        assert!(words.contains(&word), "{word} is off: {outcome}");
    }
    aditi.run(&["Status"]).succeeds();
    assert_eq!(fs::read_to_string(aditi.folder().join(crate::common::client::CONF)).unwrap(), conf);
}

#[test]
fn a_password_typed_at_a_terminal_is_not_shown_and_is_the_new_one() {
    let cluster = Cluster::quick(4);
    let mut aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    let commands = format!("{TELL_WHEN_HIDDEN} $client Passwd");
    let Some(mut session) = aditi.on_terminal(80, &commands) else { return };
    session.wait_for_text("hidden");
    session.press("new pass word\nnew pass word\n");
    session.wait_for_text("repeat the password: ");
    session.wait_for_text("password changed");
    let outcome = session.finish().succeeds();
    assert!(!outcome.stdout.contains("new pass word"), "{outcome}");
    aditi.run(&["ShowFiles"]).fails_with(3);
    aditi.conf = aditi.conf.replace("Aditi@123", "new pass word");
    aditi.download("a", b"a");
}

#[test]
fn two_passwords_that_differ_change_nothing() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    let commands = format!("{TELL_WHEN_HIDDEN} $client Passwd; echo \"status $?\"");
    let Some(mut session) = aditi.on_terminal(80, &commands) else { return };
    session.wait_for_text("hidden");
    session.press("one\nother\n");
    session.wait_for_text("the passwords do not match");
    session.wait_for_text("status 1");
    aditi.run(&["Status"]).succeeds();
}

#[test]
fn a_new_password_is_not_asked_for_where_it_cannot_be_changed() {
    let mut cluster = Cluster::quick(2);
    let aditi = cluster.client("Aditi");
    cluster.stop(2);
    let Some(session) = aditi.on_terminal(80, "$client Passwd; echo \"status $?\"") else { return };
    session.wait_for_text("every server is needed (Server2: refused the connection)");
    session.wait_for_text("status 4");
    let outcome = session.finish();
    assert!(!outcome.stdout.contains("new password"), "{outcome}");
}

#[test]
fn the_end_of_input_leaves_the_prompt() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    let Some(mut session) = aditi.on_terminal(80, "$client; echo \"status $?\"") else { return };
    session.wait_for_text(PROMPT);
    session.send("Download nowhere");
    session.wait_for_text_after("not found", PROMPT);
    session.press("\x04");
    session.wait_for_text("\r\nstatus 0");
    let plain = "trap : INT; TERM=dumb $client; echo \"status $?\"";
    let Some(mut session) = aditi.on_terminal(80, plain) else { return };
    session.wait_for_text(PROMPT);
    session.press("\x03");
    session.wait_for_text("status 130");
}

#[test]
fn ctrl_z_while_a_server_is_waited_for_does_not_end_the_wait() {
    let cluster = Cluster::quick(1);
    let crowded = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = crowded.local_addr().unwrap();
    // Room for one that nobody accepts: who comes next gets no answer.
    rustix::net::listen(&crowded, 0).unwrap();
    let _first = TcpStream::connect(address).unwrap();
    let aditi = cluster.client("Aditi").with(&format!("Server2 {address}\nTimeout 60"));
    let session = aditi.start(&["ShowFiles"]);
    // proc_net_tcp(5): 02 is SYN_SENT.
    let connecting = format!(":{:04X} 02 ", address.port());
    let connections = || fs::read_to_string("/proc/net/tcp").unwrap();
    wait_until("the client connects", || connections().contains(&connecting));
    session.suspend_while(|| ());
    // The kernel tries again after a second, and finds nobody.
    drop(crowded);
    session.finish().succeeds().complains_of("Server2 is down (refused the connection");
}
