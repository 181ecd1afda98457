//! What one machine can do, measured on yours: the figures from which `docs/SCALING.md` reckons.
//!
//!     make
//!     cargo run --release --example capacity                       everything, about two minutes
//!     cargo run --release --example capacity -- sessions 1000      one part, with other numbers
//!
//! The parts are `crypto`, `disk`, `users` and `sessions`. The last starts ./Server on a free port.

mod process;
mod sessions;

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use process::Scratch;
use shareit::auth::{MAX_USERS_FILE, UserTable, Verifier};
use shareit::primitives::{Keystream, hmac_sha256, pbkdf2_sha256, sha256};

/// Why a part could not be measured.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("capacity: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<(), Failure> {
    let Some((part, numbers)) = words.split_first() else {
        crypto();
        disk(&[1, 4, 16])?;
        users(&[1_000, 10_000, 28_000])?;
        return sessions::measure(&[100, 1_000, 4_000]);
    };
    let numbers = numbers.iter().map(|word| word.parse()).collect::<Result<Vec<usize>, _>>()?;
    match part.as_str() {
        "crypto" => crypto(),
        "disk" => disk(&numbers)?,
        "users" => users(&numbers)?,
        "sessions" => sessions::measure(&numbers)?,
        other => {
            return Err(format!("unknown part {other:?}: expected crypto, disk, users or sessions").into());
        }
    }
    Ok(())
}

/// Runs `work` again and again for half a second; seconds for each.
fn seconds_each(mut work: impl FnMut()) -> f64 {
    let begin = Instant::now();
    let mut times = 0_u32;
    while begin.elapsed() < Duration::from_millis(500) {
        work();
        times += 1;
    }
    begin.elapsed().as_secs_f64() / f64::from(times)
}

fn crypto() {
    println!("One core:");
    let mut chunk = vec![7_u8; 64 * 1024];
    let bytes = chunk.len() as f64;
    let rate = |seconds: f64| bytes / seconds / f64::from(1 << 30);
    let hash = seconds_each(|| _ = black_box(sha256(black_box(&chunk))));
    println!("  SHA-256                        {:>8.2} GiB/s", rate(hash));
    let mut stream = Keystream::new(&[1; 32], &[2; 16]);
    let cipher = seconds_each(|| stream.apply(black_box(&mut chunk)));
    println!("  AES-256-CTR                    {:>8.2} GiB/s", rate(cipher));
    println!("  both, as a client does         {:>8.2} GiB/s", rate(hash + cipher));
    let line = [b'x'; 120];
    let mac = seconds_each(|| _ = black_box(hmac_sha256(&[1; 32], &[black_box(&line)])));
    println!("  HMAC-SHA-256 of a line         {:>8.2} us", mac * 1e6);
    let key = seconds_each(|| _ = black_box(pbkdf2_sha256(b"Aditi@123", &[1; 16], 600_000)));
    println!("  PBKDF2, 600,000 rounds         {:>8.0} ms", key * 1e3);
}

/// Files of 4 KiB that are written, synced, renamed, and their directory synced, as a server does with a piece
/// that comes alone.
fn disk(writers: &[usize]) -> Result<(), Failure> {
    println!("Files of 4 KiB, each synced, renamed and its directory synced:");
    for &writers in writers {
        let scratch = Scratch::new()?;
        let until = Instant::now() + Duration::from_secs(2);
        let begin = Instant::now();
        let written = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..writers)
                .map(|writer| {
                    let folder = scratch.path().join(writer.to_string());
                    scope.spawn(move || write_files(&folder, until))
                })
                .collect();
            // A thread that panicked has written nothing that counts.
            threads.into_iter().map(|thread| thread.join().unwrap_or(Ok(0))).sum::<Result<u32, _>>()
        })?;
        let each_second = f64::from(written) / begin.elapsed().as_secs_f64();
        println!("  {writers:>4} at once {each_second:>10.0} /s");
    }
    Ok(())
}

fn write_files(folder: &Path, until: Instant) -> std::io::Result<u32> {
    fs::create_dir(folder)?;
    let directory = File::open(folder)?;
    let mut written = 0;
    while Instant::now() < until {
        let (draft, name) = (folder.join("draft"), folder.join(written.to_string()));
        let mut file = File::create(&draft)?;
        file.write_all(&[7; 4096])?;
        file.sync_all()?;
        fs::rename(&draft, name)?;
        directory.sync_all()?;
        written += 1;
    }
    Ok(written)
}

/// A Users.conf of so many lines.
fn users(numbers: &[usize]) -> Result<(), Failure> {
    println!("Users.conf, read whole at the first login after a change:");
    let verifier = Verifier::derive("Aditi@123", &[1; 16], 600_000);
    for &number in numbers {
        let text: String = (0..number).map(|user| format!("user{user:06} {verifier}\n")).collect();
        let table = UserTable::new([0; 32]);
        let seconds = seconds_each(|| drop(black_box(table.read(black_box(&text)))));
        let of_the_limit = 100.0 * text.len() as f64 / MAX_USERS_FILE as f64;
        println!(
            "  {number:>7} users {:>8.1} ms, {:>9} bytes, {of_the_limit:.0}% of the limit",
            seconds * 1e3,
            text.len()
        );
    }
    Ok(())
}
