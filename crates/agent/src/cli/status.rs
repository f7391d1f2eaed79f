//! `periwinkle status`: how the running agent is.

use std::time::{SystemTime, UNIX_EPOCH};

use http::Method;
use periwinkle_core::time::UnixMillis;
use serde_json::Value;

use super::args::Json;
use super::failure::Failure;
use super::inputs::Inputs;
use super::{control, human, output, table};

pub(super) fn status(inputs: &Inputs, json: &Json) -> Result<(), Failure> {
    let answer = control::ask(inputs, *json, (Method::GET, "/api/v1/status", None))?;
    match json.json {
        true => Ok(()),
        false => output::print(&page(&answer, now_ms())),
    }
}

/// For showing how long ago something was; the agent's clock is this machine's.
fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The status for people. Parts that the answer lacks are left out.
fn page(status: &Value, now_ms: i64) -> String {
    let facts = [
        ("up", uptime(status)),
        ("owner", owner(status)),
        ("web", listeners(&status["web"])),
        ("clock", clock(&status["time"])),
        ("database", database(&status["db"])),
        ("mqtt", mqtt(&status["mqtt"])),
        ("upload", upload(&status["upload"])),
        // Last: its trouble follows.
        ("sync", sync(&status["sync"], now_ms)),
    ];
    let rows: Vec<Vec<String>> = facts
        .into_iter()
        .filter_map(|(name, fact)| Some(vec![format!("  {name}"), fact?]))
        .collect();
    let mut text = format!("{}\n{}", headline(status), table::columns(&rows));
    for line in sync_trouble(&status["sync"]) {
        text.push_str(&format!("    {line}\n"));
    }
    let services = services(&status["services"], status["uptime_ms"].as_u64());
    if !services.is_empty() {
        text.push('\n');
        text.push_str(&table::columns(&services));
    }
    text
}

fn headline(status: &Value) -> String {
    let word = |value: &Value| value.as_str().map(output::plain);
    let version = word(&status["version"]).unwrap_or_default();
    let state = word(&status["state"]).unwrap_or_else(|| "in an unknown state".to_owned());
    let mut line = format!("periwinkle {version} is {state}");
    if let Some(id) = word(&status["device"]["id"]) {
        line.push_str(&format!(" on {id}"));
    }
    if let Some(name) = word(&status["device"]["name"]) {
        line.push_str(&format!(" ({name})"));
    }
    line
}

fn uptime(status: &Value) -> Option<String> {
    Some(human::duration(status["uptime_ms"].as_u64()?))
}

fn owner(status: &Value) -> Option<String> {
    Some(match status["setup"].as_str()? {
        "needed" => "not set up: open the console, or `periwinkle setup` for a new code".to_owned(),
        _ => "set up".to_owned(),
    })
}

fn listeners(web: &Value) -> Option<String> {
    let listen = web["listen"].as_array()?;
    let words: Vec<String> = listen
        .iter()
        .filter_map(Value::as_str)
        .map(output::plain)
        .collect();
    Some(match words.is_empty() {
        true => "no listener".to_owned(),
        false => words.join(", "),
    })
}

fn clock(time: &Value) -> Option<String> {
    let wall = match &time["wall"] {
        Value::String(text) => output::plain(text),
        number => UnixMillis(number.as_i64()?).iso(),
    };
    Some(match time["trusted"].as_bool()? {
        true => wall + &confirmation(time).unwrap_or_default(),
        false => format!("{wall}, not confirmed yet"),
    })
}

fn confirmation(time: &Value) -> Option<String> {
    let source = output::plain(time["source"].as_str()?);
    let at = |name: &str| UnixMillis::parse_iso(time[name].as_str()?);
    let ago = ago(at("confirmed")?.0, at("wall")?.0);
    Some(format!(", confirmed by {source} {ago} ago"))
}

fn database(db: &Value) -> Option<String> {
    let rows = human::counted(db["rows"].as_u64()?, "row");
    let mut words = format!("{rows}, {}", human::size(db["bytes"].as_u64()?));
    if let Some(segments) = db["segments"].as_u64() {
        words.push_str(&format!(" in {}", human::counted(segments, "segment")));
    }
    if db["disk_full"] == true {
        words.push_str("; the disk is full, writes are refused");
    }
    if let Some(failure) = db["failure"].as_str() {
        words.push_str(&format!("; {}", output::plain(failure)));
    }
    Some(words)
}

