//! The typed calls of a maker's program, on the emulator.

use periwinkle::Agent;
use periwinkle::core::aws::Credentials;
use periwinkle::core::aws::ServiceErrorKind;
use periwinkle::core::aws::dynamodb::{
    BatchExecuteStatement, BatchGetItem, BatchWrite, BatchWriteItem, Condition, DeleteItem,
    DescribeTable, GetItem, KeyCondition, PutItem, Query, ReturnValues, Statement, TableStatus,
    TransactAction, TransactWriteItems, Update, UpdateItem,
};
use periwinkle::core::aws::sts::AssumeRole;
use periwinkle::core::value::{Map, Value};
use periwinkle::fetch::{Aws, AwsError};
use serde_json::Value as Json;

use crate::counterparts::{Cloud, TABLE};

/// As the owner of the account, from a program with an agent in it.
async fn owner(cloud: &Cloud) -> Aws {
    let state = tempfile::tempdir().unwrap();
    let text = format!("[runtime]\nstate = \"{}\"\n", state.path().display());
    let agent = Agent::builder().config_text("test", text).build().await;
    let fetch = agent.unwrap().fetch();
    let keys = Credentials::new("test", "test");
    fetch
        .aws()
        .endpoint(&cloud.endpoint)
        .region("us-east-1")
        .credentials(keys)
}

fn key(pk: &str, sk: &str) -> Map {
    Map::from([("pk", Value::from(pk)), ("sk", Value::from(sk))])
}

fn item(pk: &str, sk: &str) -> Map {
    let mut item = key(pk, sk);
    item.insert("text", "blue");
    item
}

fn put(pk: &str, sk: &str) -> PutItem {
    PutItem {
        table: TABLE.to_owned(),
        item: item(pk, sk),
        ..PutItem::default()
    }
}

fn get(pk: &str, sk: &str) -> GetItem {
    GetItem {
        table: TABLE.to_owned(),
        key: key(pk, sk),
        consistent: true,
        ..GetItem::default()
    }
}

#[tokio::test]
async fn items_are_put_read_and_removed() {
    let cloud = Cloud::shared();
    cloud.device("typed-items");
    let aws = owner(&cloud).await;
    let (pk, sk) = ("typed-items", "a");
    assert_eq!(aws.dynamodb(&put(pk, sk)).await.unwrap(), None);
    assert_eq!(
        aws.dynamodb(&get(pk, sk)).await.unwrap(),
        Some(item(pk, sk))
    );
    let remove = DeleteItem {
        table: TABLE.to_owned(),
        key: key(pk, sk),
        return_old: true,
        ..DeleteItem::default()
    };
    assert_eq!(aws.dynamodb(&remove).await.unwrap(), Some(item(pk, sk)));
    assert_eq!(aws.dynamodb(&get(pk, sk)).await.unwrap(), None);
}

#[tokio::test]
async fn a_false_condition_is_an_error_with_the_item() {
    let cloud = Cloud::shared();
    cloud.device("typed-condition");
    let aws = owner(&cloud).await;
    let mut twice = put("typed-condition", "a");
    twice.condition = Some(Condition::absent("pk"));
    twice.item_on_failure = true;
    aws.dynamodb(&twice).await.unwrap();
    let error = aws.dynamodb(&twice).await.expect_err("it is there");
    let AwsError::Service(error) = error else {
        panic!("{error}")
    };
    let there = Some(item("typed-condition", "a"));
    assert_eq!(
        error.kind,
        ServiceErrorKind::ConditionFailed { item: there }
    );
}

#[tokio::test]
async fn batches_and_pages_go_to_their_end() {
    let cloud = Cloud::shared();
    cloud.device("typed-pages");
    let aws = owner(&cloud).await;
    let names: Vec<String> = (0..20).map(|number| format!("{number:02}")).collect();
    let writes = names
        .iter()
        .map(|sk| BatchWrite::Put(item("typed-pages", sk)));
    let batch = BatchWriteItem {
        table: TABLE.to_owned(),
        writes: writes.collect(),
    };
    aws.batch_write(batch).await.unwrap();
    let mut query = Query::new(TABLE, KeyCondition::partition("pk", "typed-pages"));
    query.limit = Some(7);
    let mut pages = aws.query(query);
    let mut sizes = Vec::new();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        sizes.push(page.items.len());
        found.extend(page.items);
    }
    assert_eq!(sizes, [7, 7, 6]);
    let expected: Vec<Map> = names.iter().map(|sk| item("typed-pages", sk)).collect();
    assert_eq!(found, expected);
    let batch = BatchGetItem {
        table: TABLE.to_owned(),
        keys: names.iter().map(|sk| key("typed-pages", sk)).collect(),
        consistent: true,
        ..BatchGetItem::default()
    };
    assert_eq!(aws.batch_get(batch).await.unwrap().len(), 20);
}

fn update(pk: &str, sk: &str, update: Update) -> UpdateItem {
    UpdateItem {
        table: TABLE.to_owned(),
        key: key(pk, sk),
        update,
        ..UpdateItem::default()
    }
}

