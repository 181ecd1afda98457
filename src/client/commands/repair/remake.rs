//! Making pieces of others, for files with parity. The file's plain text is not needed for it.

use super::plan::Remake;
use super::repaired::{NotRepaired, Repaired};
use crate::client::core::base::Core;
use crate::client::core::copying::{require_done, send_restore};
use crate::client::download::rebuild::bodies;
use crate::peer::Answer;
use crate::placement::PieceSet;
use crate::primitives::{Bytes32, sha256};
use crate::sealed::{ChunkHasher, Claim};
use crate::wire::Request;

/// Most bytes of pieces that are made together: they are held in memory until they are sent.
const MOST: u64 = 256 << 20;

/// A piece to be written: its claim, body and table, and where it goes.
struct Made {
    claim: Claim,
    payload: Vec<u8>,
    to: usize,
    floor: u64,
}

/// Makes the pieces of a file that are planned, and publishes them: all together, which takes the fewest to read, or one
/// after another if they are large.
pub(super) fn remake(core: &mut Core, planned: &Remake, done: &mut Vec<Repaired>) {
    let pieces = planned.pieces();
    let size = |piece: u8| planned.header.of_piece(piece).payload_size();
    if pieces.iter().map(size).sum::<u64>() <= MOST {
        return make(core, planned, pieces, done);
    }
    let (small, large): (Vec<u8>, Vec<u8>) = pieces.iter().partition(|&piece| size(piece) <= MOST);
    small.into_iter().for_each(|piece| make(core, planned, [piece].into_iter().collect(), done));
    if !large.is_empty() {
        let path = planned.survey.path.clone();
        done.push(Repaired::Failed { path, why: NotRepaired::TooLarge(large) });
    }
}

fn make(core: &mut Core, planned: &Remake, pieces: PieceSet, done: &mut Vec<Repaired>) {
    let path = planned.survey.path.clone();
    let failed = |why| Repaired::Failed { path: path.clone(), why };
    let Some(bodies) = bodies(core, &planned.survey, &planned.header, pieces) else {
        done.push(failed(NotRepaired::NotMade(pieces.iter().collect())));
        return;
    };
    let mut made = Vec::new();
    for (piece, mut payload) in bodies {
        let header = planned.header.of_piece(piece);
        let (table, root) = table(header.stored_chunk_size(), &payload);
        payload.extend(table);
        let seal = core.key.seal(&header.encode(), &root);
        // One that the writer sealed must be the same, or its XORs were never those of its pieces.
        let known = planned.survey.claim(header.version, piece);
        if known.is_some_and(|known| known.root != root) {
            done.push(failed(NotRepaired::NotMade(vec![piece])));
            return;
        }
        let claim = known.cloned().unwrap_or(Claim { header, root, seal });
        let to = planned.wanted.iter().filter(|(of, _)| *of == piece).flat_map(|(_, to)| to);
        made.extend(to.map(|&to| {
            let floor = planned.survey.floors[to];
            (to, Made { claim: claim.clone(), payload: payload.clone(), to, floor })
        }));
    }
    let staged = core.cluster.exchange(
        &made,
        |peer, made| send_restore(peer, &made.claim, made.floor, &made.payload),
        |peer, _| peer.receive_done(),
    );
    let mut commits: Vec<(usize, Request)> = Vec::new();
    let mut outcomes = Vec::new();
    for ((server, made), answer) in made.iter().zip(staged) {
        let header = &made.claim.header;
        let outcome = require_done(core, *server, answer);
        if outcome.is_ok() && !commits.iter().any(|(to, _)| to == server) {
            commits.push((*server, Request::Commit(header.path.clone(), header.version)));
        }
        outcomes.push((header.piece, made.to, outcome));
    }
    let answers = core.cluster.ask_all(&commits);
    let answers: Vec<(usize, Answer<()>)> = commits.iter().map(|(to, _)| *to).zip(answers).collect();
    for (piece, to, outcome) in outcomes {
        let committed = || match answers.iter().find(|(server, _)| *server == to) {
            Some((_, Answer::Done(()))) => Ok(()),
            Some((_, Answer::Refused(no))) => require_done(core, to, Answer::<()>::Refused(no.clone())),
            _ => require_done(core, to, Answer::<()>::Lost),
        };
        done.push(match outcome.and_then(|()| committed()) {
            Ok(()) => Repaired::Made { path: path.clone(), piece, to: core.cluster.name(to).clone() },
            Err(why) => failed(why.into()),
        });
    }
}

/// The table of a body, and its root.
fn table(stored_chunk_size: u64, body: &[u8]) -> (Vec<u8>, Bytes32) {
    let mut table = Vec::new();
    let mut hasher = ChunkHasher::new(stored_chunk_size);
    hasher.update(body, |hash| table.extend(hash));
    hasher.finish(|hash| table.extend(hash));
    let root = sha256(&table);
    (table, root)
}
