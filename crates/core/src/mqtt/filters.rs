//! Who gets a message: all filters that match a topic, found level by level.
//!
//! ```
//! use periwinkle_core::mqtt::filters::Filters;
//! use periwinkle_core::mqtt::topic::Filter;
//!
//! let mut filters = Filters::new();
//! filters.insert(Filter::parse("sensor/+/temperature").unwrap(), 1);
//! filters.insert(Filter::parse("sensor/#").unwrap(), 2);
//!
//! let mut found = Vec::new();
//! filters.matches("sensor/7/temperature", |who| found.push(*who));
//! assert_eq!(found, [2, 1]);
//! ```

use super::topic::Filter;
use std::collections::BTreeMap;

/// A tree of topic filters, each with whoever wants its messages.
///
/// A shared subscription counts as its filter: what the broker sends for it is meant for us.
#[derive(Clone, Debug)]
pub struct Filters<T> {
    root: Level<T>,
    count: usize,
}

#[derive(Clone, Debug)]
struct Level<T> {
    children: BTreeMap<Box<str>, Level<T>>,
    /// Behind a `+` in this place.
    any: Option<Box<Level<T>>>,
    /// Filters that end here.
    here: Vec<T>,
    /// Filters that end with a `#` in this place.
    rest: Vec<T>,
}

impl<T> Default for Level<T> {
    fn default() -> Level<T> {
        Level {
            children: BTreeMap::new(),
            any: None,
            here: Vec::new(),
            rest: Vec::new(),
        }
    }
}

impl<T> Default for Filters<T> {
    fn default() -> Filters<T> {
        Filters::new()
    }
}

impl<T> Filters<T> {
    /// Nobody wants anything.
    pub fn new() -> Filters<T> {
        Filters {
            root: Level::default(),
            count: 0,
        }
    }

    /// How many filters there are.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds one; the same filter may be there for several.
    pub fn insert(&mut self, filter: Filter<'_>, who: T) {
        self.root.bucket(filter.matching()).push(who);
        self.count += 1;
    }

    /// Calls `found` for everyone whose filter matches, wildcards above first.
    ///
    /// The cost grows with the filters that share their beginning with the topic, not with all.
    pub fn matches<'a>(&'a self, topic: &str, mut found: impl FnMut(&'a T)) {
        // A wildcard in the first level means no topic of the server's own.
        match topic.starts_with('$') {
            true => {
                let (first, rest) = split(topic);
                if let Some(child) = self.root.children.get(first) {
                    child.below(rest, &mut found);
                }
            }
            false => self.root.level(topic, &mut found),
        }
    }
}

impl<T: PartialEq> Filters<T> {
    /// Takes this filter away from `who`; says whether it was there.
    pub fn remove(&mut self, filter: Filter<'_>, who: &T) -> bool {
        let removed = self.root.remove(filter.matching(), who);
        self.count -= usize::from(removed);
        removed
    }
}

impl<T> Level<T> {
    /// Where a filter with these levels is kept.
    fn bucket(&mut self, filter: &str) -> &mut Vec<T> {
        let mut level = self;
        for name in filter.split('/') {
            level = match name {
                "#" => return &mut level.rest,
                "+" => level.any.get_or_insert_default(),
                name => level.children.entry(name.into()).or_default(),
            };
        }
        &mut level.here
    }

    /// Everyone who wants a topic that goes on with `topic` in this place.
    fn level<'a>(&'a self, topic: &str, found: &mut impl FnMut(&'a T)) {
        self.rest.iter().for_each(&mut *found);
        let (first, rest) = split(topic);
        if let Some(any) = &self.any {
            any.below(rest, found);
        }
        if let Some(child) = self.children.get(first) {
            child.below(rest, found);
        }
    }

    /// The same behind one more level, if there is one. `#` also means the level above it.
    fn below<'a>(&'a self, rest: Option<&str>, found: &mut impl FnMut(&'a T)) {
        match rest {
            Some(rest) => self.level(rest, found),
            None => self.rest.iter().chain(&self.here).for_each(found),
        }
    }

    fn is_bare(&self) -> bool {
        self.children.is_empty()
            && self.any.is_none()
            && self.here.is_empty()
            && self.rest.is_empty()
    }
}

