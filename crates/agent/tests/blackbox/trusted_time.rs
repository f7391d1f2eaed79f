//! Who confirms the time, as a device's maker and its owner see it.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::agent::{Agent, Home};
use crate::eventually::eventually;

/// A home whose configuration names a mark that is not there yet.
fn home() -> Home {
    Home::with("[runtime]\ntime_mark = \"time-is-right\"\n")
}

/// The section of the status, once the mark has confirmed the time.
fn confirmed_by_mark(agent: &Agent) -> Value {
    eventually("the mark confirms the time", || {
        let time = agent.status()["time"].clone();
        (time["source"] == "time_mark").then_some(time)
    })
}

#[test]
fn a_mark_that_the_maker_leaves_confirms_the_time_for_all_to_see() {
    let agent = home().start();
    let log = "the time is confirmed by time_mark";
    assert!(!agent.log().contains(log));
    File::create(agent.home().path().join("time-is-right")).expect("the folder is ours");
    let time = confirmed_by_mark(&agent);
    assert_eq!(time["trusted"], true);
    let (wall, confirmed) = (&time["wall"], &time["confirmed"]);
    assert!(
        confirmed.as_str() <= wall.as_str() && confirmed.is_string(),
        "{time}"
    );
    let page = agent.home().run(&["status"]).stdout;
    let page = String::from_utf8(page).expect("it is text");
    assert!(page.contains("Z, confirmed by time_mark "), "{page}");
}

#[test]
fn a_mark_from_before_this_boot_confirms_nothing() {
    let home = home();
    let mark = File::create(home.path().join("time-is-right")).expect("the folder is ours");
    let long_ago = SystemTime::now() - Duration::from_secs(10 * 365 * 86_400);
    mark.set_modified(long_ago).expect("the file is ours");
    let agent = home.start();
    assert_ne!(agent.status()["time"]["source"], "time_mark");
    // The agent does look at it.
    mark.set_modified(SystemTime::now())
        .expect("the file is ours");
    confirmed_by_mark(&agent);
}

#[test]
fn a_confirmed_time_is_kept_for_the_next_start() {
    let home = home();
    File::create(home.path().join("time-is-right")).expect("the folder is ours");
    let agent = home.start();
    let time = confirmed_by_mark(&agent);
    let (home, code) = agent.stop();
    assert_eq!(code, Some(0));
    let kept = fs::read_to_string(home.state().join("last-time")).expect("it was kept");
    assert!(
        Some(kept.trim_end()) >= time["confirmed"].as_str(),
        "{kept} {time}"
    );
}
