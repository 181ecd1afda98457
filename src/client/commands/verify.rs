//! Verify: every copy of every piece is checked by its server, and its seal here; or its bytes are read, and everything
//! is checked here.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::ops::AddAssign;

use crate::client::core::base::Core;
use crate::client::core::checks::{
    BATCH, Check, Copy, check, check_copies, claimed_copies, good_holders, good_pieces,
};
use crate::client::core::error::{ClientError, OTHER_KEY_HINT};
use crate::client::core::files::names;
use crate::client::core::look::survey;
use crate::client::core::report::Doing;
use crate::client::core::sight::Unseen;
use crate::client::core::survey::Survey;
use crate::client::download::gather::read_to_verify;
use crate::client::download::piece::{Fault, Piece};
use crate::name::{FilePath, FolderPath, ServerName};
use crate::placement::Scheme;
use crate::primitives;
use crate::sealed::{Distrust, Header};
use crate::text::is_digits;

/// How much of each copy to read and verify, in millionths; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u32);

impl Share {
    /// All of it.
    pub const ALL: Share = Share(1_000_000);

    /// A share as `5%` or `0.01%`: above 0, at most 100, and with at most four digits after the point.
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.strip_suffix('%')?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| text.len() <= 4 && is_digits(text);
        if !digits(whole) || !digits(fraction) {
            return None;
        }
        let parts: u32 = format!("{whole}{fraction:0<4}").parse().ok()?;
        (1..=Self::ALL.0).contains(&parts).then_some(Self(parts))
    }

    /// This share of a number, rounded up: at least one, if there is one.
    fn of(self, count: u64) -> u64 {
        u64::try_from((u128::from(count) * u128::from(self.0)).div_ceil(Self::ALL.0.into())).unwrap_or(count)
    }
}

/// This many different numbers below `count`, every set of them equally likely (Floyd's algorithm). `draw` returns
/// random numbers.
fn sample(count: u64, wanted: u64, mut draw: impl FnMut() -> io::Result<u64>) -> io::Result<BTreeSet<u64>> {
    let mut chosen = BTreeSet::new();
    for last in count.saturating_sub(wanted)..count {
        // 2^64 is so much more than the number of chunks that the remainder does not matter.
        let drawn = draw()? % (last + 1);
        if !chosen.insert(drawn) {
            chosen.insert(last);
        }
    }
    Ok(chosen)
}

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: FilePath,
    /// The server, if it is about one.
    pub server: Option<ServerName>,
    /// The piece, if it is about one.
    pub piece: Option<u8>,
    /// What is wrong.
    pub what: Wrong,
}

/// What can be wrong with a file or one of its copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// The bytes do not have the hashes that they were written with.
    DamagedBytes,
    /// The server's own check found no damage, but it sent other bytes than were written.
    DamagedUnnoticed,
    /// The header or the seal is not what the client wrote.
    DamagedHeader,
    /// Made under another password or `Key`.
    OtherKey,
    /// Its version was replaced by a newer one.
    Outdated,
    /// Staged by an upload or delete that is not decided.
    Unfinished,
    /// Not on this server, which should have it: there are fewer good copies than were asked for.
    Missing {
        /// Good copies on servers that answered.
        good: usize,
        /// How many there should be.
        wanted: usize,
        /// The server, if it is down: then it may have one.
        down: Option<ServerName>,
    },
    /// Fewer good copies than were asked for, because the others are bad, which is reported for each.
    Copies {
        /// Good ones on servers that answered.
        good: usize,
        /// How many there should be.
        wanted: usize,
    },
    /// With parity: so few more servers may be lost, counting good copies on servers that answered; `None` if these do
    /// not suffice.
    Losses(Option<usize>),
    /// The server did not check it.
    NotChecked(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::DamagedBytes => f.write_str("damaged bytes"),
            Wrong::DamagedUnnoticed => {
                f.write_str("sent damaged bytes, although its own check found no damage")
            }
            Wrong::DamagedHeader => f.write_str("damaged header or seal"),
            Wrong::OtherKey => f.write_str("encrypted under another key"),
            Wrong::Outdated => f.write_str("outdated version"),
            Wrong::Unfinished => f.write_str("unfinished upload"),
            Wrong::Missing { good, wanted, down } => {
                write!(f, "missing: {}", Wrong::Copies { good: *good, wanted: *wanted })?;
                down.iter().try_for_each(|server| write!(f, " ({server} is down)"))
            }
            Wrong::Copies { good: 0, .. } => f.write_str("no good copy"),
            Wrong::Copies { good, wanted } => write!(f, "{good} of {wanted} good copies"),
            Wrong::Losses(None) => f.write_str("cannot be rebuilt from the good copies that were found"),
            Wrong::Losses(Some(0)) => f.write_str("bears no further loss of a server"),
            Wrong::Losses(Some(1)) => f.write_str("bears the loss of only 1 more server"),
            Wrong::Losses(Some(losses)) => write!(f, "bears the loss of {losses} more servers"),
            Wrong::NotChecked(why) => write!(f, "not checked: {why}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path)?;
        match (self.piece, &self.server) {
            (Some(piece), Some(server)) => write!(f, "piece {piece} on {server}: ")?,
            (Some(piece), None) => write!(f, "piece {piece}: ")?,
            (None, Some(server)) => write!(f, "{server}: ")?,
            (None, None) => {}
        }
        self.what.fmt(f)
    }
}

