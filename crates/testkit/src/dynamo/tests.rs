use super::*;

const TABLE: &str = "t";

fn service() -> Dynamo {
    let mut dynamo = Dynamo::new();
    dynamo.create_table(TABLE);
    let item = Map::from([
        ("pk", Value::from("p")),
        ("sk", "s".into()),
        ("n", 1.into()),
    ]);
    dynamo
        .table(TABLE)
        .insert(("p".to_owned(), "s".to_owned()), item);
    dynamo
}

/// The condition of a put on the one item there is.
fn put_if(condition: &str, names: &str, values: &str) -> Answer {
    let body = format!(
        r#"{{"TableName":"t","Item":{{"pk":{{"S":"p"}},"sk":{{"S":"s"}}}},
            "ConditionExpression":"{condition}",
            "ExpressionAttributeNames":{names},"ExpressionAttributeValues":{values},
            "ReturnValuesOnConditionCheckFailure":"ALL_OLD"}}"#
    );
    service().handle("DynamoDB_20120810.PutItem", &body)
}

fn update(expression: &str, names: &str, values: &str) -> Answer {
    let body = format!(
        r#"{{"TableName":"t","Key":{{"pk":{{"S":"p"}},"sk":{{"S":"s"}}}},
            "UpdateExpression":"{expression}","ReturnValues":"ALL_NEW",
            "ExpressionAttributeNames":{names},"ExpressionAttributeValues":{values}}}"#
    );
    service().handle("DynamoDB_20120810.UpdateItem", &body)
}

#[test]
fn conditions_are_judged_as_the_service_does() {
    let names = r##"{"#n":"n","#x":"x"}"##;
    let values = r#"{":one":{"N":"1.0"},":two":{"N":"2"}}"#;
    let used = "(#n = :one OR #x = :two)";
    for (condition, holds) in [
        ("#n = :one", true),
        ("#n = :two", false),
        ("#n < :two AND NOT #n < :one", true),
        ("#x <> :two", true),
        ("#x < :two", false),
        ("attribute_exists(#n) AND attribute_not_exists(#x)", true),
        ("#n BETWEEN :one AND :two", true),
        ("#n IN (:two, :one)", true),
        ("(#n = :two OR #x = :two)", false),
    ] {
        let answer = put_if(&format!("{used} AND {condition}"), names, values);
        assert_eq!(
            answer.status,
            if holds { 200 } else { 400 },
            "{condition}: {answer:?}"
        );
        assert_eq!(
            answer.body.contains("ConditionalCheckFailed"),
            !holds,
            "{condition}"
        );
    }
}

