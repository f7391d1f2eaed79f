//! One thing at a time: what the owner sees and what the table gets.

use super::world::{TABLE, World};
use periwinkle_core::sync::config::{Direction, ModelRule, Rules};
use periwinkle_core::sync::machine::State;
use periwinkle_core::sync::record::{ItemKey, ParkKind};
use periwinkle_core::sync::store::{ConflictKind, Side};
use periwinkle_core::value::{Map, Value};
use periwinkle_testkit::dynamo::Answer;

fn setting(id: &str) -> ItemKey {
    ItemKey::new("dev#a#rw", format!("Setting#{id}"))
}

fn item(key: &ItemKey, fields: &[(&str, &str)]) -> Map {
    let keys = [("pk", key.pk.as_str()), ("sk", key.sk.as_str())];
    keys.iter().chain(fields).copied().collect()
}

fn write(world: &mut World, key: &ItemKey, fields: &[(&str, &str)]) {
    world.write_local(key, Some(item(key, fields)));
}

fn version(world: &mut World, key: &ItemKey) -> Option<i64> {
    let place = (key.pk.clone(), key.sk.clone());
    world.dynamo.table(TABLE).get(&place)?.get("_v")?.as_i64()
}

/// The state and the kind of its reason.
fn state(world: &World) -> (State, Option<String>) {
    let status = world.status();
    (status.state, status.reason.map(|reason| reason.kind))
}

fn parked(world: &World, key: &ItemKey) -> Option<ParkKind> {
    world.store.get(key).parked().map(|parked| parked.kind)
}

/// Trouble of this kind is shown, loses nothing, and ends by itself.
fn check_trouble(kind: &str, fault: super::world::Fault) {
    let mut world = World::still();
    let key = setting("1");
    write(&mut world, &key, &[("x", "L1")]);
    world.fault = Some(fault);
    world.pass(40);
    assert_eq!(state(&world), (State::Waiting, Some(kind.to_owned())));
    let status = world.status();
    assert_eq!(status.queued_rows, 1);
    assert!(status.next_attempt.is_some());
    assert!(status.reason.is_some_and(|reason| !reason.hint.is_empty()));
    world.fault = None;
    world.pass(60);
    assert_eq!(state(&world), (State::Idle, None));
    assert_eq!(world.cloud(&key), Some(item(&key, &[("x", "L1")])));
}

#[test]
fn a_wrong_secret_is_shown_and_mended_without_a_restart() {
    check_trouble("bad_signature", |_, _| {
        Some(Answer::error(
            "UnrecognizedClientException",
            "The security token is invalid",
        ))
    });
}

#[test]
fn a_missing_table_is_shown_and_mended_without_a_restart() {
    check_trouble("table_not_found", |_, _| {
        Some(Answer::error(
            "ResourceNotFoundException",
            "Requested resource not found",
        ))
    });
}

#[test]
fn expired_keys_are_shown_and_mended_without_a_restart() {
    check_trouble("expired_token", |_, _| {
        Some(Answer::error(
            "ExpiredTokenException",
            "The security token has expired",
        ))
    });
}

#[test]
fn keys_without_any_right_are_shown_and_mended_without_a_restart() {
    check_trouble("access_denied", |_, _| {
        Some(Answer::error("AccessDeniedException", "not authorized"))
    });
}

#[test]
fn throttling_is_shown_and_passes() {
    check_trouble("throttled", |_, _| Some(Answer::throttled()));
}

#[test]
fn a_failing_service_is_shown_and_passes() {
    check_trouble("unavailable", |_, _| {
        Some(Answer {
            status: 503,
            body: String::new(),
        })
    });
}

#[test]
fn a_clock_that_is_off_is_corrected_from_the_answer() {
    let mut world = World::still();
    world.weather.skew_s = 1200;
    let key = setting("1");
    write(&mut world, &key, &[("x", "L1")]);
    world.pass(5);
    assert_eq!(world.cloud(&key), Some(item(&key, &[("x", "L1")])));
    let offset = world
        .status()
        .clock_offset_ms
        .expect("an answer had a date");
    assert!((-1_201_000..=-1_199_000).contains(&offset), "{offset}");
}

#[test]
fn a_queue_drains_without_another_write() {
    let mut world = World::still();
    world.pass(5);
    world.fault = Some(|_, _| {
        Some(Answer {
            status: 500,
            body: String::new(),
        })
    });
    for id in ["1", "2", "3"] {
        write(&mut world, &setting(id), &[("x", "L1")]);
    }
    world.pass(600);
    assert_eq!(world.status().queued_rows, 3);
    world.fault = None;
    world.pass(120);
    assert_eq!(world.status().queued_rows, 0);
    assert_eq!(
        world.cloud(&setting("3")),
        Some(item(&setting("3"), &[("x", "L1")]))
    );
}

