//! Looking for files that are watched for.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use periwinkle_core::aws::s3::{KeyTemplate, ObjectKey, TemplateError};
use periwinkle_core::config::Watch;
use periwinkle_core::limits;
use periwinkle_core::time::UnixMillis;
use periwinkle_core::upload::{Identity, PathPattern, Settling};
use periwinkle_core::value::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::error::UploadError;
use super::hub::{Hub, Wanted};
use super::row::UPLOAD_FILE;
use super::source::identity_of;

/// All patterns, with what was seen of their files.
#[derive(Debug)]
pub(super) struct Looks {
    watched: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    watch: Watch,
    keys: KeyTemplate,
    settling: Settling,
    /// The log knows that there is more than one look reads.
    cut_told: bool,
}

/// What one look at a pattern found.
#[derive(Debug, Default)]
struct Found {
    files: Vec<(String, Identity)>,
    /// Names that are not UTF-8, which no key can hold.
    unusable: u64,
    /// Not everything was seen: there is more than one look reads.
    cut: bool,
}

impl Looks {
    pub(super) fn new(watches: &[Watch]) -> Looks {
        let watched = watches.iter().map(|watch| Watched {
            watch: watch.clone(),
            keys: watch.key.template(),
            settling: Settling::new(watch.min_age),
            cut_told: false,
        });
        Looks {
            watched: watched.collect(),
        }
    }

    /// Looks at every pattern and puts what is at rest, and was not taken before, into the queue.
    /// Gives when to look again, if that is known.
    ///
    /// Dropping the future may leave files for the next look.
    pub(super) async fn look(looks: &Arc<Mutex<Looks>>, hub: &Arc<Hub>) -> Option<Duration> {
        let patterns: Vec<PathPattern> = {
            let looks = looks.lock().expect("no holder of the looks panics");
            looks
                .watched
                .iter()
                .map(|watched| watched.watch.pattern.clone())
                .collect()
        };
        let (mut soonest, mut unusable) = (None, 0);
        for (at, pattern) in patterns.into_iter().enumerate() {
            let found = spawn_blocking(move || list(&pattern)).await;
            let Ok(found) = found else {
                continue;
            };
            unusable += found.unusable;
            let now = hub.clock.mono();
            let (rested, watch, keys, next) = {
                let mut looks = looks.lock().expect("no holder of the looks panics");
                let watched = &mut looks.watched[at];
                if found.cut && !watched.cut_told {
                    let pattern = &watched.watch.pattern;
                    tracing::warn!(
                        "{pattern} leads to more than {} entries; the others wait",
                        limits::UPLOAD_LOOK_ENTRIES_MAX
                    );
                }
                watched.cut_told = found.cut;
                let rested = watched.settling.handle_look(found.files, now);
                let next = watched.settling.poll_timeout(now);
                (rested, watched.watch.clone(), watched.keys.clone(), next)
            };
            let next = next.map(|at| at.since(now));
            soonest = [soonest, next].into_iter().flatten().min();
            unusable += take_rested(hub, &watch, &keys, rested).await;
        }
        let counter = &hub.counters.files_unusable;
        counter.store(unusable, Ordering::Relaxed);
        soonest
    }
}

/// Gives how many cannot be taken.
async fn take_rested(
    hub: &Hub,
    watch: &Watch,
    keys: &KeyTemplate,
    rested: Vec<(String, Identity)>,
) -> u64 {
    let (mut taken, mut unusable) = (0, 0);
    for (path, identity) in rested {
        match take(hub, watch, keys, &path, identity).await {
            Ok(true) => taken += 1,
            Ok(false) => {}
            // The file stays where it is; a later look finds it again.
            Err(UploadError::Full(_)) => break,
            Err(error) => {
                tracing::debug!("{path} is not taken: {error}");
                unusable += 1;
            }
        }
        if taken >= limits::UPLOAD_LOOK_TAKES_MAX {
            break;
        }
    }
    unusable
}

/// Takes a file unless it was taken as it is now.
async fn take(
    hub: &Hub,
    watch: &Watch,
    keys: &KeyTemplate,
    path: &str,
    identity: Identity,
) -> Result<bool, UploadError> {
    let whole = whole_path(watch.pattern.base(), path);
    let file = whole.to_string_lossy().into_owned();
    let id = file_id(&file);
    let known = hub.db.get(UPLOAD_FILE, &Map::from([("id", id.as_str())]))?;
    if known.is_some_and(|known| known.text("identity") == Some(&identity.to_string())) {
        return Ok(false);
    }
    let wanted = Wanted {
        bucket: match &watch.bucket {
            Some(bucket) => bucket.as_str().to_owned(),
            None => hub.default_bucket()?,
        },
        key: key(hub, keys, path, identity)?,
        priority: watch.priority,
        content_type: None,
        remove: watch.remove,
    };
    let mut note = Map::from([
        ("id", Value::from(id)),
        ("file", Value::from(file)),
        ("identity", Value::from(identity.to_string())),
    ]);
    if let Some(now) = hub.trusted_ms() {
        note.insert("taken_ms", now);
    }
    hub.enqueue(wanted, &whole, Some(note)).await?;
    Ok(true)
}

