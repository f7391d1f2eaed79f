//! Which server is dialled: the configured one, or where a broker sent us (MQTT 5, section 4.11).

use crate::limits::MQTT_SERVERS_MAX;
use std::collections::VecDeque;

/// The servers of one device, for the life of the process.
#[derive(Clone, Debug, Default)]
pub(super) struct Servers {
    /// To be tried once each, before all others: "use another server" is for now.
    once: VecDeque<String>,
    /// Where the broker has moved to, and the configured one behind them. The one that is dialled
    /// is the first one.
    moved: VecDeque<Option<String>>,
    /// The attempt on its way is to one of `once`.
    strays: bool,
}

/// How long a reference to another server holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Use another server: for the next connection.
    Once,
    /// Server moved: from now on.
    ForGood,
}

impl Servers {
    pub(super) const fn new() -> Servers {
        Servers {
            once: VecDeque::new(),
            moved: VecDeque::new(),
            strays: false,
        }
    }

    /// The broker names others, with spaces between them (section 4.11).
    pub(super) fn refer(&mut self, references: &str, holds: Holds) {
        let named = references.split_whitespace().take(MQTT_SERVERS_MAX);
        let named = named.map(str::to_owned);
        match holds {
            Holds::Once => self.once = named.collect(),
            Holds::ForGood => {
                self.once.clear();
                self.moved = named.map(Some).chain([None]).collect();
            }
        }
    }

    /// The next one; `None` is the configured one.
    pub(super) fn next(&mut self) -> Option<String> {
        let once = self.once.pop_front();
        self.strays = once.is_some();
        once.or_else(|| self.moved.front().cloned().flatten())
    }

    /// It accepted us.
    pub(super) fn handle_up(&mut self) {
        self.once.clear();
    }

    /// It did not: the next one has its turn.
    pub(super) fn handle_failure(&mut self) {
        if !std::mem::take(&mut self.strays) && !self.moved.is_empty() {
            self.moved.rotate_left(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialled(servers: &mut Servers, attempts: usize) -> Vec<String> {
        let mut all = Vec::new();
        for _ in 0..attempts {
            all.push(servers.next().unwrap_or_else(|| "ours".to_owned()));
            servers.handle_failure();
        }
        all
    }

    #[test]
    fn servers_for_now_are_tried_once_each_and_then_the_configured_one() {
        let mut it = Servers::new();
        it.refer("b c", Holds::Once);
        assert_eq!(dialled(&mut it, 4), ["b", "c", "ours", "ours"]);
        it.refer("b c", Holds::Once);
        assert_eq!(it.next().as_deref(), Some("b"));
        it.handle_up();
        assert_eq!(dialled(&mut it, 1), ["ours"]);
    }

    #[test]
    fn a_moved_server_is_kept_while_it_works_and_others_have_their_turn_when_not() {
        let mut it = Servers::new();
        it.refer("b c", Holds::ForGood);
        for _ in 0..3 {
            assert_eq!(it.next().as_deref(), Some("b"));
            it.handle_up();
        }
        assert_eq!(dialled(&mut it, 5), ["b", "c", "ours", "b", "c"]);
        // The configured one works again, and is kept.
        assert_eq!(it.next(), None);
        it.handle_up();
        assert_eq!(it.next(), None);
    }

    #[test]
    fn a_server_for_now_leaves_the_moved_one_in_its_place() {
        let mut it = Servers::new();
        it.refer("b", Holds::ForGood);
        it.refer("x", Holds::Once);
        assert_eq!(dialled(&mut it, 4), ["x", "b", "ours", "b"]);
        // Whoever has moved knows of no others.
        it.refer("y", Holds::Once);
        it.refer("d", Holds::ForGood);
        assert_eq!(dialled(&mut it, 2), ["d", "ours"]);
    }

    #[test]
    fn so_many_references_are_kept_and_no_more() {
        let names: Vec<String> = (0..=MQTT_SERVERS_MAX).map(|it| format!("s{it}")).collect();
        for (count, kept) in [
            (MQTT_SERVERS_MAX, MQTT_SERVERS_MAX),
            (MQTT_SERVERS_MAX + 1, MQTT_SERVERS_MAX),
        ] {
            let mut it = Servers::new();
            it.refer(&names[..count].join(" "), Holds::ForGood);
            assert_eq!(it.moved.len(), kept + 1);
            it.refer(&names[..count].join(" "), Holds::Once);
            assert_eq!(it.once.len(), kept);
        }
    }
}
