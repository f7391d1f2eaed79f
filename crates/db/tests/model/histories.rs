//! Long random histories of all operations, against a plain model of what they mean: maps in
//! memory, with no log, no keys and no frames.

use std::collections::BTreeMap;

use periwinkle_core::expr::{Condition, Update};
use periwinkle_core::value::{Map, Value};
use periwinkle_db::{Database, DbError, Find, Write};
use periwinkle_testkit::rng::Rng;

use crate::world::{START, World};

const SCHEMA: &str = "{
    version: '1.0.0',
    params: { isoDates: true },
    indexes: { primary: { hash: 'pk', sort: 'sk' } },
    models: { Thing: {
        pk: { type: 'string', value: 'g#${group}' },
        sk: { type: 'string', value: 'Thing#${id}' },
        group: { type: 'string', required: true },
        id: { type: 'string', required: true },
        n: { type: 'number' },
        word: { type: 'string', enum: ['a', 'ab', 'b', 'c'] },
        tag: { type: 'string', unique: true },
        list: { type: 'array' },
        expires: { type: 'date', ttl: true },
    } },
}";

const STEPS: u64 = 1500;
const SEEDS: u64 = 4;

type Key = (String, String);

/// What there is, as programs see it.
#[derive(Clone, Default)]
struct Plain {
    things: BTreeMap<Key, Map>,
    /// Who took a tag last.
    tags: BTreeMap<String, Key>,
    /// What time it is.
    now: i64,
    /// By how much the clock is ahead of that, when nothing has confirmed it.
    ahead: Option<i64>,
}

impl Plain {
    /// Whether reads hide a thing.
    fn is_hidden(&self, thing: &Map) -> bool {
        let expires = thing.text("expires");
        let shown = iso(self.now + self.ahead.unwrap_or(0));
        // Times of one form: their order is that of their texts.
        expires.is_some_and(|expires| expires <= shown.as_str())
    }

    /// Whether a thing is over for good.
    fn is_gone(&self, thing: &Map) -> bool {
        self.ahead.is_none() && self.is_hidden(thing)
    }

    /// What a write meets. Whoever removes a thing that is over wants what purging does.
    fn met(&self, verb: &str, key: &Key) -> Option<&Map> {
        let thing = self.things.get(key);
        thing.filter(|thing| verb == "remove" || !self.is_gone(thing))
    }

    fn purge(&mut self) {
        let mut things = std::mem::take(&mut self.things);
        things.retain(|_, thing| !self.is_gone(thing));
        self.things = things;
    }

    fn check(met: Option<&Map>, condition: Option<&str>) -> Result<(), &'static str> {
        let condition = condition.map(|text| text.parse::<Condition>().unwrap());
        let nothing = Map::new();
        let thing = met.unwrap_or(&nothing);
        match condition.is_none_or(|condition| condition.holds(thing)) {
            true => Ok(()),
            false => Err("condition_failed"),
        }
    }

    fn fits(thing: &Map) -> Result<(), &'static str> {
        let word = thing.text("word");
        match word.is_none_or(|word| WORDS.contains(&word)) {
            true => Ok(()),
            false => Err("not_allowed"),
        }
    }

    fn put(&mut self, key: &Key, thing: Map) -> Result<Map, &'static str> {
        Plain::fits(&thing)?;
        if self.things.get(key) == Some(&thing) {
            // What changes nothing is no write.
            return Ok(thing);
        }
        let tag = thing.text("tag");
        if let Some(tag) = tag {
            let owner = self.tags.get(tag).filter(|owner| *owner != key);
            let owner = owner.and_then(|owner| self.things.get(owner));
            if owner.is_some_and(|owner| owner.text("tag") == Some(tag) && !self.is_gone(owner)) {
                return Err("not_unique");
            }
            self.tags.insert(tag.to_owned(), key.clone());
        }
        self.things.insert(key.clone(), thing.clone());
        Ok(thing)
    }

    fn run(&mut self, deed: &Deed) -> Result<Map, &'static str> {
        let key = &deed.key;
        if deed.verb == "create" {
            Plain::fits(&deed.properties)?;
        }
        let current = self.met(deed.verb, key).cloned();
        match (deed.verb, &current) {
            ("create", Some(_)) => return Err("exists"),
            ("update" | "remove", None) => return Err("not_found"),
            ("check", None) if deed.condition.is_none() => return Err("not_found"),
            _ => Plain::check(current.as_ref(), deed.condition.as_deref())?,
        }
        match deed.verb {
            "check" => Ok(current.unwrap_or_default()),
            "remove" => Ok(self.things.remove(key).unwrap()),
            _ => {
                let mut thing = current.unwrap_or_default();
                for (name, value) in &deed.properties {
                    match value {
                        Value::Null => drop(thing.remove(name)),
                        value => drop(thing.insert(name, value.clone())),
                    }
                }
                Plain::fits(&thing)?;
                if let Some(update) = &deed.update {
                    let update: Update = update.parse().unwrap();
                    thing = update.apply(&thing).map_err(|_| "update_failed")?;
                }
                self.put(key, thing)
            }
        }
    }
}

