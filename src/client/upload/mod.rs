//! Upload: stage every piece on all its holders, then commit. Many small files go together.

mod attempt;
mod encryption;
mod lane;
mod local;
mod making;
mod outcome;
mod outgoing;
mod plan;
mod remains;
pub(crate) mod source;
pub(crate) mod spool;
mod stage;

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

pub use outgoing::Uploaded;

use attempt::attempt;
use outgoing::{Outgoing, unchanged};
use source::Source;

use super::core::base::Core;
use super::core::error::ClientError;
use super::core::look::ask;
use super::core::report::Notice;
use super::core::retry::until_settled;
use super::core::survey::Survey;
use crate::name::{FilePath, ServerName};
use crate::placement;
use crate::sealed::Kind;

/// A batch ends with the file that brings it to this many bytes: the first batch to the lower bound, each later one to
/// what was sent in a second. At the end of a batch all wait for the disks; but what is not committed when the line
/// breaks must be sent again, and older versions take up room on the servers until the batch is committed.
const BATCH_BYTES: RangeInclusive<u64> = 32 << 20..=512 << 20;

/// See [`Client::are_unchanged`](crate::client::Client::are_unchanged).
pub(crate) fn are_unchanged(core: &mut Core, sources: &[Source]) -> Vec<bool> {
    core.cluster.refresh();
    let paths: Vec<FilePath> = sources.iter().map(|source| source.target.clone()).collect();
    let surveys = ask(core, &paths);
    let is_unchanged = |(source, survey): (&Source, &Survey)| unchanged(core, source, survey).is_some();
    sources.iter().zip(&surveys).map(is_unchanged).collect()
}

/// See [`Client::upload`](crate::client::Client::upload).
pub(crate) fn upload(
    core: &mut Core,
    sources: &[Source],
    only_changed: bool,
) -> Vec<Result<Uploaded, ClientError>> {
    core.begin();
    let sizes: Vec<u64> = sources.iter().map(|source| source.size).collect();
    core.report.begin(sources.len(), sizes.iter().sum());
    warn_if_outdated(core);
    let mut results = Vec::with_capacity(sources.len());
    let mut rest = sources;
    let mut limit = *BATCH_BYTES.start();
    let most_files = core.batch_files(1);
    while !rest.is_empty() {
        core.cluster.refresh();
        let (batch, later) = rest.split_at(batch_length(&sizes[results.len()..], most_files, limit));
        let started = Instant::now();
        let uploaded = upload_batch(core, batch, only_changed);
        limit = match sent(&uploaded) {
            0 => limit,
            bytes => next_limit(bytes, started.elapsed()),
        };
        results.extend(uploaded);
        rest = later;
    }
    core.cluster.end_extras();
    core.report.end();
    results
}

/// Servers that are down may be the only ones that know of a newer version.
fn warn_if_outdated(core: &Core) {
    let down: Vec<ServerName> = core.cluster.down().into_iter().map(|(server, _)| server).collect();
    let servers = core.cluster.len();
    if placement::out_of_sight(core.config.replicas, servers, down.len()) && down.len() < servers {
        core.report.notice(Notice::MayBeOutdated { away: down });
    }
}

fn upload_batch(core: &mut Core, batch: &[Source], only_changed: bool) -> Vec<Result<Uploaded, ClientError>> {
    let without_size = batch.iter().filter(|source| source.kind == Kind::Data && source.size == 0).count();
    let attempts = 6 * core.cluster.len() + 4 + without_size;
    until_settled(
        core,
        batch.iter().map(Outgoing::new),
        attempts,
        |core, pending| attempt(core, pending, only_changed),
        |core, file| Err(file.not_taken(core).unwrap_or(ClientError::Contended(file.source.target))),
    )
}

fn batch_length(sizes: &[u64], most_files: usize, limit: u64) -> usize {
    let mut bytes: u64 = 0;
    let full = sizes.iter().take(most_files).position(|size| {
        bytes = bytes.saturating_add(*size);
        bytes >= limit
    });
    full.map_or(sizes.len().min(most_files), |last| last + 1)
}

/// Bytes of the files that were sent. Files that were already stored say nothing about the line.
fn sent(batch: &[Result<Uploaded, ClientError>]) -> u64 {
    let sent = batch.iter().flatten().filter(|file| !file.unchanged);
    sent.map(|file| file.size).fold(0, u64::saturating_add)
}

/// The bytes of the next batch, after one in which this many were sent.
fn next_limit(bytes: u64, took: Duration) -> u64 {
    let of_a_second = u128::from(bytes) * 1000 / took.as_millis().max(1);
    u64::try_from(of_a_second).unwrap_or(u64::MAX).clamp(*BATCH_BYTES.start(), *BATCH_BYTES.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_ends_with_the_file_that_fills_it_or_with_the_most_files() {
        let length = |sizes: &[u64]| batch_length(sizes, 128, 20);
        assert_eq!(length(&[10, 10, 10]), 2);
        assert_eq!(length(&[10, 11, 10]), 2);
        assert_eq!(length(&[10, 9, 10]), 3);
        assert_eq!(length(&[u64::MAX, u64::MAX]), 1);
        assert_eq!(length(&[10]), 1);
        assert_eq!(length(&[0; 1000]), 128);
    }

    #[test]
    fn files_that_were_there_already_or_failed_were_not_sent() {
        let path = || FilePath::parse("a").unwrap();
        let uploaded = |size, unchanged| Ok(Uploaded { path: path(), size, unchanged });
        assert_eq!(sent(&[]), 0);
        assert_eq!(sent(&[uploaded(1, false), uploaded(10, true), uploaded(100, false)]), 101);
        assert_eq!(sent(&[Err(ClientError::Contended(path())), uploaded(1, false)]), 1);
        assert_eq!(sent(&[uploaded(u64::MAX, false), uploaded(1, false)]), u64::MAX);
    }

    #[test]
    fn the_next_batch_is_what_goes_in_a_second_within_limits() {
        const MIB: u64 = 1 << 20;
        let after = |mib, millis| next_limit(mib * MIB, Duration::from_millis(millis)) / MIB;
        assert_eq!(after(32, 200), 160);
        assert_eq!(after(160, 1000), 160);
        assert_eq!(after(160, 2000), 80);
        assert_eq!(after(160, 100_000), 32);
        assert_eq!(after(32, 1), 512);
        assert_eq!(after(32, 0), 512);
        assert_eq!(after(0, 0), 32);
        assert_eq!(next_limit(u64::MAX, Duration::MAX), 32 * MIB);
    }
}
