"""A table, a bucket and a device's keys on moto, the second judge of signatures.

    second_opinion.py --endpoint http://127.0.0.1:5000 --thing pump-7 --out creds.json

moto must be started with INITIAL_NO_AUTH_ACTION_COUNT=4: the four calls that make the user and its policy
are free, and every later one is checked. It knows neither the template's policy nor its conditions, so the
device's actions are listed from the template, and it makes its own
table and bucket.
"""

import argparse
import json

import boto3

import deploy

FREE = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nothing"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--thing", required=True)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    template = deploy.load(deploy.TEMPLATE)["Resources"]
    keys = make_user(options, device_actions(template))
    table = make_table(options, keys, template)
    bucket = make_bucket(options, keys)
    deploy.write_private(options.out, {
        "Version": 1,
        "AccessKeyId": keys["AccessKeyId"],
        "SecretAccessKey": keys["SecretAccessKey"],
        "Endpoint": options.endpoint,
        "Region": deploy.REGION,
        "Table": table,
        "Bucket": bucket,
        "Thing": options.thing,
    })


def device_actions(template):
    statements = template["DevicePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    return sorted({action for statement in statements for action in statement["Action"]})


def make_user(options, actions):
    iam = boto3.client("iam", endpoint_url=options.endpoint, region_name=deploy.REGION, **FREE)
    policy = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": ["dynamodb:CreateTable", "s3:CreateBucket", *actions], "Resource": "*"}]}
    arn = iam.create_policy(PolicyName="device", PolicyDocument=json.dumps(policy))["Policy"]["Arn"]
    iam.create_user(UserName=options.thing)
    iam.attach_user_policy(UserName=options.thing, PolicyArn=arn)
    return iam.create_access_key(UserName=options.thing)["AccessKey"]


def make_bucket(options, keys):
    s3 = boto3.client(
        "s3", endpoint_url=options.endpoint, region_name=deploy.REGION,
        aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"])
    s3.create_bucket(Bucket="periwinkle-uploads")
    return "periwinkle-uploads"


def make_table(options, keys, template):
    described = dict(template["Table"]["Properties"])
    for name in ("TimeToLiveSpecification", "PointInTimeRecoverySpecification"):
        del described[name]
    described["TableName"] = "periwinkle"
    dynamodb = boto3.client(
        "dynamodb", endpoint_url=options.endpoint, region_name=deploy.REGION,
        aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"])
    dynamodb.create_table(**described)
    return described["TableName"]


if __name__ == "__main__":
    main()
