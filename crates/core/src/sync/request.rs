//! The requests of replication, as DynamoDB takes them.
//!
//! A write is a function of the record and the configuration alone: the attempt is frozen, so that
//! the same attempt gives the same body byte for byte.

use super::config::Config;
use super::record::{Frozen, ItemKey, Mark, Op, Record, content};
use crate::aws::dynamodb::{
    Condition, DeleteItem, GetItem, KeyCondition, Operation as _, PageToken, PutItem, Query,
    Request, RequestError, ReturnValues, Update, UpdateItem,
};
use crate::limits::SYNC_COMPARED_FIELDS_MAX;
use crate::value::{Map, Value};

/// The conditional write of the attempt that is frozen; `None` if there is none.
pub(super) fn write(
    config: &Config,
    key: &ItemKey,
    record: &Record,
) -> Option<Result<Request, RequestError>> {
    let change = record.change.as_ref()?;
    let frozen = change.frozen.as_ref()?;
    let base = change.base.as_ref();
    Some(match &frozen.op {
        Op::Create(item) => put(config, key, frozen, item, Condition::absent("pk")),
        Op::Replace(item) => {
            let base = base.cloned().unwrap_or_default();
            put(
                config,
                key,
                frozen,
                item,
                unchanged_as_a_whole(config, &base),
            )
        }
        Op::Set { set, remove } => {
            let base = base.cloned().unwrap_or_default();
            let fields = set.keys().chain(remove.iter().map(String::as_str));
            let mut update = Update {
                set: set.clone(),
                remove: remove.clone(),
                ..Update::default()
            };
            update.set.extend(metadata(config, frozen));
            UpdateItem {
                table: config.table.clone(),
                key: attributes(key),
                update,
                condition: Some(unchanged(config, &base, fields)),
                returns: ReturnValues::AllNew,
                item_on_failure: true,
            }
            .request()
        }
        Op::Delete => {
            let base = base.cloned().unwrap_or_default();
            DeleteItem {
                table: config.table.clone(),
                key: attributes(key),
                condition: Some(unchanged_as_a_whole(config, &base)),
                return_old: config.rules.shown_deletes,
                item_on_failure: true,
            }
            .request()
        }
    })
}

fn put(
    config: &Config,
    key: &ItemKey,
    frozen: &Frozen,
    item: &Map,
    condition: Condition,
) -> Result<Request, RequestError> {
    PutItem {
        table: config.table.clone(),
        item: written(config, key, frozen, item),
        condition: Some(condition),
        return_old: config.rules.shown_deletes,
        item_on_failure: true,
    }
    .request()
}

/// The item that a successful attempt leaves in the cloud, as far as we can know.
pub(super) fn outcome(
    config: &Config,
    key: &ItemKey,
    base: Option<&Map>,
    frozen: &Frozen,
) -> Option<Map> {
    let item = frozen.op.apply(base.cloned())?;
    Some(written(config, key, frozen, &item))
}

fn written(config: &Config, key: &ItemKey, frozen: &Frozen, item: &Map) -> Map {
    let mut item = item.clone();
    item.retain(|_, value| !matches!(value, Value::Set(set) if set.is_empty()));
    item.extend(attributes(key));
    item.extend(metadata(config, frozen));
    item
}

fn metadata(config: &Config, frozen: &Frozen) -> Map {
    Map::from([
        ("_v", Value::from(frozen.version)),
        ("_m", Value::from(frozen.mark.to_string())),
        ("_w", Value::from(&config.writer)),
        ("_s", Value::from(frozen.schema)),
    ])
}

/// The item is as we know it, as far as this write touches it.
fn unchanged<'a>(
    config: &Config,
    base: &Map,
    fields: impl IntoIterator<Item = &'a str>,
) -> Condition {
    let mut condition = Condition::exists("pk").and(Condition::is("_v", base.get("_v")));
    if config.rules.field_comparison {
        for field in fields {
            condition = condition.and(Condition::is(field, base.get(field)));
        }
    }
    condition.and(Condition::absent("_s").or(Condition::at_most("_s", config.schema)))
}

/// All of the item is as we know it. Of an item with very many fields only the version is compared
/// and, if it has one, the time of its last write: an expression has its bounds.
fn unchanged_as_a_whole(config: &Config, base: &Map) -> Condition {
    let is_key = |name: &str| name == "pk" || name == "sk";
    let fields = content(base)
        .map(|(name, _)| name)
        .filter(|name| !is_key(name));
    if base.len() <= SYNC_COMPARED_FIELDS_MAX {
        return unchanged(config, base, fields);
    }
    unchanged(
        config,
        base,
        base.contains_key("updated").then_some("updated"),
    )
}

/// Takes an epoch, if the row of epochs is as expected.
pub(super) fn claim(
    config: &Config,
    expected: Option<u64>,
    next: u64,
    instance: &str,
    secret: &str,
) -> Result<Request, RequestError> {
    let set = Map::from([
        ("e", Value::from(next)),
        ("i", Value::from(instance)),
        ("s", Value::from(secret)),
    ]);
    UpdateItem {
        table: config.table.clone(),
        key: attributes(&epoch_key(config)),
        update: Update {
            set,
            ..Update::default()
        },
        condition: Some(match expected {
            Some(epoch) => Condition::equals("e", epoch),
            None => Condition::absent("pk"),
        }),
        returns: ReturnValues::None,
        item_on_failure: true,
    }
    .request()
}