#[test]
fn a_second_edit_before_the_first_is_sent_travels_with_it() {
    let mut world = World::still();
    let key = setting("1");
    write(&mut world, &key, &[("x", "L1")]);
    write(&mut world, &key, &[("x", "L2")]);
    world.pass(10);
    assert_eq!(world.cloud(&key), Some(item(&key, &[("x", "L2")])));
    assert_eq!(world.status().sent, 1);
}

#[test]
fn an_edit_between_sending_and_answer_is_sent_after_it() {
    let mut world = World::still();
    let key = setting("1");
    write(&mut world, &key, &[("x", "L1")]);
    world.pass(10);
    let created = version(&mut world, &key).expect("it was created");
    write(&mut world, &key, &[("x", "L2")]);
    while world.status().in_flight == 0 {
        world
            .run_until(world.now_ms + 1)
            .expect("no promise is broken");
    }
    write(&mut world, &key, &[("x", "L3")]);
    world.pass(10);
    assert_eq!(world.cloud(&key), Some(item(&key, &[("x", "L3")])));
    assert_eq!(version(&mut world, &key), Some(created + 2));
}

#[test]
fn a_refused_item_is_parked_and_holds_nobody_up() {
    let mut world = World::still();
    world.pass(5);
    world.fault = Some(|_, body| {
        let refused = body.contains("Setting#1") && body.contains("Condition");
        refused.then(|| Answer::error("AccessDeniedException", "not authorized"))
    });
    write(&mut world, &setting("1"), &[("x", "L1")]);
    write(&mut world, &setting("2"), &[("x", "L2")]);
    world.pass(10);
    assert_eq!(parked(&world, &setting("1")), Some(ParkKind::Refused));
    assert_eq!(state(&world), (State::Idle, None));
    let status = world.status();
    assert_eq!(status.queued_rows, 1);
    assert_eq!(status.parked[0].key, setting("1"));
    assert_eq!(
        status.parked[0].reason,
        "refused: AccessDeniedException: not authorized"
    );
    assert!(world.cloud(&setting("2")).is_some());
    world.fault = None;
    world.retry();
    world.pass(10);
    assert_eq!(
        world.cloud(&setting("1")),
        Some(item(&setting("1"), &[("x", "L1")]))
    );
}

#[test]
fn keys_that_lost_their_rights_park_a_few_items_and_not_the_queue() {
    let mut world = World::still();
    world.pass(5);
    world.fault = Some(|_, body| {
        let write = body.contains("Setting#");
        write.then(|| Answer::error("AccessDeniedException", "not authorized"))
    });
    for n in 0..100 {
        write(&mut world, &setting(&n.to_string()), &[("x", "L1")]);
    }
    world.pass(300);
    assert_eq!(
        state(&world),
        (State::Waiting, Some("access_denied".to_owned()))
    );
    assert_eq!(world.status().parked.len(), 8);
    world.fault = None;
    world.pass(60);
    assert_eq!(world.status().queued_rows, 8);
    world.retry();
    world.pass(60);
    assert_eq!(world.status().queued_rows, 0);
}

#[test]
fn the_page_of_a_captive_portal_parks_nothing() {
    check_trouble("not_the_service", |_, _| {
        Some(Answer {
            status: 404,
            body: "<html>Please log in</html>".to_owned(),
        })
    });
}

#[test]
fn a_restart_takes_parked_items_up_again() {
    let mut world = World::still();
    world.pass(5);
    world.fault = Some(|_, body| {
        let write = body.contains("Setting#1");
        write.then(|| Answer::error("ValidationException", "no"))
    });
    write(&mut world, &setting("1"), &[("x", "L1")]);
    world.pass(20);
    assert_eq!(parked(&world, &setting("1")), Some(ParkKind::Refused));
    world.fault = None;
    world.configure(|_| {});
    world.pass(20);
    assert_eq!(world.status().queued_rows, 0);
}

#[test]
fn a_parked_item_is_tried_again_when_it_is_written() {
    let mut world = World::still();
    let key = setting("1");
    let large = "x".repeat(410_000);
    write(&mut world, &key, &[("x", &large)]);
    world.pass(10);
    assert_eq!(parked(&world, &key), Some(ParkKind::Refused));
    write(&mut world, &key, &[("x", "small")]);
    world.pass(10);
    assert_eq!(world.cloud(&key), Some(item(&key, &[("x", "small")])));
}

