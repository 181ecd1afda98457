//! Verify: every copy of every piece is checked where it lies, and its seal here.

use std::fmt;

use super::Client;
use super::error::{ClientError, OTHER_KEY_HINT};
use super::report::{Doing, Progress};
use super::survey::Survey;
use crate::name::{FilePath, FolderPath, ServerName};
use crate::peer::No;
use crate::placement;
use crate::sealed::Distrust;
use crate::wire::{Refusal, Request};

/// Names that are looked at together.
pub(super) const BATCH: usize = 64;
/// CHECKs that are sent ahead of their replies.
const WINDOW: usize = 256;

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: FilePath,
    /// Where, if it is at one server.
    pub server: Option<ServerName>,
    /// In which piece, if it is in one.
    pub piece: Option<u8>,
    /// What.
    pub what: Wrong,
}

/// What can be wrong with a file or one of its copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// The bytes do not have the hashes that they were written with.
    DamagedBytes,
    /// The header or the seal is not what the client wrote.
    DamagedHeader,
    /// Made under another password or `Key`.
    OtherKey,
    /// Of a version that a newer one has replaced.
    Outdated,
    /// Staged by an upload or delete that is not decided.
    Unfinished,
    /// Fewer good copies than were asked for.
    Copies {
        /// Good ones on servers that answered.
        good: usize,
        /// How many there should be.
        wanted: usize,
        /// Servers that are down and have their place among the holders: they may have the others.
        down: Vec<ServerName>,
    },
    /// The server would not check it.
    NotChecked(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::DamagedBytes => f.write_str("damaged bytes"),
            Wrong::DamagedHeader => f.write_str("damaged header or seal"),
            Wrong::OtherKey => f.write_str("encrypted under another key"),
            Wrong::Outdated => f.write_str("outdated version"),
            Wrong::Unfinished => f.write_str("unfinished upload"),
            Wrong::Copies { good, wanted, down } => {
                match good {
                    0 => f.write_str("missing: no good copy")?,
                    _ => write!(f, "{good} of {wanted} good copies")?,
                }
                match &down[..] {
                    [] => Ok(()),
                    [one] => write!(f, " ({one} is down)"),
                    several => {
                        let names: Vec<&str> = several.iter().map(ServerName::as_str).collect();
                        write!(f, " ({} are down)", names.join(", "))
                    }
                }
            }
            Wrong::NotChecked(why) => write!(f, "not checked: {why}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path)?;
        if let Some(piece) = self.piece {
            write!(f, "piece {piece}")?;
            match &self.server {
                Some(server) => write!(f, " on {server}: ")?,
                None => f.write_str(": ")?,
            }
        } else if let Some(server) = &self.server {
            write!(f, "{server}: ")?;
        }
        self.what.fmt(f)
    }
}

/// What a server's check of one copy gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Check {
    Good,
    Damaged,
    /// It is of another version by now, or the server was lost.
    Unknown(String),
}

/// A copy of a piece of the decided version.
pub(super) struct Copy {
    pub(super) piece: u8,
    pub(super) server: usize,
    pub(super) check: Check,
}

/// What a verification has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Files.
    pub files: usize,
    /// Files with a problem.
    pub bad: usize,
    /// Copies of pieces.
    pub copies: usize,
    /// Problems.
    pub problems: usize,
    /// Of these, copies that were made under another password or `Key`.
    pub other_key: usize,
}

impl Verified {
    /// What the user might do about the problems.
    pub fn hint(&self) -> &'static str {
        if self.other_key == self.problems {
            OTHER_KEY_HINT
        } else {
            "Repair brings back what can be brought back"
        }
    }
}

impl Client {
    /// Checks the files of a folder, or with `recursive` all below it; each problem goes to `tell`.
    ///
    /// # Errors
    /// If nothing has that name, if no server is up, if one that is up will not list
    /// ([`ClientError::NotListed`]) or is lost on the way ([`ClientError::Lost`]).
    pub fn verify(
        &mut self,
        folder: &FolderPath,
        recursive: bool,
        mut tell: impl FnMut(&Problem),
    ) -> Result<Verified, ClientError> {
        self.cluster.refresh(&*self.report);
        self.require_server()?;
        let present = self.present();
        let names = self.names(folder, recursive)?;
        self.require_still_up(&present)?;
        self.report.expect(names.len());
        let mut verified = Verified::default();
        for batch in names.chunks(BATCH) {
            let surveys = self.cluster.survey(batch, &self.config.user, &self.key, &*self.report);
            let checks = self.check_copies(&surveys, surveys.len());
            self.require_still_up(&present)?;
            for (survey, copies) in surveys.iter().zip(&checks) {
                let problems = self.problems(survey, copies);
                problems.iter().for_each(&mut tell);
                verified.files += usize::from(survey.is_a_file() || !problems.is_empty());
                verified.bad += usize::from(!problems.is_empty());
                verified.copies += copies.len();
                verified.problems += problems.len();
                verified.other_key += problems.iter().filter(|p| p.what == Wrong::OtherKey).count();
            }
        }
        self.report.end();
        Ok(verified)
    }

