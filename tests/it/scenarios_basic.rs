//! What the store is for: files go up, are listed, and come back the same.

use crate::common::cluster::{PROGRAM as SERVER, password};
use crate::common::process::{Session, run};
use crate::common::{Client, Cluster, Json, USER, client, disk, noise, subsets};
use std::collections::BTreeSet;
use std::process::Command;

/// A piece is encrypted and checked in chunks of this size, so a file has a boundary at four times this.
const CHUNK: usize = 64 * 1024;

#[test]
fn the_three_commands_of_the_spec_do_the_job_of_the_spec() {
    let cluster = Cluster::of(4);
    let aditi = cluster.client("Aditi");
    let text = b"All that glisters is not gold".to_vec();

    aditi.run(&["ShowFiles"]).succeeds().prints(&[]);
    aditi.upload("Portia.txt", &text);
    aditi.run(&["ShowFiles"]).succeeds().prints(&["Portia.txt"]);
    aditi.download("Portia.txt", &text);
}

#[test]
fn commands_are_read_in_any_case_and_names_keep_theirs() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.put("Mixed Case.TXT", b"one");
    aditi.put("mixed case.txt", b"another");

    aditi
        .pipe(
            "UPLOAD \"Mixed Case.TXT\"\nupload \"mixed case.txt\"\nshowfiles\nShow_files\n\
             download \"Mixed Case.TXT\"\nDOWNLOAD \"mixed case.txt\"\nExit\nUpload nothing\n",
        )
        .succeeds()
        .prints(&["Mixed Case.TXT", "mixed case.txt", "Mixed Case.TXT", "mixed case.txt"]);
    aditi.has_downloaded("Mixed Case.TXT", b"one");
    aditi.has_downloaded("mixed case.txt", b"another");
}

#[test]
fn a_file_of_any_size_comes_back_the_same() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let sizes = interesting_sizes();
    let name = |size: &usize| format!("size{size}");
    let content = |size: &usize| noise(*size as u64, *size);
    sizes.iter().for_each(|size| aditi.put(&name(size), &content(size)));

    let uploads: String = sizes.iter().map(|s| format!("Upload size{s}\n")).collect();
    let downloads: String = sizes.iter().map(|s| format!("Download size{s}\n")).collect();
    aditi.pipe(&format!("{uploads}{downloads}")).succeeds();

    for size in &sizes {
        aditi.has_downloaded(&name(size), &content(size));
    }
}

/// All small ones, and those around the places where the number of chunks or of bytes in a piece changes.
fn interesting_sizes() -> BTreeSet<usize> {
    let around = |size: usize, by: usize| size - by..=size + by;
    (0..=17)
        .chain(around(CHUNK, 1))
        .chain(around(3 * CHUNK, 1))
        .chain(around(4 * CHUNK, 4))
        .chain(around(5 * CHUNK, 1))
        .chain(around(8 * CHUNK, 4))
        .chain([1 << 20, (1 << 20) + 3, 1_001_718])
        .collect()
}

#[test]
fn after_two_uploads_each_of_four_servers_holds_exactly_four_pieces() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.run(&["ShowFiles"]).succeeds();
    let before = cluster.files();
    aditi.upload("one", &noise(1, 1000));
    aditi.upload("two", &noise(2, 300_000));

    // Nothing else has come to stay, there or anywhere below ROOT.
    assert_eq!(cluster.files().len() - before.len(), 16);
    for n in 1..=4 {
        assert_eq!(cluster.pieces_on(n).len(), 4, "Server{n} holds too much");
    }
    for name in ["one", "two"] {
        for piece in 1..=4 {
            assert_eq!(cluster.holders(name, piece).len(), 2, "{name}.{piece}");
        }
    }
}

#[test]
fn pieces_are_placed_as_in_the_classic_table_and_every_row_of_it_is_used() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let names: Vec<String> = (0..24).map(|i| format!("file{i}")).collect();
    names.iter().for_each(|name| aditi.put(name, b"x"));
    let uploads: String = names.iter().map(|name| format!("Upload {name}\n")).collect();
    aditi.pipe(&uploads).succeeds();

    // Where piece 1 has its home decides the row: piece p is there and one server before, for each p.
    let mut rows = BTreeSet::new();
    for name in &names {
        let row = (0..4).find(|x| lies_in_row(&cluster, name, *x));
        rows.insert(row.unwrap_or_else(|| panic!("{name} is in no row of the table")));
    }
    // That 24 names leave out one of four rows has a chance of 1 in 250, but the names are always the same.
    assert_eq!(rows.len(), 4, "only the rows {rows:?} are used");
}

