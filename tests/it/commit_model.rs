//! The commit protocol, exhaustively within bounds: two uploads and a delete of one name on three servers with two copies,
//! or on four with parity, with writers and a server that die at any step. With parity any two servers may be lost of what
//! was stored while all were up, and any one of what was stored without one of them.
//!
//! The model is made of the rules themselves, the functions of `shareit::commit`; around them it has only
//! what they leave open: messages, connections, crashes, and what a power failure takes back. Each state that
//! can be reached is visited once and checked.
//!
//! # Simplified, and why nothing is lost by it
//!
//! - Three servers, two copies. Piece 4 then has the holders of piece 1, so pieces 1 to 3 represent all.
//!   The holders are turned, and not changed, when the ring is turned: so the server that crashes is always
//!   the first.
//! - With parity a server holds P and Q of its place, and those of a server that is replaced go together. So four pieces
//!   stand for eight: each for a place of the row.
//! - A server's pieces of one version arrive as one: a writer that has not staged all of them never commits.
//! - A version whose writer never sent a commit cannot be decided: how it is cleared away is one step.
//! - A reader looks at all servers at one instant. What one server has published never gets older, which is
//!   checked too; so a slower reader finds what one instant in between would show, or something newer.
//! - Whoever settles, repairs or forgets needs no memory but the promises that it collects: every such
//!   request may be late, and is carried out in any state in which somebody could have sent it. Where a
//!   writer's own commit is in transit, nobody else's is sent: it would do the same.
//!
//! # Bounds
//!
//! Promises are collected for one version at a time, and a floor that a version was fenced by is not raised by
//! the same fence again. One server is down at a time. An upload that fewer than R servers committed is
//! acknowledged with a warning, and is counted on only if all servers answer. All pairs of writers are
//! explored with crashes, deaths and aborts; all three together only with less of these at a time: see the tests'
//! [`Bounds`]. Second tries, a server that lies about them, writers out of each other's sight, and a move are
//! explored each for itself, and so are uploads that stage again what they lost. Out of sight, and where an upload goes on
//! without a server, no repair comes late that began before all of it: it could put a version back on a server that has
//! dropped it for a newer one elsewhere, which no reader takes. Nor is what a server that lies does counted where others
//! abort: it may break the promise on which they rely, so that one client drops what another publishes on its word.

mod bounds;
mod explore;
mod server;
mod world;

use bounds::{Bounds, Rules};
use explore::{Explored, explore};
use shareit::placement::Scheme;

/// A limit that a test within its bounds does not reach; it keeps a mistake from filling the memory.
const MOST_STATES: usize = 100_000_000;

fn holds(name: &str, bounds: Bounds) {
    let began = std::time::Instant::now();
    match explore(bounds, Rules::default(), MOST_STATES) {
        Explored::Holds { states } => println!("{name}: {states} states, {:.1?}", began.elapsed()),
        Explored::Broken { why, trace, states } => {
            panic!("{name}: {why}\nafter {states} states:\n{}", trace.join("\n"))
        }
        Explored::TooMany => panic!("{name}: more than {MOST_STATES} states"),
    }
}

/// Without the rule there is a state in which a promise is broken, and the explorer finds it.
fn breaks(name: &str, bounds: Bounds, rules: Rules) {
    match explore(bounds, rules, MOST_STATES) {
        Explored::Broken { why, trace, states } => {
            println!("{name}: {why} (step {}, {states} states)\n{}", trace.len(), trace.join("\n"));
        }
        _ => panic!("{name}: nothing went wrong, so the model would not notice"),
    }
}

/// One crash, any number of deaths.
fn full() -> Bounds {
    Bounds::default()
}

/// Three writers, as far as a test that runs every time can go.
fn three_writers() -> Bounds {
    Bounds { crashes: 0, any_order: false, aborts: false, ..full() }
}

#[test]
fn two_uploads_and_a_delete_whose_writers_may_die() {
    holds("two uploads and a delete", three_writers());
}

