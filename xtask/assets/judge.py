"""The other side of the table: a plain writer and reader that knows nothing of Periwinkle.

    judge.py --endpoint URL get PK SK
    judge.py --endpoint URL query PK [SK_PREFIX]
    judge.py --endpoint URL put PK SK name=value ...
    judge.py --endpoint URL update PK SK name=value ... -name ...
    judge.py --endpoint URL delete PK SK
    judge.py --endpoint URL serve

A value that reads as JSON is taken as such (`3`, `true`, `{"a": 1}`), any other as text. Answers are one line
of JSON; numbers come as text, because a DynamoDB number may have 38 digits.

`serve` reads requests from standard input, one JSON object a line, and answers each with one line:
    {"op": "get", "pk": "...", "sk": "..."}                                -> {"item": {...} or null}
    {"op": "query", "pk": "...", "prefix": "..."}                          -> {"items": [...]}
    {"op": "put", "item": {...}}                                           -> {}
    {"op": "update", "pk": "...", "sk": "...", "set": {...}, "remove": [...]} -> {"item": {...}}
    {"op": "delete", "pk": "...", "sk": "..."}                             -> {}
    {"op": "wait", "pk": "...", "sk": "...", "where": {"value": "x"}, "seconds": 20}   until it is so
    {"op": "wait", "pk": "...", "prefix": "...", "count": 5, "seconds": 20}            until so many rows
What fails is answered with {"error": code, "message": text}.
"""

import argparse
import decimal
import json
import sys
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError

ROOT = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--table", default="periwinkle")
    parser.add_argument("--credentials", help="a file of deploy.py; without it the root of the account")
    parser.add_argument("op", choices=["get", "query", "put", "update", "delete", "serve"])
    parser.add_argument("words", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    table = boto3.resource(
        "dynamodb", endpoint_url=options.endpoint, region_name=options.region,
        **keys(options.credentials)).Table(options.table)
    if options.op == "serve":
        for line in sys.stdin:
            print(json.dumps(answer(table, parse(line)), default=plain), flush=True)
        return
    reply = answer(table, request(options.op, options.words, parser))
    print(json.dumps(reply, default=plain, indent=2))
    sys.exit(1 if "error" in reply else 0)


def keys(path):
    if path is None:
        return ROOT
    with open(path, encoding="utf-8") as file:
        written = json.load(file)
    return {"aws_access_key_id": written["AccessKeyId"], "aws_secret_access_key": written["SecretAccessKey"],
            "aws_session_token": written.get("SessionToken")}


def request(op, words, parser):
    names = ["pk"] if op == "query" else ["pk", "sk"]
    if len(words) < len(names):
        parser.error(f"{op} needs {' and '.join(names)}")
    wanted = {"op": op, **dict(zip(names, words))}
    rest = words[len(names):]
    if op == "query":
        return {**wanted, "prefix": rest[0] if rest else ""}
    fields = dict(word.split("=", 1) for word in rest if "=" in word)
    fields = {name: literal(text) for name, text in fields.items()}
    if op == "put":
        return {"op": op, "item": {"pk": wanted["pk"], "sk": wanted["sk"], **fields}}
    return {**wanted, "set": fields, "remove": [word[1:] for word in rest if word.startswith("-")]}


def literal(text):
    try:
        return parse(text)
    except ValueError:
        return text


def answer(table, wanted):
    try:
        return OPERATIONS[wanted["op"]](table, wanted)
    except ClientError as error:
        return {"error": error.response["Error"]["Code"], "message": error.response["Error"]["Message"]}
    except (BotoCoreError, KeyError) as error:
        return {"error": type(error).__name__, "message": str(error)}


def get(table, wanted):
    return {"item": table.get_item(Key=key(wanted), ConsistentRead=True).get("Item")}


def query(table, wanted):
    condition, values = "pk = :pk", {":pk": wanted["pk"]}
    if wanted.get("prefix"):
        condition, values = condition + " AND begins_with(sk, :sk)", {**values, ":sk": wanted["prefix"]}
    pages, items = {}, []
    while True:
        page = table.query(KeyConditionExpression=condition, ExpressionAttributeValues=values,
                           ConsistentRead=True, **pages)
        items += page["Items"]
        if "LastEvaluatedKey" not in page:
            return {"items": items}
        pages = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def put(table, wanted):
    table.put_item(Item=wanted["item"])
    return {}


def update(table, wanted):
    names, values, clauses = {}, {}, []
    for number, (name, value) in enumerate(wanted.get("set", {}).items()):
        names[f"#s{number}"], values[f":s{number}"] = name, value
    for number, name in enumerate(wanted.get("remove", [])):
        names[f"#r{number}"] = name
    if values:
        clauses.append("SET " + ", ".join(f"#s{number} = :s{number}" for number in range(len(values))))
    if wanted.get("remove"):
        clauses.append("REMOVE " + ", ".join(f"#r{number}" for number in range(len(wanted["remove"]))))
    arguments = {"UpdateExpression": " ".join(clauses), "ExpressionAttributeNames": names} if clauses else {}
    if values:
        arguments["ExpressionAttributeValues"] = values
    return {"item": table.update_item(Key=key(wanted), ReturnValues="ALL_NEW", **arguments)["Attributes"]}


def delete(table, wanted):
    table.delete_item(Key=key(wanted))
    return {}


def wait(table, wanted):
    deadline = time.monotonic() + float(wanted.get("seconds", 20))
    while True:
        found = (get if "sk" in wanted else query)(table, wanted)
        if is_so(found, wanted):
            return found
        if time.monotonic() > deadline:
            return {"error": "TimedOut", "message": f"last seen: {json.dumps(found, default=plain)}"}
        time.sleep(0.1)


def is_so(found, wanted):
    if "count" in wanted:
        return len(found["items"]) >= wanted["count"]
    if wanted.get("absent"):
        return found["item"] is None
    item = found["item"]
    return item is not None and all(item.get(name) == value for name, value in wanted["where"].items())


OPERATIONS = {"get": get, "query": query, "put": put, "update": update, "delete": delete, "wait": wait}


def key(wanted):
    return {"pk": wanted["pk"], "sk": wanted["sk"]}


def parse(text):
    return json.loads(text, parse_float=decimal.Decimal, parse_int=decimal.Decimal)


def plain(value):
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, set):
        return sorted(value)
    return value.value.hex()  # what remains is boto3's Binary


if __name__ == "__main__":
    main()
