"""Deploys cloud/template.yaml to the local AWS emulator and hands out the credentials of one device.

    deploy.py --endpoint http://127.0.0.1:4566 --thing pump-7 --out creds.json

May be run again, for other things or other tables, and by several programs at once.
"""

import argparse
import json
import os
import pathlib
import sys
import time

import boto3
import yaml
from botocore.exceptions import ClientError, EndpointConnectionError

TEMPLATE = pathlib.Path(__file__).parents[2] / "cloud" / "template.yaml"
REGION = "us-east-1"
ROOT = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}

# THE list: how the emulator's copy of the template differs from what AWS gets. Actions and resource
# ARNs stay as they are, and are enforced.
UNKNOWN_TYPES = {"AWS::IoT::RoleAlias"}       # the whole template would be refused
UNKNOWN_CONDITION_KEYS = {"dynamodb:LeadingKeys", "s3:prefix"}  # never set: a condition on them denies everything
IGNORED_PROPERTIES = {"TimeToLiveSpecification"}   # accepted without effect: switched on by API instead
THING_VARIABLE = "${credentials-iot:ThingName}"    # never set: replaced by the name
EXTRA_TRUST = {  # no credentials provider: the account itself takes the role on
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
    "Action": "sts:AssumeRole",
}


def main():
    options = parse_arguments()
    aws = Account(options.endpoint)
    try:
        outputs = aws.deploy(options.stack, options.table, options.thing)
        credentials = aws.credentials(outputs, options.thing, options.long_lived)
    except EndpointConnectionError:
        sys.exit(f"deploy: no emulator answers at {options.endpoint}")
    write_private(options.out, {
        **credentials,
        "Endpoint": options.endpoint,
        "Region": REGION,
        "Table": outputs["TableName"],
        "Bucket": outputs["BucketName"],
        "Thing": options.thing,
    })
    print(f"deployed table {outputs['TableName']}, credentials of {options.thing} in {options.out}")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True, help="where the emulator listens")
    parser.add_argument("--thing", required=True, help="the name of the device")
    parser.add_argument("--out", required=True, help="the file for the credentials, mode 0600")
    parser.add_argument("--table", default="periwinkle", help="the table, and the stack, by this name")
    parser.add_argument("--long-lived", action="store_true",
                        help="keys of a user that carries the same policy, instead of an hour of the role")
    options = parser.parse_args()
    options.stack = options.table.replace("_", "-").replace(".", "-")
    return options


