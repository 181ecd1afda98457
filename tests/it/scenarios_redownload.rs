//! Downloads that go on where an earlier one was cut off.
//!
//! What a draft has is read from the draft itself, so that the bytes that are fetched again can be counted exactly.

use crate::common::process::wait_until;
use crate::common::rogue;
use crate::common::{Client, Cluster, Fault, Outcome, Proxy, Trap, Way, disk, noise};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Four pieces of 40 whole chunks each.
const LARGE: usize = 10 << 20;
const CHUNK: usize = 64 * 1024;
/// With its nonce, as it travels.
const STORED_CHUNK: usize = CHUNK + 12;
/// Bytes of logins, looks, lists and tables.
const BESIDES: usize = 64 * 1024;
/// What the client may have received and not written yet: a step on each connection, and what is in the proxies.
const ON_ITS_WAY: usize = 4 * (256 + 64) * 1024;

/// A large file on four servers, behind proxies that count together; and its user.
struct Stage {
    cluster: Cluster,
    proxies: Vec<Proxy>,
    aditi: Client,
    bytes: Vec<u8>,
}

impl Stage {
    fn new() -> Self {
        let cluster = Cluster::quick(4);
        let bytes = noise(1, LARGE);
        cluster.client("Aditi").upload("a", &bytes);
        let proxies = cluster.proxies_together();
        let aditi = cluster.client_through("Aditi", &proxies);
        Self { cluster, proxies, aditi, bytes }
    }

    /// The same with a download that was killed when so many bytes had arrived.
    fn killed_after(bytes: usize) -> Self {
        let stage = Self::new();
        stage.kill_after(bytes);
        stage
    }

    fn kill_after(&self, bytes: usize) {
        let before = LARGE / CHUNK - self.missing();
        self.proxies[0].fail_after(Way::Down, bytes, Fault::Silence);
        let download = self.aditi.start(&["Download", "a"]);
        self.proxies[0].wait_for_the_fault();
        let enough = before + bytes.saturating_sub(ON_ITS_WAY) / CHUNK;
        let arrived =
            || draft(&self.aditi).is_some_and(|draft| self.there(&fs::read(draft).unwrap()) >= enough);
        wait_until("what came through is written", arrived);
        download.kill();
        self.proxies[0].heal();
        // What was on its way is not counted with what comes next.
        self.cluster.wait_until_all_left();
    }

    /// How many chunks of the file these bytes have.
    fn there(&self, bytes: &[u8]) -> usize {
        self.bytes.chunks(CHUNK).zip(bytes.chunks(CHUNK)).filter(|(one, other)| one == other).count()
    }

    fn missing(&self) -> usize {
        let there = draft(&self.aditi).map(|draft| self.there(&fs::read(draft).unwrap()));
        LARGE / CHUNK - there.unwrap_or_default()
    }

    /// The next download fetches so many chunks and no more, and its result is the file, and nothing else is left.
    #[track_caller]
    fn goes_on_with(&self, missing: usize) -> Outcome {
        self.proxies[0].forget();
        let outcome = self.aditi.run(&["Download", "a"]).succeeds();
        assert_eq!(chunks_asked_for(&self.proxies[0]), missing, "{outcome}");
        let received = self.proxies[0].recorded(Way::Down).len();
        assert!(received <= missing * STORED_CHUNK + BESIDES, "{received} bytes for {missing} chunks");
        self.aditi.has_downloaded("a", &self.bytes);
        assert_eq!(disk::files_below(&self.aditi.downloads()), ["a"]);
        outcome
    }
}

/// The draft in a user's downloads, if there is one.
fn draft(of: &Client) -> Option<PathBuf> {
    let is_draft = |name: &String| name.starts_with(".shareit-") && name.ends_with(".part");
    let name = disk::files_below(&of.downloads()).into_iter().find(is_draft)?;
    Some(of.downloads().join(name))
}

/// Whole chunks that were asked for in READs.
fn chunks_asked_for(proxy: &Proxy) -> usize {
    let sent = proxy.recorded(Way::Up);
    let text = String::from_utf8_lossy(&sent);
    let length = |line: &str| line.split(' ').nth(3)?.lines().next()?.parse::<usize>().ok();
    text.split("READ a ").skip(1).filter_map(length).map(|length| length / STORED_CHUNK).sum()
}

#[test]
fn a_download_that_was_killed_anywhere_goes_on_where_it_was() {
    let stage = Stage::new();
    // Of less than a fifth it is not certain that the client has written anything.
    for part in [20, 30, 60, 95] {
        stage.aditi.forget_downloads();
        stage.kill_after(LARGE * part / 100);
        let missing = stage.missing();
        assert!(missing >= LARGE / CHUNK * (100 - part) / 100, "{missing} chunks at {part} %");
        let outcome = stage.goes_on_with(missing);
        outcome.complains_of("note: a: ").complains_of("are here already");
    }
}

