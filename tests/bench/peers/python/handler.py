"""The work of functions/inbound on one delivery of orders, with boto3.

It proves the delivery genuine, splits it, sends one message for each event to the lane of orders, ten a call, and keeps the
receipt: the same calls, and messages that say the same. It runs as Lambda's own runtime does, and does less than that.
"""

import base64
import concurrent.futures
import hashlib
import hmac
import http.client
import json
import os
import time
import zlib
from datetime import datetime, timezone

import boto3
from botocore.config import Config

CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard"})
DYNAMO, SQS, SECRETS = (boto3.client(name, config=CONFIG) for name in ("dynamodb", "sqs", "secretsmanager"))
ENV = os.environ
KEYS_TTL = 300
known: dict = {}


def keys_of(token: str):
    """The account and the keys of a URL token, believed for five minutes."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    entry, at = known.get(digest, (None, 0.0))
    if entry is None or time.monotonic() - at > KEYS_TTL:
        item = DYNAMO.get_item(TableName=ENV["ACCOUNTS_TABLE"], Key={"pk": {"S": "token#" + digest}}).get("Item")
        if item is None:
            return None
        account = item["account"]["S"]
        secret = SECRETS.get_secret_value(SecretId=ENV["SIGNING_SECRET_PREFIX"] + account)["SecretString"]
        entry = account, json.loads(secret)["registrations"][digest]["macs"], digest
        known[digest] = entry, time.monotonic()
    return entry


def delivery_id(millis: int) -> str:
    """A UUID of version 7."""
    random = int.from_bytes(os.urandom(10), "big")
    number = millis << 80 | 7 << 76 | (random >> 68 & 0xFFF) << 64 | 2 << 62 | random & (1 << 62) - 1
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def envelope(account: str, delivery: str, index: int, now: str, event: dict) -> str:
    kind = event["event"].split(".")[0]
    record = event["data"][kind]
    return json.dumps(
        {
            "specversion": "1.0",
            "id": f"{delivery}.{index:05}",
            "source": f"/orderspace/{account}",
            "type": f"orderspace.{event['event']}",
            "subject": f"{kind}/{record['id']}",
            "time": now,
            "datacontenttype": "application/json",
            "account": account,
            "deliveryid": delivery,
            "data": record,
        },
        separators=(",", ":"),
        ensure_ascii=False,
    )


def send(account: str, messages: list) -> bool:
    """Sends up to ten messages; whether the queue took them all."""
    entries = [{"Id": str(i), "MessageBody": body, "MessageGroupId": account} for i, body in enumerate(messages)]
    answer = SQS.send_message_batch(QueueUrl=ENV["ORDERS_QUEUE_URL"], Entries=entries)
    return len(answer.get("Successful", [])) == len(messages)


def keep(account: str, registration: str, delivery: str, now: str, body: bytes, digest: str, events: int) -> None:
    expires = int(time.time()) + 30 * 86400
    DYNAMO.update_item(
        TableName=ENV["RECEIPTS_TABLE"],
        Key={"pk": {"S": f"{account}#{now[:10]}"}, "sk": {"S": delivery}},
        UpdateExpression="SET #body = :body, #received = if_not_exists(#received, :received), #registration = "
        "if_not_exists(#registration, :registration), #proof = if_not_exists(#proof, :proof), #hash = :hash, "
        "#events = :events, #expires_at = :expires_at ADD #attempts :attempts",
        ExpressionAttributeNames={
            "#" + name: name
            for name in ("body", "received", "registration", "proof", "hash", "events", "expires_at", "attempts")
        },
        ExpressionAttributeValues={
            ":body": {"B": zlib.compress(body)},
            ":received": {"S": now},
            ":registration": {"S": registration},
            ":proof": {"S": "signature"},
            ":hash": {"S": digest},
            ":events": {"N": str(events)},
            ":expires_at": {"N": str(expires)},
            ":attempts": {"N": "1"},
        },
    )


POOL = concurrent.futures.ThreadPoolExecutor(max_workers=6)


def handle(event: dict) -> dict:
    body = event.get("body", "")
    body = base64.b64decode(body) if event["isBase64Encoded"] else body.encode()
    entry = keys_of(event["pathParameters"]["token"])
    if entry is None:
        return {"statusCode": 401}
    account, keys, registration = entry
    offered = event["headers"].get("x-orderspace-signature", "")
    tags = (base64.b64encode(hmac.digest(key.encode(), body, "sha256")).decode() for key in keys)
    if not any([hmac.compare_digest(tag, offered) for tag in tags]):
        return {"statusCode": 401}
    digest = hashlib.sha256(body).hexdigest()
    marker = {"pk": {"S": f"#retry#{account}"}, "sk": {"S": f"{registration}#{digest}"}}
    DYNAMO.get_item(TableName=ENV["RECEIPTS_TABLE"], Key=marker, ConsistentRead=True)
    millis = event["requestContext"]["timeEpoch"]
    now = datetime.fromtimestamp(millis / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + f"{millis % 1000:03}Z"
    delivery = delivery_id(millis)
    events = json.loads(body)
    messages = [envelope(account, delivery, index, now, event) for index, event in enumerate(events)]
    batches = [messages[i : i + 10] for i in range(0, len(messages), 10)]
    kept = [keep, account, registration, delivery, now, body, digest, len(events)]
    # A delivery of one event waits for two calls one after the other: a thread costs more than that saves.
    if len(batches) == 1:
        sent = send(account, batches[0])
        kept[0](*kept[1:])
    else:
        keeping = POOL.submit(*kept)
        sent = all(list(POOL.map(send, [account] * len(batches), batches)))
        keeping.result()
    print(json.dumps({"account": account, "delivery.id": delivery, "events": len(events), "sent": sent}), flush=True)
    return {"statusCode": 200 if sent else 503}


def main() -> None:
    api = http.client.HTTPConnection(ENV["AWS_LAMBDA_RUNTIME_API"])
    base = "/2018-06-01/runtime/invocation/"
    while True:
        api.request("GET", base + "next")
        answer = api.getresponse()
        event = json.loads(answer.read())
        response = json.dumps(handle(event))
        api.request("POST", base + answer.headers["lambda-runtime-aws-request-id"] + "/response", response)
        api.getresponse().read()


main()
