//! An input without a name or a size, held until all of it is there: a header has the size, and is sent first.

use std::fs::{File, OpenOptions, remove_file};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::client::core::draft;
use crate::client::core::error::{ClientError, LocalError};
use crate::sealed::{MAX_FILE_SIZE, MODE_BITS, ModifiedTime};

/// Most bytes that are held in memory.
const MAX_IN_MEMORY: usize = 16 << 20;
/// What messages call it.
pub(super) const NAME: &str = "standard input";
/// For its owner alone, as long as it has a name.
const PRIVATE: u32 = 0o600;

/// An input of which all is there.
#[derive(Debug)]
pub struct Spooled {
    pub(super) held: Held,
    pub(super) size: u64,
    pub(super) mode: u16,
    /// When it ended.
    pub(super) modified: ModifiedTime,
}

/// Where its bytes are.
#[derive(Debug)]
pub(super) enum Held {
    Memory(Vec<u8>),
    /// A file that has no name anymore: it is gone with the process.
    Disk(File),
}

/// Reads standard input, which is passed as `input`, to its end; more than fits into memory is kept in a file in
/// `folder` that has no name. It will be stored with these permission bits and the time of its end.
///
/// # Errors
/// If it cannot be read or kept, or is too large.
pub fn spool(input: &mut dyn Read, folder: &Path, mode: u16) -> Result<Spooled, ClientError> {
    let unread = |error| ClientError::from(LocalError::Input(error));
    let mut bytes = Vec::new();
    let most = MAX_IN_MEMORY as u64;
    input.take(most + 1).read_to_end(&mut bytes).map_err(unread)?;
    let (held, size) = if bytes.len() <= MAX_IN_MEMORY {
        let size = bytes.len() as u64;
        (Held::Memory(bytes), size)
    } else {
        let kept = |error| ClientError::from(LocalError::Spool(folder.to_path_buf(), error));
        let mut file = without_name(folder).map_err(kept)?;
        let mut size = 0;
        while !bytes.is_empty() {
            file.write_all(&bytes).map_err(kept)?;
            size += bytes.len() as u64;
            if size > MAX_FILE_SIZE {
                return Err(LocalError::TooLarge(PathBuf::from(NAME)).into());
            }
            bytes.clear();
            input.take(most).read_to_end(&mut bytes).map_err(unread)?;
        }
        (Held::Disk(file), size)
    };
    Ok(Spooled { held, size, mode: mode & MODE_BITS, modified: now() })
}

/// A file that nobody else can open.
fn without_name(folder: &Path) -> io::Result<File> {
    let path = folder.join(draft::new_name()?);
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(PRIVATE).open(&path)?;
    remove_file(&path)?;
    Ok(file)
}

fn now() -> ModifiedTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ModifiedTime { seconds: i64::try_from(since.as_secs()).unwrap_or(0), nanos: since.subsec_nanos() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_into_memory_needs_no_disk_and_what_does_not_leaves_no_name() {
        let folder = std::env::temp_dir().join(format!("shareit-spool-{}", std::process::id()));
        let of_size = |size: usize| spool(&mut io::repeat(7).take(size as u64), &folder, 0o100_640);
        for size in [0, 1, MAX_IN_MEMORY] {
            let spooled = of_size(size).unwrap();
            assert!(matches!(spooled.held, Held::Memory(_)));
            assert_eq!((spooled.size, spooled.mode), (size as u64, 0o640));
        }
        let error = of_size(MAX_IN_MEMORY + 1).unwrap_err();
        assert!(matches!(error, ClientError::Local(LocalError::Spool(..))), "{error}");
        std::fs::create_dir(&folder).unwrap();
        let spooled = of_size(3 * MAX_IN_MEMORY + 1).unwrap();
        assert!(matches!(spooled.held, Held::Disk(_)));
        assert_eq!(spooled.size, 3 * MAX_IN_MEMORY as u64 + 1);
        // Nothing is in it.
        std::fs::remove_dir(&folder).unwrap();
    }

    #[test]
    fn an_input_that_fails_is_not_taken_for_one_that_ends() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::Other.into())
            }
        }
        let mut input = io::repeat(7).take(10).chain(Failing);
        let error = spool(&mut input, &std::env::temp_dir(), 0o600).unwrap_err();
        assert!(matches!(error, ClientError::Local(LocalError::Input(_))), "{error}");
    }
}