const WORDS: [&str; 4] = ["a", "ab", "b", "c"];

/// One write, for both sides.
#[derive(Clone, Debug)]
struct Deed {
    verb: &'static str,
    key: Key,
    properties: Map,
    condition: Option<String>,
    update: Option<String>,
}

impl Deed {
    fn write(&self) -> Write {
        let make: fn(String, Map) -> Write = match self.verb {
            "create" => Write::create,
            "update" => Write::update,
            "upsert" => Write::upsert,
            "remove" => Write::remove,
            _ => Write::check,
        };
        let mut properties = self.properties.clone();
        properties.insert("group", self.key.0.as_str());
        properties.insert("id", self.key.1.as_str());
        let mut write = make("Thing".to_owned(), properties);
        if let Some(condition) = &self.condition {
            write = write.when(condition.as_str());
        }
        match &self.update {
            Some(update) => write.apply(update.as_str()),
            None => write,
        }
    }
}

fn iso(at: i64) -> String {
    periwinkle_core::time::UnixMillis(at).iso()
}

struct Dice(Rng);

impl Dice {
    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.0.below(choices.len() as u64) as usize]
    }

    fn key(&mut self) -> Key {
        let group = self.of(&["x", "y"]).to_owned();
        (group, format!("{}", self.0.below(12)))
    }

    fn properties(&mut self, now: i64) -> Map {
        let mut properties = Map::new();
        if self.0.one_in(2) {
            properties.insert("n", self.0.below(20) as i64);
        }
        if self.0.one_in(3) {
            let word = self.of(&["a", "ab", "b", "c", "c", "wrong"]);
            properties.insert("word", word);
        }
        if self.0.one_in(3) {
            properties.insert("tag", format!("t{}", self.0.below(8)));
        }
        if self.0.one_in(4) {
            // Whole seconds, as DynamoDB keeps them.
            let seconds = now / 1000 + 1 + self.0.below(60) as i64;
            properties.insert("expires", iso(seconds * 1000));
        }
        if self.0.one_in(6) {
            let name = self.of(&["n", "word", "tag", "list", "expires"]);
            properties.insert(name, Value::Null);
        }
        properties
    }

    fn condition(&mut self) -> String {
        let n = self.0.below(20);
        let word = self.of(&["a", "ab", "b", "x"]);
        let one = match self.0.below(8) {
            0 => format!("n > {n}"),
            1 => format!("n between {n} and {}", n + 5),
            2 => "attribute_exists(tag)".to_owned(),
            3 => "attribute_not_exists(n)".to_owned(),
            4 => format!("begins_with(word, '{word}')"),
            5 => format!("word in ('{word}', 'c')"),
            6 => "size(list) > 1".to_owned(),
            _ => format!("group = '{}'", self.of(&["x", "y"])),
        };
        match self.0.below(4) {
            0 => format!("not {one}"),
            1 => format!("{one} or id < '{n}'"),
            _ => one,
        }
    }

    fn update(&mut self) -> String {
        let word = self.of(&["a", "b", "wrong"]);
        match self.0.below(6) {
            0 => "SET n = n + 1".to_owned(),
            1 => "SET n = if_not_exists(n, 3) + 1 REMOVE word".to_owned(),
            2 => format!("SET word = '{word}'"),
            3 => "REMOVE tag, list".to_owned(),
            4 => "ADD n -2".to_owned(),
            _ => "SET word = tag".to_owned(),
        }
    }

    fn deed(&mut self, now: i64) -> Deed {
        let verb = self.of(&[
            "create", "create", "update", "upsert", "upsert", "remove", "check",
        ]);
        let changes = matches!(verb, "update" | "upsert");
        let writes = changes || verb == "create";
        Deed {
            verb,
            key: self.key(),
            properties: if writes {
                self.properties(now)
            } else {
                Map::new()
            },
            condition: self
                .0
                .one_in(3)
                .then(|| self.condition())
                .filter(|_| verb != "create"),
            update: (changes && self.0.one_in(3)).then(|| self.update()),
        }
    }
}

/// The thing without what names it: the plain side keeps that apart.
fn bare(mut thing: Map) -> Map {
    thing.remove("group");
    thing.remove("id");
    thing
}

/// The plain side has no key in its things, but conditions may ask for it.
fn named(key: &Key, thing: &Map) -> Map {
    let mut thing = thing.clone();
    thing.insert("group", key.0.as_str());
    thing.insert("id", key.1.as_str());
    thing
}

fn kind(error: &DbError) -> &'static str {
    error.kind()
}

struct History {
    seed: u64,
    world: World,
    db: Database,
    plain: Plain,
    dice: Dice,
}

impl History {
    fn new(seed: u64) -> History {
        let mut world = World::new(seed);
        world.schema = SCHEMA.to_owned();
        History {
            db: world.open(),
            seed,
            world,
            plain: Plain {
                now: START,
                ..Plain::default()
            },
            dice: Dice(Rng::new(seed)),
        }
    }

