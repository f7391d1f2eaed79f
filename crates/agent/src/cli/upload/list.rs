//! `upload list`.

use http::Method;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::table::Table;
use super::super::{human, output};
use super::UPLOADS;
use super::args::List;
use super::talk::Talk;
use crate::api::path::encoded;

pub(super) fn list(talk: &Talk, list: &List) -> Result<(), Failure> {
    let mut objects: Vec<Value> = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let mut path = format!("{UPLOADS}/objects?");
        if let Some(prefix) = &list.prefix {
            path.push_str(&format!("prefix={}&", encoded(prefix)));
        }
        if let Some(next) = &next {
            path.push_str(&format!("next={}", encoded(next)));
        }
        let mut page = talk.value(Method::GET, &path, None)?;
        if let Value::Array(found) = page["objects"].take() {
            objects.extend(found);
        }
        next = page["next"].as_str().map(str::to_owned);
        if next.is_none() {
            break;
        }
    }
    match list.json.json {
        true => output::print(&json!({"objects": objects}).to_string()),
        false => output::print(&listing(&objects)),
    }
}

fn listing(objects: &[Value]) -> String {
    let mut table = Table::new(["KEY", "SIZE", "WRITTEN"]).right(1);
    for object in objects {
        let word = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
        let size = human::size(object["bytes"].as_u64().unwrap_or(0));
        table.push([word("key"), size, word("last_modified")]);
    }
    match table.is_empty() {
        true => "there is no such object".to_owned(),
        false => table.show().text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_stand_below_each_other() {
        let objects = [
            json!({"key": "d/a", "bytes": 5, "last_modified": "2026-11-22T10:00:00.000Z"}),
            json!({"key": "d/long", "bytes": 5_000_000, "last_modified": "2026-11-22T11:00:00.000Z"}),
        ];
        assert_eq!(
            listing(&objects),
            "KEY        SIZE  WRITTEN\n\
             d/a     5 bytes  2026-11-22T10:00:00.000Z\n\
             d/long   5.0 MB  2026-11-22T11:00:00.000Z\n"
        );
        assert_eq!(listing(&[]), "there is no such object");
    }
}
