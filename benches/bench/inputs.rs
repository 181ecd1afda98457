//! What is stored: bytes without a pattern, so no program gains by compressing or recognizing them.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use shareit::primitives::{Keystream, random};

use crate::Fallible;

const STEP: usize = 1 << 20;

/// The name of a small file.
pub(crate) fn small_name(number: usize) -> String {
    format!("f{number:05}.bin")
}

/// A size in words.
pub(crate) fn size_name(bytes: u64) -> String {
    match bytes {
        b if b >= 1 << 30 && b % (1 << 30) == 0 => format!("{} GiB", b >> 30),
        b if b >= 1 << 20 && b % (1 << 20) == 0 => format!("{} MiB", b >> 20),
        b => format!("{} KiB", b.div_ceil(1024)),
    }
}

/// MiB for each second, in words.
#[expect(clippy::cast_precision_loss, reason = "no file is that large")]
pub(crate) fn rate_name(bytes: u64, seconds: f64) -> String {
    format!("{:.0} MiB/s", bytes as f64 / f64::from(1 << 20) / seconds)
}

/// Makes a file of this size in `folder`.
pub(crate) fn file(folder: &Path, name: &str, size: u64) -> Fallible<PathBuf> {
    let path = folder.join(name);
    let mut file = File::create_new(&path)?;
    let mut noise = Keystream::new(&random()?, &[0; 16]);
    let mut buffer = vec![0; STEP];
    let mut left = size;
    while left > 0 {
        let part = buffer.len().min(usize::try_from(left)?);
        noise.apply(&mut buffer[..part]);
        file.write_all(&buffer[..part])?;
        left -= part as u64;
    }
    Ok(path)
}

/// Makes a folder with as many files of this size.
pub(crate) fn files(folder: &Path, name: &str, count: usize, size: u64) -> Fallible<PathBuf> {
    let path = folder.join(name);
    fs::create_dir(&path)?;
    (0..count).try_for_each(|number| file(&path, &small_name(number), size).map(drop))?;
    Ok(path)
}

/// Whether two files, or all files of two folders, are the same. A benchmark of a program that does not do its
/// work is worth nothing.
pub(crate) fn are_equal(one: &Path, other: &Path) -> Fallible<bool> {
    if !one.is_dir() {
        return files_are_equal(one, other);
    }
    if fs::read_dir(one)?.count() != fs::read_dir(other)?.count() {
        return Ok(false);
    }
    for entry in fs::read_dir(one)? {
        let entry = entry?;
        if !files_are_equal(&entry.path(), &other.join(entry.file_name()))? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn files_are_equal(one: &Path, other: &Path) -> Fallible<bool> {
    if fs::metadata(one)?.len() != fs::metadata(other)?.len() {
        return Ok(false);
    }
    let mut one = BufReader::with_capacity(STEP, File::open(one)?);
    let mut other = File::open(other)?;
    let (mut left, mut right) = (vec![0; STEP], vec![0; STEP]);
    loop {
        let got = one.read(&mut left)?;
        other.read_exact(&mut right[..got])?;
        if left[..got] != right[..got] {
            return Ok(false);
        }
        if got == 0 {
            return Ok(true);
        }
    }
}
