//! A server's disk fails, fills up, or stops with the power, at every single call: what was acknowledged
//! is there and sound, what was not is all or nothing, and the server goes on.

mod crash;
mod disk;
mod hanging;
mod ledger;
mod scenario;

use crash::{Scenario, Tally};
use disk::{Fault, MemoryDisk};
use ledger::Ledger;
use scenario::{Server, Step, delete, forget, new_disk, own, stage, upload};
use shareit::commit::TOMBSTONE;
use shareit::store::Disk;

const EARTH: &str = "holiday/beach/earth.gif";
const SUN: &str = "holiday/sun.gif";
const NOTES: &str = "notes";
const LARGE: &str = "large.iso";
const BIG: &str = "big.iso";
const HUGE: &str = "huge.iso";

/// So many files are synced together: two pieces of one upload are, a single one is not.
const TOGETHER: usize = 2;

#[test]
fn a_first_upload_survives_every_fault() {
    Scenario { before: vec![], steps: [vec![Step::LogIn('A')], upload('A', EARTH, 1, &[1, 2])].concat() }
        .survives_every_fault("a first upload");
}

#[test]
fn an_overwrite_with_other_pieces_survives_every_fault() {
    Scenario {
        before: [vec![Step::LogIn('A')], upload('A', EARTH, 1, &[1, 2])].concat(),
        steps: upload('A', EARTH, 2, &[2, 3]),
    }
    .survives_every_fault("an overwrite");
}

#[test]
fn small_files_that_share_their_syncs_survive_every_fault() {
    small_files().survives_every_fault("a batch of small files");
}

#[test]
fn small_files_that_are_synced_one_by_one_survive_every_fault() {
    small_files().survives("a batch of small files, one by one", 0);
}

fn small_files() -> Scenario {
    let staged = [stage('A', EARTH, 2, &[1]), stage('A', SUN, 1, &[4]), stage('A', NOTES, 1, &[2])].concat();
    let commits =
        [EARTH, SUN, NOTES].map(|name| Step::Commit('A', name, if name == EARTH { 2 } else { 1 })).to_vec();
    let flush = vec![Step::Flush('A')];
    Scenario {
        before: [vec![Step::LogIn('A')], upload('A', EARTH, 1, &[1, 2])].concat(),
        steps: [staged, flush.clone(), commits, flush].concat(),
    }
}

#[test]
fn a_delete_that_is_forgotten_survives_every_fault() {
    Scenario {
        before: [vec![Step::LogIn('A')], upload('A', EARTH, 1, &[1, 2])].concat(),
        steps: [delete('A', EARTH, 2), forget('A', &[(EARTH, 2)])].concat(),
    }
    .survives_every_fault("a delete");
}

#[test]
fn deletes_that_are_forgotten_together_survive_every_fault() {
    let delete_both = [
        [stage('A', EARTH, 2, &[TOMBSTONE]), stage('A', SUN, 2, &[TOMBSTONE])].concat(),
        vec![Step::Flush('A'), Step::Commit('A', EARTH, 2), Step::Commit('A', SUN, 2), Step::Flush('A')],
    ];
    Scenario {
        before: [vec![Step::LogIn('A')], upload('A', EARTH, 1, &[1]), upload('A', SUN, 1, &[2])].concat(),
        steps: [delete_both.concat(), forget('A', &[(EARTH, 2), (SUN, 2)])].concat(),
    }
    .survives_every_fault("deletes that are forgotten together");
}

#[test]
fn what_is_retired_together_survives_every_fault() {
    let retire = |name| Step::Retire('B', name, 3);
    Scenario {
        before: [
            vec![Step::LogIn('A')],
            [upload('A', EARTH, 1, &[1]), delete('A', EARTH, 2), upload('A', SUN, 1, &[2])].concat(),
            [stage('A', SUN, 2, &[3]), vec![Step::Flush('A'), Step::Leave('A')]].concat(),
        ]
        .concat(),
        steps: vec![retire(EARTH), retire(SUN), Step::Flush('B')],
    }
    .survives_every_fault("what is retired together");
}

