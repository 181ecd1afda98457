//! Free space on the disk.

use std::path::Path;

/// Free bytes for ordinary users on the file system of `folder`; `None` if unknown.
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

/// Whether this many more bytes fit; yes if unknown.
pub(super) fn has_room(folder: &Path, bytes: u64) -> bool {
    free_bytes(folder).is_none_or(|free| free > bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_room_for_nothing_and_not_for_everything() {
        let folder = std::env::temp_dir();
        assert!(has_room(&folder, 0));
        assert!(!has_room(&folder, u64::MAX));
    }

    #[test]
    fn free_space_is_in_bytes_and_agrees_with_df() {
        let folder = std::env::temp_dir();
        let df = std::process::Command::new("df").args(["-P", "-k"]).arg(&folder).output().unwrap();
        let report = String::from_utf8(df.stdout).unwrap();
        let kibibytes = report.lines().nth(1).unwrap().split_whitespace().nth(3).unwrap();
        let wanted = kibibytes.parse::<u64>().unwrap() * 1024;
        // Others may write in between.
        let free = free_bytes(&folder).unwrap();
        assert!(free > wanted / 2 && free / 2 < wanted, "{free} for {wanted}");
    }

    #[test]
    fn unknown_space_counts_as_room() {
        let nowhere = Path::new("/nowhere/at/all");
        assert_eq!(free_bytes(nowhere), None);
        assert!(has_room(nowhere, u64::MAX));
    }
}
