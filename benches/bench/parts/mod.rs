//! What is measured, part by part.

mod curve;
mod death;
mod far;
mod large;
mod listing;
mod many;
mod parity;
mod resume;
mod small;
mod start;

use std::path::PathBuf;

use crate::contest::{Contestant, Score};
use crate::options::Options;
use crate::ours::{Build, Cluster, Ours};
use crate::scratch::Scratch;
use crate::table::Table;
use crate::{Fallible, floor, peers};

/// A part, by its name on the command line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Large,
    Small,
    Start,
    Far,
    Many,
    Curve,
    Death,
    Resume,
    Parity,
    Listing,
}

const PARTS: [(&str, Part); 10] = [
    ("large", Part::Large),
    ("small", Part::Small),
    ("start", Part::Start),
    ("far", Part::Far),
    ("many", Part::Many),
    ("curve", Part::Curve),
    ("death", Part::Death),
    ("resume", Part::Resume),
    ("parity", Part::Parity),
    ("listing", Part::Listing),
];

impl Part {
    pub(crate) fn named(name: &str) -> Option<Self> {
        PARTS.iter().find(|(n, _)| *n == name).map(|(_, part)| *part)
    }

    /// All but the listing, which takes long to prepare.
    pub(crate) fn usual() -> Vec<Self> {
        PARTS.iter().map(|(_, part)| *part).filter(|part| *part != Part::Listing).collect()
    }
}

/// What the parts have to work with, and where their results go.
pub(crate) struct Stage<'a> {
    pub(crate) options: &'a Options,
    pub(crate) scratch: &'a Scratch,
    pub(crate) table: Table,
    /// Size and scores of the large file, if that part has run: the curve ends with it.
    pub(crate) large: Option<(u64, Vec<Score>)>,
    /// Files that were written for the reader.
    pub(crate) saved: Vec<PathBuf>,
    /// What decides the exit status.
    pub(crate) verdicts: Vec<Verdict>,
}

/// A ratio to the floor, and the most that it may be.
pub(crate) struct Verdict {
    pub(crate) task: String,
    /// Not a number if it was not measured.
    pub(crate) ratio: f64,
    pub(crate) limit: f64,
}

impl Stage<'_> {
    pub(crate) fn run(&mut self, part: Part) -> Fallible<()> {
        match part {
            Part::Large => large::run(self),
            Part::Small => small::run(self),
            Part::Start => start::run(self),
            Part::Far => far::run(self),
            Part::Many => many::run(self),
            Part::Curve => curve::run(self),
            Part::Death => death::run(self),
            Part::Resume => resume::run(self),
            Part::Parity => parity::run(self),
            Part::Listing => listing::run(self),
        }
    }

    /// The builds under test, this repository's first.
    pub(crate) fn builds(&self) -> Vec<Build> {
        let options = self.options;
        let own =
            Build { name: "ShareIt".into(), server: options.server.clone(), client: options.client.clone() };
        let others = options.also.iter().map(|folder| Build {
            name: folder.file_name().map_or_else(|| "other".into(), |n| n.to_string_lossy().into_owned()),
            server: folder.join("Server"),
            client: folder.join("Client"),
        });
        std::iter::once(own).chain(others).collect()
    }

    /// The floor, ShareIt, and the peers that are installed, as far as they are wanted.
    pub(crate) fn contestants(&self) -> Fallible<Vec<Box<dyn Contestant>>> {
        let mut all: Vec<Box<dyn Contestant>> = Vec::new();
        if self.options.wants("floor") {
            all.push(Box::new(floor::Floor::start(self.scratch)?));
        }
        if self.options.wants("shareit") {
            for build in self.builds() {
                all.push(Box::new(Ours(Cluster::start(&build, self.scratch)?)));
            }
        }
        all.extend(peers::installed(self.options, self.scratch));
        Ok(all)
    }

    pub(crate) fn judge(&mut self, task: &str, scores: &[Score], up: bool, limit: f64) {
        let of = |name: &str| {
            let score = scores.iter().find(|score| score.name == name)?;
            Some(if up { &score.up } else { &score.down })
        };
        if !self.options.wants("floor") || !self.options.wants("shareit") {
            return;
        }
        let ratio = match (of("ShareIt"), of("floor")) {
            (Some(own), Some(floor)) => own.ratio(floor).median(),
            _ => f64::NAN,
        };
        self.verdicts.push(Verdict { task: task.to_owned(), ratio, limit });
    }
}
