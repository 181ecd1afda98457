//! Repair: brings files back to the copies that were asked for, by copying ciphertext.
//!
//! Nothing is deleted on the strength of a server that did not answer: what is dropped is older than
//! a version whose copies were all checked in this very run.

mod bury;
mod copy;
mod plan;
mod prove;
mod step;

pub(super) use prove::Unproved;
pub use step::{NotRepaired, RepairSummary, Repaired};

use super::Client;
use super::error::ClientError;
use super::sight::Unseen;
use super::survey::Survey;
use super::verify::{BATCH, Copy, good_holders};
use crate::name::{FilePath, FolderPath};
use crate::peer::{No, Peer};
use crate::placement;
use crate::sealed::MasterKey;
use crate::version::Version;
use crate::wire::Request;

impl Client {
    /// Repairs every file below a folder. Each step goes to `tell`; with `dry` none is done.
    ///
    /// # Errors
    /// If no server is up, if one that is will not list ([`ClientError::NotListed`]) or is lost on the way
    /// ([`ClientError::Lost`]), or if nothing has that name.
    pub fn repair(
        &mut self,
        folder: &FolderPath,
        dry: bool,
        tell: impl FnMut(&Repaired),
    ) -> Result<RepairSummary, ClientError> {
        self.cluster.refresh(&*self.report);
        self.require_server()?;
        let present = self.present();
        let mut unseen = Unseen::default();
        let names = self.names(folder, true, &mut unseen)?;
        self.repair_without(&[], names, unseen, dry, &present, tell)
    }

    /// Repairs everything but what is under `other_key` already.
    pub(super) fn repair_with(
        &mut self,
        folder: &FolderPath,
        other_key: &MasterKey,
        tell: impl FnMut(&Repaired),
    ) -> Result<RepairSummary, ClientError> {
        let present = self.present();
        let mut unseen = Unseen::default();
        let names = self.names(folder, true, &mut unseen)?;
        let names = self.not_under(&names, other_key);
        self.repair_without(&[], names, unseen, false, &present, tell)
    }

    /// Repairs files, with no new copies on the servers `without`. The servers `unseen` may know of more, and those
    /// that were `present` when the command began must stay.
    pub(super) fn repair_without(
        &mut self,
        without: &[usize],
        names: Vec<FilePath>,
        mut unseen: Unseen,
        dry: bool,
        present: &[usize],
        mut tell: impl FnMut(&Repaired),
    ) -> Result<RepairSummary, ClientError> {
        self.report.expect(names.len());
        let mut summary = RepairSummary { names: names.len(), ..RepairSummary::default() };
        self.require_still_up(present)?;
        for batch in names.chunks(BATCH) {
            let mut done = Vec::new();
            let result = self.repair_batch(without, batch, dry, present, &mut unseen, &mut done);
            for step in done {
                summary.failed += usize::from(matches!(step, Repaired::Failed { .. }));
                let is_lost = matches!(step, Repaired::Failed { why: NotRepaired::Gone { .. }, .. });
                summary.lost += usize::from(is_lost);
                summary.steps += 1;
                tell(&step);
            }
            result?;
        }
        self.report.end();
        summary.unseen = self.out_of_sight(&unseen);
        Ok(summary)
    }