#[test]
fn two_uploads_and_a_server_that_crashes() {
    holds("two uploads, a crash", Bounds { delete: false, ..full() });
}

#[test]
fn an_upload_and_a_delete_and_a_server_that_crashes() {
    holds("an upload and a delete, a crash", Bounds { uploads: 1, ..full() });
}

#[test]
fn a_writer_that_tries_again() {
    let again = Bounds { retries: 1, crashes: 0, deaths: 1, any_order: false, ..full() };
    holds("two uploads, a second try", Bounds { delete: false, ..again });
    holds("an upload and a delete, a second try", Bounds { uploads: 1, ..again });
}

#[test]
fn an_upload_that_stages_again_what_it_lost() {
    let again = Bounds { restages: 2, breaks: 1, deaths: 1, any_order: false, late_repair: false, ..full() };
    holds("an upload that stages again, a crash", Bounds { uploads: 1, delete: false, ..again });
    holds("an upload that stages again, and a delete", Bounds { uploads: 1, crashes: 0, ..again });
    holds("two uploads that stage again", Bounds { delete: false, crashes: 0, restages: 1, ..again });
}

#[test]
fn a_server_that_shows_what_was_given_up() {
    let liar = Bounds { retries: 2, breaks: 2, liar: true, uploads: 1, delete: false, crashes: 0, ..full() };
    holds("two more tries, a liar", liar);
}

#[test]
fn writers_that_do_not_see_each_other() {
    let apart =
        Bounds { partitions: true, late_repair: false, crashes: 0, deaths: 0, any_order: false, ..full() };
    holds("two uploads out of sight", Bounds { delete: false, ..apart });
    holds("an upload and a delete out of sight", Bounds { uploads: 1, ..apart });
}

#[test]
fn an_upload_beside_a_move() {
    let moving = Bounds { moves: true, uploads: 1, ..full() };
    holds("an upload and a move", Bounds { crashes: 0, ..moving });
}

/// Four servers and XORs, of which any two may be lost; as far as a test that runs every time can go.
fn xors() -> Bounds {
    Bounds { scheme: Scheme::Parity, crashes: 0, any_order: false, late_repair: false, ..full() }
}

#[test]
fn an_upload_with_xors_whose_writer_may_die() {
    holds("XORs, an upload", Bounds { uploads: 1, delete: false, any_order: true, crashes: 1, ..xors() });
}

#[test]
fn an_upload_with_xors_and_a_delete() {
    holds("XORs, an upload and a delete", Bounds { uploads: 1, deaths: 1, aborts: false, ..xors() });
}

#[test]
fn two_uploads_with_xors() {
    holds("XORs, two uploads", Bounds { delete: false, deaths: 1, ..xors() });
}

#[test]
fn xors_that_are_staged_again_or_elsewhere() {
    let again = Bounds { restages: 1, breaks: 1, deaths: 1, ..xors() };
    holds("XORs that are staged again", Bounds { uploads: 1, delete: false, ..again });
}

#[test]
fn xors_and_a_server_that_shows_what_was_given_up() {
    let liar = Bounds { retries: 1, breaks: 1, liar: true, uploads: 1, delete: false, ..xors() };
    holds("XORs, another try and a liar", liar);
    holds("XORs, a liar, and nobody who aborts", Bounds { aborts: false, ..liar });
}

#[test]
fn a_server_that_shows_what_a_writer_that_died_has_staged() {
    let liar = Bounds { liar: true, aborts: false, uploads: 1, delete: false, crashes: 0, ..full() };
    holds("a liar and a writer that died", liar);
    holds("a liar and a writer that died, XORs", Bounds { scheme: Scheme::Parity, ..liar });
}

#[test]
fn writers_of_xors_that_do_not_see_each_other() {
    let apart = Bounds { partitions: true, deaths: 0, aborts: false, ..xors() };
    holds(
        "XORs, an upload out of sight",
        Bounds { uploads: 1, delete: false, deaths: 1, aborts: true, ..apart },
    );
    holds("XORs, two uploads out of sight", Bounds { delete: false, ..apart });
}