/// What a file is known by in the database, however long its path is.
pub(super) fn file_id(file: &str) -> String {
    let hash = Sha256::digest(file.as_bytes());
    hash[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn whole_path(base: &str, path: &str) -> PathBuf {
    let base = std::path::absolute(base).unwrap_or_else(|_| PathBuf::from(base));
    base.join(path)
}

/// The time in a key is that of the file: it says when the data was made, and is the same however
/// often the file is looked at.
fn key(
    hub: &Hub,
    keys: &KeyTemplate,
    path: &str,
    identity: Identity,
) -> Result<ObjectKey, TemplateError> {
    let at = UnixMillis(identity.modified_s.saturating_mul(1000));
    fill(keys, hub, path, at)
}

/// Fills a template for something of this name.
pub(super) fn fill(
    keys: &KeyTemplate,
    hub: &Hub,
    path: &str,
    at: UnixMillis,
) -> Result<ObjectKey, TemplateError> {
    let iso = at.iso();
    let (date, time) = iso.split_once('T').unwrap_or((&iso, ""));
    let time: String = time.chars().filter(char::is_ascii_digit).take(6).collect();
    let name = path.rsplit('/').next().unwrap_or(path);
    let id = hub.new_id();
    keys.key(|variable| match variable {
        "deviceId" => Some(hub.device.as_str()),
        "date" => Some(date),
        "time" => Some(time.as_str()),
        "name" => Some(name),
        "path" => Some(path),
        "id" => Some(id.as_str()),
        _ => None,
    })
}

/// The files that a pattern names. Links are neither followed nor taken: who may write to a folder
/// that is watched must not choose other files of the device.
fn list(pattern: &PathPattern) -> Found {
    let mut found = Found::default();
    let mut entries = 0;
    let mut folders = vec![(String::new(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let place = Path::new(pattern.base()).join(&folder);
        // A folder that is not there yet, or not for us, holds nothing.
        let Ok(list) = fs::read_dir(&place) else {
            continue;
        };
        for entry in list.filter_map(Result::ok) {
            entries += 1;
            if entries > limits::UPLOAD_LOOK_ENTRIES_MAX {
                found.cut = true;
                return found;
            }
            let (Ok(kind), name) = (entry.file_type(), entry.file_name()) else {
                continue;
            };
            let Some(name) = name.to_str() else {
                found.unusable += 1;
                continue;
            };
            let path = match folder.is_empty() {
                true => name.to_owned(),
                false => format!("{folder}/{name}"),
            };
            if kind.is_dir() {
                let deep = depth >= limits::UPLOAD_LOOK_DEPTH_MAX;
                if !deep && pattern.may_lead_to(&path) {
                    folders.push((path, depth + 1));
                }
            } else if kind.is_file()
                && pattern.matches(&path)
                && let Ok(metadata) = entry.metadata()
            {
                found.files.push((path, identity_of(&metadata)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str, folder: &Path) -> Vec<String> {
        let text = folder.join(pattern).to_string_lossy().into_owned();
        let pattern = PathPattern::parse(&text).expect("it is one");
        let found = list(&pattern);
        let mut names: Vec<String> = found.files.into_iter().map(|(name, _)| name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_look_finds_what_the_pattern_names_and_follows_no_link() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path();
        fs::create_dir_all(path.join("a/b")).expect("it is ours");
        for name in ["x.jpg", "x.png", ".x.jpg", "a/y.jpg", "a/b/z.jpg"] {
            fs::write(path.join(name), b"x").expect("it is ours");
        }
        std::os::unix::fs::symlink("/etc/hostname", path.join("link.jpg")).expect("it is ours");
        std::os::unix::fs::symlink("/etc", path.join("etc")).expect("it is ours");
        assert_eq!(names("*.jpg", path), ["x.jpg"]);
        assert_eq!(names("**/*.jpg", path), ["a/b/z.jpg", "a/y.jpg", "x.jpg"]);
        assert_eq!(names("*/*.jpg", path), ["a/y.jpg"]);
        assert_eq!(names("*/hostname", path), Vec::<String>::new());
        assert_eq!(names("none/*", path), Vec::<String>::new());
    }

    #[test]
    fn a_look_enters_as_many_folders_below_each_other_as_the_bound_says() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let at = |depth: usize| {
            let deep = folder.path().join(vec!["d"; depth].join("/"));
            fs::create_dir_all(&deep).expect("it is ours");
            fs::write(deep.join("f"), b"x").expect("it is ours");
        };
        at(limits::UPLOAD_LOOK_DEPTH_MAX);
        assert_eq!(names("**/f", folder.path()).len(), 1);
        at(limits::UPLOAD_LOOK_DEPTH_MAX + 1);
        assert_eq!(names("**/f", folder.path()).len(), 1);
    }

    #[test]
    fn a_file_is_known_by_its_path() {
        assert_eq!(file_id("/a").len(), 32);
        assert_eq!(file_id("/a"), file_id("/a"));
        assert_ne!(file_id("/a"), file_id("/b"));
    }
}