/// With a sync for each, a repair after a server was away took minutes for some thousands of files.
#[test]
fn names_that_are_dropped_together_share_their_syncs() {
    const NAMES: [&str; 8] = ["many/a", "many/b", "many/c", "many/d", "many/e", "many/f", "many/g", "many/h"];
    let syncs = |of: &[&'static str], drop: &dyn Fn(&'static str) -> Step| {
        let disk = new_disk();
        let mut server = Server::start(&disk).unwrap();
        let mut ledger = Ledger::default();
        let mut take = |step| server.take(step, &mut ledger).unwrap();
        let uploads = of.iter().flat_map(|name| [upload('A', name, 1, &[1]), delete('A', name, 2)].concat());
        [Step::LogIn('A')].into_iter().chain(uploads).for_each(&mut take);
        let before = disk.syncs();
        of.iter().map(|name| drop(name)).for_each(&mut take);
        take(Step::Flush('A'));
        disk.syncs() - before
    };
    let forget = |name| Step::Forget('A', name, 2);
    let retire = |name| Step::Retire('A', name, 3);
    for drop in [&forget as &dyn Fn(&'static str) -> Step, &retire] {
        let [one, many] = [&NAMES[..1], &NAMES[..]].map(|names| syncs(names, &drop));
        assert!(one > 0);
        assert_eq!(one, many, "{:?}", drop("many/a"));
    }
}

#[test]
fn a_second_delete_and_an_upload_after_it_survive_every_fault() {
    Scenario {
        before: [
            vec![Step::LogIn('A')],
            [upload('A', EARTH, 1, &[1]), delete('A', EARTH, 2)].concat(),
            [upload('A', NOTES, 1, &[3]), delete('A', NOTES, 2), forget('A', &[(NOTES, 2)])].concat(),
        ]
        .concat(),
        steps: [delete('A', EARTH, 3), forget('A', &[(EARTH, 3)]), upload('A', EARTH, 9, &[2, 3])].concat(),
    }
    .survives_every_fault("a second delete");
}

/// The second publishes a piece in the place of one that the first has replaced, but not dropped yet.
#[test]
fn two_versions_that_are_committed_together_survive_every_fault() {
    let both = [stage('A', EARTH, 2, &[3]), stage('A', EARTH, 3, &[1])].concat();
    let commit = [Step::Commit('A', EARTH, 2), Step::Commit('A', EARTH, 3), Step::Flush('A')];
    Scenario {
        before: [vec![Step::LogIn('A')], upload('A', EARTH, 1, &[1, 2])].concat(),
        steps: [both, vec![Step::Flush('A')], commit.to_vec()].concat(),
    }
    .survives_every_fault("two versions together");
}

#[test]
fn an_upload_over_a_tombstone_survives_every_fault() {
    Scenario {
        before: [vec![Step::LogIn('A')], upload('A', EARTH, 1, &[1, 2]), delete('A', EARTH, 2)].concat(),
        steps: upload('A', EARTH, 3, &[2, 3]),
    }
    .survives_every_fault("an upload over a tombstone");
}

#[test]
fn a_repair_survives_every_fault() {
    let abandoned = [stage('A', NOTES, 2, &[3, 4]), vec![Step::Flush('A'), Step::Leave('A')]].concat();
    let settle = vec![Step::Fence('B', NOTES, 2), Step::Abort('B', NOTES, 2)];
    let retire = vec![Step::Retire('B', SUN, 2), Step::Flush('B')];
    Scenario {
        before: [
            vec![Step::LogIn('A')],
            upload('A', EARTH, 1, &[1, 2]),
            [upload('A', SUN, 1, &[3]), upload('A', NOTES, 1, &[3])].concat(),
            abandoned,
        ]
        .concat(),
        steps: [upload('B', EARTH, 1, &[2, 4]), settle, retire].concat(),
    }
    .survives_every_fault("a repair");
}

#[test]
fn a_start_on_an_earlier_servers_disk_survives_every_fault() {
    let abandoned = [stage('A', NOTES, 2, &[3, 4]), vec![Step::Flush('A')]].concat();
    Scenario {
        before: [
            vec![Step::LogIn('A')],
            [upload('A', EARTH, 1, &[1, 2]), delete('A', EARTH, 2), upload('A', NOTES, 1, &[3])].concat(),
            abandoned,
            vec![Step::ToOldLayout],
        ]
        .concat(),
        steps: [vec![Step::LogIn('B')], upload('B', EARTH, 3, &[2])].concat(),
    }
    .survives_every_fault("an earlier server's disk");
}

#[test]
fn two_clients_in_one_new_folder_survive_every_fault() {
    Scenario {
        before: vec![Step::LogIn('A')],
        steps: [
            [stage('A', EARTH, 1, &[1]), stage('B', SUN, 1, &[2])].concat(),
            vec![Step::Flush('A'), Step::Flush('B')],
            vec![Step::Commit('A', EARTH, 1), Step::Commit('B', SUN, 1)],
            vec![Step::Flush('B'), Step::Flush('A')],
        ]
        .concat(),
    }
    .survives_every_fault("two clients in one new folder");
}

#[test]
fn two_clients_that_settle_one_delete_survive_every_fault() {
    Scenario {
        before: [vec![Step::LogIn('A')], upload('A', EARTH, 1, &[1, 2])].concat(),
        steps: [
            [stage('A', EARTH, 2, &[0]), vec![Step::Flush('A')]].concat(),
            vec![Step::Commit('A', EARTH, 2), Step::Commit('B', EARTH, 2)],
            vec![Step::Flush('B'), Step::Flush('A')],
        ]
        .concat(),
    }
    .survives_every_fault("two clients that settle one delete");
}

#[test]
fn two_clients_that_stage_one_piece_survive_every_fault() {
    Scenario {
        before: vec![Step::LogIn('A')],
        steps: [
            [stage('A', EARTH, 1, &[1]), vec![Step::Flush('A')]].concat(),
            [stage('B', EARTH, 1, &[1]), vec![Step::Flush('B')]].concat(),
            vec![Step::Commit('A', EARTH, 1), Step::Flush('A')],
        ]
        .concat(),
    }
    .survives_every_fault("two clients that stage one piece");
}

#[test]
fn a_writer_that_comes_second_survives_every_fault() {
    Scenario {
        before: [vec![Step::LogIn('A')], upload('A', EARTH, 1, &[1, 2])].concat(),
        steps: [
            [stage('A', EARTH, 2, &[1, 2]), stage('B', EARTH, 3, &[2, 3])].concat(),
            vec![Step::Flush('A'), Step::Flush('B')],
            vec![Step::Commit('B', EARTH, 3), Step::Commit('A', EARTH, 2)],
            vec![Step::Flush('A'), Step::Flush('B')],
        ]
        .concat(),
    }
    .survives_every_fault("two writers");
}

#[test]
fn a_piece_that_comes_in_several_writes_survives_every_fault() {
    Scenario { before: vec![Step::LogIn('A')], steps: upload('A', LARGE, 1, &[1]) }
        .survives_every_fault("a large piece");
}

#[test]
fn a_piece_that_is_synced_on_the_way_survives_every_fault() {
    Scenario { before: vec![Step::LogIn('A')], steps: upload('A', HUGE, 1, &[1]) }
        .survives_every_fault("a piece that is synced on the way");
}

#[test]
fn a_piece_that_is_cut_off_and_resumed_survives_every_fault() {
    let resumed = |generation| {
        let publish = [Step::Flush('B'), Step::Commit('B', BIG, generation), Step::Flush('B')];
        [vec![Step::Resume('B', BIG, 1, generation, 1)], publish.to_vec()].concat()
    };
    for (generation, name) in [(1, "by its writer"), (2, "by another version")] {
        Scenario { before: vec![Step::LogIn('A'), Step::CutOff('A', BIG, 1, 1)], steps: resumed(generation) }
            .survives_every_fault(&format!("a piece that is resumed {name}"));
    }
}

#[test]
fn a_staged_piece_that_is_taken_after_a_fence_survives_every_fault() {
    let staged = [stage('A', BIG, 1, &[1]), vec![Step::Flush('A'), Step::Leave('A')]].concat();
    let publish = vec![Step::Flush('B'), Step::Commit('B', BIG, 2), Step::Flush('B')];
    Scenario {
        before: [vec![Step::LogIn('A')], staged].concat(),
        steps: [vec![Step::Fence('B', BIG, 1), Step::Resume('B', BIG, 1, 2, 1)], publish].concat(),
    }
    .survives_every_fault("a staged piece that is taken");
}

#[test]
fn a_piece_is_listed_for_others_when_its_writer_is_gone() {
    let disk = new_disk();
    let mut server = Server::start(&disk).unwrap();
    let mut ledger = Ledger::default();
    for step in [vec![Step::LogIn('A')], stage('A', BIG, 1, &[1]), vec![Step::Flush('A')]].concat() {
        server.take(step, &mut ledger).unwrap();
    }
    assert!(server.lists_chunks(BIG, 1, 1).is_err());
    server.take(Step::Leave('A'), &mut ledger).unwrap();
    assert_eq!(server.lists_chunks(BIG, 1, 1).unwrap(), 23);
}

#[test]
fn a_partial_piece_that_is_dropped_survives_every_fault() {
    let dropped = [Step::Abort('B', BIG, 1), Step::CutOff('B', BIG, 2, 2), Step::Retire('B', BIG, 3)];
    Scenario {
        before: vec![Step::LogIn('A'), Step::CutOff('A', BIG, 1, 1)],
        steps: [dropped.to_vec(), upload('B', EARTH, 1, &[1])].concat(),
    }
    .survives_every_fault("a partial piece that is dropped");
}

#[test]
fn a_change_of_key_survives_every_fault() {
    Scenario {
        before: [vec![Step::LogIn('A')], upload('A', EARTH, 1, &[1, 2]), vec![Step::Rekey('A', 21, 22)]]
            .concat(),
        steps: [
            vec![Step::Rekey('A', 22, 23), Step::Rekey('B', 22, 23)],
            upload('B', EARTH, 2, &[2, 3]),
            vec![Step::Rekey('B', 23, 22)],
        ]
        .concat(),
    }
    .survives_every_fault("a change of key");
}

/// A process that opens a file after another has seen its write-back error does not see the error (since Linux 4.16).
#[test]
fn a_piece_that_could_not_be_written_back_while_it_came_is_not_acknowledged() {
    let disk = new_disk();
    let mut server = Server::start(&disk).unwrap();
    let mut ledger = Ledger::default();
    disk.fail_early_syncs();
    let steps = [vec![Step::LogIn('A')], stage('A', HUGE, 1, &[1]), vec![Step::Flush('A')]].concat();
    let taken: Result<(), _> = steps.into_iter().try_for_each(|step| server.take(step, &mut ledger));
    assert!(taken.is_err(), "acknowledged");
    assert!(server.look(HUGE).unwrap().pieces.is_empty());
}

/// The system writes back when it likes, and a sync that comes later says nothing of the bytes that are lost by then.
#[test]
fn small_pieces_that_could_not_be_written_back_before_their_sync_are_not_acknowledged() {
    let names = [EARTH, SUN, NOTES];
    let uploaded = |loses: bool| {
        let disk = new_disk();
        disk.sync_together(TOGETHER);
        let mut server = Server::start(&disk).unwrap();
        let mut ledger = Ledger::default();
        let stages = names.map(|name| stage('A', name, 1, &[1])).concat();
        for step in [vec![Step::LogIn('A')], stages].concat() {
            server.take(step, &mut ledger).unwrap();
        }
        if loses {
            disk.lose_what_is_unsynced();
        }
        let flushed = server.take(Step::Flush('A'), &mut ledger);
        let staged = names.iter().filter(|name| !server.look(name).unwrap().pieces.is_empty()).count();
        (flushed.is_ok(), staged)
    };
    assert_eq!(uploaded(false), (true, 3));
    assert_eq!(uploaded(true), (false, 0));
}

/// Many clients on a busy disk would else all wait for it at their end, under a time limit.
#[test]
fn a_large_piece_that_nobody_else_has_time_to_sync_is_synced_on_the_way() {
    const STEP: usize = 2 << 20;
    const WRITE: usize = 256 << 10;
    let disk = new_disk();
    let mut server = Server::start(&disk).unwrap();
    let mut ledger = Ledger::default();
    for step in [vec![Step::LogIn('A')], stage('A', HUGE, 1, &[1])].concat() {
        server.take(step, &mut ledger).unwrap();
    }
    assert!((STEP..STEP + WRITE).contains(&disk.most_unsynced()), "{} bytes", disk.most_unsynced());
}

/// What an earlier server has left: two staged pieces of Aditi, in the folder of all users.
fn old_layout() -> MemoryDisk {
    let disk = new_disk();
    let mut server = Server::start(&disk).unwrap();
    let mut ledger = Ledger::default();
    let steps = [vec![Step::LogIn('A')], stage('A', EARTH, 1, &[1, 2]), vec![Step::Flush('A')]].concat();
    for step in [steps, vec![Step::ToOldLayout]].concat() {
        server.take(step, &mut ledger).unwrap();
    }
    disk
}

#[test]
fn a_file_with_a_users_name_among_an_earlier_servers_files_does_not_keep_a_server_from_starting() {
    for is_a_piece in [false, true] {
        let disk = old_layout();
        let staged = own().join("staged");
        match is_a_piece {
            false => drop(disk.create(&staged.join("Aditi")).unwrap()),
            true => {
                let (entry, _) = disk.entries(&staged).unwrap().remove(0);
                disk.rename(&staged.join(entry), &staged.join("Aditi")).unwrap();
            }
        }
        let server = Server::start(&disk).unwrap();
        assert_eq!(server.look(EARTH).unwrap().pieces.len(), 2, "{is_a_piece}");
    }
}

#[test]
fn an_error_that_holds_up_a_user_names_the_file() {
    let mut met = 0;
    for at in 1.. {
        let disk = old_layout().after_a_kill();
        disk.plan(at, Fault::Error);
        let started = Server::start(&disk);
        let Some(call) = disk.met() else { break };
        if let Some(file) = call.strip_prefix("open .Server1/staged/") {
            let error = started.err().unwrap().to_string();
            assert!(error.contains(&format!("staged/{file}: ")), "{call}: {error}");
            met += 1;
        }
    }
    assert_eq!(
        met, 6,
        "two, when they are moved to their user's, when they are read there, and to be synced"
    );
}

impl Scenario {
    #[track_caller]
    fn survives_every_fault(&self, name: &str) {
        self.survives(name, TOGETHER);
    }

    /// With at least so many files that are synced together, or with 0 none ever.
    #[track_caller]
    fn survives(&self, name: &str, together: usize) {
        let mut tally = Tally::default();
        self.kill_at_every_call(together, &mut tally);
        self.fail_every_call(together, &mut tally);
        tally.report(name);
    }
}
