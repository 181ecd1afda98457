//! Bad input gets a clear message, and nothing is lost by it.

use crate::common::client::{CONF, PROGRAM as CLIENT};
use crate::common::cluster::PROGRAM as SERVER;
use crate::common::process::run;
use crate::common::{Client, Cluster, Fault, Outcome, Way, disk, noise};
use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::{Duration, SystemTime};

// Files that are not what they should be.

#[test]
fn a_missing_file_is_named() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.run(&["Upload", "nowhere.txt"]).fails_with(1).complains_of("nowhere.txt");
    aditi
        .run(&["Download", "nowhere.txt"])
        .fails_with(1)
        .complains_of("nowhere.txt")
        .does_not_complain_of("incomplete");
    aditi.run(&["Download", "nowhere.txt", "in/a/folder"]).fails_with(1);
    aditi.has_no_downloads();
}

#[test]
fn what_is_neither_a_file_nor_a_folder_is_not_waited_for() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let pipe = aditi.files().join("pipe");
    run(Command::new("mkfifo").arg(pipe), "").succeeds();
    aditi.run(&["Upload", "pipe"]).fails_with(1).complains_of("pipe");
}

#[test]
fn a_folder_where_the_download_should_go_is_left_alone() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"a file");
    disk::write(&aditi.downloads().join("a/b"), b"in a folder of that name");
    aditi.run(&["Download", "a"]).fails_with(1);
    let left = disk::files_below(&aditi.folder().join("Downloads"));
    assert_eq!(left, ["Aditi/a/b"]);
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_refused_and_the_older_one_stays() {
    a_file_changed_while_it_is_read_is_refused(|file| file.set_len(1).unwrap());
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused_and_the_older_one_stays() {
    a_file_changed_while_it_is_read_is_refused(|file| {
        file.write_all_at(b"new", 100).unwrap();
        // The clock of the file system may be coarse; this is what it would say a little later.
        file.set_modified(SystemTime::now() + Duration::from_secs(5)).unwrap();
    });
}

fn a_file_changed_while_it_is_read_is_refused(change: impl FnOnce(&File)) {
    let cluster = Cluster::quick(4);
    cluster.client("Aditi").upload("a", b"the older one");

    let proxies = cluster.proxies();
    let aditi = cluster.client_through("Aditi", &proxies);
    let file = File::create(aditi.files().join("a")).unwrap();
    // Zeros that take no room on this disk, but more than fits into the buffers up to the silent server.
    file.set_len(64 << 20).unwrap();
    proxies[0].fail_after(Way::Up, 1 << 20, Fault::Silence);
    let upload = aditi.start(&["Upload", "a"]);
    proxies[0].wait_for_the_fault();
    change(&file);
    proxies[0].heal();

    upload.finish().fails_with(1).complains_of("changed").complains_of("a");
    cluster.client("Aditi").download("a", b"the older one");
}

// Names.

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.put("a", b"a");
    let long = "f".repeat(300);
    let deep = "f/".repeat(3000) + "f";
    let folders = ["..", "../x", "x/..", "x/../y", "./x", "/x", "x//", "//", "x//y", &long, &deep];
    let uploads = folders.map(|folder| format!("Upload a \"{folder}\"\n"));
    every_line_is_refused(&aditi, &uploads.concat());
    // Nothing has gone up, here or anywhere else.
    for n in 1..=4 {
        assert!(cluster.pieces_on(n).is_empty());
    }
    aditi.run(&["ShowFiles"]).succeeds().prints(&[]);
}

#[test]
fn names_that_lead_elsewhere_do_not_do_so_in_a_download() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.put("a", b"a");
    aditi.run(&["Upload", "a", "x"]).succeeds();
    let commands = "Download ../Aditi/x/a\nDownload x/../x/a\nDownload /x/a\nDownload a ../Aditi/x\n\
                    Download a x/..\nDownload ..\nDownload \"\"\nShowFiles ..\nShowFiles ../Ritu\n";
    every_line_is_refused(&aditi, commands);
    aditi.has_no_downloads();
}

/// Each of these commands gets an error of its own, and no result.
#[track_caller]
fn every_line_is_refused(client: &Client, commands: &str) {
    let outcome = client.pipe(commands).fails().prints(&[]);
    let complaints = outcome.stderr.matches("Client: error: ").count();
    assert_eq!(complaints, commands.lines().count(), "{outcome}");
}