#[test]
fn a_download_goes_on_more_than_once_and_on_another_machine() {
    let mut stage = Stage::killed_after(LARGE / 4);
    let first = stage.missing();
    stage.kill_after(LARGE / 4);
    let second = stage.missing();
    assert!(second < first, "{second} of {first}");
    let elsewhere = stage.cluster.client_through("Aditi", &stage.proxies);
    let found = draft(&stage.aditi).unwrap();
    fs::create_dir_all(elsewhere.downloads()).unwrap();
    fs::copy(&found, elsewhere.downloads().join(found.file_name().unwrap())).unwrap();
    stage.aditi = elsewhere;
    stage.goes_on_with(second);
}

#[test]
fn a_download_that_loses_its_servers_says_what_it_keeps() {
    let stage = Stage::new();
    stage.proxies[0].fail_after(Way::Down, LARGE * 3 / 4, Fault::Cut);
    let outcome = stage.aditi.run(&["Download", "a"]).fails_with(4);
    outcome.complains_of("warning: a: what has arrived is kept; the same command goes on from there");
    let missing = stage.missing();
    assert!(missing <= LARGE / CHUNK / 2, "{missing} chunks are missing");
    // Before anything is asked for, proved or fetched.
    stage.aditi.run(&["Download", "a"]).fails_with(4);
    stage.proxies[0].heal();
    for word in ["CHUNKS", "READ"] {
        stage.proxies[0].fail_at_line(word, Fault::Cut);
        stage.aditi.run(&["Download", "a"]).fails_with(4).complains_of("what has arrived is kept");
        stage.proxies[0].heal();
    }
    assert_eq!(stage.missing(), missing);
    stage.goes_on_with(missing);
}

#[test]
fn of_a_small_file_or_little_of_a_large_one_nothing_is_kept() {
    let stage = Stage::new();
    stage.aditi.upload("small", &noise(2, 3 << 20));
    for name in ["small", "a"] {
        stage.proxies[0].fail_after(Way::Down, 2 << 20, Fault::Cut);
        let outcome = stage.aditi.run(&["Download", name]).fails_with(4);
        outcome.does_not_complain_of("kept");
        stage.proxies[0].heal();
        stage.aditi.has_no_downloads();
    }
}

#[test]
fn a_download_goes_on_with_servers_that_were_restarted_and_without_one() {
    let mut stage = Stage::killed_after(LARGE / 2);
    (1..=4).for_each(|n| stage.cluster.restart(n));
    stage.goes_on_with(stage.missing());

    stage.aditi.forget_downloads();
    stage.kill_after(LARGE / 2);
    stage.cluster.stop(2);
    stage.goes_on_with(stage.missing()).complains_of("Server2 is down");
}

#[test]
fn of_a_damaged_draft_only_what_is_damaged_is_fetched_again() {
    let damage: [fn(&mut Vec<u8>); 4] = [
        |draft| draft[LARGE / 3] ^= 1,
        |draft| draft[..LARGE / 2].fill(0),
        |draft| draft.truncate(LARGE / 2 + 1),
        |draft| draft.resize(LARGE + 1, 0),
    ];
    let stage = Stage::new();
    for damage in damage {
        stage.aditi.forget_downloads();
        stage.kill_after(LARGE * 9 / 10);
        let draft = draft(&stage.aditi).unwrap();
        let mut bytes = fs::read(&draft).unwrap();
        damage(&mut bytes);
        fs::write(&draft, bytes).unwrap();
        stage.goes_on_with(stage.missing());
    }
}

#[test]
fn a_draft_that_is_whole_is_put_in_place_without_fetching_a_chunk() {
    let stage = Stage::killed_after(LARGE / 2);
    fs::write(draft(&stage.aditi).unwrap(), &stage.bytes).unwrap();
    stage.goes_on_with(0);
}

#[test]
fn what_a_new_version_has_in_common_with_the_draft_is_not_fetched() {
    let mut stage = Stage::killed_after(LARGE / 2);
    for chunk in [3, 77, 159] {
        stage.bytes[chunk * CHUNK] ^= 1;
    }
    stage.cluster.client("Aditi").upload("a", &stage.bytes);
    stage.goes_on_with(stage.missing());

    // Nothing in common, longer, shorter, or so small that nothing of it would be kept.
    for (seed, size) in [(2, LARGE), (3, LARGE + CHUNK), (4, LARGE - CHUNK), (5, CHUNK)] {
        stage.aditi.forget_downloads();
        stage.kill_after(LARGE / 2);
        let new = noise(seed, size);
        stage.cluster.client("Aditi").upload("a", &new);
        stage.aditi.run(&["Download", "a"]).succeeds().does_not_complain_of("are here already");
        stage.aditi.has_downloaded("a", &new);
        assert_eq!(disk::files_below(&stage.aditi.downloads()), ["a"]);
        stage.cluster.client("Aditi").upload("a", &stage.bytes);
    }
}

