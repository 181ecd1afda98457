//! What the commands have in common. Nothing here uses a command.
//!
//! Each file uses only those before it: `name_map`, `retry`, `report`, `error`, `draft`; `login`, `cluster`, `base`:
//! the connections; `chunks`, `sight`, `survey`, `look`: what the servers hold of a name; `versions`: writing a new
//! one; `listing`, `checks`, `copying`, `whole`, `files`, `prove`, `find`: what several commands need.

pub(crate) mod base;
pub(crate) mod checks;
pub(crate) mod chunks;
pub(crate) mod cluster;
pub(crate) mod copying;
pub(crate) mod draft;
pub(crate) mod error;
pub(crate) mod files;
pub(crate) mod find;
pub(crate) mod listing;
pub(crate) mod login;
pub(crate) mod look;
pub(crate) mod name_map;
pub(crate) mod prove;
pub(crate) mod report;
pub(crate) mod retry;
pub(crate) mod sight;
pub(crate) mod survey;
pub(crate) mod versions;
pub(crate) mod whole;
