//! Calls of AWS, with judges of their signatures: ministack, and moto in its verifying mode.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use periwinkle::core::aws::Credentials;
use periwinkle::core::aws::sigv4::{Payload, PresignedLife, Request, Signer};
use periwinkle::core::time::UnixMillis;
use serde_json::{Value, json};

use super::{CLIENT_ERROR, DONE, INPUT, Place, Ran, USAGE};
use crate::counterparts::{Cloud, Device, Moto, SecondOpinion, tool};
use crate::fault_proxy::dynamo::{DynamoProxy, Fault};

/// A call of DynamoDB with the keys in a file.
fn dynamodb(place: &Place, device: &Device, endpoint: &str, call: (&str, Value)) -> Ran {
    let (operation, parameters) = call;
    let keys = device.credentials_file.display().to_string();
    let parameters = parameters.to_string();
    place.fetch(&[
        "--aws",
        "dynamodb",
        operation,
        &parameters,
        "--endpoint",
        endpoint,
        "--region",
        &device.region,
        "--credentials",
        &keys,
    ])
}

fn put(device: &Device, id: &str) -> (&'static str, Value) {
    let pk = format!("dev#{}#rw", device.thing);
    let item = json!({"pk": {"S": pk}, "sk": {"S": id}, "text": {"S": "blue"}});
    ("PutItem", json!({"TableName": device.table, "Item": item}))
}

fn get(device: &Device, id: &str) -> (&'static str, Value) {
    let pk = format!("dev#{}#rw", device.thing);
    let key = json!({"pk": {"S": pk}, "sk": {"S": id}});
    ("GetItem", json!({"TableName": device.table, "Key": key}))
}

/// The same device with one of its keys changed.
fn with_key(device: &Device, place: &Place, name: &str, value: &str) -> PathBuf {
    let bytes = fs::read(&device.credentials_file).unwrap();
    let mut keys: Value = serde_json::from_slice(&bytes).unwrap();
    keys[name] = value.into();
    let path = place.path().join("changed.json");
    fs::write(&path, keys.to_string()).unwrap();
    path
}

#[test]
fn a_signed_call_is_done_and_its_answer_printed() {
    let (cloud, place) = (Cloud::shared(), Place::new());
    let device = cloud.device("fetch-call");
    let call = |call| dynamodb(&place, &device, &cloud.endpoint, call);
    call(put(&device, "a")).expect(DONE);
    let ran = call(get(&device, "a")).expect(DONE);
    let answer: Value = serde_json::from_slice(&ran.out).unwrap();
    assert_eq!(answer["Item"]["text"]["S"], "blue");
}

#[test]
fn the_services_refusal_is_shown_in_its_own_words() {
    let (cloud, place) = (Cloud::shared(), Place::new());
    let device = cloud.device("fetch-refused");
    let call = |call| dynamodb(&place, &device, &cloud.endpoint, call);
    call(("Scan", json!({"TableName": device.table})))
        .expect(CLIENT_ERROR)
        .tells("AccessDenied");
    call((
        "GetItem",
        json!({"TableName": "nowhere", "Key": {"pk": {"S": "a"}, "sk": {"S": "b"}}}),
    ))
    .expect(CLIENT_ERROR);
    call(("NoSuchOperation", json!({}))).expect(CLIENT_ERROR);
}

#[test]
fn a_wrong_secret_is_refused_by_both_judges() {
    let cloud = Cloud::shared();
    let second = SecondOpinion::of("fetch-secret");
    let first = cloud.device("fetch-secret");
    for device in [&first, &second.device] {
        let place = Place::new();
        let right = dynamodb(&place, device, &device.endpoint, put(device, "a"));
        right.expect(DONE);
        let credentials_file = with_key(device, &place, "SecretAccessKey", "wrong");
        let thief = Device {
            thing: device.thing.clone(),
            endpoint: device.endpoint.clone(),
            region: device.region.clone(),
            table: device.table.clone(),
            bucket: device.bucket.clone(),
            credentials_file,
        };
        dynamodb(&place, &thief, &device.endpoint, put(device, "b"))
            .expect(CLIENT_ERROR)
            .tells("ignature");
    }
}

