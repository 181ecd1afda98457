//! Entries of listings, for unit tests.

use crate::client::{Health, Holding, Shown, ShownFile};
use crate::name::{FilePath, FolderPath, ServerName};
use crate::sealed::{Facts, ModifiedTime};
use crate::version::Version;

pub(in crate::cli) fn held(pieces: &[u8]) -> Option<Holding> {
    Some(Holding { pieces: pieces.iter().copied().collect(), ..Holding::default() })
}

pub(in crate::cli) fn shown_file(
    name: &str,
    health: Health,
    servers: Vec<(&str, Option<Holding>)>,
) -> ShownFile {
    let server = |(name, held)| (ServerName::parse(name).unwrap(), held);
    let version = Version { generation: 1, upload: [1; 16] };
    ShownFile {
        path: FilePath::parse(name).unwrap(),
        facts: Some(Facts { version, size: 12, modified: ModifiedTime::default(), replicas: 2 }),
        health,
        holders: servers.into_iter().map(server).collect(),
    }
}

pub(in crate::cli) fn file(name: &str, health: Health, servers: Vec<(&str, Option<Holding>)>) -> Shown {
    Shown::File(shown_file(name, health, servers))
}

pub(in crate::cli) fn folder(name: &str) -> Shown {
    Shown::Folder(FolderPath::parse(name).unwrap())
}
