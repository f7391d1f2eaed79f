//! The reference of all keys, as a page of the guide.

use std::fmt::Write;

use super::keys::{Key, SECTIONS, Section};
use super::table::Field;

const HEAD: &str = "\
# Configuration

<!-- Written by `periwinkle check --reference`. Change crates/core/src/config/keys.rs instead. -->

The agent reads one file, `periwinkle.toml`. Everything has a default: without a file, or with an
empty one, it runs. An unknown key, a wrong unit or an impossible combination stops the start with
the file, the line and the nearest valid key. `periwinkle check` shows the effective value of each
key and where it comes from.

A value comes from the strongest of these, weakest first:

1. the default;
2. its section in the file: `[web]`;
3. the same section of the chosen profile: `[profile.prod.web]`, chosen by `--profile prod` or
   `PERIWINKLE_PROFILE=prod`;
4. the environment: `PERIWINKLE_WEB__LISTEN`, lists with commas;
5. the command line: `--set web.listen=http://127.0.0.1:9000`.

Sizes are written as `\"20 MB\"` (powers of 1000) or `\"64 KiB\"` (powers of 1024), times as `\"200 ms\"`,
`\"10 s\"`, `\"5 mins\"`, `\"1 day\"`. Where a key may be unset, an empty text takes an earlier value back.
Relative paths in the file start from the file's directory, all others from where the agent starts.
";

/// The reference as Markdown: one section of the page for each section of the file.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for section in SECTIONS {
        write_section(&mut page, section).expect("a String takes all text");
    }
    page
}

fn write_section(page: &mut String, section: &Section) -> std::fmt::Result {
    writeln!(page, "\n## [{}]\n\n{}", section.name, sentence(section.doc))?;
    if let Some(feature) = section.feature {
        writeln!(page, "Needs the feature `{feature}`.")?;
    }
    for key in section.keys {
        write_key(page, key)?;
    }
    Ok(())
}

fn write_key(page: &mut String, key: &Key) -> std::fmt::Result {
    writeln!(page, "\n### `{}`\n\n{}\n", key.path, sentence(key.doc))?;
    writeln!(page, "- {}", capital(key.kind))?;
    if let Some((least, most)) = (key.bounds)() {
        writeln!(page, "- From `{least}` to `{most}`")?;
    }
    match (key.default)() {
        Some(default) => writeln!(page, "- Default: `{default}`")?,
        None => writeln!(page, "- Default: unset")?,
    }
    for (index, fields) in key.tables.iter().enumerate() {
        let whose = if index == 0 { "Keys of a table" } else { "Or" };
        writeln!(page, "\n{whose}:\n")?;
        for field in *fields {
            write_field(page, field)?;
        }
    }
    Ok(())
}

fn write_field(page: &mut String, field: &Field) -> std::fmt::Result {
    let needed = if (field.is_needed)() { " (needed)" } else { "" };
    let (does, kind) = (sentence(field.doc), capital(field.kind));
    write!(page, "- `{}`{needed}: {does} {kind}", field.name)?;
    if let Some((least, most)) = (field.bounds)() {
        write!(page, ", from `{least}` to `{most}`")?;
    }
    match (field.default)() {
        Some(default) => writeln!(page, ". Default: `{default}`."),
        None => writeln!(page, "."),
    }
}

/// A doc comment as one line of text.
fn sentence(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