#[test]
fn an_unknown_key_is_refused_by_both_judges() {
    let cloud = Cloud::shared();
    let second = SecondOpinion::of("fetch-unknown");
    let first = cloud.device("fetch-unknown");
    for device in [&first, &second.device] {
        let place = Place::new();
        let keys = with_key(device, &place, "AccessKeyId", "AKIAXXXXXXXXXXXXXXXX");
        let stranger = Device {
            thing: device.thing.clone(),
            endpoint: device.endpoint.clone(),
            region: device.region.clone(),
            table: device.table.clone(),
            bucket: device.bucket.clone(),
            credentials_file: keys,
        };
        dynamodb(&place, &stranger, &device.endpoint, put(device, "a")).expect(CLIENT_ERROR);
    }
}

#[test]
fn a_header_that_is_altered_on_the_way_is_refused() {
    let (cloud, place) = (Cloud::shared(), Place::new());
    let device = cloud.device("fetch-altered");
    let proxy = DynamoProxy::start(&cloud.endpoint);
    dynamodb(&place, &device, &proxy.endpoint(), put(&device, "a")).expect(DONE);
    proxy.set(Fault::Alter(
        "DynamoDB_20120810.PutItem",
        "DynamoDB_20120810.DeleteItem",
    ));
    dynamodb(&place, &device, &proxy.endpoint(), put(&device, "b"))
        .expect(CLIENT_ERROR)
        .tells("ignature");
}

#[test]
fn a_clock_that_is_an_hour_off_is_corrected_by_the_servers() {
    let (cloud, place) = (Cloud::shared(), Place::new());
    let device = cloud.device("fetch-clock");
    let proxy = DynamoProxy::start(&cloud.endpoint);
    let library = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
        .map(|folder| format!("{folder}/faketime/libfaketime.so.1"))
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
        .expect("faketime is missing: run cargo xtask test");
    let place = place
        .env("LD_PRELOAD", &library)
        .env("FAKETIME", "+60m")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    dynamodb(&place, &device, &proxy.endpoint(), put(&device, "a")).expect(DONE);
    assert_eq!(
        proxy.requests(),
        2,
        "refused once, and taken when it was signed anew"
    );
}

#[test]
fn any_request_can_be_signed_for_a_service() {
    let (cloud, place) = (Cloud::shared(), Place::new());
    let device = cloud.device("fetch-any");
    let keys = device.credentials_file.display().to_string();
    let (_, parameters) = get(&device, "none");
    fs::write(place.path().join("body"), parameters.to_string()).unwrap();
    let url = format!("{}/", cloud.endpoint);
    let words = [
        "POST",
        url.as_str(),
        "@body",
        "Content-Type:application/x-amz-json-1.0",
        "X-Amz-Target:DynamoDB_20120810.GetItem",
        "--sigv4",
        "dynamodb",
        "--credentials",
        &keys,
    ];
    let ran = place
        .fetch(&[&words[..], &["--region", "us-east-1"]].concat())
        .expect(DONE);
    assert_eq!(ran.text(), "{}");
    place.fetch(&words).expect(INPUT).tells("region");
}

#[test]
fn who_we_are_is_told_by_sts() {
    let (cloud, place) = (Cloud::shared(), Place::new());
    let device = cloud.device("fetch-sts");
    let keys = device.credentials_file.display().to_string();
    let words = [
        "--aws",
        "sts",
        "GetCallerIdentity",
        "--endpoint",
        &cloud.endpoint,
    ];
    let more = ["--region", "us-east-1", "--credentials", &keys];
    let ran = place.fetch(&[&words[..], &more].concat()).expect(DONE);
    let answer: Value = serde_json::from_slice(&ran.out).unwrap();
    let arn = answer["Arn"].as_str().unwrap();
    assert!(arn.contains("fetch-sts"), "{answer}");
}

#[test]
fn keys_come_from_the_environment_as_with_every_tool_of_aws() {
    let cloud = Cloud::shared();
    let words = [
        "--aws",
        "sts",
        "GetCallerIdentity",
        "--endpoint",
        &cloud.endpoint,
    ];
    Place::new()
        .fetch(&[&words[..], &["--region", "us-east-1"]].concat())
        .expect(INPUT)
        .tells("AWS_SECRET_ACCESS_KEY");
    Place::new()
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_REGION", "us-east-1")
        .fetch(&words)
        .expect(DONE);
}

