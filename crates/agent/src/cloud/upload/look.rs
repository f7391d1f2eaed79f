//! Looking for files that are watched for.

use std::fs;
use std::iter::{Flatten, Peekable};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use periwinkle_core::aws::s3::{KeyTemplate, ObjectKey, TemplateError};
use periwinkle_core::config::Watch;
use periwinkle_core::limits;
use periwinkle_core::time::{Mono, UnixMillis};
use periwinkle_core::upload::{Identity, PathPattern, Settling};
use periwinkle_core::value::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::error::UploadError;
use super::hub::{Hub, Taken, Wanted};
use super::row::UPLOAD_FILE;
use super::source::{Volume, identity_of};

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
    /// How many entries one look reads.
    entries_max: usize,
    /// The walk that the last looks did not end.
    walk: Option<Walk>,
    page: Option<Page>,
    /// The log knows that there is more than one look reads.
    cut_told: bool,
}

/// What one look read of more than it can read. Looks stay with it until each of its files could
/// come to rest, then go on behind it: so every file has its turn, in bounded memory.
#[derive(Clone, Copy, Debug)]
struct Page {
    since: Mono,
    unusable: u64,
    /// What was at rest was taken.
    done: bool,
}

/// What a look does with the disk.
#[derive(Debug)]
enum Errand {
    /// Reads on.
    Read(Walk),
    /// Looks at these files again, below this folder.
    Again(PathBuf, Vec<String>),
}

/// What one look at a pattern found.
#[derive(Debug, Default)]
struct Found {
    files: Vec<(String, Identity)>,
    /// Names that are not UTF-8, which no key can hold.
    unusable: u64,
    /// Where it reads on; `None` when it came to the end, or was not reading.
    walk: Option<Walk>,
    /// It looked at files again.
    again: bool,
}

/// What a look leads to.
#[derive(Debug)]
struct Rested {
    files: Vec<(String, Identity)>,
    unusable: u64,
    /// When the next file comes to rest.
    next: Option<Mono>,
}

impl Looks {
    pub(super) fn new(watches: &[Watch]) -> Looks {
        Looks {
            watched: watches.iter().map(Watched::new).collect(),
        }
    }

    /// Looks at every pattern and puts what is at rest, and was not taken before, into the queue.
    /// Gives when to look again, if that is known.
    ///
    /// Dropping the future may leave files for the next look.
    pub(super) async fn look(looks: &Arc<Mutex<Looks>>, hub: &Arc<Hub>) -> Option<Duration> {
        let with = |at: usize| {
            let guard = looks.lock().expect("no holder of the looks panics");
            (at < guard.watched.len()).then_some(guard)
        };
        let (mut soonest, mut unusable) = (None, 0);
        for at in 0.. {
            let Some(errand) = with(at).map(|mut looks| looks.watched[at].errand()) else {
                break;
            };
            let Ok(found) = spawn_blocking(move || errand.run()).await else {
                continue;
            };
            let now = hub.clock.mono();
            let looked = with(at).map(|mut looks| {
                let watched = &mut looks.watched[at];
                let rested = watched.handle_found(found, now);
                (rested, watched.watch.clone(), watched.keys.clone())
            });
            let (rested, watch, keys) = looked.expect("there are as many as before");
            let next = rested.next.map(|at| at.since(now));
            soonest = [soonest, next].into_iter().flatten().min();
            let (bad, all) = take_rested(hub, &watch, &keys, rested.files).await;
            unusable += rested.unusable + bad;
            if all && let Some(mut looks) = with(at) {
                looks.watched[at].handle_taken(now);
            }
        }
        let counter = &hub.counters.files_unusable;
        counter.store(unusable, Ordering::Relaxed);
        soonest
    }
}

impl Watched {
    fn new(watch: &Watch) -> Watched {
        Watched {
            watch: watch.clone(),
            keys: watch.key.template(),
            settling: Settling::new(watch.min_age),
            entries_max: limits::UPLOAD_LOOK_ENTRIES_MAX,
            walk: None,
            page: None,
            cut_told: false,
        }
    }

    fn errand(&mut self) -> Errand {
        if self.page.is_some_and(|page| !page.done) {
            let paths = self.settling.paths().map(str::to_owned).collect();
            return Errand::Again(self.watch.pattern.base().into(), paths);
        }
        let begin = || Walk::begin(&self.watch.pattern, self.entries_max);
        Errand::Read(self.walk.take().unwrap_or_else(begin))
    }

    fn handle_found(&mut self, found: Found, now: Mono) -> Rested {
        if !found.again {
            // What one look reads from its beginning to its end is no page.
            let in_pages = self.page.is_some() || found.walk.is_some();
            self.page = in_pages.then_some(Page {
                since: now,
                unusable: found.unusable,
                done: false,
            });
            self.walk = found.walk;
            self.tell_of_pages();
        }
        Rested {
            files: self.settling.handle_look(found.files, now),
            unusable: self.page.map_or(found.unusable, |page| page.unusable),
            next: self.settling.poll_timeout(now),
        }
    }

