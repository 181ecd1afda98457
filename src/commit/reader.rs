//! The reader's side: what the servers' answers mean when taken together.

use super::answer::Answer;
use super::held::{Held, PieceState};
use crate::placement::{PieceSet, Scheme};
use crate::version::Version;

/// What the servers' answers about one name mean. Servers are given by their index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The newest version of which some server has published a piece.
    pub decided: Option<Version>,
    /// The [rank](Version::rank) of the newest version seen, including staged ones; 0 if there is none.
    pub generation: u64,
    /// Servers on which staged pieces of the decided version are waiting to be rolled forward.
    pub forward: Vec<usize>,
    /// Staged versions that seem abandoned, each with the servers that hold it. They may be aborted
    /// once every server has promised with a [`fence`](super::fence) not to publish them: see [`may_abort`].
    pub abandoned: Vec<(Version, Vec<usize>)>,
}

/// Draws the conclusions from the answers about one name, by server; `None` is a server that did not answer. A staged
/// version seems abandoned only if every server answered, none has published it or anything newer, and no connection
/// that staged it is open.
///
/// A stage that is older than the newest decided version is left alone: the commit of the newer one removes it. It may
/// belong to the version that was decided before, which is still needed if the newer one has reached only a server that
/// is then lost.
pub fn resolve(answers: &[Option<Vec<Held>>]) -> View {
    let all: Vec<(usize, Held)> =
        answers.iter().enumerate().flat_map(|(s, a)| a.iter().flatten().map(move |&h| (s, h))).collect();
    let decided = all.iter().filter(|(_, h)| h.state == PieceState::Published).map(|(_, h)| h.version).max();
    let generation = all.iter().map(|(_, h)| h.version.rank()).max().unwrap_or(0);
    let waiting = |version: Version| -> Vec<usize> {
        let mut servers: Vec<usize> = all
            .iter()
            .filter(|(_, h)| h.version == version && h.state != PieceState::Published)
            .map(|&(s, _)| s)
            .collect();
        servers.dedup();
        servers
    };
    let mut stages: Vec<Version> =
        all.iter().filter(|(_, h)| h.state != PieceState::Published).map(|(_, h)| h.version).collect();
    stages.sort_unstable();
    stages.dedup();
    let open = |version| {
        all.iter().any(|(_, h)| h.version == version && h.state == PieceState::Staged { open: true })
    };
    let everybody_answered = answers.iter().all(Option::is_some);
    let abandoned = stages
        .iter()
        .filter(|&&v| Some(v) > decided && everybody_answered && !open(v))
        .map(|&v| (v, waiting(v)))
        .collect();
    View { decided, generation, forward: decided.map(waiting).unwrap_or_default(), abandoned }
}

/// Whether a stage that seems abandoned may be aborted: only if every one of the `servers` has promised not to publish
/// it. The answers alone do not prove that nobody will, because they were not given at one instant.
pub fn may_abort<T, R>(promises: &[(usize, Answer<T, R>)], servers: usize) -> bool {
    (0..servers).all(|server| promises.iter().any(|(s, promise)| *s == server && promise.is_done()))
}

/// The servers that hold `piece` of `version`, published or staged, in order.
pub fn holders(answers: &[Option<Vec<Held>>], version: Version, piece: u8) -> Vec<usize> {
    answers
        .iter()
        .enumerate()
        .filter(|(_, answer)| answer.iter().flatten().any(|h| h.version == version && h.piece == piece))
        .map(|(server, _)| server)
        .collect()
}

/// The part of a version for which only one server vouches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneWord {
    /// The only server that claims to have published the version.
    pub server: usize,
    /// The pieces that no other server holds, ascending.
    pub pieces: Vec<u8>,
}

/// The pieces that no server but the only publisher of a version holds; `None` if there are none, or if the version was
/// published by no server or by more than one.
///
/// If that server lies, the version was never decided, and its writer may have died before these pieces had a second
/// holder. Publishing the rest elsewhere, which drops what is older, would then leave the file in the hands of the
/// server that lies. Of two publishers at least one is assumed to be honest: it got the writer's commit, so everything
/// had been staged.
pub fn one_word(answers: &[Option<Vec<Held>>], version: Version) -> Option<OneWord> {
    let of_version = |server: usize| answers[server].iter().flatten().filter(move |h| h.version == version);
    let has_published = |server: &usize| of_version(*server).any(|h| h.state == PieceState::Published);
    let mut publishers = (0..answers.len()).filter(has_published);
    let (Some(server), None) = (publishers.next(), publishers.next()) else { return None };
    let is_alone = |piece: &u8| holders(answers, version, *piece) == [server];
    let mut pieces: Vec<u8> = of_version(server).map(|h| h.piece).filter(is_alone).collect();
    pieces.sort_unstable();
    pieces.dedup();
    (!pieces.is_empty()).then_some(OneWord { server, pieces })
}