fn lies_in_row(cluster: &Cluster, name: &str, x: usize) -> bool {
    (0..4).all(|piece| {
        let home = (x + piece) % 4;
        let before = (home + 3) % 4;
        let expected = BTreeSet::from([home + 1, before + 1]);
        BTreeSet::from_iter(cluster.holders(name, piece + 1)) == expected
    })
}

#[test]
fn a_newer_upload_takes_the_place_of_the_older_and_leaves_nothing_of_it() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    for (seed, size) in [(1, 500_000), (2, 10), (3, 0), (4, 300_001)] {
        let bytes = noise(seed, size);
        aditi.upload("a", &bytes);
        aditi.download("a", &bytes);
        for n in 1..=4 {
            assert_eq!(cluster.pieces_on(n).len(), 2, "Server{n} at {size} bytes");
        }
    }
}

#[test]
fn names_of_all_kinds_are_kept_apart() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let long = "n".repeat(128);
    let names = [
        "a",
        "A",
        "a.1",
        ".a.1",
        "a.bin.2",
        "with space",
        " leading and trailing ",
        "-l",
        "--json",
        "-#####-",
        "100%",
        "%2e%2e",
        "it's \"quoted\"",
        "back\\slash",
        "Grüße.txt",
        "日本語",
        "🦀",
        "...",
        "Server1",
        "Users.conf",
        "#comment",
        &long,
    ];
    for name in names {
        aditi.put(&format!("odd/{name}"), name.as_bytes());
    }
    aditi.run(&["Upload", "odd"]).succeeds();
    aditi.run(&["Download", "odd"]).succeeds();

    let sent = disk::tree(&aditi.files());
    assert_eq!(disk::tree(&aditi.downloads()), sent);

    // And one by one, where the command line must take them as names.
    aditi.run(&["Upload", "odd/with space"]).succeeds();
    aditi.run(&["Upload", "--", "odd/-l"]).succeeds();
    let listed = aditi.run(&["ShowFiles"]).succeeds();
    listed.prints(&["-l", "odd/", "with space"]);
}

#[test]
fn a_file_can_go_into_a_subfolder_and_come_back_from_it() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(7, 100_000);
    aditi.put("earth.gif", &bytes);

    aditi
        .pipe(
            "Upload earth.gif holiday/summer\nShowFiles\nShowFiles holiday\nShowFiles holiday/summer\n\
             Download earth.gif holiday/summer\n",
        )
        .succeeds()
        .prints(&["holiday/", "summer/", "earth.gif"]);
    aditi.has_downloaded("holiday/summer/earth.gif", &bytes);

    // The same in one word.
    aditi.download("holiday/summer/earth.gif", &bytes);
    for n in 1..=4 {
        let pieces = cluster.pieces_on(n);
        let in_folder = |piece: &String| piece.starts_with("holiday/summer/.earth.gif.");
        assert!(pieces.len() == 2 && pieces.iter().all(in_folder), "{pieces:?}");
    }
}

#[test]
fn files_of_the_same_name_in_two_folders_are_two_files() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.put("a", b"at the top");
    aditi.put("one/a", b"in one");
    aditi.put("two/a", b"in two");
    aditi
        .pipe("Upload a\nUpload one/a one\nUpload two/a two\nDownload a\nDownload a one\nDownload two/a\n")
        .succeeds();
    aditi.has_downloaded("a", b"at the top");
    aditi.has_downloaded("one/a", b"in one");
    aditi.has_downloaded("two/a", b"in two");
}

