//! Download: ask who holds what, take each missing byte from one server, put the file together.

use std::path::{Path, PathBuf};

use super::Client;
use super::error::{ClientError, MissingPiece};
use super::fetch::{Fault, Piece};
use super::report::Notice;
use super::sight::Unseen;
use super::survey::Survey;
use super::target::{Target, sweep};
use crate::name::{FilePath, FolderPath, ServerName};
use crate::placement;
use crate::sealed::{Distrust, ModifiedTime};
use crate::version::Version;

/// Files that are downloaded together; each has one open file.
const BATCH_FILES: usize = 128;
/// How often a file that is replaced meanwhile is begun again.
const MAX_RESTARTS: usize = 20;

/// How often a file that seems incomplete is looked at again before it is called so.
const MORE_LOOKS: usize = 3;

/// What became of one file.
#[derive(Debug)]
pub struct Downloaded {
    /// Its name on the servers.
    pub path: FilePath,
    /// Where it is now.
    pub place: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// A file that the servers were just asked about.
pub struct Looked(Survey);

impl Looked {
    /// Its name on the servers.
    pub fn path(&self) -> &FilePath {
        &self.0.path
    }
}

/// What `Download NAME` means.
pub enum Found {
    /// A file.
    File(Box<Looked>),
    /// The files below a folder.
    Below(Files),
}

/// Files that a name stands for.
#[derive(Debug)]
pub struct Files {
    /// Those that a server knows of.
    pub files: Vec<FilePath>,
    /// Servers that did not say what they know, each with the reason, if they are so many that there may be more files;
    /// otherwise none.
    pub unseen: Vec<(ServerName, String)>,
}

/// A file on its way.
struct Plan {
    path: FilePath,
    version: Version,
    size: u64,
    modified: ModifiedTime,
    place: PathBuf,
}

/// Why a plan did not become a file.
enum Failure {
    Replaced,
    Failed(ClientError),
}

impl Client {
    /// Finds out whether a name is a file or a folder.
    ///
    /// # Errors
    /// If it is neither, as far as can be seen.
    pub fn find(&mut self, name: &str) -> Result<Found, ClientError> {
        self.cluster.refresh(&*self.report);
        self.require_server()?;
        let bad_name = |why| ClientError::Name(name.to_owned(), why);
        let mut unseen = Unseen::default();
        if name != "." {
            let path = FilePath::parse(name).map_err(bad_name)?;
            let surveys = self.survey_to_read(std::slice::from_ref(&path), &self.key.clone());
            surveys.iter().for_each(|survey| unseen.add(&survey.unseen));
            if let Some(survey) = surveys.into_iter().find(Survey::is_a_file) {
                return Ok(Found::File(Box::new(Looked(survey))));
            }
        }
        let folder =
            if name == "." { FolderPath::root() } else { FolderPath::parse(name).map_err(bad_name)? };
        let files = self.files_below(&folder, &mut unseen)?;
        if files.is_empty() {
            return Err(self.not_found(name, &unseen));
        }
        Ok(Found::Below(Files { files, unseen: self.out_of_sight(&unseen) }))
    }

    /// Downloads files to their places below `downloads`; one result for each, in order.
    pub fn download(&mut self, files: &[FilePath], downloads: &Path) -> Vec<Result<Downloaded, ClientError>> {
        self.cluster.refresh(&*self.report);
        let mut swept: Vec<FolderPath> = Vec::new();
        for folder in files.iter().map(FilePath::folder) {
            if !swept.contains(&folder) {
                sweep(downloads, &folder);
                swept.push(folder);
            }
        }
        let mut unseen = Unseen::default();
        let batches = files.chunks(BATCH_FILES);
        let results: Vec<_> =
            batches.flat_map(|batch| self.download_batch(batch, None, downloads, &mut unseen)).collect();
        self.report.end();
        if results.iter().any(Result::is_ok) {
            self.warn_of_newer(&unseen);
        }
        results
    }

    /// Downloads one file to its place below `downloads`. The servers are not asked again what they have of it,
    /// which saves a round trip, unless the file has changed meanwhile or seems incomplete.
    ///
    /// # Errors
    /// As for one of [`Client::download`].
    pub fn download_looked(&mut self, file: Looked, downloads: &Path) -> Result<Downloaded, ClientError> {
        let path = file.path().clone();
        sweep(downloads, &path.folder());
        let mut unseen = Unseen::default();
        let looked = Some(vec![file.0]);
        let result = self.download_batch(std::slice::from_ref(&path), looked, downloads, &mut unseen).pop();
        self.report.end();
        if matches!(result, Some(Ok(_))) {
            self.warn_of_newer(&unseen);
        }
        result.unwrap_or(Err(ClientError::Contended(path)))
    }

