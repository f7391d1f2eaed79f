//! When a file is at rest.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Identity;
use crate::time::Mono;

/// Files that were seen and may still be written to.
///
/// A file is at rest when it was the same in every look for as long as was asked. Its own time is
/// not compared with a clock: neither may be right.
#[derive(Clone, Debug)]
pub struct Settling {
    rest: Duration,
    seen: BTreeMap<String, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    identity: Identity,
    since: Mono,
}

impl Settling {
    /// Files have to be the same for this long.
    pub fn new(rest: Duration) -> Settling {
        Settling {
            rest,
            seen: BTreeMap::new(),
        }
    }

    /// A look found these files, and no others: those at rest, in the order of their paths.
    ///
    /// One that is at rest is told in every look; whoever took it does not ask for it again.
    pub fn handle_look(
        &mut self,
        files: impl IntoIterator<Item = (String, Identity)>,
        now: Mono,
    ) -> Vec<(String, Identity)> {
        let mut seen = BTreeMap::new();
        for (path, identity) in files {
            let before = self.seen.get(&path);
            let since = match before.filter(|seen| seen.identity == identity) {
                Some(seen) => seen.since,
                None => now,
            };
            seen.insert(path, Seen { identity, since });
        }
        self.seen = seen;
        let rested = self.seen.iter();
        let rested = rested.filter(|(_, seen)| now >= seen.since + self.rest);
        rested
            .map(|(path, seen)| (path.clone(), seen.identity))
            .collect()
    }

    /// The files of the last look.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.seen.keys().map(String::as_str)
    }

    /// When the next file comes to rest if nothing changes.
    pub fn poll_timeout(&self, now: Mono) -> Option<Mono> {
        let times = self.seen.values().map(|seen| seen.since + self.rest);
        times.filter(|time| *time > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u32) -> Mono {
        Mono::ZERO + SECOND * seconds
    }

    fn file(name: &str, bytes: u64) -> (String, Identity) {
        let identity = Identity {
            bytes,
            modified_s: 0,
            modified_ns: 0,
            inode: Some(1),
        };
        (name.to_owned(), identity)
    }

    #[test]
    fn a_file_is_taken_when_it_was_the_same_for_long_enough() {
        let mut settling = Settling::new(10 * SECOND);
        assert_eq!(settling.handle_look([file("a", 1)], at(0)), []);
        assert_eq!(settling.poll_timeout(at(0)), Some(at(10)));
        // It grows: it has to rest again.
        assert_eq!(settling.handle_look([file("a", 2)], at(9)), []);
        assert_eq!(settling.handle_look([file("a", 2)], at(18)), []);
        let rested = settling.handle_look([file("a", 2)], at(19));
        assert_eq!(rested, [file("a", 2)]);
        assert_eq!(settling.poll_timeout(at(19)), None);
    }

    #[test]
    fn a_file_that_went_away_is_forgotten() {
        let mut settling = Settling::new(10 * SECOND);
        settling.handle_look([file("a", 1), file("b", 1)], at(0));
        settling.handle_look([file("b", 1)], at(5));
        let rested = settling.handle_look([file("a", 1), file("b", 1)], at(10));
        assert_eq!(rested, [file("b", 1)]);
        assert_eq!(settling.poll_timeout(at(10)), Some(at(20)));
        assert_eq!(settling.paths().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn without_a_time_a_file_is_taken_at_once() {
        let mut settling = Settling::new(Duration::ZERO);
        assert_eq!(
            settling.handle_look([file("b", 1), file("a", 0)], at(0)),
            [file("a", 0), file("b", 1)]
        );
        assert_eq!(settling.poll_timeout(at(0)), None);
    }
}