fn set(name: &str, value: &str) -> Update {
    Update {
        set: Map::from([(name, Value::from(value))]),
        ..Update::default()
    }
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_gives_what_was_asked_for() {
    let cloud = Cloud::shared();
    cloud.device("typed-update");
    let aws = owner(&cloud).await;
    let pk = "typed-update";
    aws.dynamodb(&put(pk, "a")).await.unwrap();
    let mut change = update(pk, "a", set("room", "den"));
    change.update.remove.insert("text".to_owned());
    change.update.add.insert("count", Value::from(2));
    change.returns = ReturnValues::AllNew;
    let new = aws.dynamodb(&change).await.unwrap().expect("asked for");
    let mut expected = key(pk, "a");
    expected.insert("room", "den");
    expected.insert("count", Value::from(2));
    assert_eq!(new, expected);
    assert_eq!(aws.dynamodb(&get(pk, "a")).await.unwrap(), Some(new));
    change.condition = Some(Condition::equals("room", "hall"));
    change.item_on_failure = true;
    let error = aws.dynamodb(&change).await.expect_err("it is the den");
    let AwsError::Service(error) = error else {
        panic!("{error}")
    };
    let there = Some(expected);
    assert_eq!(
        error.kind,
        ServiceErrorKind::ConditionFailed { item: there }
    );
}

#[tokio::test]
async fn a_transaction_is_done_whole_or_not_at_all() {
    let cloud = Cloud::shared();
    cloud.device("typed-transaction");
    let aws = owner(&cloud).await;
    let pk = "typed-transaction";
    let mut there = put(pk, "a");
    there.condition = Some(Condition::absent("pk"));
    let transaction = TransactWriteItems {
        token: None,
        actions: vec![
            TransactAction::Put(there),
            TransactAction::Update(update(pk, "b", set("room", "den"))),
        ],
    };
    aws.dynamodb(&transaction).await.unwrap();
    assert_eq!(
        aws.dynamodb(&get(pk, "a")).await.unwrap(),
        Some(item(pk, "a"))
    );
    let second = TransactWriteItems {
        token: None,
        actions: vec![
            TransactAction::Update(update(pk, "b", set("room", "hall"))),
            transaction.actions[0].clone(),
        ],
    };
    let error = aws.dynamodb(&second).await.expect_err("the first is there");
    let AwsError::Service(error) = error else {
        panic!("{error}")
    };
    let ServiceErrorKind::TransactionCancelled { reasons } = error.kind else {
        panic!("{error}")
    };
    let failed: Vec<bool> = reasons.iter().map(|reason| reason.kind.is_some()).collect();
    assert_eq!(failed, [false, true]);
    let kept = aws
        .dynamodb(&get(pk, "b"))
        .await
        .unwrap()
        .expect("it is there");
    assert_eq!(kept.get("room"), Some(&Value::from("den")));
}

#[tokio::test]
async fn each_statement_of_a_batch_has_a_result_of_its_own() {
    let cloud = Cloud::shared();
    cloud.device("typed-statements");
    let aws = owner(&cloud).await;
    let pk = "typed-statements";
    aws.dynamodb(&put(pk, "a")).await.unwrap();
    let read = format!("SELECT * FROM \"{TABLE}\" WHERE pk = ? AND sk = ?");
    let batch = BatchExecuteStatement {
        statements: vec![
            Statement::insert(TABLE, &item(pk, "a")).unwrap(),
            Statement::insert(TABLE, &item(pk, "b")).unwrap(),
        ],
    };
    let results = aws.dynamodb(&batch).await.unwrap();
    let kind = results[0].as_ref().map_err(|error| &error.kind);
    assert_eq!(kind, Err(&ServiceErrorKind::DuplicateItem));
    assert_eq!(results[1], Ok(None));
    let batch = BatchExecuteStatement {
        statements: vec![
            Statement::new(&read, vec![pk.into(), "b".into()]),
            Statement::new(&read, vec![pk.into(), "none".into()]),
        ],
    };
    let results = aws.dynamodb(&batch).await.unwrap();
    assert_eq!(results, [Ok(Some(item(pk, "b"))), Ok(None)]);
}

#[tokio::test]
async fn the_table_is_described() {
    let cloud = Cloud::shared();
    cloud.device("typed-table");
    let table = DescribeTable {
        table: TABLE.to_owned(),
    };
    let described = owner(&cloud).await.dynamodb(&table).await.unwrap();
    assert_eq!(described.status, TableStatus::Active);
    assert_eq!(described.key.partition, "pk");
    assert_eq!(described.key.sort.as_deref(), Some("sk"));
}

#[tokio::test]
async fn sts_tells_who_we_are_and_lends_a_role() {
    let cloud = Cloud::shared();
    let aws = owner(&cloud).await;
    assert_eq!(aws.caller_identity().await.unwrap().account, "000000000000");
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
        "Principal":{"AWS":"arn:aws:iam::000000000000:root"}}]}"#;
    let parameters = Map::from([
        ("RoleName", Value::from("typed-role")),
        ("AssumeRolePolicyDocument", Value::from(trust)),
    ]);
    let made = aws.call("iam", "CreateRole", parameters).await.unwrap();
    let made: Json = serde_json::from_str(&made.to_json()).unwrap();
    let role = AssumeRole {
        role_arn: made["Role"]["Arn"].as_str().unwrap().to_owned(),
        session_name: "typed".to_owned(),
        ..AssumeRole::default()
    };
    let lent = aws.assume_role(&role).await.unwrap();
    assert!(lent.session_token.is_some());
    let who = aws.credentials(lent).caller_identity().await.unwrap();
    assert!(who.arn.ends_with("/typed-role/typed"), "{}", who.arn);
}