#[test]
fn file_names_that_could_forge_a_line_are_stored_and_shown_escaped() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    for (name, shown) in
        [("line\nfeed", "line\\nfeed"), ("bell\u{7}", "bell\\u{7}"), ("escape\u{1b}[2J", "escape\\u{1b}[2J")]
    {
        aditi.upload(name, name.as_bytes());
        aditi.download(name, name.as_bytes());
        aditi.run(&["ShowFiles"]).succeeds().prints(&[shown]);
        let missing = aditi.run(&["Download", name, "nowhere"]).fails();
        assert!(!missing.stderr.contains(['\u{7}', '\u{1b}']), "raw control characters");
        aditi.run(&["Delete", name]).succeeds();
    }
}

#[test]
fn a_name_that_leaves_no_room_for_the_number_of_a_piece_is_refused_with_the_limit() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.put(&"n".repeat(255), b"x");
    aditi.run(&["Upload", &"n".repeat(255)]).fails_with(1).complains_of("252 bytes");
    aditi.run(&["ShowFiles"]).succeeds().prints(&[]);
}

#[test]
fn a_file_with_the_name_of_a_folder_costs_neither() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.put("x", b"the file");
    aditi.put("a", b"in the folder");
    aditi.run(&["Upload", "a", "--to", "x"]).succeeds();
    // Whether both can be there at once is open, but what was there first stays.
    aditi.run(&["Upload", "x"]);
    aditi.run(&["Download", "a", "x"]).succeeds();
    aditi.has_downloaded("x/a", b"in the folder");
}

// The command line and the .conf.

#[test]
fn a_wrong_conf_is_refused_with_its_name_and_line() {
    let cluster = Cluster::of(4);
    let lines = [
        "Colour blue",
        "nonsense",
        "Server5 localhost",
        "Server5 localhost:http",
        "Server5 localhost:70000",
        "Server5 localhost:-1",
        "Server5 :8008",
        "Server1 localhost:9999",
        "Username Ritu",
        "Password again",
        "Replicas 0",
        "Replicas 5",
        "Replicas two",
        "Timeout soon",
        "Timeout -1",
        "Key 0123",
        "Key zz",
        "MinIterations 4095",
        "MinIterations 5000001",
        "MinIterations +600000",
        "MinIterations many",
    ];
    for line in lines {
        let aditi = cluster.client("Aditi").with(line);
        let count = aditi.conf.lines().count();
        let outcome = aditi.run(&["ShowFiles"]).fails_with(2).prints(&[]);
        assert!(names_line(&outcome, count), "no line {count} for {line}: {outcome}");
    }
}

#[test]
fn a_conf_may_begin_with_a_mark_and_what_is_wrong_in_it_brings_a_hint() {
    let cluster = Cluster::quick(2);
    let mut aditi = cluster.client("Aditi").with("Replcas 2");
    aditi.run(&["ShowFiles"]).fails_with(2).complains_of("hint: did you mean Replicas?");
    aditi.conf = format!("\u{feff}{}", cluster.client("Aditi").conf);
    aditi.run(&["ShowFiles"]).succeeds();
    aditi.conf = aditi.conf.replacen("localhost", "no-such-host.invalid", 1).replacen(
        "127.0.0.1",
        "no-such-host.invalid",
        1,
    );
    aditi
        .run(&["ShowFiles"])
        .succeeds()
        .complains_of("Server1 is down (host 'no-such-host.invalid' not found");
}

/// The two ways in which programs give a line of a file.
fn names_line(outcome: &Outcome, line: usize) -> bool {
    let forms = [format!("{CONF}:{line}"), format!("line {line}")];
    outcome.stderr.contains(CONF) && forms.iter().any(|form| outcome.stderr.contains(form))
}

#[test]
fn a_conf_without_what_is_needed_is_refused() {
    let cluster = Cluster::of(4);
    for missing in ["Username", "Server"] {
        let mut aditi = cluster.client("Aditi");
        let kept = aditi.conf.lines().filter(|line| !line.starts_with(missing));
        aditi.conf = kept.map(|line| format!("{line}\n")).collect();
        aditi.run(&["ShowFiles"]).fails_with(2).complains_of(CONF).complains_of(missing);
    }
    let mut nothing = cluster.client("Aditi");
    nothing.conf = String::new();
    nothing.run(&["ShowFiles"]).fails_with(2).complains_of(CONF);
}

