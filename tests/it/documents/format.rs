//! docs/FORMAT.md: its tables, its golden pieces, and what becomes of a golden piece that is altered.

use std::process::Command;

use super::markdown::{Document, Values};
use crate::common::client::PROGRAM;
use crate::common::disk::TempFolder;
use crate::common::process::run;
use shareit::auth::{UserTable, Verifier};
use shareit::config::Config;
use shareit::name::{FilePath, UserName, piece_file};
use shareit::placement::{self, PIECES, PieceSet, Scheme, parity};
use shareit::primitives::{hkdf_sha256, sha256};
use shareit::sealed::{
    ChunkCipher, ChunkHasher, ChunkSum, Claim, Distrust, Facts, FileKey, Header, Kind, MAX_HEADER, MasterKey,
    ModifiedTime, NONCE, VerifiedChunk, nonce,
};
use shareit::text::{base64_encode, hex};
use shareit::version::Version;
use shareit::wire::NameReport;

fn document() -> Document {
    Document::read("FORMAT.md")
}

fn example(name: &str) -> Values {
    document().section(&format!("Example: {name}")).values()
}

fn master_key() -> MasterKey {
    let values = document().section("Example: keys").values();
    // The last of the two master keys there comes from the password; the first is counted up.
    let counted = std::array::from_fn(|i| i as u8);
    assert_ne!(values.array::<32>("master key"), counted);
    MasterKey::from_key(&counted)
}

fn user() -> UserName {
    UserName::parse("Aditi").unwrap()
}

fn path(text: &str) -> FilePath {
    FilePath::parse(text).unwrap()
}

/// A text with the escapes of a JSON string, as far as the document uses them.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        out.push(match (c, chars.clone().next()) {
            ('\\', Some('u')) => {
                chars.next();
                let digits: String = chars.by_ref().take(4).collect();
                u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).unwrap()
            }
            ('\\', Some(escaped)) => {
                chars.next();
                match escaped {
                    't' => '\t',
                    'r' => '\r',
                    plain => plain,
                }
            }
            (plain, _) => plain,
        });
    }
    out
}

#[test]
fn the_password_is_what_the_table_says() {
    let rows = document().section("Keys").table("line of the .conf, as a JSON string");
    assert_eq!(rows.len(), 8);
    for row in rows {
        let line = unescaped(&row[0]);
        let config = Config::parse(&format!("Server1 localhost:8008\nUsername Aditi\n{line}\n"));
        let password = config.unwrap_or_else(|error| panic!("{line:?}: {error}")).password;
        assert_eq!(hex(password.as_bytes()), row[1], "{line:?}");
        // There, only white space parts name and password.
        let Some((_, in_users)) =
            line.split_once(char::is_whitespace).filter(|(_, value)| !value.starts_with("= "))
        else {
            continue;
        };
        let users = UserTable::new([1; 32]).read(&format!("Aditi {in_users}\n")).ok().unwrap();
        let verifier = users.verifier(&user());
        assert!(verifier == Verifier::derive(&password, &verifier.salt, verifier.iterations), "{line:?}");
    }
}

#[test]
fn a_key_on_paper_is_printed_and_read_as_the_examples_say() {
    let folder = TempFolder::new();
    let conf = folder.path().join("a.conf");
    let keygen = || {
        let mut command = Command::new(PROGRAM);
        command.arg("keygen");
        command
    };
    let document = document();
    let section = document.section("A key on paper");
    let values: Vec<&str> = section.fenced("paper").map(|line| line.split_once("= ").unwrap().1).collect();
    assert_eq!(values.len() % 5, 0, "{values:?}");
    for example in values.chunks(5) {
        let (key, lines) = (format!("Key {}", example[0]), example[1..].join("\n"));
        let typed = run(keygen().arg("--from-paper"), &lines).succeeds();
        assert_eq!(typed.lines(), [key.as_str()]);
        std::fs::write(&conf, format!("Server1 localhost:1\nUsername u\n{key}\n")).unwrap();
        let printed = run(keygen().arg("--paper").arg(&conf), "").succeeds();
        let printed: Vec<&str> =
            printed.lines().into_iter().filter_map(|line| line.strip_prefix("    ")).collect();
        assert_eq!(printed, example[1..]);
    }
}

