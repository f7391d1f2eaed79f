"""What DynamoDB makes of an expression: the emulator, asked over its own client library.

    expr_judge.py --endpoint URL

Reads requests from standard input, one JSON object a line, and answers each with one line. Items and values are
AttributeValue JSON, with binaries in base64.
    {"op": "condition", "item": {...}, "text": "...", "names": {...}, "values": {...}}  -> {"holds": true, "filters": true}
    {"op": "update", "item": {...}, "text": "...", "names": {...}, "values": {...}}     -> {"item": {...}}
    {"op": "projection", "item": {...}, "text": "...", "names": {...}}                  -> {"item": {...}}
`holds` is the answer to a conditional delete, `filters` that to a query with the text as its filter. What is
refused is answered with {"refused": message}; any other failure ends the program.
"""

import argparse
import base64
import json
import os
import sys

import boto3
from botocore.exceptions import ClientError

TABLE = "expressions"
# Each judge has an item of its own: several are asked at the same time.
KEY = {"pk": {"S": f"item-{os.getpid()}"}, "sk": {"S": "item"}}


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
        print(json.dumps(answer(client, wanted)), flush=True)


def create(client):
    try:
        client.create_table(
            TableName=TABLE, BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")])
    except client.exceptions.ResourceInUseException:
        pass


def answer(client, wanted):
    client.put_item(TableName=TABLE, Item={**convert(wanted["item"], base64.b64decode), **KEY})
    places = {"ExpressionAttributeNames": wanted.get("names"),
              "ExpressionAttributeValues": convert(wanted.get("values", {}), base64.b64decode)}
    places = {name: value for name, value in places.items() if value}
    try:
        return OPERATIONS[wanted["op"]](client, wanted["text"], places)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationException":
            raise
        return {"refused": error.response["Error"]["Message"]}


def condition(client, text, places):
    return {"filters": filters(client, text, places), "holds": holds(client, text, places)}


def filters(client, text, places):
    values = {**places.get("ExpressionAttributeValues", {}), ":pk": KEY["pk"]}
    page = client.query(TableName=TABLE, KeyConditionExpression="pk = :pk", FilterExpression=text,
                        **{**places, "ExpressionAttributeValues": values})
    return page["Count"] == 1


def holds(client, text, places):
    try:
        client.delete_item(TableName=TABLE, Key=KEY, ConditionExpression=text, **places)
        return True
    except client.exceptions.ConditionalCheckFailedException:
        return False


def update(client, text, places):
    reply = client.update_item(TableName=TABLE, Key=KEY, UpdateExpression=text, ReturnValues="ALL_NEW", **places)
    return {"item": plain(reply["Attributes"])}


def projection(client, text, places):
    places.pop("ExpressionAttributeValues", None)
    reply = client.get_item(TableName=TABLE, Key=KEY, ProjectionExpression=text, ConsistentRead=True, **places)
    return {"item": plain(reply.get("Item", {}))}


def plain(item):
    item = {name: value for name, value in item.items() if name not in KEY}
    return convert(item, lambda data: base64.b64encode(data).decode())


def convert(item, binary):
    return {name: convert_value(value, binary) for name, value in item.items()}


def convert_value(value, binary):
    ((kind, held),) = value.items()
    if kind == "B":
        return {kind: binary(held)}
    if kind == "BS":
        return {kind: [binary(member) for member in held]}
    if kind == "L":
        return {kind: [convert_value(member, binary) for member in held]}
    if kind == "M":
        return {kind: convert(held, binary)}
    return value


OPERATIONS = {"condition": condition, "update": update, "projection": projection}

if __name__ == "__main__":
    main()