#[test]
fn a_whole_folder_goes_up_and_comes_back() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    for (seed, name) in [
        (1, "holiday/a.gif"),
        (2, "holiday/b c.txt"),
        (3, "holiday/summer/a.gif"),
        (4, "holiday/summer/deep/er/d"),
        (5, "holiday/empty"),
    ] {
        aditi.put(name, &noise(seed, (5 - seed as usize) * 20_000));
    }
    aditi.run(&["Upload", "holiday"]).succeeds();
    aditi
        .pipe("ShowFiles\nShowFiles holiday\n")
        .succeeds()
        .prints(&["holiday/", "a.gif", "b c.txt", "empty", "summer/"]);

    aditi.run(&["Download", "holiday"]).succeeds();
    assert_eq!(disk::tree(&aditi.downloads()), disk::tree(&aditi.files()));

    aditi.forget_downloads();
    aditi.run(&["Download", "holiday/summer"]).succeeds();
    let names = disk::files_below(&aditi.downloads());
    assert_eq!(names, ["holiday/summer/a.gif", "holiday/summer/deep/er/d"]);
}

#[test]
fn a_file_is_found_inside_dir_or_at_an_absolute_path_and_stored_under_its_base_name() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.put("in/side.txt", b"inside");
    let outside = cluster.home().join("outside.txt");
    disk::write(&outside, b"outside");
    let outside = outside.to_str().unwrap();

    let commands = format!("Upload in/side.txt\nUpload \"{outside}\" folder\nShowFiles\n");
    aditi.pipe(&commands).succeeds().prints(&["folder/", "side.txt"]);
    aditi.download("side.txt", b"inside");
    aditi.download("folder/outside.txt", b"outside");
}

#[test]
fn a_download_replaces_an_older_one_and_leaves_no_other_file() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let (old, new) = (noise(1, 200_000), noise(2, 70));
    aditi.put("a", &old);
    aditi.pipe("Upload a\nDownload a\n").succeeds();
    aditi.put("a", &new);
    aditi.pipe("Upload a\nDownload a\n").succeeds();

    aditi.has_downloaded("a", &new);
    let all = disk::files_below(&aditi.folder().join("Downloads"));
    assert_eq!(all, ["Aditi/a"]);
}

#[test]
fn show_files_gives_details_when_asked() {
    let cluster = Cluster::of(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a b.txt", &noise(1, 1234));

    let detailed = aditi.run(&["ShowFiles", "-l"]).succeeds();
    assert_eq!(detailed.lines().len(), 1, "{detailed}");
    for part in ["a b.txt", "Server1", "Server4"] {
        assert!(detailed.stdout.contains(part), "no {part} in {detailed}");
    }
    let json = aditi.run(&["ShowFiles", "--json"]).succeeds();
    let [object] = json.lines()[..] else { panic!("one file is one line: {json}") };
    assert!(object.starts_with('{') && object.ends_with('}'), "{object}");
    assert!(object.contains("\"a b.txt\""), "{object}");
    assert!(object.contains("1234"), "{object}");
}

#[test]
fn users_see_only_their_own_files() {
    let cluster = Cluster::quick(4);
    let (aditi, ritu) = (cluster.client("Aditi"), cluster.client("Ritu"));
    aditi.upload("a", b"of Aditi");
    ritu.run(&["ShowFiles"]).succeeds().prints(&[]);
    ritu.run(&["Download", "a"]).fails_with(1).complains_of("a");
    ritu.has_no_downloads();

    ritu.upload("a", b"of Ritu");
    aditi.download("a", b"of Aditi");
    ritu.download("a", b"of Ritu");
}

#[test]
fn clients_at_once_do_not_wait_for_each_other() {
    let cluster = Cluster::quick(4);
    let mut idle = cluster.client("Aditi").session();
    idle.send("ShowFiles");

    let files: Vec<Vec<u8>> = (0..4).map(|seed| noise(seed, 1_000_000)).collect();
    let clients: Vec<Client> = ["Aditi", "Ritu", "Aditi", "Ritu"].map(|user| cluster.client(user)).into();
    let mut running = Vec::new();
    for (i, client) in clients.iter().enumerate() {
        let name = format!("file{i}");
        client.put(&name, &files[i]);
        let mut session = client.session();
        session.send(&format!("Upload {name}\nDownload {name}"));
        running.push(session);
    }
    for session in running {
        session.finish().succeeds();
    }
    for (i, client) in clients.iter().enumerate() {
        client.has_downloaded(&format!("file{i}"), &files[i]);
    }
    idle.finish().succeeds();
}

#[test]
fn two_uploads_of_one_name_at_once_leave_one_of_the_two_files() {
    let cluster = Cluster::quick(4);
    let clients = [cluster.client("Aditi"), cluster.client("Aditi")];
    let files = [noise(1, 400_000), noise(2, 400_001)];
    for _ in 0..4 {
        let running: Vec<Session> = clients
            .iter()
            .zip(&files)
            .map(|(client, file)| {
                client.put("same", file);
                client.start(&["Upload", "same"])
            })
            .collect();
        for session in running {
            session.finish().succeeds();
        }
        clients[0].run(&["Download", "same"]).succeeds();
        let found = clients[0].downloaded("same").unwrap();
        assert!(files.contains(&found), "a mix of two versions");
        for n in 1..=4 {
            assert_eq!(cluster.pieces_on(n).len(), 2, "on Server{n}");
        }
    }
}

#[test]
fn commands_go_on_after_one_that_failed_and_the_exit_status_is_of_the_first_failure() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.put("a", b"still done");
    aditi
        .pipe("Download nothing\nFrobnicate\nUpload a\nDownload a\n")
        .fails_with(1)
        .complains_of("nothing")
        .complains_of("Frobnicate");
    aditi.has_downloaded("a", b"still done");

    aditi.pipe("Frobnicate\nDownload nothing\n").fails_with(2);
    aditi.pipe("").succeeds().prints(&[]);
    aditi.pipe("Quit\nDownload nothing\n").succeeds();
    aditi.pipe("\n  \nHelp\n").succeeds();
}

