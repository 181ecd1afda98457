//! The benchmarks: ShareIt beside a floor and beside other programs, in one table. See benches/README.md.
//!
//! One program in several roles: started with a role as its first word it is a part of the floor, a
//! holder of idle sessions, or the keeper of the scratch folder.

#![forbid(unsafe_code)]

mod contest;
mod floor;
mod idle;
mod inputs;
mod machine;
mod memory;
mod options;
mod ours;
mod parts;
mod peers;
mod plot;
mod process;
mod proxy;
mod scratch;
mod settle;
mod stats;
mod table;

use std::path::Path;
use std::process::ExitCode;

use options::{HELP, Options};
use parts::Stage;
use scratch::Scratch;
use table::Table;

/// Errors here are for a person to read; nothing is done about them except to report them.
pub(crate) type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["keeper", folder] => scratch::keep(Path::new(folder)).map(|()| true),
        ["floor", ref rest @ ..] => floor::run(rest).map(|()| true),
        ["when-told", "floor", ref rest @ ..] => {
            process::wait_to_be_told().and_then(|()| floor::run(rest)).map(|()| true)
        }
        ["idle", server, port, count] => idle::run(server, port, count).map(|()| true),
        _ => measure(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether ShareIt was within its limits.
fn measure(arguments: &[String]) -> Fallible<bool> {
    let Some(options) = Options::parse(arguments)? else {
        print!("{HELP}");
        return Ok(true);
    };
    let mut machine = machine::describe(&options.folder);
    machine.extend(peers::versions(&options));
    let scratch = Scratch::new(&options.folder)?;
    let mut stage = Stage {
        options: &options,
        scratch: &scratch,
        table: Table::default(),
        large: None,
        saved: Vec::new(),
        verdicts: Vec::new(),
    };
    let mut whole = true;
    for part in &options.parts {
        if let Err(error) = stage.run(*part) {
            eprintln!("bench: {error}");
            whole = false;
        }
    }
    println!("\n{}\n", machine.join("\n"));
    if !stage.table.is_empty() {
        println!("{}", stage.table);
    }
    for file in &stage.saved {
        println!("written: {}", file.display());
    }
    for verdict in &stage.verdicts {
        let good = verdict.ratio <= verdict.limit;
        let word = if good { "within" } else { "BEYOND" };
        println!(
            "{}: {:.2} × the floor, {word} the limit of {:.2}",
            verdict.task, verdict.ratio, verdict.limit
        );
        whole &= good;
    }
    Ok(whole)
}
