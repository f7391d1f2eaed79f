//! Change streams.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use periwinkle_core::limits::{CHANGES_CAUGHT_UP_MAX, CHANGES_KEPT_MAX};
use periwinkle_core::value::Map;
use periwinkle_db::engine::Durability;
use periwinkle_db::{Change, ChangeKind, ChangeStream, Database, Event, Origin, Since};
use periwinkle_testkit::disk::Fault;

use crate::world::{World, props};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn change(stream: &mut ChangeStream) -> Option<Change> {
    match stream.try_next()? {
        Event::Change(change) => Some(change),
        gap @ Event::Gap { .. } => panic!("{gap:?}"),
    }
}

fn relaxed(db: &Database, name: &str) -> u64 {
    let item = Map::from([("name", name)]);
    db.durability(Durability::Relaxed)
        .create("User", &item)
        .unwrap()
        .sequence
}

#[test]
fn a_change_is_told_after_it_is_durable_and_not_before() {
    let db = World::new(1).open();
    let mut stream = db.changes(Since::Now);
    let sequence = relaxed(&db, "ada");
    assert_eq!(stream.try_next(), None);
    db.flush().wait().unwrap();
    assert_eq!(
        change(&mut stream),
        Some(Change {
            sequence,
            model: "User".to_owned(),
            key: vec!["ada".to_owned()],
            kind: ChangeKind::Put,
            origin: Origin::Local,
            item: Some(props(r#"{"name":"ada","role":"viewer"}"#)),
        })
    );
    assert_eq!(stream.try_next(), None);
}

#[test]
fn a_waiting_stream_is_woken() {
    let db = World::new(1).open();
    let mut stream = db.changes(Since::Now);
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut context = Context::from_waker(&waker);
    {
        let mut next = pin!(stream.next());
        assert!(next.as_mut().poll(&mut context).is_pending());
    }
    relaxed(&db, "ada");
    db.flush().wait().unwrap();
    assert!(count.0.load(Ordering::SeqCst) > 0);
    let told = pin!(stream.next()).poll(&mut context);
    assert!(matches!(told, Poll::Ready(Some(Event::Change(_)))));
    assert!(pin!(stream.next()).poll(&mut context).is_pending());
    db.close().unwrap();
    assert_eq!(pin!(stream.next()).poll(&mut context), Poll::Ready(None));
}

#[test]
fn removals_and_changes_carry_key_and_item() {
    let db = World::new(1).open();
    let mut stream = db.changes(Since::Now).only(&["Setting"]);
    relaxed(&db, "ada");
    db.create("Setting", &props(r#"{"id":"a","value":"1"}"#))
        .unwrap();
    db.update("Setting", &props(r#"{"id":"a","value":"2"}"#))
        .unwrap();
    let last = db.remove("Setting", &props(r#"{"id":"a"}"#)).unwrap();
    last.ticket.wait().unwrap();
    let mut told = Vec::new();
    while let Some(change) = change(&mut stream) {
        assert_eq!(
            (&*change.model, &*change.key),
            ("Setting", &["a".to_owned()][..])
        );
        told.push((change.kind, change.item.map(|item| item["value"].clone())));
    }
    assert_eq!(
        told,
        [
            (ChangeKind::Put, Some("1".into())),
            (ChangeKind::Put, Some("2".into())),
            (ChangeKind::Remove, None),
        ]
    );
}

#[test]
fn a_stream_resumes_from_a_sequence() {
    let db = World::new(1).open();
    let first = relaxed(&db, "ada");
    let second = relaxed(&db, "bob");
    db.flush().wait().unwrap();
    let names = |since: u64| {
        let mut stream = db.changes(Since::Sequence(since));
        let mut names = Vec::new();
        while let Some(change) = change(&mut stream) {
            names.push(change.key[0].clone());
        }
        names
    };
    assert_eq!(names(0), ["ada", "bob"]);
    assert_eq!(names(first), ["bob"]);
    assert_eq!(names(second), Vec::<String>::new());
    let mut ahead = db.changes(Since::Sequence(second + 1));
    assert_eq!(ahead.try_next(), Some(Event::Gap { sequence: second }));
}

#[test]
fn a_stream_goes_on_across_a_restart_with_the_latest_state_of_each_item() {
    let world = World::new(1);
    let db = world.open();
    let seen = relaxed(&db, "ada");
    relaxed(&db, "bob");
    db.update("User", &props(r#"{"name":"ada","role":"owner"}"#))
        .unwrap();
    db.create("Setting", &props(r#"{"id":"a"}"#)).unwrap();
    relaxed(&db, "cy");
    db.update("User", &props(r#"{"name":"bob","password":"x"}"#))
        .unwrap();
    db.close().unwrap();
    drop(db);
    let db = world.open();
    let opened = db.durable_sequence();
    let told = |since: u64, models: &[&str]| {
        let mut stream = db.changes(Since::Sequence(since)).only(models);
        let mut told = Vec::new();
        while let Some(change) = change(&mut stream) {
            assert_eq!(
                (change.kind, change.origin),
                (ChangeKind::Put, Origin::Unknown)
            );
            told.push(format!(
                "{} {}",
                change.sequence - seen,
                change.item.unwrap().to_json()
            ));
        }
        told
    };
    let users = [
        r#"2 {"name":"ada","role":"owner"}"#,
        r#"4 {"name":"cy","role":"viewer"}"#,
        r#"5 {"name":"bob","role":"viewer"}"#,
    ];
    assert_eq!(told(seen, &["User"]), users);
    assert_eq!(told(seen + 2, &[]).len(), 3);
    assert_eq!(told(seen + 4, &["User"]), users[2..]);
    assert_eq!(told(opened, &[]), Vec::<String>::new());
    // What comes after the rows were looked at is told as usual.
    let mut stream = db.changes(Since::Sequence(seen + 4)).only(&["User"]);
    assert_eq!(change(&mut stream).unwrap().key, ["bob"]);
    assert_eq!(stream.try_next(), None);
    relaxed(&db, "dan");
    db.flush().wait().unwrap();
    let dan = change(&mut stream).unwrap();
    assert_eq!(
        (dan.key, dan.origin),
        (vec!["dan".to_owned()], Origin::Local)
    );
}

#[test]
fn a_stream_across_a_restart_gets_a_gap_if_an_item_was_removed_meanwhile() {
    let world = World::new(1);
    let db = world.open();
    let seen = relaxed(&db, "ada");
    let bob = relaxed(&db, "bob");
    let removed = db
        .remove("User", &props(r#"{"name":"ada"}"#))
        .unwrap()
        .sequence;
    let setting = db
        .create("Setting", &props(r#"{"id":"a"}"#))
        .unwrap()
        .sequence;
    db.close().unwrap();
    drop(db);
    let db = world.open();
    let first =
        |since: u64, models: &[&str]| db.changes(Since::Sequence(since)).only(models).try_next();
    let gap = Some(Event::Gap {
        sequence: db.durable_sequence(),
    });
    assert_eq!(first(seen, &[]), gap);
    assert_eq!(first(bob, &["User"]), gap);
    assert_eq!(first(removed, &["User"]), None);
    // Nothing of the settings was removed.
    let Some(Event::Change(change)) = first(seen, &["Setting"]) else {
        panic!("a change");
    };
    assert_eq!(change.sequence, setting);
}

#[test]
fn a_stream_without_removals_is_not_kept_by_them_from_going_on() {
    let world = World::new(1);
    let db = world.open();
    let seen = relaxed(&db, "ada");
    relaxed(&db, "bob");
    let remove = |db: &Database, name: &str| {
        let user = props(&format!(r#"{{"name":"{name}"}}"#));
        db.remove("User", &user).unwrap().ticket.wait().unwrap();
    };
    remove(&db, "ada");
    db.close().unwrap();
    drop(db);
    let db = world.open();
    let changes = db.changes(Since::Sequence(seen)).only(&["User"]);
    let mut stream = changes.without_removals();
    assert_eq!(change(&mut stream).unwrap().key, ["bob"]);
    remove(&db, "bob");
    relaxed(&db, "cy");
    db.flush().wait().unwrap();
    assert_eq!(change(&mut stream).unwrap().key, ["cy"]);
    assert_eq!(stream.try_next(), None);
}

#[test]
fn a_stream_that_would_have_to_look_up_too_much_gets_a_gap() {
    let world = World::new(1);
    let db = world.open();
    for n in 0..=CHANGES_CAUGHT_UP_MAX {
        relaxed(&db, &format!("{n}"));
    }
    db.close().unwrap();
    drop(db);
    let db = world.open();
    let mut stream = db.changes(Since::Sequence(0));
    assert!(matches!(stream.try_next(), Some(Event::Gap { .. })));
    assert_eq!(stream.try_next(), None);
    let mut stream = db.changes(Since::Sequence(1));
    let mut told = 0;
    while change(&mut stream).is_some() {
        told += 1;
    }
    assert_eq!(told, CHANGES_CAUGHT_UP_MAX);
}

#[test]
fn a_stream_that_falls_behind_gets_a_gap_and_goes_on() {
    let db = World::new(1).open();
    let mut stream = db.changes(Since::Now);
    for n in 0..=CHANGES_KEPT_MAX {
        relaxed(&db, &format!("{n}"));
    }
    db.flush().wait().unwrap();
    let sequence = db.durable_sequence();
    assert_eq!(stream.try_next(), Some(Event::Gap { sequence }));
    assert_eq!(stream.try_next(), None);
    relaxed(&db, "after");
    db.flush().wait().unwrap();
    assert_eq!(change(&mut stream).unwrap().key, ["after"]);
}

#[test]
fn after_a_reopening_every_stream_gets_a_gap() {
    let world = World::new(1);
    let db = world.open();
    db.create("User", &props(r#"{"name":"ada"}"#))
        .unwrap()
        .ticket
        .wait()
        .unwrap();
    let mut stream = db.changes(Since::Now);
    for nth in 0..8 {
        world.disk.fail_nth(nth, Fault::Io);
    }
    let lost = db.create("User", &props(r#"{"name":"bob"}"#)).unwrap();
    assert!(lost.ticket.wait().is_err());
    assert!(db.failure().is_some());
    assert_eq!(
        db.create("User", &props(r#"{"name":"cy"}"#))
            .unwrap_err()
            .kind(),
        "disk"
    );
    assert_eq!(stream.try_next(), None);
    world.disk.restart(3);
    db.reopen().unwrap();
    assert!(matches!(stream.try_next(), Some(Event::Gap { .. })));
    assert!(
        db.get("User", &props(r#"{"name":"ada"}"#))
            .unwrap()
            .is_some()
    );
    let made = db.create("User", &props(r#"{"name":"cy"}"#)).unwrap();
    made.ticket.wait().unwrap();
    assert_eq!(change(&mut stream).unwrap().key, ["cy"]);
}
