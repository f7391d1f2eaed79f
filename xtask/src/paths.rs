//! Where things are, from the root of the repository.

use std::path::{Path, PathBuf};

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies one level below the root")
}

/// What `setup` installed for this repository alone; not committed.
pub(crate) fn tools() -> PathBuf {
    root().join(".test")
}

/// Scripts and lists that the verbs and the black-box tests use.
pub(crate) fn assets() -> PathBuf {
    root().join("xtask/assets")
}

/// The console's sources.
pub(crate) fn console() -> PathBuf {
    root().join("console")
}

/// A program of the emulator's Python environment.
pub(crate) fn emulator_bin(name: &str) -> PathBuf {
    tools().join("venv-emulator/bin").join(name)
}

/// A program of the judges' Python environment.
pub(crate) fn judges_bin(name: &str) -> PathBuf {
    tools().join("venv-judges/bin").join(name)
}

pub(crate) fn node_modules() -> PathBuf {
    tools().join("node/node_modules")
}

/// A program built with this cargo profile.
pub(crate) fn built(profile: &str, name: &str) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target
        .join(if profile == "dev" { "debug" } else { profile })
        .join(name)
}

/// As it is typed at the root of the repository.
pub(crate) fn below_root(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}