#[test]
fn a_failed_condition_shows_the_item() {
    let answer = put_if("#n = :n", r##"{"#n":"n"}"##, r#"{":n":{"N":"5"}}"#);
    assert_eq!(
        answer.body,
        concat!(
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","#,
            r#""message":"The conditional request failed","#,
            r#""Item":{"n":{"N":"1"},"pk":{"S":"p"},"sk":{"S":"s"}}}"#
        )
    );
}

#[test]
fn a_placeholder_that_is_unused_or_missing_is_refused() {
    let unused = put_if("attribute_exists(#n)", r##"{"#n":"n","#x":"x"}"##, "{}");
    assert!(unused.body.contains("unused in expressions"), "{unused:?}");
    let missing = put_if("attribute_exists(#x)", r##"{"#n":"n"}"##, "{}");
    assert!(missing.body.contains("not defined"), "{missing:?}");
}

#[test]
fn updates_set_remove_and_add() {
    let answer = update(
        "SET #a = :a, #b = #n + :a REMOVE #gone ADD #n :a",
        r##"{"#a":"a","#b":"b","#n":"n","#gone":"gone"}"##,
        r#"{":a":{"N":"2"}}"#,
    );
    assert_eq!(
        answer.body,
        r#"{"Attributes":{"a":{"N":"2"},"b":{"N":"3"},"n":{"N":"3"},"pk":{"S":"p"},"sk":{"S":"s"}}}"#
    );
}

#[test]
fn an_update_that_names_an_attribute_twice_is_refused() {
    let answer = update(
        "SET #n = :a REMOVE #n",
        r##"{"#n":"n"}"##,
        r#"{":a":{"N":"2"}}"#,
    );
    assert!(answer.body.contains("overlap"), "{answer:?}");
}

#[test]
fn a_request_that_is_wrong_in_any_part_changes_nothing() {
    let mut dynamo = service();
    let before = dynamo.table(TABLE).clone();
    let body = r#"{"TableName":"t","Item":{"pk":{"S":"new"},"sk":{"S":"s"}},"Strange":1}"#;
    assert_eq!(dynamo.handle("DynamoDB_20120810.PutItem", body).status, 400);
    assert_eq!(*dynamo.table(TABLE), before);
}

#[test]
fn an_item_beyond_400_kb_is_refused() {
    let text = |bytes: usize| format!(r#"{{":a":{{"S":"{}"}}}}"#, "x".repeat(bytes));
    let others = "pk".len() + "p".len() + "sk".len() + "s".len() + "n".len() + 2 + "a".len();
    let names = r##"{"#a":"a"}"##;
    assert_eq!(
        update("SET #a = :a", names, &text(ITEM_BYTES_MAX - others)).status,
        200
    );
    let answer = update("SET #a = :a", names, &text(ITEM_BYTES_MAX - others + 1));
    assert!(
        answer.body.contains("Item size has exceeded"),
        "{}",
        answer.status
    );
}

#[test]
fn a_query_goes_page_by_page() {
    let mut dynamo = service();
    dynamo.page_items_max = Some(2);
    for sk in ["a", "b", "c"] {
        let item = Map::from([("pk", "q"), ("sk", sk)]);
        dynamo
            .table(TABLE)
            .insert(("q".to_owned(), sk.to_owned()), item);
    }
    let mut page = |start: &str| {
        let body = format!(
            r##"{{"TableName":"t","ConsistentRead":true,"ScanIndexForward":true,"KeyConditionExpression":"#0 = :0",{start}
                "ExpressionAttributeNames":{{"#0":"pk"}},
                "ExpressionAttributeValues":{{":0":{{"S":"q"}}}}}}"##
        );
        dynamo.handle("DynamoDB_20120810.Query", &body).body
    };
    assert!(page("").contains(r#""LastEvaluatedKey":{"pk":{"S":"q"},"sk":{"S":"b"}}"#));
    let last = page(r#""ExclusiveStartKey":{"pk":{"S":"q"},"sk":{"S":"b"}},"#);
    assert_eq!(
        last,
        r#"{"Count":1,"Items":[{"pk":{"S":"q"},"sk":{"S":"c"}}]}"#
    );
}

#[test]
fn a_missing_table_and_an_unknown_field_are_named() {
    let get = |fields: &str| {
        let body =
            format!(r#"{{"TableName":"t","Key":{{"pk":{{"S":"p"}},"sk":{{"S":"s"}}}}{fields}}}"#);
        service().handle("DynamoDB_20120810.GetItem", &body).body
    };
    assert!(get(r#","ConsistentRead":true"#).contains(r#""n":{"N":"1"}"#));
    assert!(get(r#","ConsistentRead":true,"Strange":1"#).contains("Strange"));
    let answer = Dynamo::new().handle("DynamoDB_20120810.GetItem", r#"{"TableName":"t"}"#);
    assert!(answer.body.contains("ResourceNotFoundException"));
}

#[test]
fn what_only_our_own_grammar_takes_is_refused() {
    for condition in [
        "n = 1",
        "#n = 1",
        "#n = 'a'",
        "`n` = :a",
        "n = :a",
        "#n = :a && #n = :a",
    ] {
        let answer = put_if(condition, r##"{"#n":"n"}"##, r#"{":a":{"N":"1"}}"#);
        assert!(
            answer.body.contains("Invalid expression: syntax error"),
            "{condition}: {answer:?}"
        );
    }
}
