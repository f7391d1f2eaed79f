//! `periwinkle mqtt status`.

use http::Method;
use serde_json::Value;

use crate::cli::args::Json;
use crate::cli::failure::Failure;
use crate::cli::inputs::Inputs;
use crate::cli::{control, human, output, table};

/// How the agent's connection to its broker is.
pub(super) fn status(inputs: &Inputs, json: Json) -> Result<(), Failure> {
    let status = control::ask(inputs, json, (Method::GET, "/api/v1/mqtt", None))?;
    match json.json {
        true => Ok(()),
        false => output::print(&page(&status)),
    }
}

/// Connections that are shown; `--json` has them all.
const CONNECTIONS_SHOWN: usize = 5;

fn page(status: &Value) -> String {
    let word = |name: &str| output::plain(status[name].as_str().unwrap_or_default());
    let mut text = format!(
        "{} as {}: {}",
        word("broker"),
        word("client_id"),
        word("state")
    );
    if let Some(why) = status["why"].as_str() {
        text.push_str(&format!(", {}", output::plain(why)));
    }
    text.push('\n');
    text.push_str(&table::columns(&rows(status)));
    let past: Vec<Vec<String>> = history(status).collect();
    if !past.is_empty() {
        text.push_str("\n  last connections\n");
        text.push_str(&table::columns(&past));
    }
    text
}

fn rows(status: &Value) -> Vec<Vec<String>> {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let (queue, counts) = (&status["queue"], &status["counts"]);
    let dropped = counts["dropped"].as_object().into_iter().flatten();
    let dropped: Vec<String> = dropped
        .filter(|(_, count)| number(count) > 0)
        .map(|(why, count)| format!("{} {}", human::count(number(count)), why.replace('_', " ")))
        .collect();
    let mut rows = vec![
        (
            "queue",
            format!(
                "{}, {}, {} on their way",
                human::counted(number(&queue["messages"]), "message"),
                human::size(number(&queue["bytes"])),
                human::count(number(&queue["in_flight"]))
            ),
        ),
        (
            "messages",
            format!(
                "{} taken, {} delivered, {} refused by the broker, {} had no room",
                human::count(number(&counts["accepted"])),
                human::count(number(&counts["completed"])),
                human::count(number(&counts["rejected"])),
                human::count(number(&counts["refused"]))
            ),
        ),
    ];
    if !dropped.is_empty() {
        rows.push(("dropped", dropped.join(", ")));
    }
    let listening = human::counted(number(&status["subscriptions"]), "subscription");
    let missed = number(&status["missed"]);
    let missed =
        (missed > 0).then(|| format!(", {} not read in time", human::counted(missed, "message")));
    let received = human::counted(number(&status["received"]), "message");
    let listening = format!("{listening}, {received} received");
    rows.push(("listens", listening + &missed.unwrap_or_default()));
    for refused in status["refused_subscriptions"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let word = |name: &str| output::plain(refused[name].as_str().unwrap_or_default());
        rows.push(("refused", format!("{}: {}", word("filter"), word("reason"))));
    }
    if let Some(rules) = rules(&status["rules"]) {
        rows.push(("rules", rules));
    }
    rows.into_iter()
        .map(|(name, fact)| vec![format!("  {name}"), fact])
        .collect()
}

/// What has become of changes that rules publish, if any did.
fn rules(rules: &Value) -> Option<String> {
    let number = |name: &str| rules[name].as_u64().unwrap_or(0);
    let (unpublishable, gaps) = (number("unpublishable"), number("gaps"));
    let (refused, items, no_item) = (number("refused"), number("items"), number("no_item"));
    let mut text = format!(
        "{} published",
        human::counted(number("published"), "change")
    );
    if unpublishable > 0 {
        text.push_str(&format!(", {} could not be", human::count(unpublishable)));
    }
    if refused > 0 {
        text.push_str(&format!(
            ", {} refused by the broker",
            human::count(refused)
        ));
    }
    if gaps > 0 {
        text.push_str(&format!(
            ", {} in what the database can tell",
            human::counted(gaps, "gap")
        ));
    }
    if items + no_item > 0 {
        let taken = human::counted(items, "message");
        text.push_str(&format!(
            "; {taken} taken as items, {} could not be",
            human::count(no_item)
        ));
    }
    (number("published") + unpublishable + gaps + items + no_item > 0).then_some(text)
}

/// The newest first.
fn history(status: &Value) -> impl Iterator<Item = Vec<String>> {
    let past = status["history"].as_array().into_iter().flatten().rev();
    past.take(CONNECTIONS_SHOWN).map(|past| {
        let lasted = match past["lasted_ms"].as_u64() {
            Some(millis) => format!("lasted {}", human::duration(millis)),
            None => "never stood".to_owned(),
        };
        let end = past["end"].as_str().unwrap_or_default();
        let began = past["began_at"]
            .as_str()
            .unwrap_or("at a time that is not known");
        vec![
            format!("    {}", output::plain(began)),
            lasted,
            output::plain(end),
        ]
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_that_matters_has_its_line() {
        let status = json!({
            "state": "offline", "why": "reset\u{1b}[2J", "broker": "mqtts://b:8883",
            "client_id": "pump-7", "version": "5",
            "queue": {"messages": 1200, "bytes": 150_000, "in_flight": 0},
            "counts": {"accepted": 5000, "refused": 1, "completed": 3700, "rejected": 2,
                       "spilled": 9, "dropped": {"overflow": 0, "expired": 98, "too_old": 1}},
            "subscriptions": 2, "received": 17, "missed": 3,
            "refused_subscriptions": [{"filter": "a/#", "reason": "not authorized (0x87)"}],
            "rules": {"published": 7, "unpublishable": 2, "gaps": 1, "refused": 3, "items": 5,
                      "no_item": 4},
            "history": [
                {"began_ms": 1, "began_at": null, "lasted_ms": null, "end": "no route"},
                {"began_ms": 2, "began_at": "2026-11-22T10:21:53.667Z", "lasted_ms": 65_000, "end": "reset"},
            ],
        });
        let expected = "\
mqtts://b:8883 as pump-7: offline, reset\u{fffd}[2J
  queue     1,200 messages, 150.0 kB, 0 on their way
  messages  5,000 taken, 3,700 delivered, 2 refused by the broker, 1 had no room
  dropped   98 expired, 1 too old
  listens   2 subscriptions, 17 messages received, 3 messages not read in time
  refused   a/#: not authorized (0x87)
  rules     7 changes published, 2 could not be, 3 refused by the broker, 1 gap in what the database can tell; 5 messages taken as items, 4 could not be

  last connections
    2026-11-22T10:21:53.667Z     lasted 1 min  reset
    at a time that is not known  never stood   no route
";
        assert_eq!(page(&status), expected);
    }
}