    /// `looked`: what the servers have just said of the batch. Whoever does not say is added to `unseen`.
    fn download_batch(
        &mut self,
        batch: &[FilePath],
        mut looked: Option<Vec<Survey>>,
        downloads: &Path,
        unseen: &mut Unseen,
    ) -> Vec<Result<Downloaded, ClientError>> {
        let mut results: Vec<Option<Result<Downloaded, ClientError>>> = batch.iter().map(|_| None).collect();
        for attempt in 0..MAX_RESTARTS {
            let pending: Vec<usize> = (0..batch.len()).filter(|&f| results[f].is_none()).collect();
            if pending.is_empty() {
                break;
            }
            let surveys = looked.take().unwrap_or_else(|| {
                let paths: Vec<FilePath> = pending.iter().map(|&f| batch[f].clone()).collect();
                self.survey_to_read(&paths, &self.key.clone())
            });
            surveys.iter().for_each(|survey| unseen.add(&survey.unseen));
            for (file, result) in pending.into_iter().zip(self.attempt_download(&surveys, downloads)) {
                results[file] = match result {
                    Ok(downloaded) => Some(Ok(downloaded)),
                    // The servers are not asked at one instant: to a look that an upload overlaps, the file
                    // may seem incomplete.
                    Err(Failure::Failed(ClientError::Incomplete { .. })) if attempt < MORE_LOOKS => None,
                    Err(Failure::Failed(error)) => Some(Err(error)),
                    Err(Failure::Replaced) => None,
                };
            }
        }
        let contended = |path: &FilePath| Err(ClientError::Contended(path.clone()));
        results
            .into_iter()
            .zip(batch)
            .map(|(result, path)| result.unwrap_or_else(|| contended(path)))
            .collect()
    }

    fn attempt_download(&mut self, surveys: &[Survey], downloads: &Path) -> Vec<Result<Downloaded, Failure>> {
        let mut plans: Vec<Result<Plan, ClientError>> =
            surveys.iter().map(|s| self.plan(s, downloads)).collect();
        self.report.begin(surveys.len(), plans.iter().flatten().map(|plan| plan.size).sum());
        let mut targets = Vec::new();
        let mut files = Vec::new();
        let mut pieces = Vec::new();
        for (index, (plan, survey)) in plans.iter_mut().zip(surveys).enumerate() {
            let Ok(ready) = plan else { continue };
            match Target::create(downloads, &ready.path, ready.size) {
                Ok(target) => {
                    pieces.extend(self.pieces(survey, ready.version, targets.len()));
                    targets.push(target);
                    files.push(index);
                }
                Err(error) => *plan = Err(error),
            }
        }
        let mut local_errors: Vec<Option<ClientError>> = targets.iter().map(|_| None).collect();
        self.gather(&targets, &files, surveys, &mut pieces, &mut local_errors);
        let mut results: Vec<Option<Result<Downloaded, Failure>>> = plans.iter().map(|_| None).collect();
        for (number, target) in targets.into_iter().enumerate() {
            let index = files[number];
            let of_file: Vec<&Piece> = pieces.iter().filter(|p| p.file == number).collect();
            let Ok(plan) = &plans[index] else { continue };
            let outcome = match local_errors[number].take() {
                Some(error) => Err(Failure::Failed(error)),
                None => self.conclude(plan, target, &surveys[index], &of_file),
            };
            results[index] = Some(outcome);
        }
        results
            .into_iter()
            .zip(plans)
            .map(|(result, plan)| match (result, plan) {
                (Some(result), _) => result,
                (None, Err(error)) => Err(Failure::Failed(error)),
                (None, Ok(plan)) => {
                    Err(Failure::Failed(ClientError::NotFound(plan.path.as_str().to_owned())))
                }
            })
            .collect()
    }

    /// The newest decided version of a file, if it can be rebuilt.
    pub(super) fn whole_version(&self, survey: &Survey) -> Result<Version, ClientError> {
        self.require_server()?;
        let path = survey.path.clone();
        if survey.only_other_keys() {
            return Err(ClientError::OtherKey(path));
        }
        let Some(version) = survey.file_version() else {
            if survey.view().decided.is_none() && survey.distrusted.iter().any(|d| d.why == Distrust::Damaged)
            {
                return Err(self.incomplete(survey, None, &[]));
            }
            return Err(self.not_found(path.as_str(), &survey.unseen));
        };
        if !survey.is_complete(version) || survey.is_in_doubt(version) {
            return Err(self.incomplete(survey, Some(version), &[]));
        }
        Ok(version)
    }

    /// What to fetch for a name.
    fn plan(&self, survey: &Survey, downloads: &Path) -> Result<Plan, ClientError> {
        let version = self.whole_version(survey)?;
        let path = survey.path.clone();
        let Some(claim) = survey.any_claim(version) else {
            return Err(ClientError::NotFound(path.as_str().to_owned()));
        };
        let (size, modified) = (claim.header.file_size, claim.header.modified);
        Ok(Plan { place: downloads.join(path.as_str()), path, version, size, modified })
    }

