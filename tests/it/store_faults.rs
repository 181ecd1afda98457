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
use scenario::{Server, Step, delete, new_disk, own, stage, upload};
use shareit::store::Disk;

const EARTH: &str = "holiday/beach/earth.gif";
const SUN: &str = "holiday/sun.gif";
const NOTES: &str = "notes";
const LARGE: &str = "large.iso";
const BIG: &str = "big.iso";
const HUGE: &str = "huge.iso";

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
    let staged = [stage('A', EARTH, 2, &[1]), stage('A', SUN, 1, &[4]), stage('A', NOTES, 1, &[2])].concat();
    let commits =
        [EARTH, SUN, NOTES].map(|name| Step::Commit('A', name, if name == EARTH { 2 } else { 1 })).to_vec();
    let flush = vec![Step::Flush('A')];
    Scenario {
        before: [vec![Step::LogIn('A')], upload('A', EARTH, 1, &[1, 2])].concat(),
        steps: [staged, flush.clone(), commits, flush].concat(),
    }
    .survives_every_fault("a batch of small files");
}

#[test]
fn a_delete_that_is_forgotten_survives_every_fault() {
    Scenario {
        before: [vec![Step::LogIn('A')], upload('A', EARTH, 1, &[1, 2])].concat(),
        steps: [delete('A', EARTH, 2), vec![Step::Forget('A', EARTH, 2)]].concat(),
    }
    .survives_every_fault("a delete");
}

#[test]
fn a_second_delete_and_an_upload_after_it_survive_every_fault() {
    let forget = |name, generation| vec![Step::Forget('A', name, generation)];
    Scenario {
        before: [
            vec![Step::LogIn('A')],
            [upload('A', EARTH, 1, &[1]), delete('A', EARTH, 2)].concat(),
            [upload('A', NOTES, 1, &[3]), delete('A', NOTES, 2), forget(NOTES, 2)].concat(),
        ]
        .concat(),
        steps: [delete('A', EARTH, 3), forget(EARTH, 3), upload('A', EARTH, 9, &[2, 3])].concat(),
    }
    .survives_every_fault("a second delete");
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
    let settle = vec![Step::Fence('B', NOTES, 2), Step::Abort('B', NOTES, 2), Step::Retire('B', SUN, 2)];
    Scenario {
        before: [
            vec![Step::LogIn('A')],
            upload('A', EARTH, 1, &[1, 2]),
            [upload('A', SUN, 1, &[3]), upload('A', NOTES, 1, &[3])].concat(),
            abandoned,
        ]
        .concat(),
        steps: [upload('B', EARTH, 1, &[2, 4]), settle].concat(),
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
    Scenario {
        before: [vec![Step::LogIn('A'), Step::CutOff('A', BIG, 1, 1)]].concat(),
        steps: vec![
            Step::Resume('B', BIG, 1, 1),
            Step::Flush('B'),
            Step::Commit('B', BIG, 1),
            Step::Flush('B'),
        ],
    }
    .survives_every_fault("a piece that is resumed");
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
        let mut tally = Tally::default();
        self.kill_at_every_call(&mut tally);
        self.fail_every_call(&mut tally);
        tally.report(name);
    }
}
