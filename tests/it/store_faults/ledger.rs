//! What clients were promised, and whether a disk keeps it.

use super::disk::MemoryDisk;
use super::scenario::{Generation, Name, Piece, Server, Step, own, published, users_folder};
use shareit::commit::{PieceState, TOMBSTONE};
use shareit::name::piece_file;
use shareit::primitives::sha256;
use shareit::sealed::Header;
use shareit::text::hex;
use shareit::wire::Reported;
use std::collections::{BTreeMap, BTreeSet};

type Pieces = BTreeSet<(Generation, u8)>;

/// What was asked for, what was acknowledged and what was shown of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Account {
    offered: Pieces,
    /// Acknowledged, or shown, as staged.
    staged: Pieces,
    asked_to_commit: BTreeSet<Generation>,
    /// The newest version that was acknowledged, or shown, as published.
    decided: Generation,
    /// Versions whose pieces may go: from `abort`, and what is older than a `retire`.
    aborted: BTreeSet<Generation>,
    retired_below: Generation,
    asked_to_forget: Generation,
    forgotten: Generation,
    /// The newest of which nothing may be staged any more, as was acknowledged or shown.
    fenced: Generation,
}

/// All names' accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ledger {
    accounts: BTreeMap<Name, Account>,
    /// The key that was retired last, if nothing was asked after that was acknowledged.
    retired: Option<u8>,
}

/// Whether the server has been started since the clients last asked for something: only then has it
/// ended what was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    Started,
    Asked,
}

/// What a server shows of a name.
struct Shown {
    published: Pieces,
    staged: Pieces,
    floor: Generation,
}

impl Ledger {
    /// A step is about to be taken: from now on it may have happened.
    pub(crate) fn asks(&mut self, step: Step) {
        match step {
            Step::Resume(_, name, from, generation, piece) => {
                let account = self.of(name);
                account.offered.insert((generation, piece));
                if from != generation {
                    account.aborted.insert(from);
                }
            }
            Step::Stage(_, name, generation, piece) | Step::CutOff(_, name, generation, piece) => {
                self.of(name).offered.insert((generation, piece));
            }
            Step::Commit(_, name, generation) => {
                self.of(name).asked_to_commit.insert(generation);
            }
            Step::Abort(_, name, generation) => {
                self.of(name).aborted.insert(generation);
            }
            Step::Retire(_, name, generation) => {
                let account = self.of(name);
                account.retired_below = account.retired_below.max(generation);
            }
            Step::Forget(_, name, generation) => self.of(name).asked_to_forget = generation,
            Step::Rekey(..) => self.retired = None,
            Step::LogIn(_) | Step::Flush(_) | Step::Fence(..) | Step::Leave(_) | Step::ToOldLayout => {}
        }
    }

    /// A step was acknowledged to the client.
    pub(crate) fn acknowledges(&mut self, step: Step) {
        match step {
            Step::Stage(_, name, generation, piece) | Step::Resume(_, name, _, generation, piece) => {
                self.of(name).staged.insert((generation, piece));
            }
            Step::Commit(_, name, generation) => self.of(name).decides(generation),
            Step::Forget(_, name, generation) => self.of(name).forgotten = generation,
            Step::Fence(_, name, generation) | Step::Abort(_, name, generation) => {
                let fenced = &mut self.of(name).fenced;
                *fenced = generation.max(*fenced);
            }
            Step::Rekey(_, retired, _) => self.retired = Some(retired),
            _ => {}
        }
    }

    fn of(&mut self, name: Name) -> &mut Account {
        self.accounts.entry(name).or_default()
    }

    pub(crate) fn names(&self) -> Vec<Name> {
        self.accounts.keys().copied().collect()
    }

    /// Everything that is wrong with a server's answers, and with the files on its disk. What was shown
    /// is as good as acknowledged from now on: clients draw conclusions from it.
    pub(crate) fn wrongs(&mut self, server: &Server, disk: &MemoryDisk, since: Since) -> Vec<String> {
        let mut wrongs = Vec::new();
        for (name, account) in &mut self.accounts {
            match look(server, name, &mut wrongs) {
                Ok(shown) => {
                    account.check(name, &shown, since, &mut wrongs);
                    account.was_shown(&shown);
                }
                Err(error) => wrongs.push(format!("{name} cannot be looked at: {error}")),
            }
        }
        if self.retired.is_some_and(|retired| !server.knows_change(retired)) {
            wrongs.push(format!("the key {:?} is not retired any more", self.retired));
        }
        self.check_files(disk, since, &mut wrongs);
        wrongs
    }

    fn check_files(&self, disk: &MemoryDisk, since: Since, wrongs: &mut Vec<String>) {
        let mut whole: BTreeMap<&[u8], String> = BTreeMap::new();
        let mut at_place = BTreeSet::new();
        for (name, account) in &self.accounts {
            let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
            for &(generation, piece) in &account.offered {
                let bytes = &Piece::of(name, generation, piece).file[..];
                whole.insert(bytes, format!("{name} {generation} {piece}"));
                if piece != TOMBSTONE {
                    at_place.insert((users_folder().join(folder).join(piece_file(file, piece)), bytes));
                }
            }
        }
        for (place, bytes) in disk.files_below(&published()) {
            if !at_place.contains(&(place.clone(), &bytes[..])) {
                wrongs.push(format!("{} is not a piece that belongs there", place.display()));
            }
        }
        for directory in ["staged", "tombstones"] {
            for (place, bytes) in disk.files_below(&own().join(directory)) {
                let is_whole = whole.contains_key(&bytes[..]);
                // Of a partial piece nobody believes more than its header, which its name must be about.
                let sum = Header::decode(&bytes).map(|header| hex(&sha256(&header.encode())[..8]));
                let named = place.extension().and_then(|sum| sum.to_str());
                let may_be_partial = sum.is_ok_and(|sum| named == Some(&sum));
                if since == Since::Started && !is_whole && !may_be_partial {
                    wrongs.push(format!("{} is not a whole piece", place.display()));
                }
            }
        }
    }
}

