"""The other side of the bucket: a plain reader that knows nothing of Periwinkle.

    s3_judge.py --endpoint URL --bucket NAME [--credentials FILE]

Reads requests from standard input, one JSON object a line, and answers each with one line:
    {"op": "object", "key": "..."}     -> {"bytes": 5, "sha256": "...", "type": "...", "metadata": {...}}
    {"op": "keys", "prefix": "..."}    -> {"keys": [...]}
    {"op": "uploads"}                  -> {"uploads": [{"key": "...", "id": "...", "parts": [1, 2]}]}
    {"op": "begin", "key": "..."}      -> {"id": "..."}         an upload in parts that nobody goes on with
What fails is answered with {"error": code, "message": text}.
"""

import argparse
import hashlib
import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ROOT = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--credentials", help="a file of deploy.py; without it the root of the account")
    options = parser.parse_args()
    s3 = boto3.client(
        "s3", endpoint_url=options.endpoint, region_name=options.region,
        config=Config(s3={"addressing_style": "path"}), **keys(options.credentials))
    for line in sys.stdin:
        print(json.dumps(answer(s3, options.bucket, json.loads(line))), flush=True)


def keys(path):
    if path is None:
        return ROOT
    with open(path, encoding="utf-8") as file:
        given = json.load(file)
    return {"aws_access_key_id": given["AccessKeyId"], "aws_secret_access_key": given["SecretAccessKey"]}


def answer(s3, bucket, request):
    try:
        return OPERATIONS[request["op"]](s3, bucket, request)
    except ClientError as error:
        return {"error": error.response["Error"]["Code"], "message": str(error)}
    except BotoCoreError as error:
        return {"error": type(error).__name__, "message": str(error)}


def read_object(s3, bucket, request):
    found = s3.get_object(Bucket=bucket, Key=request["key"])
    digest, count = hashlib.sha256(), 0
    for piece in found["Body"].iter_chunks(1 << 20):
        digest.update(piece)
        count += len(piece)
    return {"bytes": count, "sha256": digest.hexdigest(), "type": found.get("ContentType"),
            "metadata": found["Metadata"]}


def list_keys(s3, bucket, request):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=request.get("prefix", ""))
    return {"keys": [item["Key"] for page in pages for item in page.get("Contents", [])]}


def list_uploads(s3, bucket, _request):
    uploads = s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return {"uploads": [{"key": upload["Key"], "id": upload["UploadId"],
                         "parts": list_parts(s3, bucket, upload)} for upload in uploads]}


def list_parts(s3, bucket, upload):
    pages = s3.get_paginator("list_parts").paginate(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    return [part["PartNumber"] for page in pages for part in page.get("Parts", [])]


def begin(s3, bucket, request):
    return {"id": s3.create_multipart_upload(Bucket=bucket, Key=request["key"])["UploadId"]}


OPERATIONS = {"object": read_object, "keys": list_keys, "uploads": list_uploads, "begin": begin}


if __name__ == "__main__":
    main()