#[test]
fn a_version_that_makes_an_older_one_go_before_it_is_as_safe_as_it_can_be_loses_both() {
    let rules = Rules { retire_early: true, ..Rules::default() };
    let apart = Bounds { partitions: true, deaths: 0, aborts: false, uploads: 1, delete: false, ..xors() };
    breaks("XORs, retire early", apart, rules);
    breaks("retire early", Bounds { scheme: Scheme::Copies, ..apart }, rules);
}

#[test]
fn one_server_that_is_believed_publishes_what_nobody_can_rebuild() {
    let rules = Rules { no_doubt: true, ..Rules::default() };
    let liar = Bounds { liar: true, aborts: false, any_order: true, uploads: 1, delete: false, ..xors() };
    breaks("XORs, believe one server", liar, rules);
    breaks("believe one server", Bounds { scheme: Scheme::Copies, ..liar }, rules);
}

#[test]
#[ignore = "minutes, and a gigabyte: with aborts, a crash and any order"]
fn xors_in_wider_bounds() {
    holds("XORs, an upload and a delete, a death", Bounds { uploads: 1, deaths: 1, ..xors() });
    holds("XORs, two uploads, a crash", Bounds { delete: false, deaths: 1, crashes: 1, ..xors() });
    let again = Bounds { restages: 2, breaks: 2, deaths: 1, crashes: 1, ..xors() };
    holds("XORs that are staged again, a crash", Bounds { uploads: 1, delete: false, ..again });
}

#[test]
#[ignore = "minutes: with a crash as well"]
fn second_tries_a_move_and_writers_out_of_sight_in_wider_bounds() {
    holds("an upload and a move, a crash", Bounds { moves: true, uploads: 1, ..full() });
    holds("two uploads, a second try, a crash", Bounds { retries: 1, delete: false, ..full() });
    let apart = Bounds { partitions: true, late_repair: false, ..full() };
    holds("two uploads out of sight, a crash", Bounds { delete: false, ..apart });
    holds("an upload and a delete out of sight, a death", Bounds { uploads: 1, crashes: 0, ..apart });
}

#[test]
#[ignore = "a minute: with a crash as well"]
fn uploads_that_stage_again_in_wider_bounds() {
    let again = Bounds { restages: 1, breaks: 1, deaths: 1, any_order: false, late_repair: false, ..full() };
    holds("two uploads that stage again, a crash", Bounds { delete: false, ..again });
    holds("an upload that stages again, a delete and a crash", Bounds { uploads: 1, ..again });
}

#[test]
#[ignore = "a minute: the same with the tie decided the other way, and a tombstone that comes back"]
fn an_upload_and_a_delete_in_wider_bounds() {
    let pair = Bounds { uploads: 1, ..full() };
    holds("an upload and a newer delete, a crash", Bounds { delete_wins_ties: true, ..pair });
    holds("an upload and a delete buried again, a crash", Bounds { bury_again: true, ..pair });
    holds("an upload and a delete, a lost connection", Bounds { crashes: 0, breaks: 1, ..pair });
    holds("two uploads, a lost connection and a crash", Bounds { delete: false, breaks: 1, ..full() });
}

#[test]
#[ignore = "a minute, and a gigabyte"]
fn two_crashes() {
    holds("two uploads, two crashes", Bounds { delete: false, crashes: 2, ..full() });
    holds("an upload and a delete, two crashes", Bounds { uploads: 1, crashes: 2, ..full() });
}

#[test]
#[ignore = "a minute, and a gigabyte"]
fn two_uploads_and_a_delete_in_wider_bounds() {
    holds("three writers, a crash and no death", Bounds { crashes: 1, deaths: 0, ..three_writers() });
    holds("three writers, a death and aborts", Bounds { deaths: 1, aborts: true, ..three_writers() });
}

#[test]
fn an_abort_while_a_connection_is_open_loses_a_version() {
    let rules = Rules { abort_open: true, ..Rules::default() };
    breaks("abort while open", Bounds { crashes: 0, delete: false, uploads: 1, ..full() }, rules);
}

