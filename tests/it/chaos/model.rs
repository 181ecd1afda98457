//! What may be read under each name: the one that was acknowledged last, and every later attempt that was
//! not acknowledged, which may have happened or not. Once one is read, nothing older may come back.

use crate::common::noise;
use std::collections::BTreeMap;

/// What a name may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    /// The file is deleted, or never was.
    Nothing,
    /// These bytes without a pattern.
    File { seed: u64, len: usize },
}

impl Content {
    pub(crate) fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Content::Nothing => None,
            Content::File { seed, len } => Some(noise(seed, len)),
        }
    }
}

#[derive(Clone, Debug)]
struct Possible {
    content: Content,
    /// The round in which it was attempted. Attempts of one round run at the same time: any may be the newest.
    round: u64,
    /// Whether it is what was read last.
    was_read: bool,
}

/// What is known about every name.
#[derive(Default)]
pub(crate) struct Model {
    round: u64,
    names: BTreeMap<String, Vec<Possible>>,
}

impl Model {
    /// What is attempted from here on is newer than what was attempted before.
    pub(crate) fn begin_round(&mut self) {
        self.round += 1;
    }

    fn possible(&mut self, name: &str) -> &mut Vec<Possible> {
        let nothing = || vec![Possible { content: Content::Nothing, round: 0, was_read: false }];
        self.names.entry(name.to_string()).or_insert_with(nothing)
    }

    /// Everything that a reader may find.
    pub(crate) fn allowed(&self, name: &str) -> Vec<Content> {
        self.names
            .get(name)
            .map_or(vec![Content::Nothing], |possible| possible.iter().map(|p| p.content).collect())
    }

    pub(crate) fn may_be_there(&self, name: &str) -> bool {
        self.allowed(name).iter().any(|content| *content != Content::Nothing)
    }

    pub(crate) fn may_be_missing(&self, name: &str) -> bool {
        self.allowed(name).contains(&Content::Nothing)
    }

    /// Somebody begins to make it so; whether they succeed is not known.
    pub(crate) fn attempt(&mut self, name: &str, content: Content) {
        let round = self.round;
        self.possible(name).push(Possible { content, round, was_read: false });
    }

    /// An attempt of this round is acknowledged: nothing older may be read any more.
    pub(crate) fn acknowledge(&mut self, name: &str) {
        let round = self.round;
        self.possible(name).retain(|possible| possible.round == round);
    }

    /// The attempts of this round were refused before anything was changed.
    pub(crate) fn withdraw(&mut self, name: &str) {
        let round = self.round;
        self.possible(name).retain(|possible| possible.round != round);
    }

    /// Whatever was half done has been settled, so that what is read now is all that there is. To be called
    /// after [`Model::read`].
    pub(crate) fn settle(&mut self, name: &str) {
        self.possible(name).retain(|possible| possible.was_read);
    }

    /// The file was read. If there could have been such bytes, nothing older may be read any more.
    pub(crate) fn read(&mut self, name: &str, bytes: Option<&[u8]>) -> Result<(), String> {
        let possible = self.possible(name);
        let fits = |p: &Possible| p.content.bytes().as_deref() == bytes;
        // The oldest of several with the same bytes, for instance none: the others remain possible.
        let Some(read) = possible.iter().find(|p| fits(p)).cloned() else {
            let found = bytes.map_or("nothing".to_string(), |bytes| format!("{} other bytes", bytes.len()));
            return Err(format!("{name}: {found}, allowed: {:?}", self.allowed(name)));
        };
        possible.retain(|p| p.round > read.round || fits(p) || (p.round == read.round && !p.was_read));
        possible.iter_mut().for_each(|p| p.was_read = fits(p));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Content = Content::File { seed: 1, len: 100 };
    const B: Content = Content::File { seed: 2, len: 100 };

    fn read(model: &mut Model, content: Content) -> bool {
        model.read("x", content.bytes().as_deref()).is_ok()
    }

    #[test]
    fn an_unacknowledged_upload_may_appear_late_but_then_stays() {
        let mut model = Model::default();
        model.begin_round();
        model.attempt("x", A);
        model.acknowledge("x");
        assert!(!read(&mut model, Content::Nothing), "acknowledged, and lost");
        model.begin_round();
        model.attempt("x", B);
        assert!(read(&mut model, A) && read(&mut model, A) && read(&mut model, B));
        assert!(!read(&mut model, A), "older after newer");
    }

    #[test]
    fn an_acknowledged_delete_ends_all_that_was_before() {
        let mut model = Model::default();
        model.begin_round();
        model.attempt("x", A);
        model.begin_round();
        model.attempt("x", Content::Nothing);
        model.acknowledge("x");
        assert!(!read(&mut model, A) && read(&mut model, Content::Nothing));
    }

    #[test]
    fn of_two_writers_at_a_time_either_may_be_the_last_but_they_do_not_take_turns() {
        let mut model = Model::default();
        model.begin_round();
        model.attempt("x", A);
        model.attempt("x", B);
        model.acknowledge("x");
        assert!(read(&mut model, A) && read(&mut model, B) && !read(&mut model, A));
    }
}
