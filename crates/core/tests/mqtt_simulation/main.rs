//! Thousands of seeded histories of one client and one broker over a network that cuts anywhere,
//! with restarts of both and of the device. A failure prints its seed; `PERIWINKLE_MQTT_SEED=n`
//! replays one history, and `PERIWINKLE_MQTT_HISTORIES=n` runs that many of each kind.

#![expect(
    clippy::disallowed_methods,
    reason = "a test takes its seed from the environment"
)]
#![expect(clippy::print_stdout, reason = "a test tells its story")]
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod broker;
mod flash;
mod ledger;
mod outage;
mod weather;
mod world;

use ledger::Broken;
use periwinkle_core::mqtt::session::Rules;
use weather::Weather;
use world::World;

const HISTORIES: u64 = 200;
const MUTANT_HISTORIES: u64 = 600;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// No history of this kind breaks a promise.
fn check(weather: Weather) {
    let count = number("PERIWINKLE_MQTT_HISTORIES").unwrap_or(HISTORIES);
    let seeds = match number("PERIWINKLE_MQTT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..count,
    };
    for seed in seeds {
        let run = || World::new(seed, weather, Rules::default()).run();
        match std::panic::catch_unwind(run) {
            Ok(Ok(())) => {}
            Ok(Err(Broken(text))) => panic!("PERIWINKLE_MQTT_SEED={seed}: {text}"),
            Err(_) => panic!("PERIWINKLE_MQTT_SEED={seed} panicked, see above"),
        }
    }
}

#[test]
fn in_calm_weather_everything_arrives_once_and_in_order() {
    check(weather::CALM);
}

#[test]
fn lost_connections_lose_nothing_and_double_nothing() {
    check(weather::STORMY);
}

#[test]
fn a_broker_that_forgets_gets_everything_again() {
    check(weather::FORGETFUL);
}

#[test]
fn an_orderly_stop_loses_nothing_and_doubles_nothing() {
    check(weather::STOPPING);
}

#[test]
fn a_kill_costs_no_more_than_the_delay_before_a_spill() {
    check(weather::KILLED);
}

#[test]
fn all_misfortunes_together_break_no_promise() {
    check(weather::WILD);
}

#[test]
fn slow_readers_lose_nothing_and_no_connection() {
    check(weather::HELD);
}

#[test]
fn a_queue_that_is_too_short_loses_what_it_tells_and_nothing_else() {
    check(weather::CROWDED);
}

#[test]
fn a_message_that_ends_connections_is_given_up_and_no_other() {
    check(weather::POISONED);
}

#[test]
fn a_link_that_ends_connections_at_random_costs_no_message() {
    check(weather::FLAKY);
}

#[test]
fn a_full_flash_refuses_in_words_and_costs_nothing_that_was_accepted() {
    check(weather::FULL);
}

#[test]
fn a_flash_whose_syncs_fail_costs_nothing_that_was_accepted() {
    check(weather::FAULTY);
}

#[test]
fn a_flash_that_fails_and_a_device_that_ends_break_no_promise_together() {
    check(weather::FAULTY_AND_WILD);
}

#[test]
fn messages_that_expire_while_they_wait_are_dropped_in_time_and_never_sent() {
    check(weather::EXPIRING);
}

/// Without this rule some history of this kind breaks a promise.
fn check_needed(rule: &str, weather: Weather, remove: fn(&mut Rules)) {
    let mut rules = Rules::default();
    remove(&mut rules);
    let broken = (0..MUTANT_HISTORIES).find_map(|seed| {
        let Err(Broken(text)) = World::new(seed, weather, rules).run() else {
            return None;
        };
        Some((seed, text))
    });
    let Some((seed, text)) = broken else {
        panic!("nothing breaks without {rule}");
    };
    let text: String = text.chars().take(100).collect();
    println!("without {rule}, history {seed}: {text}");
}

/// A rule by name, the weather that needs it, and how to take it out.
type Rule = (&'static str, Weather, fn(&mut Rules));

#[test]
fn every_rule_is_needed() {
    use weather::{FAULTY, FAULTY_AND_WILD, FORGETFUL, KILLED, STORMY, WILD};
    let rules: [Rule; 13] = [
        ("sending again", STORMY, |rules| rules.resend = false),
        ("beginning again", FORGETFUL, |rules| {
            rules.begin_again = false;
        }),
        ("the window on resumption", STORMY, |rules| {
            rules.window_on_resend = false;
        }),
        ("staying released", STORMY, |rules| {
            rules.released_stays = false;
        }),
        ("telling once", STORMY, |rules| rules.dedup = false),
        ("forgetting received ids", FORGETFUL, |rules| {
            rules.forget_received = false;
        }),
        ("ids on flash", KILLED, |rules| rules.durable_ids = false),
        ("release on flash", KILLED, |rules| {
            rules.durable_release = false;
        }),
        ("forgetting on flash", WILD, |rules| {
            rules.durable_forget = false;
        }),
        ("releasing doubtful ids", KILLED, |rules| {
            rules.release_doubtful = false;
        }),
        ("ids in order", FAULTY_AND_WILD, |rules| {
            rules.marks_in_order = false;
        }),
        ("removing what may be there", FAULTY, |rules| {
            rules.doubt_failed = false;
        }),
        ("waiting behind the backlog", STORMY, |rules| {
            rules.behind_backlog = false;
        }),
    ];
    for (rule, weather, remove) in rules {
        check_needed(rule, weather, remove);
    }
}