#[test]
fn an_abort_while_a_server_does_not_answer_loses_a_version() {
    let rules = Rules { abort_unanswered: true, ..Rules::default() };
    breaks("abort while unanswered", Bounds { delete: false, uploads: 1, ..full() }, rules);
}

#[test]
fn an_abort_after_a_look_without_a_promise_loses_a_version() {
    let rules = Rules { abort_without_promise: true, ..Rules::default() };
    breaks("abort without promise", Bounds { crashes: 0, delete: false, uploads: 1, ..full() }, rules);
}

#[test]
fn a_promise_behind_a_newer_version_loses_what_others_still_need() {
    let rules = Rules { promise_behind: true, ..Rules::default() };
    breaks("promise behind", Bounds { uploads: 1, crashes: 0, ..full() }, rules);
}

#[test]
fn a_delete_that_is_forgotten_before_all_have_it_brings_the_file_back() {
    let rules = Rules { forget_early: true, ..Rules::default() };
    breaks("forget early", Bounds { uploads: 0, crashes: 0, ..full() }, rules);
}

#[test]
fn a_tombstone_that_is_forgotten_before_its_commit_is_done_brings_the_file_back() {
    let rules = Rules { forget_half_done: true, ..Rules::default() };
    breaks("forget half done", Bounds { uploads: 0, ..full() }, rules);
}

#[test]
fn without_a_floor_a_late_writer_brings_the_file_back() {
    let rules = Rules { no_floor: true, ..Rules::default() };
    breaks("no floor", Bounds { uploads: 0, crashes: 0, ..full() }, rules);
    breaks(
        "no floor, no late repair",
        Bounds { uploads: 1, crashes: 0, late_repair: false, ..full() },
        rules,
    );
}

#[test]
fn a_floor_that_is_not_checked_when_a_piece_has_arrived_lets_a_late_writer_through() {
    let rules = Rules { check_at_door_only: true, ..Rules::default() };
    breaks("floor checked at the door only", Bounds { uploads: 1, crashes: 0, ..full() }, rules);
}

#[test]
fn a_tombstone_that_goes_before_its_drops_are_on_disk_brings_the_file_back() {
    let rules = Rules { forget_unsynced: true, ..Rules::default() };
    breaks("forget unsynced", Bounds { uploads: 0, ..full() }, rules);
}

#[test]
fn a_commit_acknowledged_behind_an_unsynced_tombstone_loses_a_copy() {
    let rules = Rules { behind_unsynced: true, ..Rules::default() };
    breaks("behind unsynced", Bounds { uploads: 1, delete_wins_ties: true, ..full() }, rules);
}

#[test]
fn a_second_try_that_is_not_newer_gives_way_to_the_first() {
    let rules = Rules { retry_same: true, ..Rules::default() };
    let bounds =
        Bounds { retries: 1, breaks: 1, liar: true, uploads: 1, delete: false, crashes: 0, ..full() };
    breaks("retry with the same generation", bounds, rules);
}

#[test]
fn what_was_staged_before_a_server_was_replaced_is_too_little_where_the_connection_was_lost() {
    let rules = Rules { count_lost: true, ..Rules::default() };
    let bounds = Bounds { restages: 2, breaks: 1, uploads: 1, delete: false, late_repair: false, ..full() };
    breaks("count what was lost", bounds, rules);
}

#[test]
fn without_clocks_an_older_version_out_of_sight_wins() {
    let rules = Rules { no_clock: true, ..Rules::default() };
    let bounds = Bounds { partitions: true, late_repair: false, delete: false, crashes: 0, ..full() };
    breaks("no clock", bounds, rules);
    breaks("no clock, a delete", Bounds { delete: true, uploads: 1, ..bounds }, rules);
}

#[test]
fn a_move_that_deletes_what_it_did_not_copy_loses_an_upload() {
    let rules = Rules { move_deletes_all: true, ..Rules::default() };
    breaks("move deletes all", Bounds { moves: true, uploads: 1, crashes: 0, ..full() }, rules);
}