    /// Lets every copy of every decided piece be checked by its server. `files` is how many of these
    /// files were not counted as looked at before.
    pub(super) fn check_copies(&mut self, surveys: &[Survey], files: usize) -> Vec<Vec<Copy>> {
        let mut requests = Vec::new();
        let mut asked = Vec::new();
        let mut bytes = 0;
        for (index, survey) in surveys.iter().enumerate() {
            let Some(version) = survey.file_version() else { continue };
            for piece in placement::pieces() {
                let size = survey.claim(version, piece).map_or(0, |claim| claim.header.piece_size);
                for server in survey.holders(version, piece) {
                    requests.push((server, (Request::Check(survey.path.clone(), piece, version), size)));
                    asked.push((index, piece, server));
                    bytes += size;
                }
            }
        }
        self.report.doing(Doing::Checking);
        self.report.begin(files, bytes);
        let report = &*self.report;
        let mut copies: Vec<Vec<Copy>> = surveys.iter().map(|_| Vec::new()).collect();
        for (asked, requests) in asked.chunks(WINDOW).zip(requests.chunks(WINDOW)) {
            let answers = self.cluster.exchange_with(
                requests,
                report,
                |peer, (request, _)| peer.send(request),
                |peer, (_, size)| {
                    let answer = peer.receive_done_with(*size);
                    report.progress(Progress { done: *size });
                    answer
                },
            );
            for (&(index, piece, server), answer) in asked.iter().zip(answers) {
                let check = match answer {
                    Some(Ok(())) => Check::Good,
                    Some(Err(No { refusal: Refusal::Damaged | Refusal::DiskError, .. })) => Check::Damaged,
                    Some(Err(no)) => Check::Unknown(no.to_string()),
                    None => Check::Unknown(self.cluster.why_down(server).unwrap_or_default()),
                };
                copies[index].push(Copy { piece, server, check });
            }
        }
        copies
    }

    fn problems(&self, survey: &Survey, copies: &[Copy]) -> Vec<Problem> {
        let problem = |server: Option<usize>, piece: Option<u8>, what: Wrong| Problem {
            path: survey.path.clone(),
            server: server.map(|s| self.cluster.name(s).clone()),
            piece,
            what,
        };
        let mut problems = Vec::new();
        for distrusted in &survey.distrusted {
            let what = match distrusted.why {
                Distrust::OtherKey => Wrong::OtherKey,
                Distrust::Damaged => Wrong::DamagedHeader,
            };
            problems.push(problem(Some(distrusted.server), Some(distrusted.piece), what));
        }
        for copy in copies {
            let what = match &copy.check {
                Check::Good => continue,
                Check::Damaged => Wrong::DamagedBytes,
                Check::Unknown(why) => Wrong::NotChecked(why.clone()),
            };
            problems.push(problem(Some(copy.server), Some(copy.piece), what));
        }
        let decided = survey.view().decided;
        for (server, held) in survey.answers.iter().enumerate() {
            for held in held.iter().flatten().filter(|h| Some(h.version) != decided) {
                let outdated = decided.is_some_and(|d| held.version < d);
                let what = if outdated { Wrong::Outdated } else { Wrong::Unfinished };
                problems.push(problem(Some(server), Some(held.piece), what));
            }
        }
        let header = survey.file_version().and_then(|v| survey.any_claim(v)).map(|claim| &claim.header);
        if let Some(header) = header {
            let wanted = placement::copies_wanted(usize::from(header.replicas), self.cluster.len());
            for piece in placement::pieces() {
                let good = copies.iter().filter(|c| c.piece == piece && c.check == Check::Good).count();
                if good < wanted {
                    let homes = survey.ring(piece).into_iter().take(wanted);
                    let down = homes.filter(|&s| !self.cluster.is_up(s));
                    let down = down.map(|s| self.cluster.name(s).clone()).collect();
                    problems.push(problem(None, Some(piece), Wrong::Copies { good, wanted, down }));
                }
            }
        }
        problems
    }
}

/// The servers with a good copy of a piece.
pub(super) fn good_holders(copies: &[Copy], piece: u8) -> Vec<usize> {
    copies.iter().filter(|c| c.piece == piece && c.check == Check::Good).map(|c| c.server).collect()
}

/// The servers with a damaged copy of a piece of this version.
pub(super) fn damaged_holders(survey: &Survey, copies: &[Copy], piece: u8) -> Vec<usize> {
    let bytes = copies.iter().filter(|c| c.piece == piece && c.check == Check::Damaged).map(|c| c.server);
    let headers =
        survey.distrusted.iter().filter(|d| d.piece == piece && d.why == Distrust::Damaged).map(|d| d.server);
    bytes.chain(headers).collect()
}