#[test]
fn dir_and_conf_must_be_a_folder_and_a_file() {
    let cluster = Cluster::of(1);
    let aditi = cluster.client("Aditi");
    aditi.put("a", b"a file");
    let client = |dir: &str, conf: &str| {
        let mut command = Command::new(CLIENT);
        run(command.current_dir(aditi.folder()).args([dir, conf, "Upload", "a"]), "")
    };
    client("files", "nowhere.conf").fails_with(2).complains_of("nowhere.conf");
    client("files", "files").fails_with(2).complains_of("files");
    client("nowhere", CONF).fails().complains_of("nowhere");
    client("files", "user.cnof").fails_with(2).complains_of("hint: did you mean user.conf?");
    client(CONF, "files")
        .fails_with(2)
        .complains_of(&format!("hint: did you mean {CLIENT} files user.conf?"));
    fs::write(aditi.folder().join("binary.conf"), [0xff, 0xfe, 0]).unwrap();
    client("files", "binary.conf").fails_with(2).complains_of("binary.conf: not UTF-8 text");
    let alone = |args: &[&str]| run(Command::new(CLIENT).current_dir(aditi.folder()).args(args), "");
    for word in ["--hlep", "help", "-help"] {
        alone(&[word]).fails_with(2).complains_of("hint: did you mean --help?");
    }
    alone(&["keygen", "x"])
        .fails_with(2)
        .complains_of("keygen takes nothing, --paper [CONF] or --from-paper");
    assert_eq!(alone(&["files", "--help"]).succeeds().stdout, alone(&["--help"]).succeeds().stdout);
    client("files/a", CONF).fails().complains_of("files/a");
}

#[test]
fn a_wrong_use_of_the_client_is_refused() {
    let cluster = Cluster::of(1);
    let aditi = cluster.client("Aditi");
    for args in [
        &["Frobnicate"][..],
        &["Upload"],
        &["Download"],
        &["Delete", "a", "b", "c"],
        &["ShowFiles", "--frobnicate"],
    ] {
        aditi.run(args).fails_with(2);
    }
    aditi.pipe("Upload \"without an end\n").fails_with(2);
}

#[test]
fn an_option_of_another_command_is_refused_and_nothing_is_done() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    aditi.put("b", b"b");
    let other = aditi.run(&["Delete", "-u", "a"]).fails_with(2).complains_of("Delete has no option '-u'");
    other.complains_of("Delete takes -r, -n, ");
    for args in
        [&["Move", "-u", "a", "c"][..], &["Upload", "b", "--read"], &["ShowFiles", "-n"], &["Help", "--json"]]
    {
        aditi.run(args).fails_with(2).prints(&[]);
    }
    aditi.pipe("Delete -u a\nUpload --read b\n").fails_with(2);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a"]);
}

#[test]
fn a_file_of_commands_may_have_comments_and_a_mistake_in_it_is_reported_with_its_line() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    aditi.put("a", b"a");
    let commands = "# what isn't needed\n\nUpload a\n  #Upload nothing\nUplod a\nPasswd\n\nShowFiles \"\n";
    let outcome = aditi.pipe(commands).fails_with(2);
    outcome
        .complains_of("unknown command 'Uplod' (line 5)")
        .complains_of("unclosed quote, or a backslash at the end (line 8)");
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a"]);
}

#[test]
fn the_name_of_nothing_is_refused_by_an_upload_too() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    aditi.put("a", b"a");
    aditi.run(&["Upload", ""]).fails_with(1).complains_of("bad name ''");
    aditi.pipe("Upload \"\"\n").fails_with(1);
    aditi.run(&["ShowFiles"]).succeeds().prints(&[]);
}

#[test]
fn a_folder_in_place_of_a_file_and_the_reverse_have_messages_of_their_own() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"a");
    aditi.put("d/b", b"b");
    aditi.run(&["Upload", "d"]).succeeds();
    for new in ["d", "d/"] {
        aditi.run(&["Move", "a", new]).fails_with(1).complains_of("hint: did you mean d/a?");
    }
    aditi.run(&["Move", "a/", "c"]).fails_with(1).complains_of("hint: write it as 'a'");
    for command in ["Delete", "Download"] {
        let refused = aditi.run(&[command, "a/"]).fails_with(1).complains_of("'a' is a file, not a folder");
        refused.complains_of("hint: did you mean a?");
    }
    aditi.has_no_downloads();
    aditi.run(&["Download", "/"]).succeeds();
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a", "d/"]);
}

