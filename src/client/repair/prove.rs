//! Proving what one server alone says: that a version was stored of which only it has some pieces.
//!
//! To publish the rest of such a version on other servers drops what is older there. If the one server lies, and its
//! upload died half way, the file would then be in its hands. So what only it has is first staged on another server,
//! which checks every byte against the sealed root; from then on its word is not needed.

use super::plan::Task;
use super::step::NotRepaired;
use crate::client::Client;
use crate::client::survey::Survey;
use crate::commit::OneWord;
use crate::name::FilePath;
use crate::peer::No;
use crate::sealed::{Distrust, MasterKey};
use crate::version::Version;
use crate::wire::Refusal;

/// A version that stands on one server's word, and was not proved.
#[derive(Debug, Clone)]
pub(in crate::client) struct Unproved {
    /// What of it could not be staged elsewhere, and on whose word it stands.
    pub(in crate::client) word: OneWord,
    /// Whether that server gave what it was asked for, and it is others that did not take it.
    pub(in crate::client) is_given: bool,
    /// What went wrong.
    pub(in crate::client) why: String,
}

impl Unproved {
    /// Whether it is about this piece on this server.
    pub(in crate::client) fn is_of(&self, server: usize, piece: u8) -> bool {
        self.word.server == server && self.word.pieces.contains(&piece)
    }
}

/// A piece that is still to be proved.
struct Open {
    /// Which survey it is of.
    survey: usize,
    word: OneWord,
    task: Task,
    /// The servers that could take it besides that of the task, the last one first.
    others: Vec<usize>,
}

impl Client {
    /// A survey for a command that reads the files: what waits for it on one server's word only is proved and rolled
    /// forward, where that can be.
    pub(in crate::client) fn survey_to_read(&mut self, paths: &[FilePath], key: &MasterKey) -> Vec<Survey> {
        let mut surveys = self.cluster.survey(paths, &self.config.user, key, &*self.report);
        self.prove(&mut surveys, key, &[], Survey::waits_for);
        surveys
    }

    /// Proves versions that stand on one server's word, if that is `worth` it: pieces that no other server has are
    /// staged along the ring, not on the servers `without`. What is proved so is rolled forward; what is not is noted
    /// in its survey. Gives the copies of what was proved.
    pub(in crate::client) fn prove(
        &mut self,
        surveys: &mut [Survey],
        key: &MasterKey,
        without: &[usize],
        worth: impl Fn(&Survey, &OneWord) -> bool,
    ) -> Vec<Task> {
        let is_doubtful = |survey: &Survey| survey.to_prove().is_some_and(|(_, word)| worth(survey, &word));
        let doubtful: Vec<usize> = (0..surveys.len()).filter(|&s| is_doubtful(&surveys[s])).collect();
        if doubtful.is_empty() {
            return Vec::new();
        }
        // The servers were not asked at one instant: to looks that stages and a commit overlap, it may only seem so.
        let paths: Vec<FilePath> = doubtful.iter().map(|&s| surveys[s].path.clone()).collect();
        let again = self.cluster.survey(&paths, &self.config.user, key, &*self.report);
        let mut open = Vec::new();
        for (index, survey) in doubtful.into_iter().zip(again) {
            if let Some((version, word)) = survey.to_prove().filter(|(_, word)| worth(&survey, word)) {
                open.extend(self.to_stage(index, &survey, version, &word, without));
            }
            surveys[index] = survey;
        }
        let mut made = Vec::new();
        while !open.is_empty() {
            let tasks: Vec<Task> = open.iter().map(|open| open.task.clone()).collect();
            let outcomes = self.stage_copies(&tasks);
            let mut left = Vec::new();
            for (mut open, outcome) in open.into_iter().zip(outcomes) {
                let survey = &mut surveys[open.survey];
                let Err(why) = outcome else {
                    let header = &open.task.claim.header;
                    survey.note_staged(open.task.to, header.piece, header.version);
                    made.push((open.survey, open.task));
                    continue;
                };
                let is_given = !self.is_fault_of(open.word.server, &why);
                match open.others.pop() {
                    Some(to) if is_given => {
                        open.task.to = to;
                        open.task.floor = survey.floors[to];
                        left.push(open);
                    }
                    _ => {
                        let word = OneWord { server: open.word.server, pieces: Vec::new() };
                        let unproved = || Unproved { word, is_given, why: why.to_string() };
                        let doubt = survey.unproved.get_or_insert_with(unproved);
                        doubt.word.pieces.push(open.task.claim.header.piece);
                    }
                }
            }
            left.retain(|open| surveys[open.survey].unproved.is_none());
            open = left;
        }
        self.cluster.roll_forward(surveys, &[], &*self.report);
        // What is only staged is no copy yet.
        made.retain(|(survey, _)| surveys[*survey].unproved.is_none());
        made.into_iter().map(|(_, task)| task).collect()
    }

    /// What is to be staged to prove a version; nothing if no other server is up.
    fn to_stage(
        &self,
        index: usize,
        survey: &Survey,
        version: Version,
        word: &OneWord,
        without: &[usize],
    ) -> Vec<Open> {
        let open = |&piece: &u8| {
            let claim = survey.claim(version, piece)?.clone();
            let is_damaged = |&server: &usize| {
                let mut distrusted = survey.distrusted.iter();
                distrusted.any(|d| (d.server, d.piece, d.why) == (server, piece, Distrust::Damaged))
            };
            // As for any repair: first over a damaged copy, then along the ring.
            let (mut others, ring): (Vec<usize>, Vec<usize>) =
                survey.ring(piece).into_iter().partition(is_damaged);
            others.extend(ring);
            others.retain(|server| {
                let is_usable = self.cluster.is_up(*server) && survey.answers[*server].is_some();
                is_usable && *server != word.server && !without.contains(server)
            });
            others.reverse();
            let to = others.pop()?;
            let task = Task { claim, from: word.server, others: Vec::new(), to, floor: survey.floors[to] };
            Some(Open { survey: index, word: word.clone(), task, others })
        };
        word.pieces.iter().filter_map(open).collect()
    }

    /// Whether it is the server whose word is to be proved that has failed, by what it sent if not by its answer.
    fn is_fault_of(&self, server: usize, why: &NotRepaired) -> bool {
        match why {
            NotRepaired::Refused(_, No { refusal: Refusal::Damaged, .. }) => true,
            NotRepaired::Refused(name, _) | NotRepaired::Down(name, _) => name == self.cluster.name(server),
            _ => false,
        }
    }

    /// Why a file is not repaired whose version was not proved.
    pub(super) fn not_proved(&self, doubt: &Unproved) -> NotRepaired {
        let OneWord { server, pieces } = doubt.word.clone();
        NotRepaired::Unproved { server: self.cluster.name(server).clone(), pieces, why: doubt.why.clone() }
    }
}