#[test]
fn a_list_that_is_damaged_is_not_believed() {
    // In the table, so that the list is not that of the sealed root; and in a nonce, which nothing vouches for.
    let table = |bytes: &mut Vec<u8>| {
        let end = rogue::claim(bytes).header.layout().table.end as usize;
        bytes[end - 1] ^= 1;
    };
    // On one holder of each piece, then on the other: of some pieces it is the one that is asked first.
    for holder in [0, 1] {
        let stage = Stage::killed_after(LARGE * 3 / 4);
        for piece in 1..=4 {
            stage.cluster.edit_piece(stage.cluster.holders("a", piece)[holder], "a", piece, table);
        }
        stage.goes_on_with(stage.missing());
    }

    let stage = Stage::killed_after(LARGE * 9 / 10);
    let nonce = |bytes: &mut Vec<u8>| {
        let body = rogue::claim(bytes).header.layout().body.start as usize;
        bytes[body] ^= 1;
    };
    for piece in 1..=4 {
        stage.cluster.edit_piece(stage.cluster.holders("a", piece)[0], "a", piece, nonce);
    }
    stage.aditi.run(&["Download", "a"]).succeeds().complains_of("here already");
    stage.aditi.has_downloaded("a", &stage.bytes);
}

#[test]
fn two_downloads_at_once_do_not_share_a_draft() {
    let stage = Stage::killed_after(LARGE / 2);
    stage.proxies[0].forget();
    stage.proxies[0].trap("READ", Trap::Hold);
    let first = stage.aditi.start(&["Download", "a"]);
    stage.proxies[0].wait_for_the_trap();
    // Around the proxies; into the same folder.
    let direct = stage.cluster.client("Aditi");
    fs::create_dir_all(direct.folder().join("Downloads")).unwrap();
    symlink(stage.aditi.downloads(), direct.downloads()).unwrap();
    direct.run(&["Download", "a"]).succeeds().does_not_complain_of("here already");
    direct.has_downloaded("a", &stage.bytes);
    assert!(draft(&stage.aditi).is_some(), "that of the first is still being written");
    stage.proxies[0].release();
    first.finish().succeeds().complains_of("here already");
    stage.aditi.has_downloaded("a", &stage.bytes);
    assert_eq!(disk::files_below(&stage.aditi.downloads()), ["a"]);
}

#[test]
fn a_draft_is_open_to_nobody_to_whom_the_file_is_not() {
    let stage = Stage::new();
    let set = |path: PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().mode() & 0o777;
    let owner = stage.cluster.client("Aditi");
    owner.put("a", &stage.bytes);
    set(owner.files().join("a"), 0o440);
    owner.run(&["Upload", "a"]).succeeds();
    stage.kill_after(LARGE / 2);
    assert_eq!(mode(draft(&stage.aditi).unwrap()), 0o640);
    stage.goes_on_with(stage.missing());
    assert_eq!(mode(stage.aditi.downloads().join("a")), 0o440);

    // What it replaces was closed, and others may have opened the draft before that.
    stage.kill_after(LARGE / 2);
    set(stage.aditi.downloads().join("a"), 0o400);
    stage.goes_on_with(LARGE / CHUNK).complains_of("permissions");
    assert_eq!(mode(stage.aditi.downloads().join("a")), 0o400);

    stage.aditi.forget_downloads();
    stage.kill_after(LARGE / 2);
    set(draft(&stage.aditi).unwrap(), 0o666);
    stage.goes_on_with(LARGE / CHUNK);
}

#[test]
fn what_only_has_the_name_of_a_draft_is_left_alone() {
    let stage = Stage::killed_after(LARGE / 2);
    let place = draft(&stage.aditi).unwrap();
    let other = stage.aditi.folder().join("other");
    fs::rename(&place, &other).unwrap();
    let before = fs::read(&other).unwrap();
    let download = || {
        stage.proxies[0].forget();
        stage.aditi.run(&["Download", "a"]).succeeds();
        assert_eq!(chunks_asked_for(&stage.proxies[0]), LARGE / CHUNK);
        stage.aditi.has_downloaded("a", &stage.bytes);
    };
    // A second name of somebody else's file.
    fs::hard_link(&other, &place).unwrap();
    download();
    assert_eq!(fs::read(&other).unwrap(), before);
    let _ = fs::remove_file(&place);
    symlink(&other, &place).unwrap();
    download();
    assert_eq!(fs::read(&other).unwrap(), before);
    fs::create_dir(&place).unwrap();
    download();
    assert!(place.is_dir());
}

#[test]
fn a_draft_that_nobody_comes_back_for_is_swept_after_a_month() {
    let stage = Stage::killed_after(LARGE / 2);
    stage.aditi.upload("b", b"another");
    let place = draft(&stage.aditi).unwrap();
    let written = |days: u64| {
        let file = fs::File::options().write(true).open(&place).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(days * 24 * 3600)).unwrap();
    };
    written(29);
    stage.aditi.run(&["Download", "b"]).succeeds();
    assert!(place.exists());
    written(31);
    stage.aditi.run(&["Download", "b"]).succeeds();
    assert!(!place.exists());
}