#[test]
fn directions_hold_on_the_device() {
    let mut world = World::still();
    world.configure(|config| {
        config.models = vec![
            ModelRule::new("Up", "dev#a#", "Up#", Direction::Up),
            ModelRule::new("Down", "dev#a#", "Down#", Direction::Down),
            ModelRule::new("None", "dev#a#", "None#", Direction::None),
        ];
    });
    let key = |name: &str, id: &str| ItemKey::new("dev#a#rw", format!("{name}#{id}"));
    for name in ["Up", "Down", "None"] {
        write(&mut world, &key(name, "here"), &[("x", "L1")]);
        world.edit(&key(name, "there"), |item| drop(item.insert("x", "F1")));
    }
    world.pass(60);
    let travelled_up = ["Up", "Down", "None"].map(|name| world.cloud(&key(name, "here")).is_some());
    let came_down = ["Up", "Down", "None"].map(|name| world.local(&key(name, "there")).is_some());
    assert_eq!(travelled_up, [true, false, false]);
    assert_eq!(came_down, [false, true, false]);
    assert_eq!(
        parked(&world, &key("Down", "here")),
        Some(ParkKind::Direction)
    );
}

#[test]
fn plain_creates_edits_and_deletes_arrive_within_one_interval() {
    let mut world = World::still();
    let key = setting("1");
    world.pass(5);
    world.edit(&key, |item| drop(item.insert("x", "F1")));
    world.pass(46);
    assert_eq!(world.local(&key), Some(item(&key, &[("x", "F1")])));
    world.edit(&key, |item| drop(item.insert("x", "F2")));
    world.pass(46);
    assert_eq!(world.local(&key), Some(item(&key, &[("x", "F2")])));
    world
        .dynamo
        .table(TABLE)
        .remove(&(key.pk.clone(), key.sk.clone()));
    world.pass(46);
    assert_eq!(world.local(&key), None);
    assert_eq!(world.status().received, 3);
    assert_eq!(world.status().sent, 0);
}

#[test]
fn an_item_of_a_newer_schema_is_left_alone() {
    let mut world = World::still();
    let key = setting("1");
    write(&mut world, &key, &[("x", "L1")]);
    world.pass(10);
    world.edit(&key, |item| {
        item.insert("_s", 2);
        item.insert("x", "F1");
    });
    write(&mut world, &key, &[("x", "L2")]);
    world.pass(60);
    assert_eq!(parked(&world, &key), Some(ParkKind::Schema));
    assert_eq!(world.cloud(&key), Some(item(&key, &[("x", "F1")])));
    assert_eq!(world.local(&key), Some(item(&key, &[("x", "L2")])));
}

#[test]
fn the_loser_of_a_contested_field_is_kept() {
    let mut world = World::still();
    let key = setting("1");
    write(&mut world, &key, &[("x", "L1"), ("y", "L1")]);
    world.pass(10);
    world.edit(&key, |item| drop(item.insert("x", "F2")));
    write(&mut world, &key, &[("x", "L2"), ("y", "L2")]);
    world.pass(10);
    let both = item(&key, &[("x", "F2"), ("y", "L2")]);
    assert_eq!(world.cloud(&key), Some(both.clone()));
    assert_eq!(world.local(&key), Some(both));
    let conflicts = world.store.live().conflicts;
    let lost = conflicts
        .iter()
        .map(|entry| (entry.kind, entry.winner, entry.local.clone()));
    let expected = (
        ConflictKind::Fields,
        Side::Cloud,
        Some(Map::from([("x", "L2")])),
    );
    assert_eq!(lost.collect::<Vec<_>>(), [expected]);
}

#[test]
fn another_life_under_the_same_name_raises_an_alarm_and_then_pauses() {
    let mut world = World::still();
    world.pass(5);
    let meet = |world: &mut World, epoch: i64| {
        world.edit(&ItemKey::new("dev#a#sys", "~epoch"), |row| {
            row.insert("e", epoch);
            row.insert("s", "somebody else's");
        });
        world.pass(60);
    };
    meet(&mut world, 7);
    assert_eq!(world.alarms, ["twin"]);
    assert_eq!(world.status().epoch, 8);
    write(&mut world, &setting("1"), &[("x", "L1")]);
    world.pass(10);
    assert!(world.cloud(&setting("1")).is_some());

    meet(&mut world, 20);
    assert_eq!(state(&world), (State::Paused, Some("twin".to_owned())));
    write(&mut world, &setting("2"), &[("x", "L1")]);
    world.pass(600);
    assert_eq!(world.cloud(&setting("2")), None);
    world.retry();
    world.pass(10);
    assert_eq!(state(&world), (State::Idle, None));
    assert!(world.cloud(&setting("2")).is_some());
}

/// Others add a field, and the device deletes the item before it has seen that.
fn delete_of_what_others_changed(rules: Rules) -> World {
    let mut world = World::still_under(rules);
    let key = setting("1");
    write(&mut world, &key, &[("x", "L1")]);
    world.pass(60);
    world.edit(&key, |item| drop(item.insert("w", "F1")));
    world.write_local(&key, None);
    world.pass(60);
    world
}

