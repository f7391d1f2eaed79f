"""cloud/template.yaml judged twice: as the text that AWS will read, and deployed to the emulator.

Needs PERIWINKLE_TEST_MINISTACK, the address of an emulator that checks signatures and policies.
"""

import fnmatch
import json
import os
import subprocess
import sys
import uuid

import boto3
import pytest
from botocore.exceptions import ClientError

import deploy

ENDPOINT = os.environ["PERIWINKLE_TEST_MINISTACK"]
SCRIPT = deploy.__file__


# --- the text ---------------------------------------------------------------------------------------


def statements(thing):
    template = deploy.for_thing(deploy.load(deploy.TEMPLATE), thing)
    return template["Resources"]["DevicePolicy"]["Properties"]["PolicyDocument"]["Statement"]


def allowed(thing, action, keys):
    """Evaluates the partition-key conditions as IAM documents them. None stands for a request without keys."""
    return any(action in statement["Action"] and fits(statement["Condition"], keys)
               for statement in statements(thing) if action.startswith("dynamodb:"))


def fits(condition, keys):
    key_name = "dynamodb:LeadingKeys"
    for operator, operands in condition.items():
        wanted = operands[key_name]
        if operator == "Null":
            result = (keys is None) == (wanted == "true")
        elif operator == "ForAllValues:StringEquals":
            result = all(key in wanted for key in keys or [])
        elif operator == "ForAllValues:StringLike":
            result = all(any(fnmatch.fnmatchcase(key, one) for one in wanted) for key in keys or [])
        else:
            raise AssertionError(f"the test does not know {operator}")
        if not result:
            return False
    return True


@pytest.mark.parametrize("action, keys", [
    ("dynamodb:UpdateItem", ["dev#pump#rw"]),
    ("dynamodb:Query", ["dev#pump#rw"]),
    ("dynamodb:UpdateItem", ["dev#pump#rw", "dev#pump#rw"]),
    ("dynamodb:UpdateItem", ["dev#pump#sys"]),
    ("dynamodb:PutItem", ["dev#pump#up#2026-11"]),
    ("dynamodb:Query", ["dev#pump#dn"]),
    ("dynamodb:UpdateItem", ["_unique#dev#pump#User#email#a@b"]),
])
def test_a_device_reaches_its_own_partitions(action, keys):
    assert allowed("pump", action, keys)


@pytest.mark.parametrize("action, keys", [
    ("dynamodb:UpdateItem", ["dev#pump2#rw"]),
    ("dynamodb:PutItem", ["dev#pump2#up#2026-11"]),
    ("dynamodb:PutItem", ["dev#pump#upper"]),
    ("dynamodb:GetItem", ["dev#pum#rw"]),
    ("dynamodb:UpdateItem", ["dev#pump#rw", "dev#pump2#rw"]),
    ("dynamodb:UpdateItem", ["dev#pump#rw#more"]),
    ("dynamodb:UpdateItem", ["_unique#dev#pump2#User#email#a@b"]),
    ("dynamodb:UpdateItem", ["_unique#User#email#a@b"]),
])
def test_a_device_does_not_reach_the_partitions_of_another(action, keys):
    assert not allowed("pump", action, keys)


