"""What DynamoDB answers to queries of indexes: the emulator, asked over its own client library.

    index_judge.py --endpoint URL

Makes a table of its own, then reads requests from standard input, one JSON object a line, and answers each with
one line. Items, keys and values are AttributeValue JSON, with binaries in base64.
    {"op": "put", "item": {...}}     -> {}
    {"op": "remove", "key": {...}}   -> {}
    {"op": "query", "index": "gs1", "key": "place = :p", "values": {...}, "forward": true, "limit": 3, "after": null}
                                     -> {"items": [{...}], "after": null or {...}}
Whatever fails ends the program.
"""

import argparse
import base64
import json
import os
import sys

import boto3

from expr_judge import convert

TABLE = f"indexes-{os.getpid()}"
KEYS = {"pk": "S", "sk": "S", "gpk": "S", "rank": "N", "place": "S", "word": "S", "raw": "S", "label": "S"}
GLOBAL = {"gs1": ("gpk", "rank"), "gs2": ("place", "word"), "gs3": ("place", "raw"), "gs4": ("rank",)}
LOCAL = {"ls1": ("pk", "label")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", required=True)
    options = parser.parse_args()
    client = boto3.client(
        "dynamodb", endpoint_url=options.endpoint, region_name="us-east-1",
        aws_access_key_id="test", aws_secret_access_key="test")
    create(client)
    for line in sys.stdin:
        wanted = json.loads(line)
        print(json.dumps(OPERATIONS[wanted.pop("op")](client, **wanted)), flush=True)


def create(client):
    client.create_table(
        TableName=TABLE, BillingMode="PAY_PER_REQUEST", KeySchema=schema(("pk", "sk")),
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in KEYS.items()],
        GlobalSecondaryIndexes=indexes(GLOBAL), LocalSecondaryIndexes=indexes(LOCAL))


def indexes(named):
    return [{"IndexName": name, "KeySchema": schema(key), "Projection": {"ProjectionType": "ALL"}}
            for name, key in named.items()]


def schema(key):
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(key, ("HASH", "RANGE"))]


def put(client, item):
    client.put_item(TableName=TABLE, Item=convert(item, base64.b64decode))
    return {}


def remove(client, key):
    client.delete_item(TableName=TABLE, Key=key)
    return {}


def query(client, index, key, values, forward, limit, after):
    start = {"ExclusiveStartKey": convert(after, base64.b64decode)} if after else {}
    # "rank" and others are words of the grammar.
    names = {f"#{name}": name for name in KEYS if f"#{name} " in key or f"#{name}," in key}
    page = client.query(
        TableName=TABLE, IndexName=index, KeyConditionExpression=key, ScanIndexForward=forward, Limit=limit,
        ExpressionAttributeNames=names, ExpressionAttributeValues=convert(values, base64.b64decode), **start)
    after = page.get("LastEvaluatedKey")
    return {"items": [convert(item, encode) for item in page["Items"]], "after": after and convert(after, encode)}


def encode(data):
    return base64.b64encode(data).decode()


OPERATIONS = {"put": put, "remove": remove, "query": query}

if __name__ == "__main__":
    main()