/// The key of the row of epochs.
pub(super) fn epoch_key(config: &Config) -> ItemKey {
    ItemKey::new(format!("dev#{}#sys", config.device), "~epoch")
}

/// Reads one item.
pub(super) fn read(config: &Config, key: &ItemKey) -> Result<Request, RequestError> {
    GetItem {
        table: config.table.clone(),
        key: attributes(key),
        consistent: true,
        projection: Vec::new(),
    }
    .request()
}

/// Reads the next page of a partition.
pub(super) fn page(
    config: &Config,
    partition: &str,
    start: Option<PageToken>,
) -> Result<Request, RequestError> {
    let mut query = Query::new(&config.table, KeyCondition::partition("pk", partition));
    query.consistent = true;
    query.start = start;
    query.request()
}

/// Removes what carries a mark of ours not above `mark`, and shows it.
pub(super) fn clear_debris(
    config: &Config,
    key: &ItemKey,
    mark: Mark,
) -> Result<Request, RequestError> {
    DeleteItem {
        table: config.table.clone(),
        key: attributes(key),
        condition: Some(Condition::at_most("_m", mark.to_string())),
        return_old: true,
        item_on_failure: false,
    }
    .request()
}

/// The number of the schema that an item belongs to; one without is as old as can be.
pub(super) fn schema_of(item: &Map) -> i64 {
    item.get("_s").and_then(Value::as_i64).unwrap_or(0)
}

fn attributes(key: &ItemKey) -> Map {
    Map::from([("pk", &key.pk), ("sk", &key.sk)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new("table", "a")
    }

    fn body(base: Option<Map>, wanted: Option<Map>) -> String {
        let mut record = Record {
            item: base,
            change: None,
        };
        record.write(wanted);
        let change = record.change.as_mut().unwrap();
        let op = change.pending.take().unwrap();
        change.frozen = Some(Frozen {
            mark: Mark { epoch: 7, n: 42 },
            op,
            version: 8,
            schema: 1,
        });
        let key = ItemKey::new("dev#a#rw", "Setting#1");
        write(&config(), &key, &record).unwrap().unwrap().body
    }

    fn base() -> Option<Map> {
        Some(Map::from([
            ("pk", Value::from("dev#a#rw")),
            ("sk", "Setting#1".into()),
            ("a", 1.into()),
            ("b", 2.into()),
            ("_v", 7.into()),
        ]))
    }

    fn without(names: &[&str]) -> Option<Map> {
        let mut item = base().unwrap();
        item.retain(|name, _| !names.contains(&name));
        Some(item)
    }

    #[test]
    fn a_set_compares_the_fields_that_it_writes_and_no_others() {
        let mut wanted = without(&["b"]).unwrap();
        wanted.insert("c", 3);
        assert_eq!(
            body(base(), Some(wanted)),
            concat!(
                r##"{"TableName":"table","Key":{"pk":{"S":"dev#a#rw"},"sk":{"S":"Setting#1"}},"##,
                r##""UpdateExpression":"SET #0 = :0, #1 = :1, #2 = :2, #3 = :3, #4 = :4 REMOVE #5","##,
                r##""ConditionExpression":"attribute_exists(#6) AND #2 = :5 "##,
                r##"AND attribute_not_exists(#4) AND #5 = :6 "##,
                r##"AND (attribute_not_exists(#1) OR #1 <= :7)","##,
                r##""ExpressionAttributeNames":{"#0":"_m","#1":"_s","#2":"_v","#3":"_w","#4":"c","##,
                r##""#5":"b","#6":"pk"},"##,
                r##""ExpressionAttributeValues":{":0":{"S":"0000000007.000000000042"},":1":{"N":"1"},"##,
                r##"":2":{"N":"8"},":3":{"S":"device"},":4":{"N":"3"},":5":{"N":"7"},":6":{"N":"2"},":7":{"N":"1"}},"##,
                r##""ReturnValuesOnConditionCheckFailure":"ALL_OLD","ReturnValues":"ALL_NEW"}"##
            )
        );
    }

    #[test]
    fn a_create_puts_everything_where_nothing_is() {
        let body = body(None, without(&["_v"]));
        assert!(
            body.contains(r#""ConditionExpression":"attribute_not_exists(#0)""#),
            "{body}"
        );
        assert!(body.contains(r#""_v":{"N":"8"}"#), "{body}");
    }

    #[test]
    fn a_delete_compares_all_that_is_known() {
        let body = body(base(), None);
        let condition = "attribute_exists(#0) AND #1 = :0 AND #2 = :1 AND #3 = :2 AND (";
        assert!(body.contains(condition), "{body}");
    }

    #[test]
    fn a_delete_of_an_item_with_very_many_fields_compares_its_version() {
        let fields = (0..SYNC_COMPARED_FIELDS_MAX).map(|n| (format!("f{n:03}"), n as u64));
        let mut item: Map = fields.collect();
        assert!(body(Some(item.clone()), None).contains("f000"));
        item.insert("one_more", 1);
        assert!(!body(Some(item), None).contains("f000"));
    }
}