fn look(server: &Server, name: Name, wrongs: &mut Vec<String>) -> Result<Shown, shareit::store::StoreError> {
    let report = server.look(name)?;
    let mut shown = Shown { published: Pieces::new(), staged: Pieces::new(), floor: report.floor };
    for reported in report.pieces {
        if let Reported::Partial(opening, _) = &reported
            && opening.header
                == Piece::of(name, opening.header.version.generation, opening.header.piece).claim.header
        {
            continue;
        }
        let Reported::Piece(state, claim) = reported else {
            wrongs.push(format!("{name} has a damaged piece: {reported:?}"));
            continue;
        };
        let (version, number) = (claim.header.version, claim.header.piece);
        if *claim != Piece::of(name, version.generation, number).claim {
            wrongs.push(format!("{name}: a piece {number} that nobody made"));
        }
        if state != PieceState::Published {
            shown.staged.insert((version.generation, number));
            continue;
        }
        shown.published.insert((version.generation, number));
        if number != TOMBSTONE && !matches!(server.is_sound(name, number, version), Ok(true)) {
            wrongs.push(format!("{name}: piece {number} of {} is not sound", version.generation));
        }
    }
    Ok(shown)
}

impl Account {
    fn decides(&mut self, generation: Generation) {
        self.decided = self.decided.max(generation);
    }

    fn was_shown(&mut self, shown: &Shown) {
        self.staged.extend(&shown.staged);
        self.fenced = self.fenced.max(shown.floor);
        if let Some(newest) = shown.newest() {
            self.decides(newest);
        }
    }

    fn check(&self, name: Name, shown: &Shown, since: Since, wrongs: &mut Vec<String>) {
        let newest = shown.newest().unwrap_or(0);
        let mut say = |what: String| wrongs.push(format!("{name}: {what}"));
        for piece in shown.staged.union(&shown.published).filter(|piece| !self.offered.contains(piece)) {
            say(format!("{piece:?} was never staged"));
        }
        for (generation, piece) in &shown.published {
            if !self.asked_to_commit.contains(generation) {
                say(format!("piece {piece} of {generation} is published without a commit"));
            }
            if *piece != TOMBSTONE && *generation < self.forgotten {
                say(format!("piece {piece} of {generation} is back after its delete was forgotten"));
            }
            let is_deleted = *generation < newest && shown.published.contains(&(newest, TOMBSTONE));
            if *piece != TOMBSTONE && is_deleted && since == Since::Started {
                say(format!("piece {piece} of {generation} is below the tombstone of {newest}"));
            }
        }
        if newest < self.decided && self.decided > self.asked_to_forget && self.decided >= self.retired_below
        {
            say(format!("{} was acknowledged or shown, {newest} is published", self.decided));
        }
        let promised = self.forgotten.max(self.fenced);
        if shown.floor < promised {
            say(format!("{promised} was forgotten, fenced or aborted, the floor is {}", shown.floor));
        }
        for piece in &self.staged {
            if !shown.published.contains(piece)
                && !(shown.staged.contains(piece) && (piece.0 != newest || since == Since::Asked))
                && !self.may_be_gone(piece.0, newest)
            {
                say(format!(
                    "piece {} of {} was staged and is gone; {newest} is published",
                    piece.1, piece.0
                ));
            }
        }
    }

    /// Whether a version's pieces may be gone while `newest` is the newest published one.
    fn may_be_gone(&self, generation: Generation, newest: Generation) -> bool {
        generation < newest
            || self.aborted.contains(&generation)
            || generation < self.retired_below
            || generation <= self.asked_to_forget
    }
}

impl Shown {
    fn newest(&self) -> Option<Generation> {
        self.published.last().map(|(generation, _)| *generation)
    }
}

impl Ledger {
    /// A generation for the next upload of a name, by the rules.
    pub(crate) fn next_generation(&self, server: &Server, name: Name) -> Result<Generation, String> {
        let report = server.look(name).map_err(|error| error.to_string())?;
        let seen = report.pieces.iter().filter_map(|reported| match reported {
            Reported::Piece(_, claim) => Some(claim.header.version.generation),
            _ => None,
        });
        Ok(seen.max().unwrap_or(0).max(report.floor) + 1)
    }

    /// What is wrong after an acknowledged upload to which nobody objected: exactly its pieces are there.
    pub(crate) fn wrongs_after_upload(
        &self,
        server: &Server,
        name: Name,
        generation: Generation,
        pieces: &[u8],
    ) -> Vec<String> {
        let mut wrongs = Vec::new();
        match look(server, name, &mut wrongs) {
            Ok(shown) => {
                let wanted: Pieces = pieces.iter().map(|&piece| (generation, piece)).collect();
                if shown.published != wanted || !shown.staged.is_empty() {
                    let Shown { published, staged, .. } = shown;
                    wrongs.push(format!(
                        "{name}: uploaded {wanted:?}, then published {published:?}, staged {staged:?}"
                    ));
                }
            }
            Err(error) => wrongs.push(error.to_string()),
        }
        wrongs
    }
}
