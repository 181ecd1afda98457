//! The prompt with line editing, as a person at a terminal uses it.

use crate::common::process::Session;
use crate::common::{Client, Cluster, Fault, Way, disk, noise};

const UP: &str = "\x1b[A";
const LEFT: &str = "\x1b[D";
/// The editor has the terminal report a paste as one, as long as it reads a line.
const BEGIN: &str = "\x1b[?2004h";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const CTRL_R: &str = "\x12";
const CTRL_Z: &str = "\x1a";

/// A client at its prompt. A shell that Ctrl-C reaches too goes on, and tells the exit status.
fn prompt(client: &Client) -> Option<Session> {
    let session = client.on_terminal(80, "trap : INT; $client; echo \"status $?\"")?;
    session.wait_for_text("ShareIt> ");
    Some(session)
}

/// Waits until lines have been read so often: before that, the terminal itself understands some keys.
#[track_caller]
fn at_prompt(session: &Session, times: usize) {
    session.wait_for_text_again(BEGIN, times);
}

/// Ctrl-C, and waits for the next prompt, which has this number: what is typed sooner is discarded with the line.
#[track_caller]
fn clear(session: &mut Session, prompt: usize) {
    session.press(CTRL_C);
    at_prompt(session, prompt);
}

#[track_caller]
fn leaves(session: Session) -> String {
    session.wait_for_text("status 0");
    session.finish().succeeds().stdout
}

#[test]
fn a_line_is_edited_and_earlier_ones_come_back() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    aditi.put("poem.txt", b"a");
    let Some(mut session) = prompt(&aditi) else { return };
    session.press(&format!("Upload pom.txt{}e\r", LEFT.repeat(5)));
    session.wait_for_text("uploaded poem.txt");
    at_prompt(&session, 2);
    session.press(&format!("Move poem.txt b\r{UP}{UP}\r"));
    at_prompt(&session, 4);
    session.press(&format!("{CTRL_R}Move\r"));
    session.wait_for_text("reverse-i-search");
    session.wait_for_text("'b' already exists");
    session.press("Exit\r");
    leaves(session);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["b", "poem.txt"]);
    assert_eq!(disk::files_below(aditi.folder()), ["files/poem.txt", "user.conf"], "no history is kept");
}

#[test]
fn tab_completes_commands_options_local_and_stored_names() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    aditi.put("my files/it's a poem.txt", b"a");
    aditi.put("pony.jpg", b"b");
    let Some(mut session) = prompt(&aditi) else { return };
    session.press("upl\t-\t\t");
    session.wait_for_text("--trace");
    session.press("q my\\ \tit\t\r");
    session.press("upl\tpo\t\r");
    session.wait_for_text("uploaded pony.jpg");
    session.press("Down\tit\t\r");
    session.wait_for_text("downloaded it's a poem.txt");
    session.press("Exit\r");
    leaves(session);
    aditi.has_downloaded("it's a poem.txt", b"a");
}

#[test]
fn tab_does_not_wait_for_a_silent_server_and_writes_no_message_into_the_line() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("poem.txt", b"a");
    let Some(mut session) = prompt(&aditi) else { return };
    cluster.pause(2);
    session.press("Delete po\t");
    session.wait_for_text("Delete poem.txt ");
    clear(&mut session, 2);
    session.press(CTRL_D);
    let seen = leaves(session);
    cluster.resume(2);
    assert!(!seen.contains("is down"), "{seen}");
    aditi.run(&["ShowFiles"]).succeeds().prints(&["poem.txt"]);
}

#[test]
fn names_that_would_change_the_terminal_are_not_offered() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    aditi.put("bell\x1b[2J.txt", b"a");
    aditi.put("bell.txt", b"b");
    aditi.run(&["Upload", "."]).succeeds();
    let Some(mut session) = prompt(&aditi) else { return };
    session.press("Upload be\t");
    session.wait_for_text("Upload bell.txt ");
    clear(&mut session, 2);
    session.press("Move be\t");
    session.wait_for_text("Move bell.txt ");
    clear(&mut session, 3);
    session.press(CTRL_D);
    let seen = leaves(session);
    assert!(!seen.contains("\x1b[2J"), "{seen:?}");
}

#[test]
fn ctrl_c_clears_the_line_and_ctrl_d_leaves() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    let Some(mut session) = prompt(&aditi) else { return };
    session.press("Delete a");
    clear(&mut session, 2);
    session.press(CTRL_D);
    leaves(session);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a"]);
}

#[test]
fn ctrl_c_ends_an_upload_and_comes_back_to_the_prompt() {
    let cluster = Cluster::quick(4);
    let direct = cluster.client("Aditi");
    direct.upload("a", b"old");
    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    aditi.put("a", &noise(1, 8 << 20));
    let Some(mut session) = prompt(&aditi) else { return };
    proxies[2].fail_after(Way::Up, 1 << 20, Fault::Silence);
    session.send("Upload a");
    proxies[2].wait_for_the_fault();
    session.press(CTRL_C);
    session.wait_for_text("Client: \x1b[1;31merror:\x1b[0m interrupted");
    session.wait_for_text("the same command again");
    at_prompt(&session, 2);
    direct.download("a", b"old");
    session.send("Help Exit");
    session.wait_for_text("Nothing is lost by leaving");
    at_prompt(&session, 3);
    session.send("Exit");
    let seen = leaves(session);
    assert!(!seen.contains("is down"), "{seen}");
    assert_eq!(seen.matches("error:").count(), 1, "{seen}");
}

