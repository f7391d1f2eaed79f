//! Sizes of the binaries that are shipped, against the bars of the design.

use std::fs;

use anyhow::{Result, bail};

use crate::command::{cargo, show};
use crate::{lint, paths};

/// A build of the agent as it is shipped.
pub(crate) struct Build {
    pub(crate) name: &'static str,
    selection: &'static [&'static str],
    bytes_max: u64,
}

pub(crate) const FULL: Build = Build {
    name: "full",
    selection: &["--package", "periwinkle"],
    bytes_max: 5_000_000,
};
pub(crate) const WEB: Build = Build {
    name: "web-only",
    selection: lint::WEB_ONLY,
    bytes_max: 3_200_000,
};

impl Build {
    /// Builds it, and keeps it apart from the other under its own name.
    pub(crate) fn make(&self) -> Result<std::path::PathBuf> {
        show(cargo(&["build", "--profile", "dist", "--bin", "periwinkle"]).args(self.selection))?;
        let kept = paths::built("dist", &format!("periwinkle-{}", self.name));
        fs::copy(paths::built("dist", "periwinkle"), &kept)?;
        Ok(kept)
    }
}

pub(crate) fn run() -> Result<()> {
    let mut over = Vec::new();
    let mut rows = Vec::new();
    for build in [FULL, WEB] {
        let bytes = fs::metadata(build.make()?)?.len();
        rows.push(format!(
            "{:10} {bytes:>10} bytes of at most {:>9}",
            build.name, build.bytes_max
        ));
        if bytes > build.bytes_max {
            over.push(build.name);
        }
    }
    println!("\n{}", rows.join("\n"));
    if !over.is_empty() {
        bail!("over its bar: {}", over.join(", "));
    }
    Ok(())
}
