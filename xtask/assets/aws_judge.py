"""What botocore makes of requests, and what it knows of services: the second opinion on our signatures and tables.

    aws_judge.py

Reads one JSON object from standard input and writes one to standard output.
    {"sign": [{"service", "region", "at", "method", "url", "headers", "body", "token", "presign", "signs_body"}, ...]}
        -> {"signed": [{"authorization": "...", ...} or {"query": "..."}]}
    {"services": ["dynamodb", ...]} -> {"services": {"dynamodb": {"protocol", "target", "json", "version", "signing",
        "endpoint", "operations": {"ListTables": {"method", "uri", "members": {"Bucket": ["query", "name"]}, "payload"}},
        "pages": [["LastEvaluatedTableName", "ExclusiveStartTableName"], ...]}}}
Bodies are in base64. `at` and `presign` are in seconds.
"""

import base64
import datetime
import json
import sys
import types

import botocore.auth
import botocore.session
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG"


def main():
    wanted = json.load(sys.stdin)
    answer = {}
    if "sign" in wanted:
        answer["signed"] = [sign(case) for case in wanted["sign"]]
    if "services" in wanted:
        session = botocore.session.get_session()
        answer["services"] = {name: describe(session, name) for name in wanted["services"]}
    json.dump(answer, sys.stdout)


def sign(case):
    credentials = Credentials(KEY, SECRET, case["token"])
    request = AWSRequest(
        method=case["method"], url=case["url"], headers=dict(case["headers"]), data=base64.b64decode(case["body"]))
    s3 = case["service"] == "s3"
    request.context["payload_signing_enabled"] = case["signs_body"]
    request.context["client_config"] = types.SimpleNamespace(s3={"payload_signing_enabled": case["signs_body"]})
    if case["presign"]:
        kind = botocore.auth.S3SigV4QueryAuth if s3 else botocore.auth.SigV4QueryAuth
        signer = kind(credentials, case["service"], case["region"], expires=case["presign"])
    else:
        kind = botocore.auth.S3SigV4Auth if s3 else botocore.auth.SigV4Auth
        signer = kind(credentials, case["service"], case["region"])
    at = datetime.datetime.fromtimestamp(case["at"], datetime.timezone.utc).replace(tzinfo=None)
    with frozen(at):
        signer.add_auth(request)
    if case["presign"]:
        return {"query": request.url.split("?", 1)[1]}
    names = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-SHA256")
    return {name.lower(): request.headers[name] for name in names if request.headers.get(name)}


class frozen:
    """botocore reads the clock where it signs."""

    def __init__(self, at):
        self.at = at

    def __enter__(self):
        self.kept = botocore.auth.get_current_datetime
        botocore.auth.get_current_datetime = lambda *args, **kwargs: self.at

    def __exit__(self, *_):
        botocore.auth.get_current_datetime = self.kept


def describe(session, name):
    model = session.get_service_model(name)
    metadata = model.metadata
    protocols = metadata.get("protocols", [metadata["protocol"]])
    operations = {}
    for operation_name in model.operation_names:
        operation = model.operation_model(operation_name)
        shape = operation.input_shape
        members = {}
        payload = None
        if shape is not None:
            payload = shape.serialization.get("payload")
            for member, inner in shape.members.items():
                location = inner.serialization.get("location")
                if location in ("querystring", "header", "uri"):
                    members[member] = [location, inner.serialization.get("name", member)]
        operations[operation_name] = {
            "method": operation.http["method"], "uri": operation.http["requestUri"], "members": members,
            "payload": payload}
    return {
        "protocols": protocols, "target": metadata.get("targetPrefix"), "json": metadata.get("jsonVersion"),
        "version": metadata["apiVersion"], "signing": metadata.get("signingName", metadata["endpointPrefix"]),
        "endpoint": metadata["endpointPrefix"], "operations": operations, "pages": pages(session, name)}


def pages(session, name):
    try:
        config = session.get_paginator_model(name)._paginator_config
    except Exception:
        return []
    found = set()
    for one in config.values():
        inputs, outputs = one["input_token"], one["output_token"]
        if isinstance(inputs, str) and isinstance(outputs, str):
            found.add((outputs, inputs))
    return sorted(found)


if __name__ == "__main__":
    main()
