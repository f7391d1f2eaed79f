//! Signed requests, and calls of AWS.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use periwinkle_core::aws::Credentials;
use periwinkle_core::aws::dynamodb::{
    BatchGetItem, BatchWrite, BatchWriteItem, GetItem, KeyCondition, PutItem, Query,
};
use periwinkle_core::aws::sts::AssumeRole;
use periwinkle_core::limits;
use periwinkle_core::value::Map;

use super::test_server::{Seen, Server, answer, options};
use super::*;

fn credentials() -> Credentials {
    Credentials::new("AKID", "secret")
}

fn fetch() -> Fetch {
    let keys = || Ok(credentials());
    let options = options().region("eu-west-1").credentials(Arc::new(keys));
    options.build().expect("no files")
}

fn authorization(seen: &Seen) -> String {
    seen.field("authorization")
        .expect("it is signed")
        .to_owned()
}

#[tokio::test]
async fn a_request_is_signed_for_its_service_and_region() {
    let server = Server::always(answer("200 OK", "{}")).await;
    let request = fetch()
        .post(&server.url("/?b=2&a=1"))
        .json(&serde_json::json!({}));
    let request = request.header("x-amz-target", "T").sigv4("dynamodb");
    assert!(request.send().await.expect("it answers").is_success());
    let seen = &server.seen()[0];
    let field = authorization(seen);
    assert!(
        field.contains("/eu-west-1/dynamodb/aws4_request"),
        "{field}"
    );
    assert!(
        field.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-target,"),
        "{field}"
    );
    assert_eq!(seen.field("x-amz-content-sha256"), None);
}

#[tokio::test]
async fn without_keys_or_a_region_nothing_is_sent() {
    let server = Server::always(answer("200 OK", "")).await;
    let without = options().build().expect("no files");
    let error = without
        .get(&server.url("/"))
        .sigv4("s3")
        .region("x")
        .send()
        .await;
    let text = error.expect_err("there are no keys").to_string();
    assert!(text.contains("no credentials"), "{text}");
    let error = without
        .get(&server.url("/"))
        .sigv4("s3")
        .credentials(credentials())
        .send()
        .await;
    let text = error.expect_err("there is no region").to_string();
    assert!(text.contains("the region is not in the address"), "{text}");
    assert!(server.seen().is_empty());
}

fn stream(bytes: usize, length: Option<u64>) -> Payload {
    let piece = Ok(Bytes::from(vec![b'x'; bytes]));
    Payload::stream(futures_util::stream::iter([piece]), length)
}

#[tokio::test]
async fn each_body_is_hashed_held_or_sent_in_chunks() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("file");
    std::fs::write(&path, vec![b'x'; 70_000]).expect("it is ours");
    let server = Server::always(answer("200 OK", "")).await;
    let send = |service: &str, payload: Payload| {
        fetch()
            .put(&server.url("/k"))
            .body(payload)
            .sigv4(service)
            .send()
    };
    // Elsewhere than S3: a stream is held for its hash, a file is read twice.
    send("dynamodb", stream(1000, None))
        .await
        .expect("it is short");
    send("dynamodb", Payload::file(&path))
        .await
        .expect("it is read twice");
    let max = limits::SIGNED_BODY_HELD_BYTES_MAX;
    let held = stream(max as usize, None);
    send("dynamodb", held).await.expect("it fits");
    let error = send("dynamodb", stream(max as usize + 1, None))
        .await
        .expect_err("too long");
    assert!(
        matches!(error, FetchError::Sign(SignError::Body(_))),
        "{error:?}"
    );
    // S3 takes chunks with signatures, but wants to know the length.
    send("s3", stream(70_000, Some(70_000)))
        .await
        .expect("its length is known");
    send("s3", Payload::file(&path))
        .await
        .expect("its length is known");
    let error = send("s3", stream(10, None))
        .await
        .expect_err("its length is not known");
    assert!(
        matches!(error, FetchError::Sign(SignError::Body(_))),
        "{error:?}"
    );
    let seen = server.seen();
    let lengths: Vec<_> = seen.iter().map(|seen| seen.body.len()).collect();
    assert_eq!(lengths[..3], [1000, 70_000, max as usize]);
    for chunked in &seen[3..] {
        assert_eq!(
            chunked.field("x-amz-content-sha256"),
            Some("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
        );
        assert_eq!(chunked.field("x-amz-decoded-content-length"), Some("70000"));
        assert_eq!(
            chunked.field("content-length"),
            Some(chunked.body.len().to_string().as_str())
        );
        let head = String::from_utf8_lossy(&chunked.body[..26]);
        assert!(head.starts_with("10000;chunk-signature="), "{head}");
        assert!(chunked.body.len() > 70_000);
    }
}