#[test]
fn a_wrong_use_of_the_server_is_refused() {
    let cluster = Cluster::of(1);
    let root = cluster.root();
    for (name, port) in [
        ("Server9", "http"),
        ("Server9", "70000"),
        ("..", "0"),
        ("../x", "0"),
        ("a/b", "0"),
        ("", "0"),
        ("Users.conf", "0"),
    ] {
        let outcome = run(Command::new(SERVER).arg(&root).args([name, port]), "");
        assert!(outcome.status > 0, "{name:?} at {port} not refused: {outcome}");
        outcome.complains_of("error").does_not_complain_of("panicked");
    }
    for (user, password) in [("..", "p"), ("a/b", "p"), ("", "p"), ("a b", "p"), ("Vishakha", "")] {
        let outcome = cluster.add_user(user, password);
        assert!(outcome.status > 0, "{user:?} not refused: {outcome}");
    }
    cluster.client("Aditi").run(&["ShowFiles"]).succeeds();
}

// Who may come in.

#[test]
fn a_wrong_name_or_password_ends_the_client_at_once() {
    let cluster = Cluster::of(4);
    let mut messages = Vec::new();
    for (right, wrong) in [("@123", "@124"), ("Username Aditi", "Username Nobody")] {
        let mut stranger = cluster.client("Aditi");
        stranger.conf = stranger.conf.replace(right, wrong);
        let outcome = stranger
            .pipe("ShowFiles\nHelp\n")
            .fails_with(3)
            .complains_of("Invalid username or password")
            .prints(&[]);
        messages.push(outcome.stderr);
    }
    assert_eq!(messages[0], messages[1], "this tells which names there are");
}

#[test]
fn a_server_that_refuses_does_not_keep_the_others_from_serving() {
    let cluster = Cluster::of(4);
    let other = Cluster::of(1);
    other.add_user("Aditi", "another password").succeeds();
    let mut aditi = cluster.client("Aditi");
    let (own, strange) = (cluster.port(1), other.port(1));
    aditi.conf = aditi.conf.replace(&own.to_string(), &strange.to_string());
    let bytes = noise(1, 10_000);
    aditi.upload("a", &bytes).complains_of("Server1");
    aditi.download("a", &bytes);
}

#[test]
fn a_wrong_key_is_called_a_wrong_key_and_not_damage() {
    let cluster = Cluster::of(4);
    let key = |digit: &str| format!("Key {}", digit.repeat(64));
    cluster.client("Aditi").with(&key("a")).upload("a", b"under a key");

    for wrong in [cluster.client("Aditi").with(&key("b")), cluster.client("Aditi")] {
        wrong
            .run(&["Download", "a"])
            .fails_with(1)
            .complains_of("key")
            .does_not_complain_of("damage")
            .does_not_complain_of("incomplete");
        wrong.has_no_downloads();
    }
}

// Pieces that are not what they should be.

/// Three chunks in each piece.
const SIZE: usize = 600_000;

/// What can be done to a piece, given a piece of the same file, of another file and of another user.
type Damage = fn(&mut Vec<u8>, &Others);

struct Others {
    same_file: Vec<u8>,
    other_file: Vec<u8>,
    other_user: Vec<u8>,
}

const DAMAGES: &[(&str, Damage)] = &[
    ("first bit turned", |piece, _| piece[0] ^= 0x80),
    ("a bit near the start turned", |piece, _| piece[100] ^= 1),
    ("a bit in the middle turned", |piece, _| {
        let middle = piece.len() / 2;
        piece[middle] ^= 1;
    }),
    ("last bit turned", |piece, _| *piece.last_mut().unwrap() ^= 1),
    ("last byte cut", |piece, _| piece.truncate(piece.len() - 1)),
    ("cut in the middle", |piece, _| piece.truncate(piece.len() / 2)),
    ("cut near the start", |piece, _| piece.truncate(10)),
    ("emptied", |piece, _| piece.clear()),
    ("one byte longer", |piece, _| piece.push(0)),
    ("zeroed", |piece, _| piece.fill(0)),
    ("another piece of the file", |piece, o| piece.clone_from(&o.same_file)),
    ("a piece of another file", |piece, o| piece.clone_from(&o.other_file)),
    ("a piece of another user", |piece, o| piece.clone_from(&o.other_user)),
];

