//! The Debian package of the programs of this build, unpacked below a folder of its own.

use crate::common::disk::{TempFolder, files_below};
use crate::common::process::run;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The exit status of the script if this machine has no dpkg-deb.
const SKIPPED: i32 = 77;

/// Builds the package in a folder; none where that is not possible.
fn build(folder: &Path) -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/deb.sh");
    let mut command = Command::new("bash");
    command
        .args([&script, folder])
        .env("SERVER", env!("CARGO_BIN_EXE_Server"))
        .env("CLIENT", env!("CARGO_BIN_EXE_Client"))
        // To compress it takes most of the time.
        .env("DPKG_DEB_COMPRESSOR_TYPE", "none");
    let outcome = run(&mut command, "");
    if outcome.status == SKIPPED {
        println!("{}", outcome.stdout);
        return None;
    }
    let package = PathBuf::from(outcome.succeeds().stdout.trim_end());
    assert!(package.starts_with(folder));
    Some(package)
}

#[test]
fn the_debian_package_has_programs_pages_and_units_and_they_work_where_they_are_unpacked() {
    let home = TempFolder::new();
    let Some(package) = build(home.path()) else { return };
    let root = home.path().join("root");
    run(Command::new("dpkg-deb").arg("-x").args([&package, &root]), "").succeeds();
    let version = env!("CARGO_PKG_VERSION");
    for (program, name) in [("shareit", "Client"), ("shareit-server", "Server")] {
        let outcome = run(Command::new(root.join("usr/bin").join(program)).arg("--version"), "");
        assert!(outcome.stdout.trim_end().ends_with(&format!("(ShareIt) {version}")), "{name}: {outcome}");
    }
    let all = files_below(&root);
    for page in ["man1/shareit.1", "man5/shareit.conf.5", "man8/shareit-server.8"] {
        run(Command::new("gzip").arg("-t").arg(root.join(format!("usr/share/man/{page}.gz"))), "").succeeds();
    }
    let units: Vec<&String> = all.iter().filter(|file| file.starts_with("usr/lib/systemd/")).collect();
    let mut names: Vec<&str> = units.iter().filter_map(|file| file.rsplit('/').next()).collect();
    let mut dist = files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("dist"));
    names.sort_unstable();
    dist.sort_unstable();
    assert_eq!(names, dist);
    for file in units {
        let unit = fs::read_to_string(root.join(file)).unwrap();
        assert!(!unit.contains("/usr/local"), "{file} runs what is not in the package");
    }
    let copyright = fs::read_to_string(root.join("usr/share/doc/shareit/copyright")).unwrap();
    assert!(copyright.contains("Copyright: 2") && copyright.contains("WITHOUT WARRANTY"), "{copyright}");
    let field = |name: &str| run(Command::new("dpkg-deb").arg("-f").arg(&package).arg(name), "").stdout;
    assert_eq!(field("Package").trim_end(), "shareit");
    assert_eq!(field("Version").trim_end(), version);
    assert!(field("Depends").contains("passwd"), "{}", field("Depends"));
    for script in ["postinst", "prerm", "postrm"] {
        let text =
            run(Command::new("dpkg-deb").args(["-I".as_ref(), package.as_os_str(), script.as_ref()]), "");
        run(Command::new("sh").arg("-n"), &text.succeeds().stdout).succeeds();
    }
}
