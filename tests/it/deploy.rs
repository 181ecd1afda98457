//! docs/DEPLOY.md, followed from top to bottom on hosts made of namespaces, if that is permitted.

use std::path::Path;
use std::process::Command;

/// The exit status of the script if it cannot do its work.
const SKIPPED: i32 = 77;

#[test]
fn the_page_about_four_real_machines_can_be_followed() {
    let output = Command::new("bash")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/deploy-check.sh"))
        .env("SERVER", env!("CARGO_BIN_EXE_Server"))
        .env("CLIENT", env!("CARGO_BIN_EXE_Client"))
        .output()
        .unwrap();
    let printed =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    match output.status.code() {
        Some(0) => {}
        Some(SKIPPED) => println!("{printed}"),
        _ => panic!("{printed}"),
    }
}