impl<T: PartialEq> Level<T> {
    /// Removes, and cuts off branches that have become bare.
    fn remove(&mut self, filter: &str, who: &T) -> bool {
        let (first, rest) = split(filter);
        if first == "#" {
            return take(&mut self.rest, who);
        }
        let child = match first {
            "+" => self.any.as_deref_mut(),
            name => self.children.get_mut(name),
        };
        let Some(child) = child else {
            return false;
        };
        let removed = match rest {
            Some(rest) => child.remove(rest, who),
            None => take(&mut child.here, who),
        };
        if child.is_bare() {
            match first {
                "+" => self.any = None,
                name => drop(self.children.remove(name)),
            }
        }
        removed
    }
}

fn take<T: PartialEq>(all: &mut Vec<T>, who: &T) -> bool {
    let place = all.iter().position(|other| other == who);
    if let Some(place) = place {
        all.remove(place);
    }
    place.is_some()
}

fn split(topic: &str) -> (&str, Option<&str>) {
    match topic.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (topic, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use periwinkle_testkit::rng::Rng;

    fn filter(text: &str) -> Filter<'_> {
        Filter::parse(text).unwrap()
    }

    fn found<'a>(filters: &'a Filters<&'a str>, topic: &str) -> Vec<&'a str> {
        let mut all = Vec::new();
        filters.matches(topic, |who| all.push(*who));
        all.sort_unstable();
        all
    }

    #[test]
    fn every_matching_filter_is_found_and_not_only_the_first() {
        let mut filters = Filters::new();
        for text in ["#", "a/#", "a/+", "a/b", "+/b", "a/b/#", "b/#", "a/b/c"] {
            filters.insert(filter(text), text);
        }
        assert_eq!(
            found(&filters, "a/b"),
            ["#", "+/b", "a/#", "a/+", "a/b", "a/b/#"]
        );
        assert_eq!(found(&filters, "a"), ["#", "a/#"]);
        assert_eq!(found(&filters, "c"), ["#"]);
    }

    #[test]
    fn wildcards_do_not_mean_topics_of_the_server() {
        let mut filters = Filters::new();
        for text in ["#", "+/x", "+/#", "$SYS/#", "$SYS/x"] {
            filters.insert(filter(text), text);
        }
        assert_eq!(found(&filters, "$SYS/x"), ["$SYS/#", "$SYS/x"]);
        assert_eq!(found(&filters, "$SYS"), ["$SYS/#"]);
        assert_eq!(found(&filters, "s/x"), ["#", "+/#", "+/x"]);
    }

    #[test]
    fn a_shared_subscription_gets_what_its_filter_matches() {
        let mut filters = Filters::new();
        filters.insert(filter("$share/g/a/+"), "shared");
        assert_eq!(found(&filters, "a/b"), ["shared"]);
        assert_eq!(found(&filters, "$share/g/a/b"), [""; 0]);
    }

    #[test]
    fn removing_one_leaves_the_others_and_no_bare_branch() {
        let mut filters = Filters::new();
        filters.insert(filter("a/+/c"), "one");
        filters.insert(filter("a/+/c"), "two");
        filters.insert(filter("a/#"), "three");
        assert!(filters.remove(filter("a/+/c"), &"one"));
        assert!(!filters.remove(filter("a/+/c"), &"one"));
        assert!(!filters.remove(filter("x/y"), &"one"));
        assert_eq!(found(&filters, "a/b/c"), ["three", "two"]);
        assert!(filters.remove(filter("a/+/c"), &"two"));
        assert!(filters.remove(filter("a/#"), &"three"));
        assert!(filters.is_empty());
        assert!(filters.root.is_bare());
    }

    #[test]
    fn the_tree_agrees_with_one_filter_after_the_other() {
        const NAMES: &[&str] = &["a", "b", "", "$x", "+", "#"];
        let text = |rng: &mut Rng, names: usize| {
            let levels: Vec<&str> = (0..=rng.index(4))
                .map(|_| NAMES[rng.index(names)])
                .collect();
            levels.join("/")
        };
        for seed in 0..300 {
            let mut rng = Rng::new(seed);
            let texts: Vec<String> = (0..30).map(|_| text(&mut rng, 6)).collect();
            let good: Vec<&str> = (texts.iter().map(String::as_str))
                .filter(|text| Filter::parse(text).is_ok())
                .collect();
            let mut filters = Filters::new();
            for text in &good {
                filters.insert(filter(text), *text);
            }
            for _ in 0..30 {
                let topic = text(&mut rng, 4);
                let mut expected: Vec<&str> = (good.iter().copied())
                    .filter(|text| filter(text).matches(&topic))
                    .collect();
                expected.sort_unstable();
                assert_eq!(found(&filters, &topic), expected, "seed {seed} {topic}");
            }
        }
    }
}
