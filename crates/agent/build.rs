//! Stamps the build time and embeds the console's bundle as a static table.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

fn main() {
    stamp_build_time();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let table = match env::var_os("CARGO_FEATURE_CONSOLE") {
        Some(_) => embed(Path::new("src/console/dist"), &out),
        None => String::from("&[]"),
    };
    fs::write(out.join("console_assets.rs"), table).expect("OUT_DIR is writable");
}

/// `SOURCE_DATE_EPOCH` makes builds reproducible, as its specification asks.
fn stamp_build_time() {
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-changed=src/console/dist");
    println!("cargo::rerun-if-changed=build.rs");
    let seconds = env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|text| text.parse().ok());
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    };
    println!(
        "cargo::rustc-env=PERIWINKLE_BUILD_UNIX={}",
        seconds.unwrap_or_else(now)
    );
}

/// A sorted table of the bundle's files: path, body, gzip body when it is smaller, entity tag.
fn embed(dist: &Path, out: &Path) -> String {
    let mut files = Vec::new();
    collect(dist, dist, &mut files);
    files.sort();
    let mut table = String::from("&[\n");
    for (index, (name, path)) in files.iter().enumerate() {
        let body = fs::read(path).expect("a listed file can be read");
        let tag = Sha256::digest(&body)
            .iter()
            .take(12)
            .fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            });
        let packed = gzip(&body);
        let gzip = if packed.len() < body.len() {
            let file = out.join(format!("console_{index}.gz"));
            fs::write(&file, packed).expect("OUT_DIR is writable");
            format!("Some(include_bytes!({file:?}))")
        } else {
            String::from("None")
        };
        let full = fs::canonicalize(path).expect("a listed file has a path");
        let _ = writeln!(
            table,
            "Asset {{ path: {name:?}, body: include_bytes!({full:?}), gzip: {gzip}, tag: {tag:?} }},"
        );
    }
    table.push(']');
    table
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("a folder of the sources can be listed").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).expect("it lies below the root");
            files.push((format!("/{}", name.display()), path));
        }
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder
        .write_all(body)
        .expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail")
}
