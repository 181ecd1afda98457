//! The client of the floor: each byte is encrypted once, hashed once, and sent to two servers; or comes from
//! one, is hashed and decrypted once.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use sha2::{Digest, Sha256};
use shareit::tcp;

use super::wire::{HASH, PIECES, Request, STEP, holders, pieces_of, range};
use crate::Fallible;

/// Threads for large files. Measured on two cores: four are no quicker.
const THREADS: usize = 2;
/// For small files: a socket's worth.
const SMALL_STEP: usize = 64 * 1024;
/// Long enough for a second try, if the first found the server's queue full.
const CONNECT: Duration = Duration::from_secs(10);

type Cipher = Ctr128BE<Aes256>;

/// A key from somewhere: the floor has no password to derive one from.
fn cipher() -> Cipher {
    Cipher::new(&[7; 32].into(), &[0; 16].into())
}

fn connect(ports: &[u16], server: usize) -> Fallible<TcpStream> {
    let port = *ports.get(server).ok_or("too few servers")?;
    let stream = tcp::connect(&SocketAddr::from(([127, 0, 0, 1], port)), CONNECT)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn wait_for_ok(mut stream: TcpStream) -> Fallible<()> {
    let mut answer = [0; 3];
    stream.read_exact(&mut answer)?;
    if answer == *b"ok\n" { Ok(()) } else { Err("no ok".into()) }
}

/// Runs `work` on the threads; each takes pieces in this order. Odd and even apart: neighbours share a server.
fn share_out<T: Send>(work: impl Fn(u8) -> Fallible<T> + Sync) -> Fallible<Vec<T>> {
    let pieces = Mutex::new([0, 2, 1, 3].into_iter());
    let next = || pieces.lock().ok().and_then(|mut pieces| pieces.next());
    let run = || std::iter::from_fn(next).map(&work).collect::<Fallible<Vec<T>>>();
    let done = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(run)).collect();
        let ends = threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err("a thread panicked".into())));
        ends.collect::<Fallible<Vec<Vec<T>>>>()
    })?;
    Ok(done.into_iter().flatten().collect())
}

/// Stores one file. Done when all servers have confirmed it.
pub(crate) fn put(path: &Path, tag: &str, ports: &[u16]) -> Fallible<()> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let links = share_out(|piece| put_piece(&file, range(size, piece), piece, tag, ports))?;
    links.into_iter().flatten().try_for_each(wait_for_ok)
}

fn put_piece(
    file: &File,
    range: Range<u64>,
    piece: u8,
    tag: &str,
    ports: &[u16],
) -> Fallible<Vec<TcpStream>> {
    let name = format!("{tag}.{piece}");
    let request = Request::Put { name, length: range.end - range.start + HASH as u64 }.to_line();
    let mut links = Vec::new();
    for server in holders(piece) {
        let mut link = connect(ports, server)?;
        link.write_all(request.as_bytes())?;
        links.push(link);
    }
    let (mut cipher, mut hasher) = (cipher(), Sha256::new());
    cipher.seek(range.start);
    let mut buffer = vec![0; STEP];
    let mut at = range.start;
    while at < range.end {
        let part = buffer.len().min(usize::try_from(range.end - at)?);
        let bytes = &mut buffer[..part];
        file.read_exact_at(bytes, at)?;
        cipher.apply_keystream(bytes);
        hasher.update(&*bytes);
        links.iter_mut().try_for_each(|link| link.write_all(bytes))?;
        at += part as u64;
    }
    let hash = hasher.finalize();
    links.iter_mut().try_for_each(|link| link.write_all(&hash))?;
    Ok(links)
}

/// Fetches one file of `size` bytes, each from one server, and renames it to `path` when it is whole. A new
/// file is not synced, as ShareIt does not either.
pub(crate) fn get(path: &Path, size: u64, tag: &str, ports: &[u16]) -> Fallible<()> {
    let draft = path.with_extension("part");
    let file = File::create_new(&draft)?;
    file.set_len(size)?;
    share_out(|piece| get_piece(&file, range(size, piece), piece, tag, ports))?;
    Ok(fs::rename(draft, path)?)
}

