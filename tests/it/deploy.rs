//! docs/DEPLOY.md, followed from top to bottom on hosts made of namespaces, where that is permitted.

use std::path::Path;
use std::process::Command;

/// What the script exits with where it cannot do its work.
const SKIPPED: i32 = 77;

#[test]
fn the_page_about_four_real_machines_can_be_followed() {
    let output = Command::new("bash")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/deploy-check.sh"))
        .env("SERVER", env!("CARGO_BIN_EXE_Server"))
        .env("CLIENT", env!("CARGO_BIN_EXE_Client"))
        .output()
        .unwrap();
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    match output.status.code() {
        Some(0) => {}
        Some(SKIPPED) => println!("{said}"),
        _ => panic!("{said}"),
    }
}