/// The steps of "Reading", in their order, on a whole piece file.
fn read(piece: &[u8], key: &MasterKey, path: &FilePath) -> Result<Vec<u8>, String> {
    let header = Header::decode(piece).map_err(|error| error.to_string())?;
    let layout = header.layout();
    if layout.tail.end != piece.len() as u64 {
        return Err("another length".into());
    }
    let part = |range: std::ops::Range<u64>| &piece[range.start as usize..range.end as usize];
    let (root, seal) = part(layout.tail.clone()).split_at(32);
    let claim = Claim { header, root: root.try_into().unwrap(), seal: seal.try_into().unwrap() };
    let verified = key.verify(&claim).map_err(|distrust| distrust.to_string())?;
    let header = &claim.header;
    if header.user != user() || header.path != *path {
        return Err("another's piece".into());
    }
    let file_key = key.unwrap(&verified);
    let table = part(layout.table.clone());
    if sha256(table) != claim.root {
        return Err("a damaged table".into());
    }
    let (mut body, mut plain) = (part(layout.body.clone()).to_vec(), Vec::new());
    for (chunk, hash) in table.chunks_exact(32).enumerate() {
        let range = header.stored_chunk(chunk as u64);
        let bytes = &mut body[range.start as usize..range.end as usize];
        let verified = VerifiedChunk::new(bytes, hash.try_into().unwrap());
        match verified.and_then(|verified| verified.decrypt(&file_key)) {
            Some(bytes) => plain.extend(bytes),
            None => return Err("a damaged chunk".into()),
        }
    }
    Ok(plain)
}

/// Writes a piece as "Body, table, root, seal" says, with the example's nonces; gives its parts.
fn write(header: &Header, key: &MasterKey, file_key: &FileKey, plain: &[u8]) -> [Vec<u8>; 5] {
    let small = example("a small piece");
    let run = *small.array::<NONCE>("nonce").first_chunk().unwrap();
    assert_eq!(nonce(run, 0), small.array("nonce"));
    let mut body = Vec::new();
    for (chunk, plain) in plain.chunks(header.chunk_size() as usize).enumerate() {
        let (nonce, start) = (nonce(run, chunk as u64), body.len() + NONCE);
        body.extend(nonce);
        body.extend(plain);
        ChunkCipher::new(file_key, &nonce).encrypt(&mut body[start..]);
    }
    let mut table = Vec::new();
    let mut hasher = ChunkHasher::new(header.stored_chunk_size());
    hasher.update(&body, |hash| table.extend(hash));
    let root = hasher.finish(|hash| table.extend(hash));
    let header = header.encode();
    let seal = key.seal(&header, &root);
    [header, body, table, root.to_vec(), seal.to_vec()]
}

fn header(values: &Values, name: &str, piece: u8, file_size: u64) -> Header {
    header_of(values, Kind::Data, name, piece, file_size)
}

fn header_of(values: &Values, kind: Kind, name: &str, piece: u8, file_size: u64) -> Header {
    let small = example("a small piece");
    let key = master_key();
    let file_key = FileKey::new(small.array("file key"));
    let wrapped = key.wrap(&file_key, small.array("wrap block"));
    assert_eq!(wrapped.bytes, small.array("wrapped key"));
    let (seconds, nanos) = small.text("modified").split_once('.').unwrap();
    let facts = Facts {
        kind,
        mode: u16::from_str_radix((if kind == Kind::Data { &small } else { values }).text("mode"), 8)
            .unwrap(),
        version: small.text("version").parse().unwrap(),
        size: file_size,
        modified: ModifiedTime { seconds: seconds.parse().unwrap(), nanos: nanos.parse().unwrap() },
        scheme: placement::Scheme::Copies,
        replicas: u8::try_from(small.number("replicas")).unwrap(),
    };
    let header = Header::data(user(), FilePath::parse_any(name).unwrap(), facts, piece, wrapped);
    assert_eq!(u64::from(header.chunk_log2), small.number("exponent"));
    assert_documented(values, "header", &header.encode());
    header
}

