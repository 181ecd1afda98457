//! Entries of listings, for unit tests.

use crate::client::{Health, Holding, Shown, ShownFile};
use crate::name::{FilePath, FolderPath, ServerName};
use crate::sealed::Facts;

pub(in crate::cli) fn held(pieces: &[u8]) -> Option<Holding> {
    Some(Holding { pieces: pieces.iter().copied().collect(), ..Holding::default() })
}

pub(in crate::cli) fn shown_file(
    name: &str,
    health: Health,
    servers: Vec<(&str, Option<Holding>)>,
) -> ShownFile {
    let losses = match health {
        Health::Whole => Some(1),
        Health::Degraded => Some(0),
        Health::Incomplete | Health::OtherKey => None,
    };
    let server = |(name, held)| (ServerName::parse(name).unwrap(), held);
    ShownFile {
        path: FilePath::parse(name).unwrap(),
        facts: Some(Facts { size: 12, ..Facts::default() }),
        health,
        losses,
        holders: servers.into_iter().map(server).collect(),
    }
}

pub(in crate::cli) fn file(name: &str, health: Health, servers: Vec<(&str, Option<Holding>)>) -> Shown {
    Shown::File(shown_file(name, health, servers))
}

pub(in crate::cli) fn folder(name: &str) -> Shown {
    Shown::Folder(FolderPath::parse(name).unwrap())
}