/// What Verify has checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifySummary {
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
    /// Of these, copies with damage that their server does not notice.
    pub unnoticed: usize,
    /// Bytes of copies that were read.
    pub read: u64,
    /// Servers that did not report what they have, each with the reason, if they are so many that they alone may know
    /// of files, deletes or damage; otherwise none.
    pub unseen: Vec<(ServerName, String)>,
}

impl AddAssign for VerifySummary {
    fn add_assign(&mut self, other: Self) {
        let Self { files, bad, copies, problems, other_key, unnoticed, read, unseen } = other;
        self.files += files;
        self.bad += bad;
        self.copies += copies;
        self.problems += problems;
        self.other_key += other_key;
        self.unnoticed += unnoticed;
        self.read += read;
        if !unseen.is_empty() {
            self.unseen = unseen;
        }
    }
}

impl VerifySummary {
    /// What the user might do about the problems.
    pub fn hint(&self) -> &'static str {
        if self.other_key == self.problems {
            OTHER_KEY_HINT
        } else if self.unnoticed > 0 {
            "a server that calls a copy good but sends other bytes is faulty or lying, or the network alters data; \
             Repair believes it, so take it out of the .conf first"
        } else {
            "Repair restores what can be restored"
        }
    }
}

/// See [`Client::verify`](crate::client::Client::verify).
pub(crate) fn verify(
    core: &mut Core,
    folder: &FolderPath,
    recursive: bool,
    share: Option<Share>,
    mut tell: impl FnMut(&Problem),
) -> Result<VerifySummary, ClientError> {
    core.cluster.refresh();
    core.cluster.find_silent();
    core.require_server()?;
    let present: Vec<usize> = core.cluster.up().collect();
    let mut unseen = Unseen::default();
    let names = names(core, folder, recursive, &mut unseen)?;
    core.require_still_up(&present)?;
    core.report.expect(names.len());
    let mut verified = VerifySummary::default();
    for batch in names.batches(BATCH) {
        let surveys = survey(core, &batch);
        let (checks, read) = match share {
            // A copy that is read completely needs no check by its server.
            Some(Share::ALL) => {
                read_copies(core, &surveys, claimed_copies(&surveys), surveys.len(), Share::ALL)?
            }
            Some(share) => {
                let checked = check_copies(core, &surveys, surveys.len());
                read_copies(core, &surveys, checked, 0, share)?
            }
            None => (check_copies(core, &surveys, surveys.len()), 0),
        };
        verified.read += read;
        core.require_still_up(&present)?;
        for (survey, copies) in surveys.iter().zip(&checks) {
            unseen.add(&survey.unseen);
            let problems = problems(core, survey, copies);
            problems.iter().for_each(&mut tell);
            // A folder's entry that is well is no file.
            let is_file = survey.is_a_file() && !survey.path.is_of_folder();
            verified.files += usize::from(is_file || !problems.is_empty());
            verified.bad += usize::from(!problems.is_empty());
            verified.copies += copies.len();
            verified.problems += problems.len();
            let count = |what: Wrong| problems.iter().filter(|p| p.what == what).count();
            verified.other_key += count(Wrong::OtherKey);
            verified.unnoticed += count(Wrong::DamagedUnnoticed);
        }
    }
    core.report.end();
    verified.unseen = unseen.out_of_sight(core);
    Ok(verified)
}