#[test]
fn a_call_that_cannot_be_made_is_refused_here() {
    let place = Place::new();
    for words in [
        &["--aws", "dynamodb"][..],
        &[
            "--aws",
            "nosuchservice",
            "ListTables",
            "{}",
            "--region",
            "us-east-1",
        ],
        &[
            "--aws",
            "dynamodb",
            "ListTables",
            "{",
            "--region",
            "us-east-1",
        ],
        &[
            "--aws",
            "dynamodb",
            "ListTables",
            "[]",
            "--region",
            "us-east-1",
        ],
    ] {
        place.fetch(words).expect(USAGE);
    }
}

/// An address of an object in a bucket that `test` owns, signed an hour before `ago`.
fn presigned(endpoint: &str, age: Duration) -> String {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let at = UnixMillis(i64::try_from((now - age).as_millis()).unwrap());
    let host = endpoint.strip_prefix("http://").unwrap();
    let request = Request {
        method: "GET",
        host,
        path: "/presigned/flower",
        query: "",
        headers: &[],
        payload: Payload::Unsigned,
    };
    let life = PresignedLife::new(Duration::from_secs(3600)).unwrap();
    let keys = Credentials::new("test", "test");
    let query = Signer::new("us-east-1", "s3").presign(&request, &keys, at, life);
    format!("{endpoint}/presigned/flower?{query}")
}

#[test]
fn an_address_that_was_signed_in_advance_is_good_until_it_expires() {
    let cloud = Cloud::shared();
    let place = Place::new()
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
    fs::write(place.path().join("flower"), "periwinkle").unwrap();
    for words in [&["/presigned"][..], &["/presigned/flower", "@flower"]] {
        let url = format!("{}{}", cloud.endpoint, words[0]);
        let signed = ["--sigv4", "s3", "--region", "us-east-1", "PUT", &url];
        place
            .fetch(&[&signed[..], &words[1..]].concat())
            .expect(DONE);
    }
    let ran = place
        .fetch(&[presigned(&cloud.endpoint, Duration::ZERO)])
        .expect(DONE);
    assert_eq!(ran.text(), "periwinkle");
    let old = Duration::from_secs(2 * 3600);
    let ran = place
        .fetch(&[presigned(&cloud.endpoint, old)])
        .expect(CLIENT_ERROR);
    assert!(ran.text().contains("expired"), "{}", ran.text());
}

/// Temporary keys of a role on moto; the four calls that make them are free.
const ROLE: &str = r#"
import json, sys, boto3
endpoint, out = sys.argv[1:]
client = lambda name: boto3.client(name, endpoint_url=endpoint, region_name='us-east-1',
                                   aws_access_key_id='nobody', aws_secret_access_key='nothing')
trust = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'AWS': '*'},
         'Action': 'sts:AssumeRole'}]}
allow = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': 'dynamodb:ListTables',
         'Resource': '*'}]}
iam = client('iam')
policy = iam.create_policy(PolicyName='list', PolicyDocument=json.dumps(allow))['Policy']['Arn']
role = iam.create_role(RoleName='lister', AssumeRolePolicyDocument=json.dumps(trust))['Role']['Arn']
iam.attach_role_policy(RoleName='lister', PolicyArn=policy)
keys = client('sts').assume_role(RoleArn=role, RoleSessionName='fetch')['Credentials']
json.dump({'Version': 1, 'AccessKeyId': keys['AccessKeyId'], 'SecretAccessKey': keys['SecretAccessKey'],
           'SessionToken': keys['SessionToken']}, open(out, 'w'))
"#;

#[test]
fn a_session_token_belongs_to_its_keys() {
    let moto = Moto::start();
    let place = Place::new();
    let right = place.path().join("keys.json");
    let python = tool("venv-judges/bin/python");
    let made = Command::new(python)
        .args(["-c", ROLE, &moto.endpoint])
        .arg(&right)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let list = |keys: Value| {
        let path = place.path().join("used.json");
        fs::write(&path, keys.to_string()).unwrap();
        place.fetch(&[
            "--aws",
            "dynamodb",
            "ListTables",
            "--endpoint",
            &moto.endpoint,
            "--region",
            "us-east-1",
            "--credentials",
            path.to_str().unwrap(),
        ])
    };
    let keys: Value = serde_json::from_slice(&fs::read(&right).unwrap()).unwrap();
    list(keys.clone()).expect(DONE);
    let mut changed = keys.clone();
    changed["SessionToken"] = "other".into();
    list(changed).expect(CLIENT_ERROR);
    let mut without = keys;
    without.as_object_mut().unwrap().remove("SessionToken");
    list(without).expect(CLIENT_ERROR);
}