    /// All that was at rest at `now` was taken.
    fn handle_taken(&mut self, now: Mono) {
        let rest = self.watch.min_age;
        if let Some(page) = self.page.as_mut().filter(|page| now >= page.since + rest) {
            page.done = true;
            if self.walk.is_none() {
                self.page = None;
            }
        }
    }

    fn tell_of_pages(&mut self) {
        if self.walk.is_some() && !self.cut_told {
            tracing::warn!(
                "{} leads to more than {} entries; each look reads so many, and the next goes on",
                self.watch.pattern,
                self.entries_max
            );
        }
        self.cut_told = self.page.is_some();
    }
}

/// Gives how many cannot be taken, and whether all others were.
async fn take_rested(
    hub: &Hub,
    watch: &Watch,
    keys: &KeyTemplate,
    rested: Vec<(String, Identity)>,
) -> (u64, bool) {
    let (mut taken, mut unusable) = (0, 0);
    for (path, identity) in rested {
        if taken >= limits::UPLOAD_LOOK_TAKES_MAX {
            return (unusable, false);
        }
        match take(hub, watch, keys, &path, identity).await {
            Ok(true) => taken += 1,
            Ok(false) => {}
            // The file stays where it is; a later look finds it again.
            Err(UploadError::Full(_)) => return (unusable, false),
            // It has to come to rest again.
            Err(UploadError::Changed(_)) => {}
            Err(error) => {
                tracing::debug!("{path} is not taken: {error}");
                unusable += 1;
            }
        }
    }
    (unusable, true)
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
    hub.enqueue(wanted, &whole, Some(Taken { note, identity }))
        .await?;
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

impl Errand {
    /// Waits for the disk.
    fn run(self) -> Found {
        match self {
            Errand::Read(walk) => walk.read(),
            Errand::Again(base, paths) => Found {
                files: paths
                    .into_iter()
                    .filter_map(|path| {
                        let whole = base.join(&path);
                        let metadata = fs::symlink_metadata(&whole).ok()?;
                        let identity = identity_of(&metadata, Volume::of(&whole));
                        metadata.is_file().then_some((path, identity))
                    })
                    .collect(),
                again: true,
                ..Found::default()
            },
        }
    }
}

/// A way through the folders below a pattern's base, which can be interrupted: the folders that it
/// is in stay open, at most as many as it may go down.
#[derive(Debug)]
struct Walk {
    pattern: PathPattern,
    entries_max: usize,
    open: Vec<Folder>,
}

#[derive(Debug)]
struct Folder {
    /// Relative to the base; empty for the base itself.
    path: String,
    /// What a file relies on that lies in it, on the same device.
    volume: Volume,
    device: Option<u64>,
    entries: Peekable<Flatten<fs::ReadDir>>,
}

impl Walk {
    fn begin(pattern: &PathPattern, entries_max: usize) -> Walk {
        let mut walk = Walk {
            pattern: pattern.clone(),
            entries_max,
            open: Vec::new(),
        };
        walk.enter(String::new());
        walk
    }

    fn enter(&mut self, path: String) {
        // A folder that is not there yet, or not for us, holds nothing.
        let whole = Path::new(self.pattern.base()).join(&path);
        if let Ok(list) = fs::read_dir(&whole) {
            self.open.push(Folder {
                path,
                volume: Volume::of(&whole),
                device: fs::metadata(&whole).ok().map(|folder| folder.dev()),
                entries: list.flatten().peekable(),
            });
        }
    }

    /// The files that the pattern names among as many entries as one look reads. Links are neither
    /// followed nor taken: who may write to a folder that is watched must not choose other files
    /// of the device.
    fn read(mut self) -> Found {
        let mut found = Found::default();
        let mut entries = 0;
        while self.leave_ended() {
            if entries == self.entries_max {
                found.walk = Some(self);
                break;
            }
            entries += 1;
            self.read_one(&mut found);
        }
        found
    }

    /// Leaves the folders that were read to their end; whether one is left.
    fn leave_ended(&mut self) -> bool {
        while let Some(folder) = self.open.last_mut() {
            if folder.entries.peek().is_some() {
                return true;
            }
            self.open.pop();
        }
        false
    }

    fn read_one(&mut self, found: &mut Found) {
        let depth = self.open.len() - 1;
        let folder = self.open.last_mut().expect("one was left");
        let Some(entry) = folder.entries.next() else {
            return;
        };
        let (Ok(kind), name) = (entry.file_type(), entry.file_name()) else {
            return;
        };
        let Some(name) = name.to_str() else {
            found.unusable += 1;
            return;
        };
        let path = match folder.path.is_empty() {
            true => name.to_owned(),
            false => format!("{}/{name}", folder.path),
        };
        if kind.is_dir() {
            if depth < limits::UPLOAD_LOOK_DEPTH_MAX && self.pattern.may_lead_to(&path) {
                self.enter(path);
            }
        } else if kind.is_file()
            && self.pattern.matches(&path)
            && let Ok(metadata) = entry.metadata()
        {
            let volume = match folder.device == Some(metadata.dev()) {
                true => folder.volume,
                false => Volume::of(&entry.path()),
            };
            found.files.push((path, identity_of(&metadata, volume)));
        }
    }
}

#[cfg(test)]
mod tests {
    use periwinkle_core::config::ObjectKeys;

    use super::*;

    fn names(pattern: &str, folder: &Path) -> Vec<String> {
        let text = folder.join(pattern).to_string_lossy().into_owned();
        let pattern = PathPattern::parse(&text).expect("it is one");
        let found = Walk::begin(&pattern, limits::UPLOAD_LOOK_ENTRIES_MAX).read();
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

    fn watched(folder: &Path, entries_max: usize) -> Watched {
        let pattern = folder.join("**/*").to_string_lossy().into_owned();
        Watched {
            entries_max,
            ..Watched::new(&Watch {
                pattern: PathPattern::parse(&pattern).expect("it is one"),
                bucket: None,
                key: ObjectKeys::default(),
                remove: false,
                min_age: Duration::from_secs(10),
                priority: 5,
            })
        }
    }

    /// What is at rest at this time, and taken.
    fn look(watched: &mut Watched, seconds: u64) -> Vec<String> {
        let now = Mono::from_start(Duration::from_secs(seconds));
        let found = watched.errand().run();
        let rested = watched.handle_found(found, now);
        watched.handle_taken(now);
        rested.files.into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn looks_at_more_than_one_can_read_come_to_every_file() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path();
        fs::create_dir(path.join("sub")).expect("it is ours");
        let mut names: Vec<String> = (0..8).map(|n| format!("sub/{n}")).collect();
        names.extend((0..10).map(|n| n.to_string()));
        for name in &names {
            fs::write(path.join(name), b"x").expect("it is ours");
        }
        names.sort();
        // With the folder there are 19 entries: five pages, each of which is looked at twice.
        let mut watched = watched(path, 4);
        for round in [0, 100] {
            let mut rested = Vec::new();
            for page in 0..5 {
                assert_eq!(look(&mut watched, round + page * 20), Vec::<String>::new());
                assert!(watched.settling.paths().count() <= 4);
                rested.extend(look(&mut watched, round + page * 20 + 10));
            }
            rested.sort();
            assert_eq!(rested, names, "round {round}");
        }
    }

    #[test]
    fn a_look_that_reads_all_goes_on_with_nothing() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        for name in ["a", "b", "c"] {
            fs::write(folder.path().join(name), b"x").expect("it is ours");
        }
        let mut at_the_bound = watched(folder.path(), 3);
        assert_eq!(look(&mut at_the_bound, 0), Vec::<String>::new());
        assert!(at_the_bound.page.is_none() && at_the_bound.walk.is_none());
        // A new file is seen by the next look.
        fs::remove_file(folder.path().join("b")).expect("it is ours");
        fs::write(folder.path().join("d"), b"x").expect("it is ours");
        assert_eq!(look(&mut at_the_bound, 10), ["a", "c"]);
        assert_eq!(look(&mut at_the_bound, 20), ["a", "c", "d"]);
        let mut beyond = watched(folder.path(), 2);
        look(&mut beyond, 0);
        assert!(beyond.page.is_some() && beyond.walk.is_some());
    }

    #[test]
    fn a_page_stays_until_all_of_it_is_taken() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        for name in ["a", "b", "c"] {
            fs::write(folder.path().join(name), b"x").expect("it is ours");
        }
        let mut watched = watched(folder.path(), 2);
        let first = |watched: &mut Watched, seconds| {
            let now = Mono::from_start(Duration::from_secs(seconds));
            let found = watched.errand().run();
            watched.handle_found(found, now).files
        };
        assert_eq!(first(&mut watched, 0), []);
        // The queue was full: nobody says that they were taken.
        let rested = first(&mut watched, 10);
        assert_eq!(rested.len(), 2);
        assert_eq!(first(&mut watched, 20), rested);
        watched.handle_taken(Mono::from_start(Duration::from_secs(20)));
        assert_eq!(first(&mut watched, 30), []);
        assert_eq!(watched.settling.paths().count(), 1);
    }

    #[test]
    fn a_file_is_known_by_its_path() {
        assert_eq!(file_id("/a").len(), 32);
        assert_eq!(file_id("/a"), file_id("/a"));
        assert_ne!(file_id("/a"), file_id("/b"));
    }
}
