//! Fields whose values no two items share.

use periwinkle_core::sync::config::Config;
use periwinkle_core::sync::machine::{Machine, Output, Reply};
use periwinkle_core::sync::record::{ItemKey, Op, Record};
use periwinkle_core::sync::store::Store;
use periwinkle_core::value::{Map, Value, json};
use periwinkle_db::{Database, DbError, Environment, Event, Since, Write};
use periwinkle_testkit::dynamo::Dynamo;

use crate::world::{START, World, props};

const SCHEMA: &str = "{
    version: '1.0.0',
    params: { isoDates: true },
    indexes: { primary: { hash: 'pk', sort: 'sk' } },
    models: {
        Badge: {
            pk: { type: 'string', value: 'local#' },
            sk: { type: 'string', value: 'Badge#${id}' },
            id: { type: 'string', required: true },
            email: { type: 'string', unique: true },
            number: { type: 'number', unique: true, scope: '${floor}' },
            floor: { type: 'number', default: 1 },
            expires: { type: 'date', ttl: true },
        },
        User: {
            pk: { type: 'string', value: 'dev#${deviceId}#rw' },
            sk: { type: 'string', value: 'User#${id}' },
            deviceId: { type: 'string', required: true },
            id: { type: 'string', required: true },
            email: { type: 'string', unique: true, scope: 'dev#${deviceId}' },
        },
    },
    process: { User: { sync: 'both' }, Badge: { rows_max: 3 } },
}";

fn open() -> (World, Database) {
    let mut world = World::new(1);
    world.schema = SCHEMA.to_owned();
    let db = world.open();
    (world, db)
}

fn badge(db: &Database, text: &str) -> Result<(), DbError> {
    db.create("Badge", &props(text)).map(|_| ())
}

fn claim(email: &str) -> ItemKey {
    ItemKey::new(format!("_unique#Badge#email#{email}"), "_unique#")
}

fn is_claimed(db: &Database, email: &str) -> bool {
    db.record(&claim(email)).unwrap().item.is_some()
}