#[tokio::test]
async fn a_wrong_clock_is_corrected_once_from_the_answer() {
    let refusal = r#"{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"Signature expired: 20300101T000000Z is now earlier than x"}"#;
    let head = "400 x\r\ndate: Tue, 01 Jan 2030 00:00:00 GMT";
    let server = Server::new(move |at, _| match at {
        0 => answer(head, refusal),
        _ => answer("200 OK", "{}"),
    })
    .await;
    let fetch = fetch();
    for _ in 0..2 {
        let request = fetch.post(&server.url("/")).json(&1).sigv4("dynamodb");
        assert!(request.send().await.expect("it answers").is_success());
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    let day = |at: usize| seen[at].field("x-amz-date").expect("it is signed")[..8].to_owned();
    assert_ne!(day(0), "20300101");
    assert_eq!([day(1), day(2)], ["20300101", "20300101"]);
    let server = Server::always(answer(head, refusal)).await;
    let request = fetch.post(&server.url("/")).json(&1).sigv4("dynamodb");
    let refused = request.send().await.expect("it answers");
    assert_eq!(
        refused.text().await.expect("its body is still there"),
        refusal
    );
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_signed_request_is_signed_anew_on_its_host_and_follows_to_no_stranger() {
    let server = Server::new(|at, _| match at {
        0 => answer("307 x\r\nlocation: /there", ""),
        1 => answer("200 OK", ""),
        _ => answer("307 x\r\nlocation: http://stranger.invalid/", ""),
    })
    .await;
    let request = || fetch().put(&server.url("/here")).text("x").sigv4("s3");
    assert!(request().send().await.expect("it is followed").is_success());
    let seen = server.seen();
    let signature = |at: usize| {
        authorization(&seen[at])
            .rsplit("Signature=")
            .next()
            .map(str::to_owned)
    };
    assert_ne!(signature(0), signature(1));
    let error = request().send().await.expect_err("it is not followed");
    assert!(
        matches!(error, FetchError::SignedRedirect { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_stream_that_was_held_for_its_hash_can_be_sent_again() {
    let server = Server::new(|at, _| match at {
        0 => answer("307 x\r\nlocation: /there", ""),
        _ => answer("200 OK", ""),
    })
    .await;
    let request = fetch()
        .put(&server.url("/"))
        .body(stream(1000, None))
        .sigv4("dynamodb");
    assert!(request.send().await.expect("it is followed").is_success());
    assert_eq!(server.seen()[1].body, vec![b'x'; 1000]);
}

#[tokio::test]
async fn an_address_is_presigned_with_its_life() {
    let url = "https://bucket.s3.eu-central-1.amazonaws.com/a%20b?versionId=7";
    let request = |life| {
        fetch()
            .get(url)
            .sigv4("s3")
            .presign(Duration::from_secs(life))
    };
    let signed = request(60).expect("a minute is short");
    assert!(
        signed.starts_with("https://bucket.s3.eu-central-1.amazonaws.com/a%20b?versionId=7&X-Amz-"),
        "{signed}"
    );
    assert!(
        signed.contains("%2Feu-central-1%2Fs3%2F") && signed.contains("X-Amz-Expires=60&"),
        "{signed}"
    );
    let error = request(8 * 24 * 3600).expect_err("a week is all");
    assert!(
        matches!(error, FetchError::Sign(SignError::Life(_))),
        "{error:?}"
    );
}

fn target(seen: &Seen) -> String {
    seen.field("x-amz-target").unwrap_or_default().to_owned()
}

#[tokio::test]
async fn any_operation_is_called_by_its_names_page_by_page() {
    let server = Server::new(|at, _| match at {
        0 => answer(
            "200 OK",
            r#"{"TableNames":["a"],"LastEvaluatedTableName":"a"}"#,
        ),
        _ => answer("200 OK", r#"{"TableNames":["b"]}"#),
    })
    .await;
    let aws = fetch().aws().endpoint(server.url(""));
    let mut pages = aws
        .pages("dynamodb", "ListTables", Map::default())
        .expect("it is known");
    let mut names = Vec::new();
    while let Some(page) = pages.next().await.expect("it answers") {
        names.push(page.to_json());
    }
    assert_eq!(names.len(), 2);
    assert!(names[1].contains("\"b\""), "{names:?}");
    let seen = server.seen();
    assert_eq!(target(&seen[1]), "DynamoDB_20120810.ListTables");
    assert_eq!(seen[1].body, br#"{"ExclusiveStartTableName":"a"}"#);
    let error = aws
        .call("dynamo", "ListTables", Map::default())
        .await
        .expect_err("no such");
    assert!(error.to_string().contains("dynamodb"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_was_throttled_is_called_again_and_an_unknown_outcome_is_not() {
    let throttled = r#"{"__type":"ThrottlingException","message":"slow"}"#;
    let failed = r#"{"__type":"InternalServerError","message":"oops"}"#;
    let put = PutItem {
        table: "t".into(),
        item: Map::from([("pk", "a")]),
        ..PutItem::default()
    };
    let server = Server::new(move |at, _| match at {
        0 | 1 => answer("400 x", throttled),
        _ => answer("200 OK", "{}"),
    })
    .await;
    let aws = fetch().aws().endpoint(server.url(""));
    aws.dynamodb(&put).await.expect("then it is done");
    assert_eq!(server.seen().len(), 3);
    let server = Server::always(answer("500 x", failed)).await;
    let aws = fetch().aws().endpoint(server.url(""));
    let error = aws.dynamodb(&put).await.expect_err("nobody knows");
    assert!(matches!(error, AwsError::Service(_)), "{error:?}");
    assert_eq!(server.seen().len(), 1);
    let get = GetItem {
        table: "t".into(),
        key: Map::from([("pk", "a")]),
        ..GetItem::default()
    };
    let error = aws.retries(0).dynamodb(&get).await.expect_err("it fails");
    assert!(matches!(error, AwsError::Service(_)), "{error:?}");
    let retries = limits::FETCH_RETRIES_MAX as usize;
    assert_eq!(server.seen().len(), 2 + retries, "a read is sent again");
}

#[tokio::test(start_paused = true)]
async fn pages_and_batches_of_dynamodb_are_asked_for_to_their_end() {
    let server = Server::new(|_, seen| {
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        let reply = match target(seen).rsplit('.').next() {
            Some("Query") if body.contains("ExclusiveStartKey") => r#"{"Items":[{"pk":{"S":"b"}}]}"#,
            Some("Query") => r#"{"Items":[{"pk":{"S":"a"}}],"LastEvaluatedKey":{"pk":{"S":"a"}}}"#,
            Some("BatchGetItem") if body.contains("\"b\"") => {
                r#"{"Responses":{"t":[{"pk":{"S":"a"}}]},"UnprocessedKeys":{"t":{"Keys":[{"pk":{"S":"c"}}]}}}"#
            }
            Some("BatchGetItem") => r#"{"Responses":{"t":[{"pk":{"S":"c"}}]},"UnprocessedKeys":{}}"#,
            _ => r#"{"UnprocessedItems":{"t":[{"DeleteRequest":{"Key":{"pk":{"S":"a"}}}}]}}"#,
        };
        answer("200 OK", reply)
    })
    .await;
    let aws = fetch().aws().endpoint(server.url("")).retries(2);
    let key = |name: &str| Map::from([("pk", name)]);
    let mut pages = aws.query(Query::new("t", KeyCondition::partition("pk", "x")));
    let mut items = Vec::new();
    while let Some(page) = pages.next().await.expect("it answers") {
        items.extend(page.items);
    }
    assert_eq!(items, [key("a"), key("b")]);
    let batch = BatchGetItem {
        table: "t".into(),
        keys: vec![key("a"), key("b"), key("c")],
        ..BatchGetItem::default()
    };
    assert_eq!(
        aws.batch_get(batch).await.expect("all come"),
        [key("a"), key("c")]
    );
    let batch = BatchWriteItem {
        table: "t".into(),
        writes: vec![BatchWrite::Delete(key("a"))],
    };
    let error = aws.batch_write(batch).await.expect_err("one is never done");
    assert!(matches!(error, AwsError::Unprocessed(1)), "{error:?}");
}

#[tokio::test]
async fn sts_says_who_we_are_and_gives_keys() {
    let server = Server::new(|at, _| match at {
        0 => answer("200 OK", "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:x</Arn><UserId>u</UserId><Account>1</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"),
        1 => answer("200 OK", "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2030-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"),
        _ => answer("403 x", "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"),
    })
    .await;
    let aws = fetch().aws().endpoint(server.url(""));
    assert_eq!(
        aws.caller_identity().await.expect("it answers").account,
        "1"
    );
    let role = AssumeRole {
        role_arn: "arn:aws:iam::1:role/device".into(),
        session_name: "pump-7".into(),
        ..AssumeRole::default()
    };
    let keys = aws.assume_role(&role).await.expect("it is allowed");
    let with_keys = aws.clone().credentials(keys);
    let error = with_keys.caller_identity().await.expect_err("it is denied");
    assert_eq!(error.to_string(), "AccessDenied: no");
    let seen = server.seen();
    assert_eq!(seen[2].field("x-amz-security-token"), Some("t"));
    assert!(authorization(&seen[2]).contains("Credential=ASIA/"));
}