@pytest.mark.parametrize("action", ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"])
def test_a_device_does_not_write_what_is_the_clouds(action):
    assert not allowed("pump", action, ["dev#pump#dn"])


def reaches(thing, action, key):
    """Evaluates the resources of statements about objects, or the prefixes of those about their names."""
    def names(statement):
        if "Condition" in statement:
            return statement["Condition"]["StringLike"]["s3:prefix"]
        bucket, rest = statement["Resource"]["Fn::Join"][1]
        assert bucket == {"Fn::GetAtt": ["Bucket", "Arn"]}
        return [rest.removeprefix("/")]
    return any(fnmatch.fnmatchcase(key, name)
               for statement in statements(thing) if action in statement["Action"] and action.startswith("s3:")
               for name in names(statement))


@pytest.mark.parametrize("action", [
    "s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:ListBucket"])
def test_a_device_reaches_objects_below_its_own_name_only(action):
    assert reaches("pump", action, "pump/2026-11-22/a.jpg")
    for other in ("pump2/a.jpg", "pum/a.jpg", "pump", "other/pump/a.jpg", ""):
        assert not reaches("pump", action, other)


def test_a_device_neither_deletes_objects_nor_sees_the_uploads_of_others():
    actions = {action for statement in statements("pump") for action in statement["Action"]}
    assert not actions & {"s3:DeleteObject", "s3:ListBucketMultipartUploads", "s3:PutObjectAcl"}


def test_the_bucket_is_closed_and_cleared():
    bucket = deploy.load(deploy.TEMPLATE)["Resources"]["Bucket"]
    assert bucket["DeletionPolicy"] == "Retain"
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    assert rule["Status"] == "Enabled"
    assert rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 7


def test_a_request_that_names_no_key_is_refused():
    actions = {action for statement in statements("pump") for action in statement["Action"]}
    assert not any(allowed("pump", action, None) for action in actions)


def test_every_action_is_spelled_out_and_none_scans():
    actions = {action for statement in statements("pump") for action in statement["Action"]}
    assert not any("*" in action for action in actions)
    assert "dynamodb:Scan" not in actions


def test_the_emulators_copy_keeps_every_action_and_resource():
    def enforced(template):
        policy = template["Resources"]["DevicePolicy"]["Properties"]["PolicyDocument"]
        return [(one["Effect"], one["Action"], one["Resource"]) for one in policy["Statement"]]

    original = deploy.for_thing(deploy.load(deploy.TEMPLATE), "pump")
    assert enforced(deploy.for_emulator(deploy.load(deploy.TEMPLATE), "pump")) == enforced(original)


# --- deployed ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["an hour of the role", "keys of a user"])
def device(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("deploy") / "creds.json"
    long_lived = ["--long-lived"] if request.param == "keys of a user" else []
    subprocess.run(
        [sys.executable, SCRIPT, "--endpoint", ENDPOINT, "--thing", "pump", "--table", "template-test",
         "--out", str(out), *long_lived], check=True, capture_output=True)
    return json.loads(out.read_text(encoding="utf-8"))


def client(device, **changes):
    device = {**device, **changes}
    return boto3.client(
        "dynamodb", endpoint_url=device["Endpoint"], region_name=device["Region"],
        aws_access_key_id=device["AccessKeyId"], aws_secret_access_key=device["SecretAccessKey"],
        aws_session_token=device.get("SessionToken"))


def root():
    return boto3.client("dynamodb", endpoint_url=ENDPOINT, region_name=deploy.REGION, **deploy.ROOT)


def refusal(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"]


def key(part="rw"):
    return {"pk": {"S": f"dev#pump#{part}"}, "sk": {"S": f"Setting#{uuid.uuid4()}"}}


def test_a_device_writes_reads_and_queries(device):
    dynamodb, row = client(device), key()
    dynamodb.put_item(TableName=device["Table"], Item={**row, "_u": {"N": "1"}},
                      ConditionExpression="attribute_not_exists(pk)")
    dynamodb.update_item(TableName=device["Table"], Key=row, UpdateExpression="SET note = :n",
                         ExpressionAttributeValues={":n": {"S": "x"}})
    found = dynamodb.query(
        TableName=device["Table"], KeyConditionExpression="pk = :p AND sk = :s", ConsistentRead=True,
        ExpressionAttributeValues={":p": row["pk"], ":s": row["sk"]})["Items"]
    assert [item["note"] for item in found] == [{"S": "x"}]
    dynamodb.delete_item(TableName=device["Table"], Key=row)
    assert "Item" not in dynamodb.get_item(TableName=device["Table"], Key=row, ConsistentRead=True)


def test_rows_can_be_read_in_the_order_of_their_change(device):
    dynamodb, partition = root(), {"S": f"dev#{uuid.uuid4()}#rw"}
    for number, stamp in [("1", "30"), ("2", "10"), ("3", "20")]:
        dynamodb.put_item(TableName=device["Table"], Item={
            "pk": partition, "sk": {"S": number}, "_u": {"N": stamp}, "_v": {"N": "7"}, "_m": {"S": "m"}})
    found = dynamodb.query(
        TableName=device["Table"], IndexName="byUpdate", ConsistentRead=True,
        KeyConditionExpression="pk = :p AND #u > :u", ExpressionAttributeNames={"#u": "_u"},
        ExpressionAttributeValues={":p": partition, ":u": {"N": "10"}})["Items"]
    assert [(item["sk"]["S"], item["_v"]["N"], item["_m"]["S"]) for item in found] == [
        ("3", "7", "m"), ("1", "7", "m")]


def test_a_device_cannot_scan(device):
    assert refusal(client(device).scan, TableName=device["Table"]) == "AccessDeniedException"


def test_a_device_cannot_touch_the_table_itself(device):
    dynamodb, name = client(device), device["Table"]
    assert refusal(dynamodb.delete_table, TableName=name) == "AccessDeniedException"
    assert refusal(dynamodb.describe_table, TableName=name) == "AccessDeniedException"


def test_a_device_cannot_use_another_table(device):
    call = client(device).put_item
    assert refusal(call, TableName="somebody-elses", Item=key()) == "AccessDeniedException"


def test_a_wrong_secret_is_refused(device):
    call = client(device, SecretAccessKey="wrong").get_item
    assert refusal(call, TableName=device["Table"], Key=key()) == "InvalidSignatureException"


def test_expired_rows_are_removed_by_the_attribute_expires(device):
    described = root().describe_time_to_live(TableName=device["Table"])["TimeToLiveDescription"]
    assert described == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