#[test]
fn names_are_good_or_bad_as_the_document_says() {
    let rows = document().section("Names").table("path");
    assert!(rows.len() > 10);
    for row in rows {
        let name = unescaped(&format!("\"{}\"", row[0]));
        assert_eq!(FilePath::parse_any(&name).is_ok(), row[1] == "good", "{:?}", row[0]);
    }
}

#[test]
fn names_are_on_a_servers_disk_as_the_document_says() {
    let rows = document().section("On a server's disk").table("path");
    assert!(rows.len() > 5);
    for row in rows {
        let path = FilePath::parse_any(&unescaped(&format!("\"{}\"", row[0]))).unwrap();
        let folder: String = path.folder().on_disk().map(|segment| format!("{segment}/")).collect();
        assert_eq!(folder + &piece_file(path.file_name(), 1), row[1], "{:?}", row[0]);
    }
}

#[test]
fn files_are_split_as_the_document_says() {
    for row in document().section("Splitting").table("file size") {
        let size: u64 = row[0].parse().unwrap();
        let ranges = placement::pieces().map(|piece| placement::range(size, piece));
        let lengths: Vec<String> = ranges.map(|range| (range.end - range.start).to_string()).collect();
        assert_eq!(lengths, row[1..], "{size} bytes");
    }
}

#[test]
fn pieces_are_placed_as_the_document_says() {
    let rows = document().section("Placement").table("x");
    assert_eq!(rows.len(), 4);
    for row in rows {
        let mut hash = [0; 32];
        hash[31] = row[0].parse().unwrap();
        let holders = placement::Scheme::Copies.holders(&hash, &[true; 4], placement::DEFAULT_REPLICAS);
        for (server, cell) in row[1..].iter().enumerate() {
            let mut documented: Vec<u8> = cell.split(',').map(|p| p.parse().unwrap()).collect();
            documented.sort_unstable();
            let held: Vec<u8> =
                placement::pieces().filter(|&p| holders[usize::from(p) - 1].contains(&server)).collect();
            assert_eq!(held, documented, "x = {}, server {server}", row[0]);
        }
    }
    // The two paths that the text gives x for: the home of piece 1 is server x.
    for (name, x) in [("holiday/ten.txt", 2), ("two-chunks.bin", 0)] {
        assert_eq!(placement::Scheme::Copies.holders(&sha256(name.as_bytes()), &[true; 4], 1)[0], [x]);
    }
}

#[test]
fn a_password_gives_the_keys_of_the_example() {
    let values = example("keys");
    let key =
        MasterKey::from_password(&UserName::parse(values.text("user")).unwrap(), values.text("password"));
    assert_eq!(key.check_value(), values.array::<16>("key check"));
    let master = values.array::<32>("master key");
    assert_eq!(MasterKey::from_key(&master).check_value(), key.check_value());
    let derive = |label: &str| hkdf_sha256(b"ShareIt v1", &master, &[label.as_bytes()]);
    for row in document().section("Keys").table("key") {
        let documented = values.bytes(&row[0]);
        assert_eq!(derive(&row[1])[..documented.len()], documented, "{}", row[0]);
    }
}

#[test]
fn each_field_of_a_header_is_where_the_table_says() {
    let values = example("a small piece");
    let header = header(&values, "holiday/ten.txt", 1, 10);
    let bytes = header.encode();
    let user_length = header.user.as_str().len();
    let mut end = 0;
    for row in document().section("Header").table("offset") {
        let offset: usize = row[0].replace("L", &user_length.to_string()).split(" + ").map(number).sum();
        let expected = match row[2].as_str() {
            "magic" => b"ShareIt\x02".to_vec(),
            "kind" => vec![0],
            "scheme" => vec![placement::SCHEME_COPIES],
            "piece" => vec![header.piece],
            "pieces" => vec![placement::PIECES],
            "chunk exponent" => vec![header.chunk_log2],
            "replicas" => vec![header.replicas],
            "generation" => header.version.generation.to_be_bytes().to_vec(),
            "upload id" => header.version.upload.to_vec(),
            "file size" => header.file_size.to_be_bytes().to_vec(),
            "piece size" => header.piece_size.to_be_bytes().to_vec(),
            "modified, seconds" => header.modified.seconds.to_be_bytes().to_vec(),
            "modified, nanoseconds" => header.modified.nanos.to_be_bytes().to_vec(),
            "mode" => header.mode.to_be_bytes().to_vec(),
            "key check" => header.key.check.to_vec(),
            "wrap block" => header.key.block.to_vec(),
            "wrapped key" => header.key.bytes.to_vec(),
            "user length" => vec![user_length as u8],
            "user" => header.user.as_str().as_bytes().to_vec(),
            "path length" => (header.path.as_str().len() as u16).to_be_bytes().to_vec(),
            "path" => header.path.as_str().as_bytes().to_vec(),
            other => panic!("an unknown field {other:?}"),
        };
        assert_eq!(offset, end, "{} begins where the field before it ends", row[2]);
        if let Ok(length) = row[1].parse::<usize>() {
            assert_eq!(expected.len(), length, "{}", row[2]);
        }
        end = offset + expected.len();
        assert_eq!(bytes[offset..end], expected, "{}", row[2]);
    }
    assert_eq!(end, bytes.len());
}

