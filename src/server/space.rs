//! Free space on the disk.

use std::path::Path;
use std::process::{Command, Stdio};

/// Free bytes for ordinary users on the file system of `folder`; none where `df` cannot tell.
///
/// std has no `statvfs(3)`, and this crate forbids `unsafe`, so the question goes to `df -P` (POSIX),
/// whose fourth column is the free space in units of 1024 bytes. It is asked for STATUS and before large
/// pieces, where a process more does not count.
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    let output = Command::new("df")
        .args(["-P", "-k", "--"])
        .arg(folder)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    parse(std::str::from_utf8(&output.stdout).ok()?)
}

/// Whether so many bytes more fit; yes where it cannot be told.
pub(super) fn has_room(folder: &Path, bytes: u64) -> bool {
    free_bytes(folder).is_none_or(|free| free > bytes)
}

fn parse(report: &str) -> Option<u64> {
    let line = report.lines().nth(1)?;
    let kibibytes: u64 = line.split_whitespace().nth(3)?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fourth_column_counts() {
        let report = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/x 100 40 60 40% /\n";
        assert_eq!(parse(report), Some(60 * 1024));
        assert_eq!(parse(""), None);
        assert_eq!(parse("a\nb c"), None);
    }
}