/// Reads a share of each copy that is good as far as is known, and verifies it: returns what is then known of the
/// copies, and how many bytes were requested. A copy that arrived damaged is also checked by its server, to see whether
/// it notices. `files` as in [`check_copies`].
fn read_copies(
    core: &mut Core,
    surveys: &[Survey],
    mut copies: Vec<Vec<Copy>>,
    files: usize,
    share: Share,
) -> Result<(Vec<Vec<Copy>>, u64), ClientError> {
    let mut by_server: Vec<Vec<Piece>> = (0..core.cluster.len()).map(|_| Vec::new()).collect();
    let mut reading = Vec::new();
    for (survey, copies) in surveys.iter().zip(&mut copies) {
        let Some(version) = survey.file_version() else { continue };
        for copy in copies.iter_mut().filter(|copy| copy.check == Check::Good) {
            let Some(claim) = survey.claim(version, copy.piece) else { continue };
            let chunks = claim.header.chunks();
            // An empty piece has nothing but its claim, whose seal was verified.
            if chunks == 0 {
                continue;
            }
            let draw = || primitives::random::<8>().map(u64::from_be_bytes);
            let chosen = sample(chunks, share.of(chunks), draw).map_err(ClientError::Random)?;
            by_server[copy.server].push(Piece::to_verify(reading.len(), claim.clone(), chosen));
            copy.check = Check::Unknown("not read".to_owned());
            reading.push(copy);
        }
    }
    let bytes = by_server.iter().flatten().map(Piece::bytes_missing).sum();
    core.report.doing(Doing::Reading);
    core.report.begin(files, bytes);
    for piece in read_to_verify(core, by_server) {
        let copy = &mut reading[piece.file];
        copy.check = match piece.tried.iter().find_map(|(_, fault)| fault.as_ref()) {
            None if piece.is_whole() => Check::Good,
            None => Check::Unknown(core.cluster.why_down(copy.server).unwrap_or_default()),
            Some(Fault::Damaged) => Check::DamagedUnnoticed,
            Some(fault) => Check::Unknown(fault.to_string()),
        };
    }
    let unnoticed = |copy: &Copy| copy.check == Check::DamagedUnnoticed;
    if share == Share::ALL && copies.iter().flatten().any(unnoticed) {
        let read = copies.clone();
        check(core, surveys, &mut copies, 0, unnoticed);
        for (copy, read) in copies.iter_mut().flatten().zip(read.into_iter().flatten()) {
            if unnoticed(&read) {
                // Whatever the server claims: the bytes that arrived are damaged.
                let notices = copy.check != Check::Good;
                copy.check = if notices { Check::Damaged } else { Check::DamagedUnnoticed };
            }
        }
    }
    Ok((copies, bytes))
}

fn problems(core: &Core, survey: &Survey, copies: &[Copy]) -> Vec<Problem> {
    let problem = |server: Option<usize>, piece: Option<u8>, what: Wrong| Problem {
        path: survey.path.clone(),
        server: server.map(|s| core.cluster.name(s).clone()),
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
            Check::DamagedUnnoticed => Wrong::DamagedUnnoticed,
            Check::Unknown(why) => Wrong::NotChecked(why.clone()),
        };
        problems.push(problem(Some(copy.server), Some(copy.piece), what));
    }
    let decided = survey.view().decided;
    let answers = survey.answers.iter().enumerate();
    let held =
        answers.flat_map(|(server, held)| held.iter().flatten().map(move |h| (server, h.version, h.piece)));
    let partial = survey.partial.iter().map(|partial| {
        let Header { version, piece, .. } = partial.opening.header;
        (partial.server, version, piece)
    });
    let held = held.filter(|(_, version, _)| Some(*version) != decided);
    for (server, version, piece) in held.chain(partial) {
        let outdated = decided.is_some_and(|decided| version <= decided);
        let what = if outdated { Wrong::Outdated } else { Wrong::Unfinished };
        problems.push(problem(Some(server), Some(piece), what));
    }
    // One that is up would have nothing of it to check, but must not be skipped.
    for server in core.cluster.up() {
        if let Some(why) = survey.unseen.why(server) {
            problems.push(problem(Some(server), None, Wrong::NotChecked(why.to_owned())));
        }
    }
    let header = survey.file_version().and_then(|v| survey.any_claim(v)).map(|claim| &claim.header);
    if let Some(header) = header {
        let wanted = header.scheme.holders_wanted(usize::from(header.replicas), core.cluster.len());
        for piece in header.scheme.pieces() {
            let good = good_holders(copies, piece);
            let missing = missing_at(&good, &bad_holders(survey, copies, piece), wanted, &survey.ring(piece));
            let good = good.len();
            if good < wanted && missing.is_empty() {
                problems.push(problem(None, Some(piece), Wrong::Copies { good, wanted }));
            }
            for server in missing {
                let down = (!core.cluster.is_up(server)).then(|| core.cluster.name(server).clone());
                problems.push(problem(Some(server), Some(piece), Wrong::Missing { good, wanted, down }));
            }
        }
        let (good, replicas) = (good_pieces(copies, core.cluster.len()), usize::from(header.replicas));
        if header.scheme == Scheme::Parity && !header.scheme.is_safe(&good, replicas, core.cluster.len(), 0) {
            problems.push(problem(None, None, Wrong::Losses(header.scheme.losses(&good))));
        }
    }
    problems
}