fn get_piece(file: &File, range: Range<u64>, piece: u8, tag: &str, ports: &[u16]) -> Fallible<()> {
    let mut link = connect(ports, holders(piece)[0])?;
    link.write_all(Request::Get { name: format!("{tag}.{piece}") }.to_line().as_bytes())?;
    let (mut cipher, mut hasher) = (cipher(), Sha256::new());
    cipher.seek(range.start);
    let mut buffer = vec![0; STEP];
    let mut at = range.start;
    while at < range.end {
        let part = buffer.len().min(usize::try_from(range.end - at)?);
        let bytes = &mut buffer[..part];
        link.read_exact(bytes)?;
        hasher.update(&*bytes);
        cipher.apply_keystream(bytes);
        file.write_all_at(bytes, at)?;
        at += part as u64;
    }
    check(link, hasher)
}

fn check(mut link: impl Read, hasher: Sha256) -> Fallible<()> {
    let mut hash = [0; HASH];
    link.read_exact(&mut hash)?;
    if hasher.finalize()[..] == hash { Ok(()) } else { Err("damaged".into()) }
}

/// Stores all files of a folder, which have one size.
pub(crate) fn put_many(folder: &Path, tag: &str, ports: &[u16]) -> Fallible<()> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?.map(|e| Ok(e?.path())).collect::<Fallible<_>>()?;
    files.sort_unstable();
    let size = fs::metadata(files.first().ok_or("no files")?)?.len();
    let length = usize::try_from(size)? / usize::from(PIECES) + HASH;
    let mut links = Vec::new();
    for server in 0..PIECES {
        let mut link = BufWriter::with_capacity(SMALL_STEP, connect(ports, server.into())?);
        let (tag, pieces) = (tag.to_owned(), pieces_of(server));
        link.write_all(Request::PutMany { tag, files: files.len(), pieces, length }.to_line().as_bytes())?;
        links.push(link);
    }
    let mut buffer = vec![0; usize::try_from(size)?];
    let mut cipher = cipher();
    for path in &files {
        File::open(path)?.read_exact(&mut buffer)?;
        cipher.apply_keystream(&mut buffer);
        for (piece, bytes) in (0..PIECES).zip(buffer.chunks(length - HASH)) {
            let hash = Sha256::digest(bytes);
            for server in holders(piece) {
                links[server].write_all(bytes)?;
                links[server].write_all(&hash)?;
            }
        }
    }
    links.iter_mut().try_for_each(Write::flush)?;
    links.into_iter().try_for_each(|link| wait_for_ok(link.into_inner()?))
}

/// Fetches as many files of `size` bytes into a new folder.
pub(crate) fn get_many(folder: &Path, files: usize, size: u64, tag: &str, ports: &[u16]) -> Fallible<()> {
    let length = usize::try_from(size)? / usize::from(PIECES) + HASH;
    fs::create_dir(folder)?;
    let mut links = Vec::new();
    for piece in 0..PIECES {
        let mut link = connect(ports, holders(piece)[0])?;
        let request = Request::GetMany { tag: tag.to_owned(), files, piece, length };
        link.write_all(request.to_line().as_bytes())?;
        links.push(BufReader::with_capacity(SMALL_STEP, link));
    }
    let mut buffer = vec![0; usize::try_from(size)?];
    let mut cipher = cipher();
    for number in 0..files {
        for (link, bytes) in links.iter_mut().zip(buffer.chunks_mut(length - HASH)) {
            link.read_exact(bytes)?;
            let mut hasher = Sha256::new();
            hasher.update(&*bytes);
            check(link, hasher)?;
        }
        cipher.apply_keystream(&mut buffer);
        let place = folder.join(super::small_name(number));
        let draft = place.with_extension("part");
        File::create_new(&draft)?.write_all(&buffer)?;
        fs::rename(draft, place)?;
    }
    Ok(())
}
