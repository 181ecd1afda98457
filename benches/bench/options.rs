//! The command line of the benchmarks.

use std::path::PathBuf;

use crate::{Fallible, parts::Part};

pub(crate) const HELP: &str = "\
usage: make bench [ARGS='PART... OPTION...']

parts (all but the last if none is named):
  large    1 GiB up and down             small    1,000 files of 4 KiB up and down
  start    one command, nothing to do    far      25 ms away, each way
  many     64 clients, 1,000 sessions    curve    from 1 KiB to 1 GiB, with a plot
  listing  a folder of 100,000 files (some minutes)

options:
  --quick          smaller and shorter: to see that it works, not to quote
  --rounds N       rounds of each comparison
  --size MIB       the large file
  --files N        the small files
  --only A,B,...   only these contestants: floor, shareit, scp, rsync, rclone, restic, borg, openssl
  --server FILE    the programs under test, instead of those that were just built
  --client FILE
  --also FOLDER    another build (FOLDER/Server and FOLDER/Client) beside it; may be given more than once
  --folder FOLDER  where to work; it decides which disk is measured
  --save FOLDER    where the curve's numbers and picture go
";

/// What to run, and how much of it.
pub(crate) struct Options {
    pub(crate) parts: Vec<Part>,
    pub(crate) quick: bool,
    pub(crate) rounds: Option<usize>,
    pub(crate) size: Option<u64>,
    pub(crate) files: Option<usize>,
    pub(crate) only: Option<Vec<String>>,
    pub(crate) server: PathBuf,
    pub(crate) client: PathBuf,
    pub(crate) also: Vec<PathBuf>,
    pub(crate) folder: PathBuf,
    pub(crate) save: PathBuf,
}

impl Options {
    /// `None` asks for the help text.
    pub(crate) fn parse(arguments: &[String]) -> Fallible<Option<Self>> {
        let mut options = Self {
            parts: Vec::new(),
            quick: false,
            rounds: None,
            size: None,
            files: None,
            only: None,
            server: env!("CARGO_BIN_EXE_Server").into(),
            client: env!("CARGO_BIN_EXE_Client").into(),
            also: Vec::new(),
            folder: std::env::temp_dir(),
            save: env!("CARGO_TARGET_TMPDIR").into(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                // What cargo passes to each benchmark.
                "--bench" => {}
                "--help" | "-h" => return Ok(None),
                "--quick" => options.quick = true,
                "--rounds" => options.rounds = Some(value()?.parse::<usize>()?.max(1)),
                "--size" => options.size = Some(value()?.parse::<u64>()?.max(1) << 20),
                "--files" => options.files = Some(value()?.parse::<usize>()?.max(1)),
                "--only" => {
                    options.only = Some(value()?.split(',').map(str::to_ascii_lowercase).collect());
                }
                "--server" => options.server = std::fs::canonicalize(value()?)?,
                "--client" => options.client = std::fs::canonicalize(value()?)?,
                "--also" => options.also.push(std::fs::canonicalize(value()?)?),
                "--folder" => options.folder = std::fs::canonicalize(value()?)?,
                "--save" => options.save = value()?.into(),
                name => match Part::named(name) {
                    Some(part) => options.parts.push(part),
                    None => return Err(format!("neither a part nor an option: {name}").into()),
                },
            }
        }
        if options.parts.is_empty() {
            options.parts = Part::usual();
        }
        Ok(Some(options))
    }

    /// Whether a contestant is wanted; `name` in small letters.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|wanted| wanted == name))
    }

    /// `usual` or, on the quick setting, `quick`, unless the command line sets it.
    pub(crate) fn rounds(&self, usual: usize, quick: usize) -> usize {
        self.rounds.unwrap_or(if self.quick { quick } else { usual })
    }
}