/// The picture has a box for each field or few, with the bytes below it: `8`, `6 × 1`, `8 + 16`, `1 + L`.
#[test]
fn the_picture_of_a_piece_has_all_bytes_of_the_header() {
    let picture = picture("piece.svg");
    let texts = texts(&picture);
    let is_bytes = |text: &&str| {
        !text.trim().is_empty() && text.chars().all(|c| c.is_ascii_digit() || " +×LP".contains(c))
    };
    let header = texts.skip_while(|text| *text != "The header").take_while(|text| *text != "The keys");
    let product = |text: &str| text.split(" × ").map(number).product::<usize>();
    let sum =
        |text: &str| text.split(" + ").filter(|part| !["L", "P"].contains(part)).map(product).sum::<usize>();
    assert_eq!(header.filter(is_bytes).map(sum).sum::<usize>(), shareit::sealed::HEADER_FIXED);
}

fn picture(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// What is between the tags of a picture.
fn texts(picture: &str) -> impl Iterator<Item = &str> {
    picture
        .split('>')
        .skip(1)
        .filter_map(|rest| rest.split('<').next())
        .filter(|text| !text.trim().is_empty())
}

/// `P1` is the number 1, `Q1` the number 5.
fn piece(name: &str) -> Option<u8> {
    let (kind, number) = name.split_at_checked(1)?;
    let number: u8 = number.parse().ok()?;
    match kind {
        "P" => Some(number),
        "Q" => Some(number + PIECES),
        _ => None,
    }
}

/// The picture has the pieces of each server, the files that they are, and lines such as `P2 = Q4 ^ P1`: first what
/// each XOR is, then how the pieces of two lost servers are made of what the others hold.
#[test]
fn the_picture_of_parity_shows_what_the_code_does() {
    let picture = picture("parity.svg");
    let texts: Vec<&str> = texts(&picture).collect();
    let is_server = |text: &&str| text.starts_with("Server") && text.len() == 7;
    let holders = Scheme::Parity.holders(&[0; 32], &[true; 4], 1);
    let held_by = |server: usize| {
        Scheme::Parity
            .pieces()
            .filter(|piece| holders[usize::from(*piece) - 1] == [server])
            .collect::<PieceSet>()
    };
    let shown: Vec<&[&str]> = texts.split(is_server).skip(1).collect();
    assert_eq!(shown.len(), 8);
    for (n, shown) in shown[..4].iter().enumerate() {
        let pieces: PieceSet = shown.iter().take(2).filter_map(|text| piece(text)).collect();
        let files = shown.iter().filter_map(|text| text.strip_prefix(".NAME.")?.parse().ok());
        assert_eq!((pieces, files.collect()), (held_by(n), held_by(n)), "Server{}", n + 1);
    }

    let lines = texts.iter().filter_map(|text| {
        let (made, of) = text.split_once(" = ")?;
        let of: PieceSet = of.split(" ^ ").filter_map(piece).collect();
        Some((piece(made)?, of))
    });
    let lines: Vec<(u8, PieceSet)> = lines.collect();
    let (xors, recovery) = lines.split_at(4);
    for (n, (made, of)) in (PIECES + 1..).zip(xors) {
        assert_eq!((*made, *of), (n, parity::sources(n).unwrap().into_iter().collect()));
    }
    let mut there = held_by(0).union(held_by(3));
    for (made, of) in recovery {
        assert!(of.without(there).is_empty(), "{made} is made of what there is");
        let recipes = parity::recipes(*of, [*made].into_iter().collect());
        assert_eq!(recipes.first().map(|recipe| &recipe.made), Some(&vec![(*made, *of)]));
        there.insert(*made);
    }
    assert_eq!(there, Scheme::Parity.pieces().collect());
}

/// The table under "Redundancy" of sets that suffice, or do not.
#[test]
fn pieces_suffice_as_the_document_says() {
    for row in document().section("Redundancy").table("pieces") {
        let held: PieceSet = row[0].split(',').map(|piece| piece.parse::<u8>().unwrap()).collect();
        assert_eq!(parity::suffices(held), !row[1].starts_with("no:"), "{held}");
    }
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no offset"))
}

/// Compares bytes with those of an example; other ones are printed as the document has them.
#[track_caller]
fn assert_documented(values: &Values, name: &str, bytes: &[u8]) {
    assert_eq!(hex(&values.bytes(name)), hex(bytes), "{name}");
}

#[test]
fn the_small_piece_is_written_and_read_byte_for_byte() {
    let values = example("a small piece");
    let piece = values.bytes("piece");
    let header = header(&values, "holiday/ten.txt", 1, 10);
    let plain = values.bytes("plain");
    assert_eq!(plain, b"0123456789"[..3]);
    let parts = write(&header, &master_key(), &FileKey::new(values.array("file key")), &plain);
    for (part, name) in parts.iter().zip(["header", "body", "table", "root", "seal"]) {
        assert_documented(&values, name, part);
    }
    assert_documented(&values, "piece", &parts.concat());
    assert_documented(&values, "opening", &master_key().seal_opening(&parts[0]));
    assert_eq!(Header::decode(&piece).as_ref(), Ok(&header));
    assert_eq!(read(&piece, &master_key(), &header.path), Ok(plain));
}

#[test]
fn the_xor_of_two_pieces_is_made_and_its_sources_are_made_of_it() {
    let (small, values) = (example("a small piece"), example("an XOR"));
    let file_key = FileKey::new(small.array("file key"));
    let encrypted = |piece: &str| {
        let nonce = values.array(&format!("nonce {piece}"));
        let mut plain = values.bytes(&format!("plain {piece}"));
        ChunkCipher::new(&file_key, &nonce).encrypt(&mut plain);
        let body = [&nonce[..], &plain].concat();
        assert_documented(&values, &format!("body {piece}"), &body);
        body
    };
    let xor = |chunks: [&[u8]; 2], length| {
        let mut sum = ChunkSum::new(length);
        for chunk in chunks {
            let hash = sha256(chunk);
            sum.add(&VerifiedChunk::new(&mut chunk.to_vec(), &hash).unwrap());
        }
        sum
    };
    let sources = [encrypted("2"), encrypted("3")];
    let body = xor([&sources[0], &sources[1]], 15).sum().bytes().to_vec();
    let mut header = Header::decode(&small.bytes("header")).unwrap();
    (header.scheme, header.replicas) = (placement::Scheme::Parity, placement::PARITY_REPLICAS);
    let header = header.of_piece(5);
    let (table, key) = (sha256(&body), master_key());
    let root = sha256(&table);
    let parts = [header.encode(), body.clone(), table.to_vec(), root.to_vec()];
    let seal = key.seal(&parts[0], &root);
    for (part, name) in parts.iter().zip(["header", "body", "table", "root"]) {
        assert_documented(&values, name, part);
    }
    assert_documented(&values, "seal", &seal);
    assert_documented(&values, "piece", &[&parts.concat()[..], &seal].concat());
    assert_eq!(Header::decode(&parts[0]), Ok(header));
    for ((made, length), other) in [("2", 15), ("3", 14)].into_iter().zip(sources.iter().rev()) {
        let mut chunk = xor([&body, other], length);
        assert_eq!(chunk.sum().decrypt(&file_key).unwrap(), values.bytes(&format!("plain {made}")));
    }
}

#[test]
fn each_xor_is_of_the_pieces_that_the_table_says() {
    let rows = document().section("Redundancy").table("piece");
    assert_eq!(rows.len(), 4);
    for row in rows {
        let [one, other] = placement::parity::sources(row[0].parse().unwrap()).unwrap();
        assert_eq!(format!("{one},{other}"), row[1]);
    }
}

fn two_chunks() -> (Values, Vec<u8>, Vec<u8>) {
    let values = example("two chunks");
    let file: Vec<u8> = (0..values.number("file size")).map(|i| (i % 251) as u8).collect();
    let header = header(&values, values.text("path"), values.number("piece") as u8, file.len() as u64);
    let range = placement::range(header.file_size, header.piece);
    let plain = file[range.start as usize..range.end as usize].to_vec();
    let file_key = FileKey::new(example("a small piece").array("file key"));
    let piece = write(&header, &master_key(), &file_key, &plain).concat();
    (values, plain, piece)
}

#[test]
fn the_piece_of_two_chunks_is_written_and_read_byte_for_byte() {
    let (values, plain, piece) = two_chunks();
    assert_documented(&values, "plain hash", &sha256(&plain));
    assert_eq!(piece.len() as u64, values.number("length"));
    let layout = Header::decode(&piece).unwrap().layout();
    let body = &piece[layout.body.start as usize..layout.body.end as usize];
    assert_documented(&values, "body hash", &sha256(body));
    assert_documented(&values, "body begins", &body[..28]);
    assert_documented(&values, "second chunk", &body[NONCE + (1 << 16)..]);
    let (table, rest) = piece[layout.table.start as usize..].split_at(64);
    let (root, seal) = rest.split_at(32);
    assert_documented(&values, "table", table);
    assert_documented(&values, "root", root);
    assert_documented(&values, "seal", seal);
    assert_documented(&values, "piece hash", &sha256(&piece));
    assert_eq!(read(&piece, &master_key(), &path(values.text("path"))), Ok(plain));
}

#[test]
fn the_link_and_the_folder_are_written_and_read_byte_for_byte() {
    let target = example("a link").text("target").as_bytes().to_vec();
    for (example_name, kind, plain) in [("a link", Kind::Link, &target[..4]), ("a folder", Kind::Folder, &[])]
    {
        let values = example(example_name);
        let size = if kind == Kind::Link { target.len() as u64 } else { 0 };
        let header = header_of(&values, kind, values.text("path"), 1, size);
        let file_key = FileKey::new(example("a small piece").array("file key"));
        let piece = write(&header, &master_key(), &file_key, plain).concat();
        assert_documented(&values, "piece", &piece);
        assert_eq!(Header::decode(&piece).as_ref(), Ok(&header));
        assert_eq!(read(&piece, &master_key(), &header.path), Ok(plain.to_vec()));
    }
}

#[test]
fn the_tombstone_is_written_and_read_byte_for_byte() {
    let values = example("a tombstone");
    let version: Version = values.text("version").parse().unwrap();
    let file = header(&example("a small piece"), "holiday/ten.txt", 1, 10);
    let header = Header::tombstone(file.user, file.path, version, file.replicas, master_key().check_value());
    let piece = values.bytes("piece");
    assert_documented(&values, "piece", &write(&header, &master_key(), &FileKey::new([0; 32]), &[]).concat());
    assert_eq!(Header::decode(&piece).as_ref(), Ok(&header));
    assert_eq!(read(&piece, &master_key(), &header.path), Ok(Vec::new()));
}

/// The examples that are whole pieces, each with its path.
const GOLDEN: [(&str, &str); 4] = [
    ("a small piece", "holiday/ten.txt"),
    ("a link", "holiday/newest"),
    ("a folder", "holiday/"),
    ("a tombstone", "holiday/ten.txt"),
];

/// Calls `check` with the piece and each of its bits flipped in turn.
fn with_each_bit_flipped(piece: &[u8], mut check: impl FnMut(&[u8], usize)) {
    let mut altered = piece.to_vec();
    for bit in 0..8 * piece.len() {
        altered[bit / 8] ^= 1 << (bit % 8);
        check(&altered, bit);
        altered[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn a_golden_piece_with_any_bit_flipped_is_refused() {
    for (example_name, name) in GOLDEN {
        let piece = example(example_name).bytes("piece");
        with_each_bit_flipped(&piece, |altered, bit| {
            let read = read(altered, &master_key(), &FilePath::parse_any(name).unwrap());
            assert!(read.is_err(), "{example_name}, bit {bit}: {read:?}");
        });
    }
}

#[test]
fn a_golden_piece_that_is_cut_or_lengthened_is_refused() {
    for (example_name, name) in GOLDEN {
        let (piece, name) = (example(example_name).bytes("piece"), FilePath::parse_any(name).unwrap());
        for length in 0..piece.len() {
            let read = read(&piece[..length], &master_key(), &name);
            assert!(read.is_err(), "{example_name} cut to {length}: {read:?}");
        }
        assert!(read(&[&piece[..], b"\0"].concat(), &master_key(), &name).is_err());
    }
}

/// Every bit of the header and of all that follows the body; of the body a bit here and there.
#[test]
fn a_piece_of_two_chunks_with_a_bit_flipped_is_refused() {
    let (values, _, mut piece) = two_chunks();
    let layout = Header::decode(&piece).unwrap().layout();
    let (body, table) = (layout.body.start as usize, layout.table.start as usize);
    let key = master_key();
    let in_body = (body..table - 1).step_by(4099).chain([table - 2, table - 1]);
    for byte in (0..body).chain(in_body).chain(table..piece.len()) {
        let bit = 1 << (byte % 8);
        piece[byte] ^= bit;
        let read = read(&piece, &key, &path(values.text("path")));
        assert!(read.is_err(), "byte {byte} of {}", piece.len());
        piece[byte] ^= bit;
    }
}

#[test]
fn chunks_that_change_places_are_refused() {
    let small = example("a small piece");
    let file_key = FileKey::new(small.array("file key"));
    let values = example("two chunks");
    let mut header = header(&values, "two-chunks.bin", 2, 262_148);
    (header.file_size, header.piece_size) = (4 << 17, 1 << 17);
    let plain: Vec<u8> = (0..1 << 17).map(|i| (i % 251) as u8).collect();
    let mut piece = write(&header, &master_key(), &file_key, &plain).concat();
    assert_eq!(read(&piece, &master_key(), &header.path), Ok(plain));
    let body = header.layout().body;
    piece[body.start as usize..body.end as usize].rotate_left(header.stored_chunk_size() as usize);
    assert_eq!(read(&piece, &master_key(), &header.path), Err("a damaged chunk".into()));
}

#[test]
fn another_key_another_path_and_another_user_are_refused() {
    let piece = example("a small piece").bytes("piece");
    let other_key = MasterKey::from_key(&[9; 32]);
    assert_eq!(read(&piece, &other_key, &path("holiday/ten.txt")), Err(Distrust::OtherKey.to_string()));
    assert_eq!(read(&piece, &master_key(), &path("holiday/two.txt")), Err("another's piece".into()));
}

/// A claim travels in base64; what is altered there is refused by the grammar or by the seal.
#[test]
fn a_claim_with_any_bit_flipped_is_refused() {
    let values = example("a small piece");
    let claim = [values.bytes("header"), values.bytes("root"), values.bytes("seal")].concat();
    assert!(claim.len() <= MAX_HEADER + 64);
    let key = master_key();
    let trusted = |bytes: &[u8]| {
        let report = NameReport::parse(&format!("floor 0\nclock 0\npublished {}\n", base64_encode(bytes)));
        report.is_ok_and(|report| {
            report.pieces.iter().any(|reported| match reported {
                shareit::wire::Reported::Piece(_, claim) => key.verify(claim).is_ok(),
                _ => false,
            })
        })
    };
    assert!(trusted(&claim));
    with_each_bit_flipped(&claim, |altered, bit| assert!(!trusted(altered), "bit {bit}"));
    (0..claim.len()).for_each(|length| assert!(!trusted(&claim[..length]), "cut to {length}"));
}