/// The servers that should have a copy of a piece and do not, along its ring: as many as there are copies missing in
/// addition to the `good` ones and the `bad` ones, which are separate problems.
fn missing_at(good: &[usize], bad: &[usize], wanted: usize, ring: &[usize]) -> Vec<usize> {
    let known = |server: &usize| good.contains(server) || bad.contains(server);
    let missing = wanted.saturating_sub(ring.iter().filter(|server| known(server)).count());
    ring.iter().copied().filter(|server| !known(server)).take(missing).collect()
}

/// The servers with a copy of a piece that is reported as bad.
fn bad_holders(survey: &Survey, copies: &[Copy], piece: u8) -> Vec<usize> {
    let copies = copies.iter().filter(|c| c.piece == piece && c.check != Check::Good).map(|c| c.server);
    copies.chain(survey.distrusted.iter().filter(|d| d.piece == piece).map(|d| d.server)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_percentage_above_nothing() {
        let of = |text| Share::parse(text).map(|share| share.0);
        assert_eq!(of("100%"), Some(1_000_000));
        assert_eq!(of("5%"), Some(50_000));
        assert_eq!(of("2.5%"), Some(25_000));
        assert_eq!(of("0.0001%"), Some(1));
        for text in [
            "0%",
            "0.0%",
            "0.00001%",
            "101%",
            "100.0001%",
            "5",
            "%",
            "",
            "-5%",
            "+5%",
            "5 %",
            ".5%",
            "5.%",
            "abc",
            "1e1%",
            "5%%",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
        let five = Share::parse("5%").unwrap();
        assert_eq!([0, 1, 19, 20, 21, 65_536].map(|count| five.of(count)), [0, 1, 1, 1, 2, 3277]);
        assert_eq!([0, 1, 65_536].map(|count| Share::ALL.of(count)), [0, 1, 65_536]);
    }

    #[test]
    fn a_sample_has_as_many_different_numbers_as_were_asked_for_and_every_number_is_drawn_at_times() {
        let mut state = 7_u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Ok(state >> 20)
        };
        let mut times = [0; 10];
        for _ in 0..1000 {
            let drawn = sample(10, 3, &mut draw).unwrap();
            assert_eq!(drawn.len(), 3);
            drawn.iter().for_each(|&number| times[number as usize] += 1);
        }
        assert!(times.iter().all(|count| (200..400).contains(count)), "{times:?}");
        assert_eq!(sample(4, 4, &mut draw).unwrap(), (0..4).collect());
        assert_eq!(sample(0, 0, &mut draw).unwrap(), BTreeSet::new());
        assert!(sample(1, 1, || Err(io::ErrorKind::Other.into())).is_err());
    }

    #[test]
    fn a_copy_that_is_missing_is_missed_where_the_ring_has_it_first() {
        let ring = [2, 1, 0, 3];
        assert_eq!(missing_at(&[2, 1], &[], 2, &ring), [0; 0]);
        assert_eq!(missing_at(&[1], &[], 2, &ring), [2]);
        assert_eq!(missing_at(&[2], &[], 2, &ring), [1]);
        assert_eq!(missing_at(&[2], &[1], 2, &ring), [0; 0], "that one is reported as it is");
        assert_eq!(missing_at(&[], &[], 2, &ring), [2, 1]);
        assert_eq!(missing_at(&[], &[1], 2, &ring), [2]);
        assert_eq!(missing_at(&[3], &[], 3, &ring), [2, 1], "made while others were down");
        assert_eq!(missing_at(&[0, 3, 1], &[], 2, &ring), [0; 0]);
    }
}