    fn step(&mut self) {
        match self.dice.0.below(20) {
            0 => self.pass(),
            1 if self.plain.ahead.is_some() => self.confirm(),
            1 => self.restart(),
            2..5 => self.together(),
            5..8 => self.look(),
            _ => self.one(),
        }
    }

    fn pass(&mut self) {
        let millis = self.dice.0.below(20) as i64 * 1000;
        self.world.clock.pass(millis);
        self.plain.now += millis;
        if self.dice.0.one_in(3) {
            use periwinkle_db::Environment;
            self.db.purge_expired(self.world.clock.now()).unwrap();
            self.plain.purge();
        }
    }

    fn restart(&mut self) {
        self.db.close().unwrap();
        if self.dice.0.one_in(2) {
            // What the device has known of the time it knows still, but not how far it is from it.
            let ahead = [0, 30, 3600, 1_000_000][self.dice.0.index(4)] * 1000;
            self.world.clock.show(self.plain.now + ahead);
            self.plain.ahead = Some(ahead);
        }
        self.db = self.world.open();
    }

    fn confirm(&mut self) {
        self.world.clock.confirm(self.plain.now);
        self.plain.ahead = None;
    }

    fn one(&mut self) {
        let deed = self.dice.deed(self.plain.now);
        let expected = run(&mut self.plain, &deed);
        let made = self.db.write(&deed.write());
        let made = made
            .map(|made| bare(made.item))
            .map_err(|error| kind(&error));
        assert_eq!(made, expected, "seed {}: {deed:?}", self.seed);
    }

    fn together(&mut self) {
        let deeds: Vec<_> = (0..2 + self.dice.0.below(4))
            .map(|_| self.dice.deed(self.plain.now))
            .collect();
        let mut after = self.plain.clone();
        let expected: Result<Vec<Map>, _> =
            deeds.iter().map(|deed| run(&mut after, deed)).collect();
        if expected.is_ok() {
            self.plain = after;
        }
        let writes: Vec<_> = deeds.iter().map(Deed::write).collect();
        let made = self.db.write_all(&writes);
        let made = made
            .map(|made| made.value.into_iter().map(bare).collect::<Vec<_>>())
            .map_err(|error| kind(&error));
        assert_eq!(made, expected, "seed {}: {deeds:?}", self.seed);
    }

    /// Reads hide what writes may meet.
    fn get(&mut self) {
        let key = self.dice.key();
        let named = Map::from([("group", key.0.as_str()), ("id", key.1.as_str())]);
        let things = self.plain.things.get(&key);
        let expected = things.filter(|thing| !self.plain.is_hidden(thing));
        let got = self.db.get("Thing", &named).unwrap().map(bare);
        assert_eq!(got.as_ref(), expected, "seed {}: {key:?}", self.seed);
        let within = self.db.transaction(|tx| tx.get("Thing", &named));
        assert_eq!(within.unwrap().value.map(bare), got, "seed {}", self.seed);
    }

    fn look(&mut self) {
        self.get();
        let filter = self.dice.condition();
        let condition: Condition = filter.parse().unwrap();
        let group = self.dice.0.one_in(2).then(|| self.dice.of(&["x", "y"]));
        let mut expected: Vec<Map> = self
            .plain
            .things
            .iter()
            .filter(|((of, _), thing)| {
                group.is_none_or(|group| of == group) && !self.plain.is_hidden(thing)
            })
            .map(|(key, thing)| named(key, thing))
            .filter(|thing| condition.holds(thing))
            .collect();
        let given: Map = group.map(|group| ("group", group)).into_iter().collect();
        let mut find = Find::new()
            .filter(filter.as_str())
            .limit(1 + self.dice.0.index(7));
        if self.dice.0.one_in(2) {
            find = find.reverse();
            expected.reverse();
        }
        let mut found = Vec::new();
        let mut page = find.clone();
        loop {
            let part = self.db.find("Thing", &given, &page).unwrap();
            found.extend(part.items);
            match part.next {
                Some(next) => page = find.clone().next(next),
                None => break,
            }
        }
        assert_eq!(found, expected, "seed {}: {filter} {given:?}", self.seed);
        let count = self
            .db
            .count("Thing", &given, &Find::new().filter(filter))
            .unwrap();
        assert_eq!(count.items, expected.len() as u64, "seed {}", self.seed);
    }
}

/// A deed on the plain side, whose conditions see the key as well.
fn run(plain: &mut Plain, deed: &Deed) -> Result<Map, &'static str> {
    for (key, thing) in &mut plain.things {
        *thing = named(key, thing);
    }
    let done = plain.run(deed);
    for thing in plain.things.values_mut() {
        *thing = bare(std::mem::take(thing));
    }
    done.map(bare)
}

#[test]
fn random_histories_mean_what_a_plain_model_says() {
    for seed in 1..=SEEDS {
        let mut history = History::new(seed);
        for _ in 0..STEPS {
            history.step();
        }
        assert!(
            history.plain.things.len() > 5,
            "seed {seed} has hardly written"
        );
    }
}
