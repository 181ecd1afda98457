//! A server of the floor: receives bytes over TCP and makes them durable, nothing else.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread;

use rustix::fs::syncfs;
use shareit::tcp;

use super::wire::{Request, STEP};
use crate::Fallible;

/// A large file is synced in the background every so many bytes: the disk works while the rest arrives.
const SYNC_STEP: u64 = 16 << 20;

/// Serves `folder` on a free port of this machine, which is printed; ends when standard input does.
pub(crate) fn serve(folder: &Path) -> Fallible<()> {
    let listener = tcp::listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    println!("floor listens on {}.", listener.local_addr()?.port());
    let folder = folder.to_path_buf();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let folder = folder.clone();
            thread::spawn(move || {
                serve_one(stream, &folder).inspect_err(|error| eprintln!("floor: {error}"))
            });
        }
    });
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn serve_one(stream: TcpStream, folder: &Path) -> Fallible<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut input = BufReader::with_capacity(STEP, stream);
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        match Request::parse(&line)? {
            Request::Put { name, length } => {
                put(&mut input, &folder.join(name), length)?;
                sync_folder(folder)?;
                out.write_all(b"ok\n")?;
            }
            Request::Get { name } => get(&mut out, &folder.join(name))?,
            Request::PutMany { tag, files, pieces, length } => {
                put_many(&mut input, &Small { folder, tag: &tag, files }, pieces, length)?;
                out.write_all(b"ok\n")?;
            }
            Request::GetMany { tag, files, piece, length } => {
                get_many(&mut out, &Small { folder, tag: &tag, files }, piece, length)?;
            }
        }
        line.clear();
    }
    Ok(())
}

fn put(input: &mut impl Read, path: &Path, length: u64) -> Fallible<()> {
    let mut file = File::create_new(path)?;
    let mut buffer = vec![0; STEP];
    let (soon, requests) = sync_channel::<()>(1);
    let in_background = file.try_clone()?;
    thread::scope(|scope| {
        // Errors are found by the last sync, which is the one that counts.
        scope.spawn(move || requests.iter().for_each(|()| drop(in_background.sync_data())));
        let (mut left, mut unsynced) = (length, 0);
        while left > 0 {
            let part = buffer.len().min(usize::try_from(left)?);
            let got = input.read(&mut buffer[..part])?;
            if got == 0 {
                return Err("cut off".into());
            }
            file.write_all(&buffer[..got])?;
            left -= got as u64;
            unsynced += got as u64;
            if unsynced >= SYNC_STEP {
                // One that is still at it will do.
                let _ = soon.try_send(());
                unsynced = 0;
            }
        }
        drop(soon);
        Ok(file.sync_data()?)
    })
}

fn get(out: &mut impl Write, path: &Path) -> Fallible<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; STEP];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            got => out.write_all(&buffer[..got])?,
        }
    }
}

struct Small<'a> {
    folder: &'a Path,
    tag: &'a str,
    files: usize,
}

impl Small<'_> {
    fn place(&self, file: usize, piece: u8) -> PathBuf {
        self.folder.join(format!("{}.{file}.{piece}", self.tag))
    }
}

/// Each file is written beside its place; when all are, the file system is synced as a whole, they are renamed, and the
/// folder is synced.
fn put_many(input: &mut impl Read, small: &Small<'_>, pieces: [u8; 2], length: usize) -> Fallible<()> {
    // Opened before the first file is made, so that it reports whatever is lost of them.
    let whole = File::open(small.folder)?;
    let mut buffer = vec![0; length];
    let mut drafts = Vec::with_capacity(2 * small.files);
    for number in 0..small.files {
        for piece in pieces {
            input.read_exact(&mut buffer)?;
            let place = small.place(number, piece);
            let draft = place.with_extension(format!("{piece}.new"));
            File::create_new(&draft)?.write_all(&buffer)?;
            drafts.push((draft, place));
        }
    }
    syncfs(&whole)?;
    drafts.iter().try_for_each(|(draft, place)| fs::rename(draft, place))?;
    sync_folder(small.folder)
}

fn get_many(out: &mut impl Write, small: &Small<'_>, piece: u8, length: usize) -> Fallible<()> {
    let mut out = BufWriter::with_capacity(STEP, out);
    let mut buffer = vec![0; length];
    for number in 0..small.files {
        File::open(small.place(number, piece))?.read_exact(&mut buffer)?;
        out.write_all(&buffer)?;
    }
    Ok(out.flush()?)
}

fn sync_folder(folder: &Path) -> Fallible<()> {
    Ok(File::open(folder)?.sync_all()?)
}