#[test]
fn a_damaged_copy_is_named_and_the_other_one_read() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, SIZE);
    aditi.upload("a", &bytes);
    aditi.upload("other", &noise(2, SIZE));
    cluster.client("Ritu").upload("a", &noise(3, SIZE));
    let good = |path: &str, piece| {
        fs::read(cluster.piece_file(cluster.holders(path, piece)[0], path, piece)).unwrap()
    };
    let others = Others {
        same_file: good("a", 3),
        other_file: good("other", 2),
        // The placement of a file does not depend on whose it is.
        other_user: fs::read(cluster.user_folder(cluster.holders("a", 2)[0], "Ritu").join(".a.2")).unwrap(),
    };

    for (what, damage) in DAMAGES {
        let undamaged = good("a", 2);
        let mut warned = false;
        // Which of the two copies a download reads is its own affair; it cannot avoid both.
        for holder in cluster.holders("a", 2) {
            cluster.edit_piece(holder, "a", 2, |piece| damage(piece, &others));
            let outcome = aditi.download("a", &bytes);
            let names_it = outcome.stderr.contains(&format!("Server{holder}"));
            warned |= names_it && outcome.stderr.contains("warning");
            cluster.edit_piece(holder, "a", 2, |piece| piece.clone_from(&undamaged));
        }
        assert!(warned, "no warning that names the server: {what}");
    }
}

#[test]
fn pieces_of_two_files_that_changed_places_are_noticed() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let (a, b) = (noise(1, SIZE), noise(2, SIZE));
    aditi.upload("a", &a);
    aditi.upload("b", &b);
    let holder = cluster.holders("a", 1)[0];
    let piece_of_b = (1..=4).find(|p| cluster.holders("b", *p).contains(&holder));
    cluster.swap_pieces(holder, ("a", 1), ("b", piece_of_b.unwrap()));
    aditi.download("a", &a);
    aditi.download("b", &b);
}

#[test]
fn a_piece_of_an_older_version_is_not_mixed_in() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let (old, new) = (noise(1, SIZE), noise(2, SIZE));
    aditi.upload("a", &old);
    let [one, other] = cluster.holders("a", 4)[..] else { panic!("not two copies") };
    let older = fs::read(cluster.piece_file(one, "a", 4)).unwrap();
    aditi.upload("a", &new);

    cluster.edit_piece(one, "a", 4, |piece| piece.clone_from(&older));
    aditi.download("a", &new);
    cluster.edit_piece(other, "a", 4, |piece| piece.clone_from(&older));
    aditi.download_is_incomplete("a");
}

#[test]
fn with_both_copies_damaged_a_file_is_incomplete_and_both_servers_are_named() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", &noise(1, SIZE));
    let [one, other] = cluster.holders("a", 3)[..] else { panic!("not two copies") };
    cluster.corrupt_piece(one, "a", 3);
    cluster.cut_piece(other, "a", 3);
    aditi
        .download_is_incomplete("a")
        .complains_of(&format!("Server{one}"))
        .complains_of(&format!("Server{other}"));
}

#[test]
fn a_bad_chunk_in_each_copy_still_gives_the_file_if_they_are_not_the_same_chunk() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, SIZE);
    aditi.upload("a", &bytes);
    let [one, other] = cluster.holders("a", 3)[..] else { panic!("not two copies") };
    // A piece of this size has three chunks, and little else: these two places are not in the same one.
    cluster.edit_piece(one, "a", 3, |piece| {
        let at = piece.len() / 10;
        piece[at] ^= 1;
    });
    cluster.edit_piece(other, "a", 3, |piece| {
        let at = piece.len() * 3 / 4;
        piece[at] ^= 1;
    });
    aditi.download("a", &bytes);
}

