//! The console in a real browser, on the real agent.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::agent::Home;

/// Walks setup, login, home, data, replication, uploads and users; `console/test/browser.mjs` says what it
/// asserts at each step.
#[test]
fn an_owner_walks_through_the_console() {
    let agent = Home::with("[metrics]\ninterval = \"250 ms\"\n").start();
    let console = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../console");
    assert!(
        console.join("node_modules").exists(),
        "the console's packages are missing: run `cargo xtask test`, or once `cargo xtask setup`"
    );
    let shots = agent.home().path().join("shots");
    let output = Command::new("node")
        .arg(console.join("test/browser.mjs"))
        .arg("--url")
        .arg(format!("http://{}", agent.address))
        .arg("--code")
        .arg(agent.setup_code().trim())
        .arg("--shots")
        .arg(std::env::var_os("PERIWINKLE_TEST_SHOTS").map_or(shots, Into::into))
        .stdin(Stdio::null())
        .output()
        .expect("node runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