    fn pieces(&self, survey: &Survey, version: Version, file: usize) -> Vec<Piece> {
        placement::pieces()
            .filter_map(|number| {
                let claim = survey.claim(version, number)?;
                let verified = self.key.verify(claim).ok()?;
                Some(Piece::new(file, claim.clone(), self.key.unwrap(&verified)))
            })
            .collect()
    }

    /// Puts a fetched file in its place, or says why it cannot be.
    fn conclude(
        &self,
        plan: &Plan,
        target: Target,
        survey: &Survey,
        pieces: &[&Piece],
    ) -> Result<Downloaded, Failure> {
        let whole = |number| pieces.iter().any(|p| p.claim.header.piece == number && p.is_whole());
        if !placement::suffices(whole) {
            let replaced = pieces.iter().flat_map(|p| &p.tried).any(|(_, f)| *f == Some(Fault::Replaced));
            if replaced {
                return Err(Failure::Replaced);
            }
            return Err(Failure::Failed(self.incomplete(survey, Some(plan.version), pieces)));
        }
        target.finish(plan.modified).map_err(Failure::Failed)?;
        self.tell_bad_copies(plan, survey, pieces);
        Ok(Downloaded { path: plan.path.clone(), place: plan.place.clone(), size: plan.size })
    }

    fn tell_bad_copies(&self, plan: &Plan, survey: &Survey, pieces: &[&Piece]) {
        let notice = |server: usize, piece: u8, why: String| {
            let (path, server) = (plan.path.clone(), self.cluster.name(server).clone());
            self.report.notice(Notice::BadCopy { path, piece, server, why });
        };
        for distrusted in &survey.distrusted {
            notice(distrusted.server, distrusted.piece, distrusted.why.to_string());
        }
        for piece in pieces {
            for (server, fault) in &piece.tried {
                if let Some(fault @ (Fault::Damaged | Fault::Refused(_))) = fault {
                    notice(*server, piece.claim.header.piece, fault.to_string());
                }
            }
        }
    }

    /// Says for each piece that cannot be had what every server has to do with it.
    fn incomplete(&self, survey: &Survey, version: Option<Version>, pieces: &[&Piece]) -> ClientError {
        let is_in_doubt =
            |number| survey.unproved.as_ref().is_some_and(|doubt| doubt.word.pieces.contains(&number));
        let missing = placement::pieces()
            .filter(|&number| match pieces.iter().find(|p| p.claim.header.piece == number) {
                Some(piece) => !piece.is_whole(),
                None => version.is_none_or(|v| survey.holders(v, number).is_empty() || is_in_doubt(number)),
            })
            .map(|number| MissingPiece { piece: number, reasons: self.reasons(survey, pieces, number) })
            .collect();
        let down = self.cluster.up().count() < self.cluster.len();
        let shown = version.map_or(Vec::new(), |version| self.shown_by(survey, version)).into();
        ClientError::Incomplete { path: survey.path.clone(), missing, shown, down }
    }

    fn reasons(&self, survey: &Survey, pieces: &[&Piece], number: u8) -> Vec<(ServerName, String)> {
        let piece = pieces.iter().find(|p| p.claim.header.piece == number);
        (0..self.cluster.len())
            .filter_map(|server| {
                let fault = piece.and_then(|p| p.tried.iter().find(|(s, _)| *s == server)?.1.clone());
                let distrusted = survey.distrusted.iter().any(|d| d.server == server && d.piece == number);
                let doubt = survey.unproved.as_ref().filter(|doubt| doubt.is_of(server, number));
                let doubt =
                    doubt.map(|d| format!("alone says that it has it, which was not proved ({})", d.why));
                let why =
                    match (fault.map(|fault| fault.to_string()).or(doubt), self.cluster.why_down(server)) {
                        (Some(why), _) => why,
                        (None, Some(why)) => why,
                        (None, None) if distrusted => "has a damaged copy".to_owned(),
                        (None, None) => return None,
                    };
                Some((self.cluster.name(server).clone(), why))
            })
            .collect::<Vec<_>>()
            .or_nobody(&self.cluster.names())
    }
}

trait OrNobody {
    fn or_nobody(self, names: &[ServerName]) -> Self;
}

impl OrNobody for Vec<(ServerName, String)> {
    /// With all servers up and none to blame, nobody has the piece.
    fn or_nobody(self, names: &[ServerName]) -> Self {
        if self.is_empty() {
            names.iter().map(|n| (n.clone(), "does not have it".to_owned())).collect()
        } else {
            self
        }
    }
}