#[test]
fn there_can_be_any_number_of_servers_and_copies() {
    for (servers, copies) in [(1, 1), (2, 2), (3, 2), (4, 1), (4, 4), (5, 3)] {
        let mut cluster = Cluster::quick(servers);
        let aditi = cluster.client("Aditi").with(&format!("Replicas {copies}"));
        let bytes = noise(servers as u64, 150_000);
        aditi.upload("a", &bytes);
        for piece in 1..=4 {
            assert_eq!(cluster.holders("a", piece).len(), copies);
        }
        // Any copies-1 servers may be lost.
        let survivors = servers + 1 - copies;
        for up in subsets(servers).filter(|up| up.len() == survivors) {
            cluster.run_only(&up);
            aditi.download("a", &bytes);
        }
    }
}

#[test]
fn a_single_server_is_enough_for_a_conf_that_does_not_speak_of_copies() {
    let cluster = Cluster::quick(1);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"alone");
    aditi.download("a", b"alone");
    assert_eq!(cluster.pieces_on(1), [".a.1", ".a.2", ".a.3", ".a.4"]);
}

#[test]
fn what_was_acknowledged_is_still_there_after_all_servers_were_killed() {
    let mut cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let bytes = noise(9, 700_000);
    aditi.upload("a", &bytes);
    cluster.run_only(&[]);
    cluster.run_all();
    aditi.run(&["ShowFiles"]).succeeds().prints(&["a"]);
    aditi.download("a", &bytes);
}

#[test]
fn a_user_added_while_the_servers_run_can_log_in() {
    let cluster = Cluster::of(4);
    let mut vishakha = cluster.client("Ritu");
    vishakha.conf = vishakha.conf.replace("Ritu", "Vishakha");
    vishakha.run(&["ShowFiles"]).fails_with(3);

    cluster.add_user("Vishakha", &password("Vishakha")).succeeds();
    vishakha.run(&["ShowFiles"]).succeeds();
}

#[test]
fn a_user_in_plain_text_is_accepted_with_a_warning() {
    let mut cluster = Cluster::of(4);
    let users = cluster.root().join("Users.conf");
    let mut text = std::fs::read_to_string(&users).unwrap();
    text.push_str("Vishakha Vishakha@123\n");
    std::fs::write(users, text).unwrap();
    (1..=4).for_each(|n| cluster.restart(n));

    let mut vishakha = cluster.client("Ritu");
    vishakha.conf = vishakha.conf.replace("Ritu", "Vishakha");
    vishakha.run(&["ShowFiles"]).succeeds();
    let log = cluster.log(1);
    assert!(log.contains("Vishakha") && log.contains("warning"), "{log}");
    assert!(!log.contains("Vishakha@123"), "a log is no place for a password");
}