#[test]
fn a_file_that_is_no_piece_is_not_taken_for_one() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"real");
    let folder = cluster.user_folder(1, "Aditi");
    for name in [".b.1", ".b.5", "b", ".b", "b.1", "..1", ".b.1.tmp"] {
        fs::write(folder.join(name), b"not a piece").unwrap();
    }
    let outcome = aditi.run(&["ShowFiles"]).succeeds();
    assert!(outcome.lines().contains(&"a"), "{outcome}");
    aditi.run(&["Download", "b"]).fails_with(1);
    aditi.has_no_downloads();
    aditi.download("a", b"real");
}

// Strangers on a server's port.

#[test]
fn strangers_do_not_keep_users_out() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let connect = |n: usize| TcpStream::connect(("127.0.0.1", cluster.port(n))).unwrap();

    let silent: Vec<TcpStream> = (0..200).map(|i| connect(1 + i % 2)).collect();
    let garbage: [&[u8]; 6] = [
        b"\n\n\n\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"\xff\xfe\xfd\n",
        b"\0\0\0\0\n",
        b"99999999999999999999999\n",
        &noise(1, 100_000),
    ];
    let mut noisy: Vec<TcpStream> = Vec::new();
    for (i, bytes) in garbage.into_iter().enumerate() {
        let mut stream = connect(1 + i % 4);
        // The server may have closed before it got all of it.
        let _ = stream.write_all(bytes);
        noisy.push(stream);
    }
    let bytes = noise(2, 100_000);
    let uploaded = aditi.upload("a", &bytes);
    assert!(!uploaded.stderr.contains("warning"), "{uploaded}");
    aditi.download("a", &bytes);
    drop((silent, noisy));
}

#[test]
fn a_line_without_an_end_is_cut_short() {
    let cluster = Cluster::quick(1);
    let mut stranger = TcpStream::connect(("127.0.0.1", cluster.port(1))).unwrap();
    stranger.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    let block = [b'a'; 64 * 1024];
    // 64 MiB are more than all buffers on the way hold: if they can be sent, someone reads them.
    let refused = (0..1024).find_map(|_| stranger.write_all(&block).err());
    let refused = refused.expect("the server reads on and on");
    let closed = [std::io::ErrorKind::BrokenPipe, std::io::ErrorKind::ConnectionReset];
    assert!(closed.contains(&refused.kind()), "not closed: {refused}");
    cluster.client("Aditi").run(&["ShowFiles"]).succeeds();
}

// A full disk.

#[test]
fn a_server_with_a_full_disk_is_replaced_by_another() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, 1 << 20);
    cluster.fill_disk(2);
    aditi.upload("a", &bytes).complains_of("Server2");
    assert!(cluster.pieces_on(2).is_empty(), "a piece without room");
    assert!(cluster.copies_on(&[1, 3, 4], "a") >= 2);
    aditi.download("a", &bytes);
}

#[test]
fn with_no_room_anywhere_an_upload_is_refused_and_the_older_file_stays() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"the older one");
    let before = stored(&cluster);
    (1..=4).for_each(|n| cluster.fill_disk(n));
    let large = noise(1, 1 << 20);
    aditi.put("a", &large);
    aditi.run(&["Upload", "a"]).fails_with(1);
    assert_eq!(stored(&cluster), before, "the user's folders have changed");
    aditi.download("a", b"the older one");

    // What is small enough still goes up, and with room again so does the large one.
    aditi.upload("b", b"small");
    (1..=4).for_each(|n| cluster.empty_disk(n));
    aditi.upload("a", &large);
    aditi.download("a", &large);
}

fn stored(cluster: &Cluster) -> Vec<Vec<String>> {
    (1..=4).map(|n| cluster.pieces_on(n)).collect()
}

// A server that is somebody else.

#[test]
fn two_servers_that_changed_places_are_not_confused() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(1, 50_000);
    aditi.upload("a", &bytes);
    let mut muddled: Client = cluster.client("Aditi");
    let swapped = muddled.conf.replace("Server1 ", "ServerX ");
    let swapped = swapped.replace("Server2 ", "Server1 ");
    muddled.conf = swapped.replace("ServerX ", "Server2 ");
    // A log-in is bound to the server's name, so these two are not taken for each other: the client either
    // goes on without them or refuses. What it does not do is deliver wrong bytes.
    muddled.run(&["Download", "a"]);
    let brought = muddled.downloaded("a");
    assert!(brought.is_none_or(|found| found == bytes), "wrong bytes");
    aditi.download("a", &bytes);
}
