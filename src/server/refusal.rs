//! The protocol's word for each failure of the store.

use crate::commit::Refused;
use crate::store::StoreError;
use crate::wire::{Refusal, Reply};

pub(super) fn reply_for(result: &Result<(), StoreError>) -> Reply {
    match result {
        Ok(()) => Reply::Ok,
        Err(error) => Reply::No(refusal_for(error), error.to_string()),
    }
}

pub(super) fn refusal_for(error: &StoreError) -> Refusal {
    match error {
        StoreError::Refused(Refused::NotStaged) => Refusal::NotStaged,
        StoreError::Refused(Refused::Decided) => Refusal::Decided,
        StoreError::Refused(Refused::Open) => Refusal::Open,
        StoreError::Refused(Refused::Behind) => Refusal::Behind,
        StoreError::Refused(Refused::Ahead) => Refusal::Ahead,
        StoreError::Refused(Refused::Rekeyed) | StoreError::Ended => Refusal::Rekeyed,
        StoreError::NotFound => Refusal::NotFound,
        StoreError::Conflict => Refusal::Conflict,
        StoreError::Damaged => Refusal::Damaged,
        StoreError::TooManyStaged | StoreError::TooManyOfUser => Refusal::Busy,
        StoreError::Full(_) => Refusal::DiskFull,
        StoreError::Disk(_) | StoreError::Elsewhere => Refusal::DiskError,
    }
}