#[test]
fn the_forms_of_the_conf_that_the_contract_names_are_all_read() {
    let cluster = Cluster::of(4);
    let mut aditi = cluster.client("Aditi");
    let ports: Vec<u16> = (1..=4).map(|n| cluster.port(n)).collect();
    aditi.conf = format!(
        "# The servers come last here.\npassword: Aditi@123\nUSERNAME: Aditi\n\n\
         Server DFS1 127.0.0.1:{}\nserver DFS2 localhost:{}\nServer3 localhost:{}\n\
         Server4 127.0.0.1:{}\nTimeout 2\nreplicas 2\n",
        ports[0], ports[1], ports[2], ports[3]
    );
    // DFS1 is Server1's name for this user; a server may hold it to the name that it was started with.
    aditi.run(&["ShowFiles"]).succeeds();
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let mut second = Command::new(SERVER);
    second.arg(cluster.root()).args(["Server1", "0"]);
    let refused = run(&mut second, "");
    assert!(refused.status > 0, "not refused: {refused}");
    refused.complains_of("Server1");

    aditi.upload("a", b"the first server goes on");
    assert_eq!(cluster.pieces_on(1).len(), 2);
}

#[test]
fn a_key_from_keygen_opens_what_it_closed() {
    let cluster = Cluster::of(4);
    let made = run(Command::new(client::PROGRAM).arg("keygen"), "").succeeds();
    let [line] = made.lines()[..] else { panic!("not one line: {made}") };
    let key = line.strip_prefix("Key ").unwrap();
    assert_eq!(key.len(), 64);
    assert!(key.bytes().all(|b| b.is_ascii_hexdigit()));

    let aditi = cluster.client(USER).with(line);
    aditi.upload("a", b"under a key");
    aditi.download("a", b"under a key");
}

#[test]
fn both_programs_tell_about_themselves() {
    for program in [client::PROGRAM, SERVER] {
        for option in ["--help", "--version"] {
            let shown = run(Command::new(program).arg(option), "").succeeds();
            assert!(!shown.stdout.is_empty(), "nothing printed: {shown}");
        }
        run(&mut Command::new(program), "").exits(2);
    }
}

#[test]
fn a_trace_shows_each_line_as_it_travels_and_no_secret() {
    let cluster = Cluster::of(4);
    let aditi = cluster.client("Aditi");
    aditi.put("a", b"traced");
    let outcome = aditi.run(&["Upload", "a", "--trace"]).succeeds();
    for line in ["-> Server1 LOOK a", "-> Server4 STAGE ", "<- Server2 OK", "-> Server3 COMMIT a "] {
        assert!(outcome.stderr.contains(line), "no {line:?} in {outcome}");
    }
    assert!(!outcome.stderr.contains("Aditi@123") && !outcome.stderr.contains("PROVE"), "{outcome}");
    assert!(!aditi.run(&["Download", "a"]).succeeds().stderr.contains("trace"));
}

#[test]
fn a_trace_for_programs_has_an_event_on_each_line() {
    let mut cluster = Cluster::of(4);
    let aditi = cluster.client("Aditi");
    aditi.put("my poem", b"traced");
    cluster.stop(2);
    let outcome = aditi.run(&["Upload", "my poem", "--trace=json"]).succeeds();
    let is_event = |line: &&str| line.starts_with('{');
    let events: Vec<Json> = outcome.stderr.lines().filter(is_event).map(Json::parse).collect();
    let members = |event: &Json| match event {
        Json::Object(members) => members.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>().join(" "),
        other => panic!("{other:?}"),
    };
    let of = |kind: &str| events.iter().filter(|event| members(event) == kind).collect::<Vec<_>>();
    assert_eq!(of("time command")[0].text("command"), "Upload \"my poem\"", "{outcome}");
    assert_eq!(of("time server down")[0].text("server"), "Server2", "{outcome}");
    assert!(of("time phase took").iter().any(|event| event.text("phase") == "survey"), "{outcome}");
    let lines = of("time server direction line");
    for (server, direction, line) in
        [("Server1", "sent", "LOOK my%20poem"), ("Server4", "sent", "COMMIT "), ("Server3", "received", "OK")]
    {
        let is_it = |event: &&&Json| {
            (event.text("server"), event.text("direction")) == (server, direction)
                && event.text("line").starts_with(line)
        };
        assert!(lines.iter().any(|event| is_it(&event)), "no {line:?} in {outcome}");
    }
    assert_eq!(of("time command").len() + of("time server down").len(), 2, "{outcome}");
    let times: Vec<f64> = lines.iter().map(|event| event.number("time")).collect();
    assert!(times[0] > 1_700_000_000.0 && times.iter().all(|time| *time >= times[0]), "{outcome}");
    assert!(outcome.stderr.lines().any(|line| line.contains("Server2 is down (")), "{outcome}");
    assert!(!outcome.stderr.contains("Aditi@123") && !outcome.stderr.contains("PROVE"), "{outcome}");
    aditi.run(&["Upload", "my poem", "--trace=xml"]).exits(2).complains_of("expected json, or no value");
}

