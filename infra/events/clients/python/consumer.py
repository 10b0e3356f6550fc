"""A consumer of a team's queue that keeps the state of Orderspace's orders in a DynamoDB table of its own.

    pip install boto3
    QUEUE_URL=https://sqs… TABLE=orders python consumer.py

The table has one key, `pk`, a string, and time to live on `expires_at`. AWS_ENDPOINT_URL leads to a local stack; with DRAIN=1
it ends when the queue is empty. What each rule is for: infra/docs/consumers.md.
"""

import json
import os
import sys
import time

import boto3

from orderhook_events import Event

ORDER_TYPES = {"orderspace.order.created", "orderspace.order.updated", "orderspace.order.deleted"}
# Longer than any repeat is late: a queue keeps a message for two weeks at most.
MARKER_SECONDS = 15 * 24 * 3600


def place(event: Event) -> str:
    """Of two events of a record, the one with the greater place is newer: `sequence`, or the same made from the id."""
    first_seen = int(event["id"][:8] + event["id"][9:13], 16)
    return event.get("sequence") or f"{first_seen:015d}.{event['id']}"


def record(event: Event, s3) -> dict:
    """The record, from the message or from where it points."""
    if "dataref" not in event:
        return event["data"]
    bucket, key = event["dataref"].removeprefix("s3://").split("/", 1)
    return json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())


def handle(event: Event, dynamodb, s3, table: str) -> str:
    """Applies an event once, and says what became of it."""
    if event["type"] not in ORDER_TYPES:
        return "ignored"
    order, is_delete = record(event, s3), event["type"].endswith(".deleted")
    # A delete of Orderspace is final, whichever event arrives first.
    is_newer = "is_deleted = :no" if is_delete else "is_deleted = :no AND order_place < :place"
    marker = {
        "TableName": table,
        "Item": {
            "pk": {"S": f"event#{event['account']}#{event['id']}"},
            "expires_at": {"N": str(int(time.time()) + MARKER_SECONDS)},
        },
        "ConditionExpression": "attribute_not_exists(pk)",
    }
    state = {
        "TableName": table,
        "Key": {"pk": {"S": f"{event['account']}#{event['subject']}"}},
        "UpdateExpression": "SET order_place = :place, order_status = :status, is_deleted = :deleted ADD times_changed :one",
        "ConditionExpression": f"attribute_not_exists(pk) OR ({is_newer})",
        "ExpressionAttributeValues": {
            ":place": {"S": place(event)},
            ":status": {"S": str(order.get("status") or "")},
            ":deleted": {"BOOL": is_delete},
            ":no": {"BOOL": False},
            ":one": {"N": "1"},
        },
    }
    try:
        # Both or neither: a marker without its change would drop the event when it comes again.
        dynamodb.transact_write_items(TransactItems=[{"Put": marker}, {"Update": state}])
        return "applied"
    except dynamodb.exceptions.TransactionCanceledException as error:
        is_known, is_older = (
            reason.get("Code") == "ConditionalCheckFailed" for reason in error.response["CancellationReasons"]
        )
        if is_known:
            return "repeat"
        if is_older:
            return "older"
        raise


def main() -> None:
    queue, table, drain = os.environ["QUEUE_URL"], os.environ["TABLE"], os.environ.get("DRAIN") == "1"
    sqs, dynamodb, s3 = (boto3.client(service) for service in ("sqs", "dynamodb", "s3"))
    while True:
        got = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=2 if drain else 20)
        messages = got.get("Messages", [])
        for message in messages:
            try:
                event = json.loads(message["Body"])
                print(event["id"], event["type"], handle(event, dynamodb, s3, table), flush=True)
            except Exception as error:  # It comes again after the queue's visibility timeout, and at last to its DLQ.
                print(f"{message['MessageId']} failed: {error!r}", file=sys.stderr, flush=True)
                continue
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        if drain and not messages:
            return


if __name__ == "__main__":
    main()