fn sync(sync: &Value, now_ms: i64) -> Option<String> {
    if sync["enabled"] == false {
        return Some("off".to_owned());
    }
    let mut words = output::plain(sync["state"].as_str()?);
    if let Some(table) = sync["table"].as_str() {
        words.push_str(&format!(", table {}", output::plain(table)));
    }
    if let Some(rows) = sync["queued_rows"].as_u64().filter(|rows| *rows > 0) {
        let bytes = human::size(sync["queued_bytes"].as_u64().unwrap_or(0));
        words.push_str(&format!(
            ", {} ({bytes}) waiting",
            human::counted(rows, "change")
        ));
    }
    if let Some(last) = sync["last_exchange_ms"].as_i64() {
        words.push_str(&format!(", last exchange {} ago", ago(last, now_ms)));
    }
    Some(words)
}

fn mqtt(mqtt: &Value) -> Option<String> {
    if mqtt["enabled"] == false {
        return Some("off".to_owned());
    }
    let mut words = output::plain(mqtt["state"].as_str()?);
    if let Some(broker) = mqtt["broker"].as_str() {
        words.push_str(&format!(", {}", output::plain(broker)));
    }
    let waiting = mqtt["queue"]["messages"].as_u64();
    if let Some(messages) = waiting.filter(|messages| *messages > 0) {
        words.push_str(&format!(
            ", {} waiting",
            human::counted(messages, "message")
        ));
    }
    if let Some(why) = mqtt["why"].as_str() {
        words.push_str(&format!("; {}", output::plain(why)));
    }
    Some(words)
}

fn upload(upload: &Value) -> Option<String> {
    if upload["enabled"] == false {
        return Some("off".to_owned());
    }
    let mut words = format!("bucket {}", output::plain(upload["bucket"].as_str()?));
    let number = |name: &str| upload[name].as_u64().filter(|number| *number > 0);
    if let Some(rows) = number("queued_rows") {
        words.push_str(&format!(", {} waiting", human::counted(rows, "upload")));
    }
    if let Some(done) = number("done") {
        let bytes = human::size(number("done_bytes").unwrap_or(0));
        words.push_str(&format!(", {} done ({bytes})", human::count(done)));
    }
    if let Some(why) = upload["credentials_error"].as_str() {
        words.push_str(&format!("; {}", output::plain(why)));
    }
    Some(words)
}

/// What keeps replication from going on, and what to do about it.
fn sync_trouble(sync: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for words in ["text", "hint"] {
        lines.extend(sync["reason"][words].as_str().map(output::plain));
    }
    for parked in sync["parked"].as_array().into_iter().flatten() {
        let key = match &parked["key"] {
            Value::Array(parts) => {
                let parts: Vec<&str> = parts.iter().filter_map(Value::as_str).collect();
                parts.join("/")
            }
            other => other.as_str().unwrap_or_default().to_owned(),
        };
        let (model, reason) = (parked["model"].as_str(), parked["reason"].as_str());
        lines.push(output::plain(&format!(
            "set aside: {} {key}: {}",
            model.unwrap_or_default(),
            reason.unwrap_or_default()
        )));
    }
    lines
}

/// `since_ms` counts from the start of the agent, as does `uptime_ms`: neither needs a clock that
/// knows the date.
fn services(services: &Value, uptime_ms: Option<u64>) -> Vec<Vec<String>> {
    let Some(services) = services.as_array().filter(|services| !services.is_empty()) else {
        return Vec::new();
    };
    let head = ["  SERVICE", "STATE", "SINCE", "RESTARTS", "ERROR"].map(str::to_owned);
    let row = |service: &Value| {
        let word = |name: &str| output::plain(service[name].as_str().unwrap_or_default());
        let since = service["since_ms"].as_u64().zip(uptime_ms);
        let since = since.map(|(since, uptime)| human::duration(uptime.saturating_sub(since)));
        vec![
            format!("  {}", word("name")),
            word("state"),
            since.unwrap_or_default(),
            human::count(service["restarts"].as_u64().unwrap_or(0)),
            word("error"),
        ]
    };
    let mut rows = vec![head.to_vec()];
    rows.extend(services.iter().map(row));
    rows
}