class Account:
    """The emulator's one account, seen as its root."""

    def __init__(self, endpoint):
        self.client = lambda service: boto3.client(
            service, endpoint_url=endpoint, region_name=REGION, **ROOT)

    def deploy(self, stack, table, thing):
        """Creates the stack unless it is there, waits for it, and returns its outputs."""
        formation = self.client("cloudformation")
        try:
            formation.create_stack(
                StackName=stack,
                TemplateBody=json.dumps(for_emulator(load(TEMPLATE), thing)),
                Parameters=[{"ParameterKey": "TableName", "ParameterValue": table}],
                Capabilities=["CAPABILITY_NAMED_IAM"],
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "AlreadyExistsException":
                raise
        outputs = wait_for(formation, stack)
        switch_expiry_on(self.client("dynamodb"), table)
        return outputs

    def credentials(self, outputs, thing, long_lived):
        """In the form that AWS programs give to each other, as `credential_process` has it."""
        name = "device-" + thing.replace(":", "-")[:57]  # what IAM takes as a name
        if long_lived:
            return self.user_keys(outputs["DevicePolicyArn"], name)
        taken = self.client("sts").assume_role(
            RoleArn=outputs["DeviceRoleArn"], RoleSessionName=name)["Credentials"]
        return {
            "Version": 1,
            "AccessKeyId": taken["AccessKeyId"],
            "SecretAccessKey": taken["SecretAccessKey"],
            "SessionToken": taken["SessionToken"],
            "Expiration": taken["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def user_keys(self, policy, name):
        iam = self.client("iam")
        try:
            iam.create_user(UserName=name)
        except iam.exceptions.EntityAlreadyExistsException:
            pass
        iam.attach_user_policy(UserName=name, PolicyArn=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {"Version": 1, "AccessKeyId": key["AccessKeyId"], "SecretAccessKey": key["SecretAccessKey"]}


def load(path):
    """The template with its short tags (`!Ref x`) in the long form that JSON knows."""

    class Loader(yaml.SafeLoader):
        pass

    def long_form(loader, tag, node):
        kind = {yaml.ScalarNode: loader.construct_scalar, yaml.SequenceNode: loader.construct_sequence,
                yaml.MappingNode: loader.construct_mapping}[type(node)]
        value = kind(node) if isinstance(node, yaml.ScalarNode) else kind(node, deep=True)
        if tag == "GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}

    Loader.add_multi_constructor("!", long_form)
    return yaml.load(path.read_text(encoding="utf-8"), Loader)


def for_emulator(template, thing):
    template = for_thing(template, thing)
    resources = template["Resources"]
    gone = {name for name, resource in resources.items() if resource["Type"] in UNKNOWN_TYPES}
    while True:  # what refers to a missing resource goes with it
        more = {name for name, resource in resources.items() if refers_to(resource, gone)} - gone
        if not more:
            break
        gone |= more
    template["Resources"] = {name: body for name, body in resources.items() if name not in gone}
    template["Outputs"] = {
        name: body for name, body in template["Outputs"].items() if not refers_to(body, gone)}
    for resource in template["Resources"].values():
        properties = resource["Properties"]
        for name in IGNORED_PROPERTIES & properties.keys():
            del properties[name]
        for statement in properties.get("PolicyDocument", {}).get("Statement", []):
            strip_conditions(statement)
        if "AssumeRolePolicyDocument" in properties:
            properties["AssumeRolePolicyDocument"]["Statement"].append(EXTRA_TRUST)
    return template


def for_thing(node, thing):
    """The thing's name where AWS puts it in itself when it judges a request."""
    if isinstance(node, dict):
        return {key: for_thing(value, thing) for key, value in node.items()}
    if isinstance(node, list):
        return [for_thing(value, thing) for value in node]
    return node.replace(THING_VARIABLE, thing) if isinstance(node, str) else node


def refers_to(node, names):
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "Ref" and value in names or key == "Fn::GetAtt" and value[0] in names:
                return True
            if key == "Fn::Sub" and any("${" + name in str(value) for name in names):
                return True
        return any(refers_to(value, names) for value in node.values())
    return isinstance(node, list) and any(refers_to(value, names) for value in node)


def strip_conditions(statement):
    kept = {}
    for operator, keys in statement.get("Condition", {}).items():
        known = {key: value for key, value in keys.items() if key not in UNKNOWN_CONDITION_KEYS}
        if known:
            kept[operator] = known
    statement.pop("Condition", None)
    if kept:
        statement["Condition"] = kept


def wait_for(formation, stack):
    for _ in range(150):
        state = formation.describe_stacks(StackName=stack)["Stacks"][0]
        if state["StackStatus"] == "CREATE_COMPLETE":
            return {output["OutputKey"]: output["OutputValue"] for output in state["Outputs"]}
        if not state["StackStatus"].endswith("IN_PROGRESS"):
            break
        time.sleep(0.1)
    sys.exit(f"deploy: the stack {stack} ended as {state['StackStatus']}: {failures(formation, stack)}")


def failures(formation, stack):
    events = formation.describe_stack_events(StackName=stack)["StackEvents"]
    return "; ".join(
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}"
        for event in events if event["ResourceStatus"].endswith("FAILED"))


def switch_expiry_on(dynamodb, table):
    described = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    if described["TimeToLiveStatus"] == "DISABLED":
        wanted = load(TEMPLATE)["Resources"]["Table"]["Properties"]["TimeToLiveSpecification"]
        dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=wanted)


def write_private(path, content):
    """Whole or not at all: a running agent may read the old file meanwhile."""
    path = pathlib.Path(path)
    draft = path.with_name(path.name + ".draft")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    draft.replace(path)


if __name__ == "__main__":
    main()