#[test]
fn ctrl_c_ends_a_cat_and_nothing_of_it_comes_later() {
    let cluster = Cluster::quick(4);
    let direct = cluster.client("Aditi");
    let lines: String = (0..700_000).map(|n| format!("line {n}\n")).collect();
    direct.upload("text", lines.as_bytes());
    direct.upload("poem", b"roses\n");
    let proxies = cluster.proxies_together();
    let aditi = cluster.client_through("Aditi", &proxies);
    let Some(mut session) = prompt(&aditi) else { return };
    proxies[0].fail_after(Way::Down, 3 << 20, Fault::Silence);
    session.send("Cat text");
    proxies[0].wait_for_the_fault();
    session.wait_for_text("line 1000\r");
    session.press(CTRL_C);
    at_prompt(&session, 2);
    proxies[0].heal();
    session.send("Cat poem");
    session.wait_for_text("roses");
    at_prompt(&session, 3);
    session.send("Exit");
    let seen = leaves(session);
    let after = seen.split("interrupted").nth(1).unwrap();
    assert!(!after.contains("line "), "{after}");
}

#[test]
fn after_ctrl_c_the_servers_are_logged_in_to_again_without_a_word() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let Some(mut session) = prompt(&aditi) else { return };
    cluster.pause(2);
    session.press("\x1b[200~ShowFiles\nExit\x1b[201~\r");
    session.wait_for_text("working");
    session.press(CTRL_C);
    // What was pasted after it is discarded.
    session.wait_for_text_again("interrupted", 1);
    at_prompt(&session, 2);
    session.send("ShowFiles --trace");
    session.wait_for_text("connect took");
    session.press(CTRL_C);
    session.wait_for_text_again("interrupted", 2);
    at_prompt(&session, 3);
    cluster.resume(2);
    session.send("ShowFiles");
    session.wait_for_text("nothing is stored here");
    at_prompt(&session, 4);
    session.send("Exit");
    let seen = leaves(session);
    assert!(!seen.contains("is back") && !seen.contains("is down"), "{seen}");
}

#[test]
fn ctrl_c_at_a_question_still_ends_the_client() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    let Some(mut session) = prompt(&aditi) else { return };
    session.send("Delete -r .");
    session.wait_for_text("[y/N] ");
    session.press(CTRL_C);
    session.wait_for_text("status 130");
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a"]);
}

#[test]
fn lines_that_are_pasted_together_run_one_after_another() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    aditi.put("a", b"a");
    let Some(mut session) = prompt(&aditi) else { return };
    session.press("\x1b[200~Upload a\nMove a b\n# a comment\nExit\x1b[201~\r");
    leaves(session);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["b"]);
}

#[test]
fn a_line_that_is_too_long_is_one_mistake() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    let Some(mut session) = prompt(&aditi) else { return };
    session.press(&format!("\x1b[200~Delete {}\x1b[201~\r", "x".repeat(20_000)));
    session.wait_for_text("line too long");
    at_prompt(&session, 2);
    session.press("Exit\r");
    leaves(session);
}

#[test]
fn a_password_is_asked_for_as_without_an_editor_and_the_prompt_comes_back() {
    let cluster = Cluster::quick(1);
    let mut aditi = cluster.client("Aditi");
    let Some(mut session) = prompt(&aditi) else { return };
    session.press("\x1b[200~Passwd\nnot a command\x1b[201~\r");
    session.wait_for_text("new password: ");
    session.press("new pass word\n");
    session.wait_for_text("repeat the password: ");
    session.press("new pass word\n");
    session.wait_for_text("password changed");
    at_prompt(&session, 2);
    session.press("Stat\t-q\rExit\r");
    let seen = leaves(session);
    assert!(!seen.contains("new pass word") && seen.contains("Round trip"), "{seen}");
    assert!(!seen.contains("unknown command"), "what was pasted after it may be a password: {seen}");
    aditi.conf = aditi.conf.replace("Aditi@123", "new pass word");
    aditi.run(&["Status"]).succeeds();
}

#[test]
fn ctrl_z_gives_the_terminal_back_and_fg_goes_on_with_the_line() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    let Some(mut session) = aditi.on_terminal(80, "set -m; $client; stty -a; echo stopped; fg") else {
        return;
    };
    session.wait_for_text("ShareIt> ");
    session.press(&format!("Help Ex{CTRL_Z}"));
    session.wait_for_text("\r\nstopped\r\n");
    session.press("it\r");
    session.wait_for_text("Nothing is lost by leaving");
    at_prompt(&session, 3);
    session.press(CTRL_D);
    let seen = session.finish().succeeds().stdout;
    assert!(seen.contains(" icanon") && !seen.contains("-icanon") && !seen.contains("-echo "), "{seen}");
}