fn ago(then_ms: i64, now_ms: i64) -> String {
    human::duration(u64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_the_agent_says_has_its_place() {
        let status = json!({
            "state": "running", "version": "0.1.0", "setup": "done",
            "device": {"id": "pump-7", "name": "Pump in the cellar"},
            "uptime_ms": 7_200_000,
            "time": {"wall": "2026-11-22T10:21:53.667Z", "trusted": false},
            "web": {"listen": ["http://127.0.0.1:8080", "https://*:443"]},
            "db": {"rows": 1234, "bytes": 3_260_000, "segments": 1},
            "sync": {
                "enabled": true, "state": "paused", "table": "fleet", "queued_rows": 2,
                "queued_bytes": 1500, "last_exchange_ms": 940_000,
                "reason": {"text": "The table is missing.", "hint": "Deploy cloud/template.yaml."},
                "parked": [{"model": "Setting", "key": ["volume"], "reason": "too large"}],
            },
            "mqtt": {
                "state": "offline", "broker": "mqtts://broker:8883", "queue": {"messages": 3},
                "why": "the broker is busy",
            },
            "upload": {
                "enabled": true, "bucket": "pumps-7", "queued_rows": 2, "done": 12,
                "done_bytes": 3_000_000,
            },
            "services": [
                {"name": "web", "state": "running", "since_ms": 7_080_000, "restarts": 0,
                 "error": null},
                {"name": "sync", "state": "backoff", "since_ms": 7_195_000, "restarts": 1200,
                 "error": "no route\u{1b}[2J"},
            ],
        });
        let expected = "\
periwinkle 0.1.0 is running on pump-7 (Pump in the cellar)
  up        2 hours
  owner     set up
  web       http://127.0.0.1:8080, https://*:443
  clock     2026-11-22T10:21:53.667Z, not confirmed yet
  database  1,234 rows, 3.2 MB in 1 segment
  mqtt      offline, mqtts://broker:8883, 3 messages waiting; the broker is busy
  upload    bucket pumps-7, 2 uploads waiting, 12 done (3.0 MB)
  sync      paused, table fleet, 2 changes (1.5 kB) waiting, last exchange 1 min ago
    The table is missing.
    Deploy cloud/template.yaml.
    set aside: Setting volume: too large

  SERVICE  STATE    SINCE  RESTARTS  ERROR
  web      running  2 min  0
  sync     backoff  5 s    1,200     no route\u{fffd}[2J
";
        assert_eq!(page(&status, 1_000_000), expected);
    }

    #[test]
    fn a_confirmed_time_says_by_whom() {
        let mut time = json!({"wall": "2026-11-22T10:21:53.667Z", "trusted": true});
        let wall = "2026-11-22T10:21:53.667Z";
        assert_eq!(clock(&time).as_deref(), Some(wall));
        time["source"] = json!("chrony");
        time["confirmed"] = json!("2026-11-22T10:21:41.000Z");
        let expected = format!("{wall}, confirmed by chrony 12 s ago");
        assert_eq!(clock(&time), Some(expected));
    }

    #[test]
    fn a_database_that_takes_no_writes_says_why() {
        let mut db = json!({"rows": 1, "bytes": 4000, "disk_full": true, "failure": null});
        let full = "1 row, 4.0 kB; the disk is full, writes are refused";
        assert_eq!(database(&db).as_deref(), Some(full));
        db["disk_full"] = json!(false);
        db["failure"] = json!("cannot sync 00000001.log");
        let failed = "1 row, 4.0 kB; cannot sync 00000001.log";
        assert_eq!(database(&db).as_deref(), Some(failed));
    }

    #[test]
    fn what_the_agent_does_not_say_is_left_out() {
        let status = json!({"state": "running", "version": "0.1.0", "setup": "needed"});
        assert_eq!(
            page(&status, 0),
            "periwinkle 0.1.0 is running\n  owner  not set up: open the console, or `periwinkle \
             setup` for a new code\n"
        );
        assert_eq!(sync(&json!({"enabled": false}), 0), Some("off".to_owned()));
        assert_eq!(mqtt(&json!({"enabled": false})), Some("off".to_owned()));
        assert_eq!(
            listeners(&json!({"listen": []})),
            Some("no listener".to_owned())
        );
        assert_eq!(ago(5, 0), "0 s");
    }
}