#[test]
fn a_trace_for_programs_has_no_password_that_is_typed() {
    let cluster = Cluster::of(4);
    let aditi = cluster.client("Aditi");
    let lines = "Passwd --trace=json\nNewSecret2\nPasswd --trace=json ArgSecret3\nShowFiles --trace=json\n";
    let outcome = aditi.pipe(lines).exits(2).complains_of("unexpected argument 'ArgSecret3'");
    let events: Vec<&str> = outcome.stderr.lines().filter(|line| line.starts_with('{')).collect();
    assert!(events.iter().any(|event| event.ends_with(r#","command":"Passwd"}"#)), "{outcome}");
    for secret in ["Aditi@123", "NewSecret2", "ArgSecret3", "PROVE"] {
        assert!(!events.iter().any(|event| event.contains(secret)), "{secret} in {outcome}");
    }
}

#[test]
fn a_file_is_looked_at_once_to_be_downloaded() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.upload("a", b"looked at");
    let outcome = aditi.run(&["Download", "a", "--trace"]).succeeds();
    let looks = outcome.stderr.lines().filter(|line| line.contains("-> Server1 LOOK a")).count();
    assert_eq!(looks, 1, "{outcome}");
    aditi.download("a", b"looked at");
}

#[test]
fn the_next_files_are_looked_at_once_and_while_others_are_fetched() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let names: Vec<String> = (10..70).map(|number| format!("d/{number}")).collect();
    names.iter().for_each(|name| aditi.put(name, name.as_bytes()));
    aditi.run(&["Upload", "d"]).succeeds();
    // With few descriptors not all of them are fetched together.
    let outcome = aditi.shell("ulimit -n 64; exec $client Download d --trace").finish().succeeds();
    names.iter().for_each(|name| aditi.has_downloaded(name, name.as_bytes()));
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    let looked = |lines: &[&str], name: &str| {
        let look = format!("-> Server1 LOOK {name}");
        lines.iter().filter(|line| line.ends_with(&look)).count()
    };
    assert!(names.iter().all(|name| looked(&lines, name) == 1), "{outcome}");
    let fetched = lines.iter().position(|line| line.contains("== fetch took")).unwrap();
    let is_read =
        |name: &&String| lines[..fetched].iter().any(|line| line.contains(&format!(" READ {name} ")));
    let read = names.iter().filter(is_read).count();
    let looks: usize = names.iter().map(|name| looked(&lines[..fetched], name)).sum();
    assert!(0 < read && read < looks && looks < names.len(), "{read} read, {looks} looked at: {outcome}");
}

#[test]
fn a_file_that_changes_after_it_was_looked_at_is_looked_at_again() {
    use shareit::client::{Client, Destination, Found, Looked, Notice, Report, Terms};
    use shareit::name::FolderPath;
    struct Silent;
    impl Report for Silent {
        fn notice(&self, _: Notice) {}
    }
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    let config = shareit::config::Config::parse(&aditi.conf).unwrap();
    let mut client = Client::launch(config, None, std::sync::Arc::new(Silent)).unwrap();
    let mut looked = || -> Looked {
        match client.find("a").unwrap() {
            Found::File(file) => *file,
            Found::Below(_) => panic!("a is no folder"),
        }
    };
    aditi.upload("a", b"old");
    let replaced = looked();
    aditi.upload("a", b"new");
    let renewed = looked();
    let deleted = looked();
    let to = Destination::new(aditi.downloads(), FolderPath::root());
    client.download_looked(replaced, Terms::new(&to)).unwrap();
    assert_eq!(aditi.downloaded("a").unwrap(), b"new");
    client.download_looked(renewed, Terms::new(&to)).unwrap();
    assert_eq!(aditi.downloaded("a").unwrap(), b"new");
    aditi.run(&["Delete", "a"]).succeeds();
    let error = client.download_looked(deleted, Terms::new(&to)).unwrap_err();
    assert!(error.to_string().contains("not found"), "{error}");
    assert_eq!(aditi.downloaded("a").unwrap(), b"new");
}

#[test]
fn a_folder_may_be_written_as_show_files_shows_it() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    cluster.client("Aditi").upload("a", b"a");
    aditi.run(&["Move", "a", "papers/a"]).succeeds();
    aditi.run(&["ShowFiles", "/"]).succeeds().prints(&["papers/"]);
    aditi.run(&["ShowFiles", "."]).succeeds().prints(&["papers/"]);
    aditi.run(&["ShowFiles", "papers/"]).succeeds().prints(&["a"]);
    aditi.run(&["Download", "papers/"]).succeeds();
    aditi.run(&["Delete", "-r", "papers/"]).succeeds();
    aditi.run(&["ShowFiles"]).succeeds().prints(&[]);
}