    fn repair_batch(
        &mut self,
        without: &[usize],
        batch: &[FilePath],
        dry: bool,
        present: &[usize],
        unseen: &mut Unseen,
        done: &mut Vec<Repaired>,
    ) -> Result<(), ClientError> {
        let mut surveys = self.cluster.ask(batch, &self.config.user, &self.key, &*self.report);
        let unsettled: Vec<_> = surveys.iter().map(Survey::unsettled).collect();
        let mut proved = Vec::new();
        if !dry {
            surveys = self.cluster.survey(batch, &self.config.user, &self.key, &*self.report);
            // Whatever is staged or not: each copy that is made is another server's word.
            proved = self.prove(&mut surveys, &self.key.clone(), without, |_, _| true);
        }
        surveys.iter().for_each(|survey| unseen.add(&survey.unseen));
        let settled = surveys.iter().zip(&unsettled);
        let settled =
            settled.filter(|(survey, unsettled)| !unsettled.is_empty() && survey.unproved.is_none());
        done.extend(settled.map(|(survey, unsettled)| self.settled(survey, unsettled, dry)));
        done.extend(proved.iter().map(|task| self.copied(task)));
        let mut copies = self.check_copies(&surveys, surveys.len());
        self.require_still_up(present)?;
        let (mut tasks, mut replaced) = (Vec::new(), Vec::new());
        for (survey, copies) in surveys.iter().zip(&copies) {
            let (planned, why) = self.plan_repair(survey, copies, without);
            replaced.push(planned.iter().map(|task| (task.to, task.claim.header.piece)).collect::<Vec<_>>());
            tasks.extend(planned);
            done.extend(why.map(|why| Repaired::Failed { path: survey.path.clone(), why }));
        }
        if dry {
            done.extend(tasks.iter().map(|task| self.copied(task)));
        } else if !tasks.is_empty() {
            self.copy_pieces(&tasks, done);
            // What was written is looked at again, before anything older goes.
            surveys = self.cluster.survey(batch, &self.config.user, &self.key, &*self.report);
            copies = self.check_copies(&surveys, 0);
            self.require_still_up(present)?;
        }
        if !dry {
            // That is done, and seen.
            replaced.iter_mut().for_each(Vec::clear);
        }
        self.drop_outdated(&surveys, &copies, &replaced, dry, done);
        self.bury_again(&surveys, dry, done);
        Ok(())
    }

    /// What became of the stages that were to be settled.
    fn settled(&self, survey: &Survey, unsettled: &[(Version, Vec<usize>)], dry: bool) -> Repaired {
        let path = survey.path.clone();
        let is_left = |server: &usize| {
            let mut staged_there = unsettled.iter().filter(|(_, servers)| servers.contains(server));
            staged_there.any(|(version, _)| !survey.is_settled(*version, *server))
        };
        let left: Vec<_> = (0..self.cluster.len()).filter(is_left).collect();
        if dry || left.is_empty() {
            return Repaired::Settled { path };
        }
        let left = left.into_iter().map(|server| self.cluster.name(server).clone());
        Repaired::Failed { path, why: NotRepaired::Unsettled(left.collect()) }
    }

    /// Drops what is older than a version that has all its copies, checked in this run; or, with `dry`, that
    /// would have them if the pieces in `replaced` were copied to their servers.
    fn drop_outdated(
        &mut self,
        surveys: &[Survey],
        copies: &[Vec<Copy>],
        replaced: &[Vec<(usize, u8)>],
        dry: bool,
        done: &mut Vec<Repaired>,
    ) {
        let up = self.cluster.up().count();
        let mut outdated = Vec::new();
        for ((survey, copies), replaced) in surveys.iter().zip(copies).zip(replaced) {
            let Some(version) = survey.file_version() else { continue };
            let replicas = survey.any_claim(version).map_or(1, |c| usize::from(c.header.replicas));
            let wanted = placement::copies_wanted(replicas, self.cluster.len()).min(up);
            let count = |piece: u8| {
                good_holders(copies, piece).len() + replaced.iter().filter(|(_, of)| *of == piece).count()
            };
            if placement::pieces().all(|piece| count(piece) >= wanted) {
                let retire = || Request::Retire(survey.path.clone(), version);
                let servers = survey.outdated(version, replaced).into_iter();
                outdated.extend(servers.map(|server| (&survey.path, (server, retire()))));
            }
        }
        let (paths, requests): (Vec<_>, Vec<_>) = outdated.into_iter().unzip();
        let answers = if dry {
            requests.iter().map(|_| Some(Ok(()))).collect()
        } else {
            self.cluster.exchange(&requests, &*self.report, Peer::receive_done)
        };
        for ((path, (server, _)), answer) in paths.into_iter().cloned().zip(&requests).zip(answers) {
            done.push(match answer {
                Some(Ok(())) => Repaired::Dropped { path, server: self.cluster.name(*server).clone() },
                other => Repaired::Failed { path, why: self.why_not(*server, other) },
            });
        }
    }

    fn why_not(&self, server: usize, answer: Option<Result<(), No>>) -> NotRepaired {
        let name = self.cluster.name(server).clone();
        match answer {
            Some(Err(no)) => NotRepaired::Refused(name, no),
            _ => {
                let why = self.cluster.why_down(server).unwrap_or_else(|| "no answer".into());
                NotRepaired::Down(name, why)
            }
        }
    }
}