#[test]
fn no_two_items_share_a_unique_value() {
    let (_, db) = open();
    badge(&db, r#"{"id":"1","email":"a@b","number":7}"#).unwrap();
    let before = db.sequence();
    let error = badge(&db, r#"{"id":"2","email":"a@b"}"#).unwrap_err();
    assert_eq!((error.kind(), error.field()), ("not_unique", Some("email")));
    assert_eq!(
        error.to_string(),
        "there is another Badge with this email; use another one"
    );
    assert_eq!(db.sequence(), before);
    let error = badge(&db, r#"{"id":"2","number":7.0}"#).unwrap_err();
    assert_eq!(error.field(), Some("number"));
    // In another scope the same value is another one, and so is none.
    badge(&db, r#"{"id":"2","number":7,"floor":2}"#).unwrap();
    badge(&db, r#"{"id":"3"}"#).unwrap();
    let moved = db.update("Badge", &props(r#"{"id":"2","floor":1}"#));
    assert_eq!(moved.unwrap_err().kind(), "not_unique");
    let taken = db.upsert("Badge", &props(r#"{"id":"3","email":"a@b"}"#));
    assert_eq!(taken.unwrap_err().kind(), "not_unique");
}

#[test]
fn a_claim_lies_in_the_frame_of_its_item_as_the_cloud_library_writes_it() {
    let (_, db) = open();
    let before = db.sequence();
    badge(&db, r#"{"id":"1","email":"a@b"}"#).unwrap();
    assert_eq!(db.sequence(), before + 1);
    let item = db.record(&claim("a@b")).unwrap().item.unwrap();
    assert_eq!(
        item.to_json(),
        r#"{"_type":"_Unique","pk":"_unique#Badge#email#a@b","sk":"_unique#"}"#
    );
}

#[test]
fn a_value_that_is_given_up_is_free() {
    let (_, db) = open();
    badge(&db, r#"{"id":"1","email":"a@b"}"#).unwrap();
    db.update("Badge", &props(r#"{"id":"1","email":"c@d"}"#))
        .unwrap();
    assert!(!is_claimed(&db, "a@b") && is_claimed(&db, "c@d"));
    badge(&db, r#"{"id":"2","email":"a@b"}"#).unwrap();
    db.update("Badge", &props(r#"{"id":"2","email":null}"#))
        .unwrap();
    assert!(!is_claimed(&db, "a@b"));
    db.remove("Badge", &props(r#"{"id":"1"}"#)).unwrap();
    assert!(!is_claimed(&db, "c@d"));
    // Two that exchange their values need one frame that frees them first.
    badge(&db, r#"{"id":"1","email":"x"}"#).unwrap();
    db.update("Badge", &props(r#"{"id":"2","email":"y"}"#))
        .unwrap();
    let email =
        |id: &str, email: &str| Write::update("Badge", Map::from([("id", id)])).set("email", email);
    let swap = [email("1", "z"), email("2", "x"), email("1", "y")];
    db.write_all(&swap).unwrap();
    assert!(is_claimed(&db, "x") && is_claimed(&db, "y") && !is_claimed(&db, "z"));
    let error = db
        .write_all(&[email("2", "w"), email("1", "w")])
        .unwrap_err();
    assert_eq!(error.kind(), "not_unique");
    assert!(is_claimed(&db, "x") && !is_claimed(&db, "w"));
}

#[test]
fn the_value_of_an_item_that_expired_or_was_dropped_is_free() {
    let (world, db) = open();
    let expiring = Map::from([
        ("id", Value::from("1")),
        ("email", Value::from("a@b")),
        ("expires", Value::from(START + 2000)),
    ]);
    db.create("Badge", &expiring).unwrap();
    assert_eq!(
        badge(&db, r#"{"id":"2","email":"a@b"}"#)
            .unwrap_err()
            .kind(),
        "not_unique"
    );
    world.clock.pass(5000);
    badge(&db, r#"{"id":"2","email":"a@b"}"#).unwrap();
    // What purges the old one leaves the claim of the new one alone.
    assert_eq!(db.purge_expired(world.clock.now()).unwrap(), 1);
    assert!(is_claimed(&db, "a@b"));
    let mut other = expiring.clone();
    other.insert("id", "3");
    other.insert("email", "c@d");
    other.insert("expires", START + 7000);
    db.create("Badge", &other).unwrap();
    world.clock.pass(5000);
    assert_eq!(db.purge_expired(world.clock.now()).unwrap(), 1);
    assert!(!is_claimed(&db, "c@d"));
    for id in ["4", "5", "6"] {
        badge(&db, &format!(r#"{{"id":"{id}"}}"#)).unwrap();
    }
    // The first row had to go, and its claim with it.
    assert!(!is_claimed(&db, "a@b"));
}

#[test]
fn a_wrong_clock_gives_no_value_away() {
    let (world, db) = open();
    let expiring = Map::from([
        ("id", Value::from("1")),
        ("email", Value::from("a@b")),
        ("expires", Value::from(START + 2000)),
    ]);
    db.create("Badge", &expiring).unwrap();
    world.clock.show(START + 86_400_000);
    let refused = badge(&db, r#"{"id":"2","email":"a@b"}"#).unwrap_err();
    assert_eq!(refused.kind(), "not_unique");
    assert_eq!(refused.field(), Some("email"));
    assert!(refused.to_string().contains("it is hidden"), "{refused}");
    // Whose it is may go on with it.
    badge(&db, r#"{"id":"1","email":"a@b"}"#).unwrap_err();
    db.upsert("Badge", &expiring).unwrap();
    world.clock.confirm(START + 1000);
    assert!(db.get("Badge", &props(r#"{"id":"1"}"#)).unwrap().is_some());
    assert!(is_claimed(&db, "a@b"));
}

#[test]
fn an_item_that_comes_back_after_its_end_has_to_claim_its_value_anew() {
    let (world, db) = open();
    let old = Map::from([
        ("id", Value::from("1")),
        ("email", Value::from("a@b")),
        ("expires", Value::from(START + 2000)),
    ]);
    db.create("Badge", &old).unwrap();
    world.clock.pass(5000);
    badge(&db, r#"{"id":"2","email":"a@b"}"#).unwrap();
    let again = badge(&db, r#"{"id":"1","email":"a@b"}"#).unwrap_err();
    assert_eq!(again.kind(), "not_unique");
    // Nor does making it anew take away what another one has claimed since.
    badge(&db, r#"{"id":"1"}"#).unwrap();
    assert!(is_claimed(&db, "a@b"));
}

#[test]
fn claims_are_told_to_nobody() {
    let (_, db) = open();
    let mut stream = db.changes(Since::Now);
    badge(&db, r#"{"id":"1","email":"a@b"}"#).unwrap();
    db.remove("Badge", &props(r#"{"id":"1"}"#)).unwrap();
    db.flush().wait().unwrap();
    let mut told = 0;
    while let Some(Event::Change(change)) = stream.try_next() {
        assert_eq!(change.model, "Badge");
        told += 1;
    }
    assert_eq!(told, 2);
    assert_eq!(db.stats().rows.get("Badge"), Some(&0));
}

fn user_claim() -> ItemKey {
    ItemKey::new("_unique#dev#d1#User#email#a@b", "_unique#")
}

#[test]
fn the_claims_of_a_synced_model_travel_up_with_its_items() {
    let (_, db) = open();
    db.create("User", &props(r#"{"id":"1","email":"a@b"}"#))
        .unwrap();
    let change = db.record(&user_claim()).unwrap().change.unwrap();
    let expected =
        json::parse(r#"{"_type":"_Unique","pk":"_unique#dev#d1#User#email#a@b","sk":"_unique#"}"#);
    assert_eq!(
        change.pending,
        Some(Op::Create(expected.unwrap().into_map().unwrap()))
    );
    assert_eq!(db.stats().queue.rows, 2);
    // Never sent, and gone again: there is nothing to tell.
    db.remove("User", &props(r#"{"id":"1"}"#)).unwrap();
    assert_eq!(db.record(&user_claim()).unwrap(), Record::default());
    assert_eq!(db.stats().queue.rows, 0);
}

#[test]
fn what_the_cloud_writes_is_claimed_here_without_telling_it() {
    let (_, db) = open();
    let key = ItemKey::new("dev#d1#rw", "User#1");
    let from_cloud = |item: Option<Map>| {
        db.modify(std::slice::from_ref(&key), &mut |frame| {
            frame.records[0] = item.clone().map(Record::clean).unwrap_or_default();
        })
        .unwrap();
    };
    let item =
        r#"{"pk":"dev#d1#rw","sk":"User#1","_type":"User","deviceId":"d1","id":"1","email":"a@b"}"#;
    from_cloud(Some(props(item)));
    let claimed = db.record(&user_claim()).unwrap();
    assert!(claimed.item.is_some() && claimed.change.is_none());
    let error = db
        .create("User", &props(r#"{"id":"2","email":"a@b"}"#))
        .unwrap_err();
    assert_eq!(error.kind(), "not_unique");
    from_cloud(None);
    db.create("User", &props(r#"{"id":"2","email":"a@b"}"#))
        .unwrap();
}

/// Device and table, which always answers.
struct Line {
    world: World,
    db: Database,
    machine: Machine,
    dynamo: Dynamo,
}

impl Line {
    fn new() -> Line {
        let (world, db) = open();
        let mut config = Config::new("t", "d1");
        config.models = db.sync_rules();
        config.partitions = db.schema().partitions_down(db.context());
        let mut dynamo = Dynamo::new();
        dynamo.create_table("t");
        Line {
            machine: Machine::new(config, 1),
            world,
            db,
            dynamo,
        }
    }

    /// Runs replication until nothing more happens.
    fn settle(&mut self) {
        for _ in 0..100 {
            self.world.clock.pass(2_000);
            let now = self.world.clock.now();
            self.machine.handle_change(now, &self.db).unwrap();
            self.machine.handle_timeout(now, &self.db).unwrap();
            while let Some(output) = self.machine.poll_output() {
                match output {
                    Output::Flush(_) => {
                        self.db.flush().wait().unwrap();
                        let durable = self.db.durable_sequence();
                        self.machine.handle_durable(durable, now, &self.db).unwrap();
                    }
                    Output::Send(id, request) => {
                        let answer = self.dynamo.handle(&request.target, &request.body);
                        let reply = Reply::Answer {
                            status: answer.status,
                            error_type: None,
                            body: answer.body.into_bytes(),
                        };
                        let reply = self
                            .machine
                            .handle_reply(id, reply, now.wall, now, &self.db);
                        reply.unwrap();
                    }
                    Output::ClockOffset(_) | Output::Alarm(_) => {}
                }
            }
        }
        assert_eq!(self.db.backlog().rows, 0);
    }

    fn claims(&mut self) -> Vec<String> {
        let table = self.dynamo.table("t");
        let claims = table
            .iter()
            .filter(|(key, _)| key.0.starts_with("_unique#"));
        claims
            .map(|(key, item)| {
                assert_eq!(
                    (key.1.as_str(), item.text("_type")),
                    ("_unique#", Some("_Unique"))
                );
                key.0
                    .strip_prefix("_unique#dev#d1#User#email#")
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }
}

#[test]
fn both_sides_see_the_claims_of_each_other() {
    let mut line = Line::new();
    let user = |id: &str, email: &str| Map::from([("id", id), ("email", email)]);
    line.db.create("User", &user("1", "a@b")).unwrap();
    line.settle();
    assert_eq!(line.claims(), ["a@b"]);
    line.db.update("User", &user("1", "c@d")).unwrap();
    line.settle();
    assert_eq!(line.claims(), ["c@d"]);
    // A cloud application with the library: the item and its claim.
    let own = props(
        r#"{"pk":"dev#d1#rw","sk":"User#2","_type":"User","deviceId":"d1","id":"2","email":"e@f"}"#,
    );
    let claim =
        props(r#"{"pk":"_unique#dev#d1#User#email#e@f","sk":"_unique#","_type":"_Unique"}"#);
    let table = line.dynamo.table("t");
    table.insert(("dev#d1#rw".to_owned(), "User#2".to_owned()), own);
    table.insert(
        (
            "_unique#dev#d1#User#email#e@f".to_owned(),
            "_unique#".to_owned(),
        ),
        claim,
    );
    line.settle();
    assert_eq!(line.claims(), ["c@d", "e@f"]);
    let taken = line.db.create("User", &user("3", "e@f")).unwrap_err();
    assert_eq!(taken.kind(), "not_unique");
    // The device removes what the cloud has made, and what it has made itself.
    line.db.remove("User", &Map::from([("id", "2")])).unwrap();
    line.db.remove("User", &Map::from([("id", "1")])).unwrap();
    line.settle();
    assert_eq!(line.claims(), Vec::<String>::new());
    line.db.create("User", &user("3", "e@f")).unwrap();
    line.settle();
    assert_eq!(line.claims(), ["e@f"]);
}
