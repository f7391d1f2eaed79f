//! API documentation, and the links between the pages of the repository.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::command::{cargo, show};
use crate::{paths, tidy};

pub(crate) fn run() -> Result<()> {
    let mut command = cargo(&[
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ]);
    show(command.env("RUSTDOCFLAGS", "-D warnings"))?;
    let broken = broken_links()?;
    if !broken.is_empty() {
        bail!("links to pages that do not exist:\n{}", broken.join("\n"));
    }
    Ok(())
}

fn broken_links() -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for page in tidy::tracked_files()?
        .iter()
        .filter(|path| path.ends_with(".md"))
    {
        let path = paths::root().join(page);
        for target in links(&fs::read_to_string(&path)?) {
            let folder = path.parent().unwrap_or(Path::new("."));
            if !folder.join(&target).exists() {
                broken.push(format!("{page}: {target}"));
            }
        }
    }
    Ok(broken)
}

/// The relative targets of `[text](target)`, without their fragments.
fn links(text: &str) -> Vec<String> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split(['#', ' ']).next().unwrap_or_default())
        .filter(|target| {
            !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:")
        })
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::links;

    #[test]
    fn only_relative_targets_are_links_to_pages() {
        let text =
            "[a](docs/a.md) [b](https://example.com/b.md) [c](#c) [d](d.md#part) ![e](e.svg)";
        assert_eq!(links(text), ["docs/a.md", "d.md", "e.svg"]);
    }
}