#[test]
fn a_name_is_a_file_or_a_folder_even_if_it_was_neither_a_moment_ago() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    aditi.put("b", b"b");
    aditi.put("folder", b"a file of this name");
    aditi.upload("file", b"f");
    aditi.run(&["Upload", "b", "--to", "file"]).fails_with(1).complains_of("cannot have the same name");
    aditi.run(&["Upload", "b", "file/below"]).fails_with(1).complains_of("cannot have the same name");
    aditi.run(&["Upload", "b", "--to", "folder"]).succeeds();
    aditi.run(&["Upload", "folder"]).fails_with(1).complains_of("cannot have the same name");
    aditi.run(&["ShowFiles"]).succeeds().prints(&["file", "folder/"]);
    aditi.run(&["Delete", "file"]).succeeds();
    aditi.run(&["Upload", "b", "file/below"]).succeeds();
}

#[test]
fn of_a_large_file_each_server_gives_one_piece_and_of_a_small_one_two_on_this_machine_give_all() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    // How many pieces each server gives, the least first.
    let givers = |name: &str, size| {
        aditi.upload(name, &noise(1, size));
        let outcome = aditi.run(&["Download", name, "--trace"]).succeeds();
        // A body comes after the header, its table far after that.
        let offset = |read: &str| read.rsplit(' ').nth(1).and_then(|word| word.parse::<u64>().ok());
        let is_of_body = |line: &&str| line.contains(" READ ") && offset(line).is_some_and(|at| at < 1000);
        let reads: Vec<&str> = outcome.stderr.lines().filter(is_of_body).collect();
        for piece in 1..=4 {
            let read = format!(" READ {name} {piece} ");
            assert_eq!(reads.iter().filter(|r| r.contains(&read)).count(), 1, "{name}: {outcome}");
        }
        let given_by = |server| reads.iter().filter(|r| r.contains(&format!("-> Server{server} "))).count();
        let mut given = [1, 2, 3, 4].map(given_by);
        given.sort_unstable();
        given
    };
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        assert_eq!(givers(name, 40_000), [0, 0, 2, 2], "{name}");
    }
    assert_eq!(givers("just-small", 16 << 20), [0, 0, 2, 2]);
    assert_eq!(givers("large", (16 << 20) + 4), [1, 1, 1, 1]);
}

#[test]
fn good_chunks_beside_damaged_ones_are_kept_and_the_others_come_from_the_other_holder() {
    let cluster = Cluster::quick(4);
    let aditi = cluster.client("Aditi");
    // Ten chunks in each piece, and three damaged ones at each holder: never the same.
    let bytes = noise(1, 2_560_000);
    aditi.upload("a", &bytes);
    for piece in 1..=4 {
        for (holder, chunks) in cluster.holders("a", piece).into_iter().zip([[0, 2, 5], [1, 6, 9]]) {
            cluster.edit_piece(holder, "a", piece, |content| {
                chunks.iter().for_each(|chunk| content[200 + chunk * 65_536] ^= 1);
            });
        }
    }
    aditi.download("a", &bytes);
}
