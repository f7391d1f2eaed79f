//! `upload queue`.

use http::Method;
use serde_json::Value;

use super::super::failure::Failure;
use super::super::table::Table;
use super::super::{human, output};
use super::UPLOADS;
use super::args::Queue;
use super::talk::Talk;

pub(super) fn queue(talk: &Talk, queue: &Queue) -> Result<(), Failure> {
    let path = format!("{UPLOADS}?ended={}", queue.all);
    let answer = talk.value(Method::GET, &path, None)?;
    match queue.json.json {
        true => output::print(&answer.to_string()),
        false => output::print(&page(&answer)),
    }
}

fn page(answer: &Value) -> String {
    if answer["enabled"] == false {
        return "uploads are off; upload.enable in the configuration switches them on".to_owned();
    }
    let number = |name: &str| answer[name].as_u64().unwrap_or(0);
    let mut text = format!(
        "{} waiting, {} being sent, {} done since the start ({})\n",
        human::counted(number("queued_rows"), "upload"),
        human::count(number("sending")),
        human::count(number("done")),
        human::size(number("done_bytes")),
    );
    if let Some(why) = answer["credentials_error"].as_str() {
        text.push_str(&format!("nothing is sent: {}\n", output::plain(why)));
    }
    let mut table = Table::new([
        "ID", "STATE", "KEY", "SENT", "OF", "PRIORITY", "TRIES", "ERROR",
    ])
    .right(3)
    .right(4)
    .right(5)
    .right(6);
    for row in answer["uploads"].as_array().into_iter().flatten() {
        let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let count = |name: &str| row[name].as_u64().unwrap_or(0);
        table.push([
            word("id"),
            word("state"),
            word("key"),
            human::size(count("sent")),
            human::size(count("bytes")),
            human::count(count("priority")),
            human::count(count("attempts")),
            word("error"),
        ]);
    }
    if !table.is_empty() {
        text.push('\n');
        text.push_str(&table.show().text);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_queue_is_shown_with_why_it_waits() {
        let answer = json!({
            "enabled": true, "queued_rows": 1, "sending": 0, "done": 12, "done_bytes": 3_000_000,
            "uploads": [{
                "id": "01JD", "state": "waiting", "key": "d/a", "sent": 0, "bytes": 5,
                "priority": 5, "attempts": 2, "error": "no\u{1b}way",
            }],
        });
        assert_eq!(
            page(&answer),
            "1 upload waiting, 0 being sent, 12 done since the start (3.0 MB)\n\n\
             ID    STATE    KEY     SENT       OF  PRIORITY  TRIES  ERROR\n\
             01JD  waiting  d/a  0 bytes  5 bytes         5      2  no\u{fffd}way\n"
        );
        let answer = json!({
            "enabled": true, "queued_rows": 1, "sending": 0,
            "credentials_error": "there are no credentials: x", "uploads": [],
        });
        assert_eq!(
            page(&answer),
            "1 upload waiting, 0 being sent, 0 done since the start (0 bytes)\n\
             nothing is sent: there are no credentials: x\n"
        );
        assert!(page(&json!({"enabled": false})).starts_with("uploads are off"));
    }
}
