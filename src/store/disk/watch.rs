//! One sync for many small files: that of their whole file system.

use std::fs::{self, File};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{fstatfs, syncfs};
use rustix::io::Errno;
use rustix::system::uname;

/// Fewer files than this are synced one by one.
const FEW: usize = 8;
/// File systems that keep what syncfs(2) promises, by the numbers that statfs(2) gives them: ext2 to ext4, XFS, Btrfs,
/// tmpfs. Others may report no errors, or may be at the other end of a network and not told to sync at all.
const KNOWN: [u32; 4] = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994];
/// The first Linux whose syncfs(2) reports that something could not be written back.
const REPORTS_ERRORS: (u32, u32) = (5, 8);
/// Most KiB of all files of the machine that may still have to be written for a sync of a whole file system: it waits
/// for what others have written, too.
const MOST_DIRTY: u64 = 64 << 10;
/// Most watches at the same time. Each has a folder open: see [`MAX_CONNECTIONS`](crate::server::MAX_CONNECTIONS).
/// Files for which there is none are synced one by one.
pub const MAX_WATCHES: usize = 64;

/// A descriptor to which the system reports everything that could not be written to its file system since it was
/// opened.
#[derive(Debug)]
pub struct Watch {
    folder: File,
    /// How many there are.
    count: Arc<AtomicUsize>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What all watches have in common.
#[derive(Debug, Clone)]
pub(super) struct Watches {
    count: Arc<AtomicUsize>,
    are_possible: bool,
}

impl Default for Watches {
    fn default() -> Self {
        let release = uname().release().to_string_lossy().into_owned();
        let are_possible = version(&release).is_some_and(|version| version >= REPORTS_ERRORS);
        Self { count: Arc::default(), are_possible }
    }
}

impl Watches {
    /// None if there are as many as there may be, or if the file system of the folder is not known.
    pub(super) fn begin(&self, open: impl FnOnce() -> io::Result<File>) -> Option<Watch> {
        let more = |count| (self.are_possible && count < MAX_WATCHES).then_some(count + 1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        let Ok(folder) = open() else {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        let watch = Watch { folder, count: Arc::clone(&self.count) };
        // The type's width differs from machine to machine; these numbers have 32 bits.
        let is_known = |kind: u32| KNOWN.contains(&kind);
        fstatfs(&watch.folder).is_ok_and(|found| is_known(found.f_type as u32)).then_some(watch)
    }
}

impl Watch {
    /// Syncs the whole file system, unless that is sure to take longer than to sync so many files. Returns whether it
    /// did.
    ///
    /// # Errors
    /// If anything that was written to it since the watch began was lost.
    pub(super) fn sync(&self, files: usize) -> io::Result<bool> {
        let is_quiet = || fs::read_to_string("/proc/meminfo").is_ok_and(|text| dirty(&text) <= MOST_DIRTY);
        if files < FEW || !is_quiet() {
            return Ok(false);
        }
        match syncfs(&self.folder) {
            Ok(()) => Ok(true),
            // A sandbox does not know this call, or forbids it.
            Err(Errno::NOSYS | Errno::PERM) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The first two numbers of a release of Linux.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// KiB that are to be written, or are being written, as /proc/meminfo has it; the most if it does not.
fn dirty(meminfo: &str) -> u64 {
    let field = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_end_matches("kB").trim().parse::<u64>().ok()
    };
    field("Dirty:").zip(field("Writeback:")).map_or(u64::MAX, |(dirty, now)| dirty.saturating_add(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_linux_are_compared_as_numbers() {
        assert_eq!(version("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(version("5.8-rc1"), Some((5, 8)));
        assert_eq!(version("5.10.0"), Some((5, 10)));
        assert!(version("5.10.0") >= Some(REPORTS_ERRORS) && version("5.4.0") < Some(REPORTS_ERRORS));
        assert_eq!(version("unknown"), None);
    }

    #[test]
    fn what_is_to_be_written_is_the_sum_of_two_lines() {
        let text =
            "MemTotal: 9 kB\nDirty:              1200 kB\nWriteback:            34 kB\nWritebackTmp: 5 kB\n";
        assert_eq!(dirty(text), 1234);
        assert_eq!(dirty("Dirty: 1 kB\n"), u64::MAX);
        assert_eq!(dirty(""), u64::MAX);
    }

    #[test]
    fn watches_have_a_bound_and_the_last_ones_make_room() {
        let watches = Watches::default();
        let open = || File::open(std::env::temp_dir());
        let begun: Vec<Watch> = (0..MAX_WATCHES).map_while(|_| watches.begin(open)).collect();
        if begun.is_empty() {
            // Not a file system that is known.
            return;
        }
        assert_eq!(begun.len(), MAX_WATCHES);
        assert!(watches.begin(open).is_none());
        drop(begun);
        assert!(watches.begin(|| Err(io::ErrorKind::NotFound.into())).is_none());
        assert!(watches.begin(open).is_some());
        assert_eq!(watches.count.load(Ordering::Relaxed), 0);
    }
}