#[test]
fn a_delete_that_took_an_unseen_field_along_gives_the_item_back() {
    let key = setting("1");
    let mut world = delete_of_what_others_changed(Rules::default());
    let back = item(&key, &[("x", "L1"), ("w", "F1")]);
    assert_eq!(world.cloud(&key), Some(back.clone()));
    assert_eq!(world.local(&key), Some(back));
    let conflicts = world.store.live().conflicts;
    assert_eq!(conflicts[0].kind, ConflictKind::Delete);
    assert_eq!(conflicts[0].cloud, Some(Map::from([("w", "F1")])));

    let mut rules = Rules::default();
    rules.shown_deletes = false;
    let mut world = delete_of_what_others_changed(rules);
    assert_eq!(world.cloud(&key), None);
    assert!(world.store.live().conflicts.is_empty());
}

/// A copy of the create lands after the delete was done and before its answer comes through.
fn late_create_before_the_answer(rules: Rules) -> World {
    let mut world = World::still_under(rules);
    let key = setting("1");
    world.pass(5);
    world.weather.late_copies = 100;
    write(&mut world, &key, &[("x", "L1")]);
    world.pass(5);
    world.weather.late_copies = 0;
    write(&mut world, &key, &[("x", "L2")]);
    world.pass(5);
    world.weather.lost_replies = 100;
    world.write_local(&key, None);
    while world.cloud(&key).is_some() {
        world.pass(1);
    }
    while world.cloud(&key).is_none() {
        world.pass(1);
    }
    world.weather.lost_replies = 0;
    world.pass(30 * 60);
    world
}

#[test]
fn a_late_create_does_not_outlive_a_delete_whose_answer_was_lost() {
    let key = setting("1");
    let mut world = late_create_before_the_answer(Rules::default());
    assert_eq!((world.local(&key), world.cloud(&key)), (None, None));
    let kinds = world
        .store
        .live()
        .conflicts
        .into_iter()
        .map(|entry| entry.kind);
    assert_eq!(kinds.collect::<Vec<_>>(), [ConflictKind::Debris]);

    let mut rules = Rules::default();
    rules.overtaken_deletes = false;
    let mut world = late_create_before_the_answer(rules);
    assert_eq!(world.cloud(&key), Some(item(&key, &[("x", "L1")])));
}

#[test]
fn a_table_restored_while_the_device_runs_takes_nothing_away() {
    let mut world = World::still();
    let (old, new) = (setting("old"), setting("new"));
    write(&mut world, &old, &[("x", "L1")]);
    world.pass(60);
    let backup = world.dynamo.table(TABLE).clone();
    write(&mut world, &old, &[("x", "L2")]);
    write(&mut world, &new, &[("x", "L3")]);
    world.pass(2 * 60 * 60);
    *world.dynamo.table(TABLE) = backup;
    world.pass(2 * 60 * 60);
    assert_eq!(world.alarms, ["restored_table"]);
    assert_eq!(world.local(&new), Some(item(&new, &[("x", "L3")])));
    assert_eq!(world.cloud(&new), Some(item(&new, &[("x", "L3")])));
    // The policy of the model decides between the two values, and the loser is kept.
    assert_eq!(world.local(&old), world.cloud(&old));
    let conflicts = world.store.live().conflicts;
    assert_eq!(
        conflicts[0].local.as_ref().and_then(|lost| lost.text("x")),
        Some("L2")
    );
}

#[test]
fn a_long_queue_never_crowds_the_network() {
    let mut world = World::still();
    let keys: Vec<ItemKey> = (0..500).map(|n| setting(&format!("{n:04}"))).collect();
    for key in &keys {
        write(&mut world, key, &[("x", "L1")]);
    }
    world.pass(60);
    assert_eq!(world.status().queued_rows, 0);
    assert_eq!(world.dynamo.table(TABLE).len(), keys.len() + 1);
    assert!(
        (8..=12).contains(&world.crowd),
        "{} requests at once",
        world.crowd
    );
}

#[test]
fn versions_count_the_writes_since_the_create() {
    let mut world = World::still();
    let key = setting("1");
    write(&mut world, &key, &[("x", "L0")]);
    world.pass(10);
    let created = version(&mut world, &key).expect("it was created");
    for n in 1..=5 {
        write(&mut world, &key, &[("x", &format!("L{n}"))]);
        world.pass(10);
    }
    assert_eq!(version(&mut world, &key), Some(created + 5));
    let place = (key.pk.clone(), key.sk.clone());
    let mark = world.dynamo.table(TABLE)[&place]
        .get("_m")
        .and_then(Value::as_str);
    assert_eq!(mark, Some("0000000001.000000000006"));
}