/// The part of a version that has to be proved before the rest is published elsewhere: what rests on [`one_word`], unless
/// the others have so much that it makes no difference whether that server lies. It then counts as one of the
/// `replicas` - 1 that may be lost, so that the others have to bear the loss of the rest. With one copy of each piece there
/// is no other word to ask for.
pub fn to_prove(
    answers: &[Option<Vec<Held>>],
    version: Version,
    scheme: Scheme,
    replicas: usize,
) -> Option<OneWord> {
    let word = one_word(answers, version)?;
    let held = |(server, answer): (usize, &Option<Vec<Held>>)| -> PieceSet {
        let held = answer.iter().flatten().filter(|h| server != word.server && h.version == version);
        held.map(|h| h.piece).collect()
    };
    let others: Vec<PieceSet> = answers.iter().enumerate().map(held).collect();
    let is_needed = scheme.losses(&others).is_none_or(|losses| losses + 2 < replicas);
    (replicas > 1 && is_needed).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: Answer = Answer::Done(());

    fn version(generation: u64) -> Version {
        Version { generation, upload: [generation as u8; 16] }
    }

    fn published(piece: u8, generation: u64) -> Held {
        Held { piece, version: version(generation), state: PieceState::Published }
    }

    fn waiting(piece: u8, generation: u64, open: bool) -> Held {
        Held { piece, version: version(generation), state: PieceState::Staged { open } }
    }

    #[test]
    fn one_published_piece_decides_and_the_rest_is_rolled_forward() {
        let answers = [Some(vec![published(1, 2)]), Some(vec![published(2, 1), waiting(2, 2, true)]), None];
        let view = resolve(&answers);
        assert_eq!(view.decided, Some(version(2)));
        assert_eq!(view.forward, vec![1]);
        assert_eq!(view.abandoned, vec![]);
        assert_eq!(holders(&answers, version(2), 2), vec![1]);
    }

    #[test]
    fn a_stage_is_abandoned_only_when_all_answered_and_its_writer_is_gone() {
        let silent = [Some(vec![published(1, 1), waiting(1, 2, false)]), None];
        assert_eq!(resolve(&silent).abandoned, vec![]);
        assert_eq!(resolve(&silent).generation, 2);
        let open = [Some(vec![waiting(1, 2, false)]), Some(vec![waiting(2, 2, true)])];
        assert_eq!(resolve(&open).abandoned, vec![]);
        let gone = [Some(vec![waiting(1, 2, false)]), Some(vec![waiting(2, 2, false)])];
        assert_eq!(resolve(&gone).abandoned, vec![(version(2), vec![0, 1])]);
        let behind = [Some(vec![published(1, 3)]), Some(vec![waiting(2, 2, false)])];
        assert_eq!(resolve(&behind).abandoned, vec![]);
    }

    #[test]
    fn what_only_the_one_publisher_holds_stands_on_its_word() {
        let word = |server, pieces: &[u8]| Some(OneWord { server, pieces: pieces.to_vec() });
        let rest = || Some(vec![waiting(3, 2, false), waiting(4, 2, false)]);
        let alone = [Some(vec![published(2, 2), published(1, 2)]), rest(), Some(vec![published(1, 1)])];
        assert_eq!(one_word(&alone, version(2)), word(0, &[1, 2]));
        let in_part = [alone[0].clone(), rest(), Some(vec![published(1, 1), waiting(1, 2, true)]), None];
        assert_eq!(one_word(&in_part, version(2)), word(0, &[2]));
        let staged_too = [Some(vec![published(1, 2), waiting(2, 2, true)]), rest()];
        assert_eq!(one_word(&staged_too, version(2)), word(0, &[1, 2]), "in whichever state");
        let everywhere = [alone[0].clone(), rest(), Some(vec![waiting(1, 2, true), waiting(2, 2, true)])];
        assert_eq!(one_word(&everywhere, version(2)), None);
        let two = [alone[0].clone(), Some(vec![published(3, 2)]), rest()];
        assert_eq!(one_word(&two, version(2)), None);
        assert_eq!(one_word(&[rest(), rest()], version(2)), None, "nobody says that it is decided");
        let tombstones = [Some(vec![published(0, 2)]), Some(vec![waiting(0, 2, false)])];
        assert_eq!(one_word(&tombstones, version(2)), None, "each of them is all there is of a delete");
    }

    #[test]
    fn one_word_needs_no_proof_where_the_others_bear_what_else_may_be_lost() {
        let pair = |place: u8, published| {
            let of = |piece| if published { self::published(piece, 2) } else { waiting(piece, 2, false) };
            Some(vec![of(place), of(place + 4)])
        };
        let old = || Some(vec![published(4, 1), published(8, 1)]);
        let proof = |answers: &[_]| to_prove(answers, version(2), Scheme::Parity, 3);
        let alone = Some(OneWord { server: 0, pieces: vec![1, 5] });
        assert_eq!(proof(&[pair(1, true), pair(2, false), pair(3, false), pair(4, false)]), None);
        assert_eq!(
            proof(&[pair(1, true), pair(2, false), pair(3, false), old()]),
            alone,
            "they bear no loss"
        );
        assert_eq!(proof(&[pair(1, true), pair(2, false), None, None]), alone);
        assert_eq!(proof(&[pair(1, true), pair(2, true), None, None]), None, "two words");
        let of = |pieces: [u8; 2]| Some(pieces.map(|piece| waiting(piece, 2, false)).to_vec());
        let copies = [Some(vec![published(1, 2), published(2, 2)]), of([2, 3]), of([3, 4]), of([4, 1])];
        assert_eq!(to_prove(&copies, version(2), Scheme::Copies, 2), None);
        assert_eq!(one_word(&copies, version(2)), None);
        let one_copy = [Some(vec![published(1, 2), published(2, 2)]), of([3, 4])];
        assert_eq!(to_prove(&one_copy, version(2), Scheme::Copies, 1), None, "nobody else to ask");
        assert!(to_prove(&one_copy, version(2), Scheme::Copies, 2).is_some());
    }

    #[test]
    fn an_abort_wants_the_promise_of_every_server() {
        assert!(may_abort(&[(1, DONE), (0, DONE)], 2));
        assert!(!may_abort(&[(0, DONE)], 2));
        assert!(!may_abort(&[(0, DONE), (1, Answer::Refused(()))], 2));
        assert!(!may_abort(&[(0, DONE), (1, Answer::Lost)], 2));
    }
}
