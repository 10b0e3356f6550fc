// @ts-check
// A consumer of a team's queue that keeps the state of Orderspace's orders in a DynamoDB table of its own.
//
//   npm ci
//   QUEUE_URL=https://sqs… TABLE=orders node consumer.mjs
//
// The table has one key, `pk`, a string, and time to live on `expires_at`. AWS_ENDPOINT_URL leads to a local stack; with
// DRAIN=1 it ends when the queue is empty. What each rule is for: infra/docs/consumers.md. It is JavaScript with TypeScript's
// types, so that it runs without a build: `npm run check` holds it against them.
import { DynamoDBClient, TransactionCanceledException, TransactWriteItemsCommand } from "@aws-sdk/client-dynamodb";
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { DeleteMessageCommand, ReceiveMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { argv, env } from "node:process";
import { pathToFileURL } from "node:url";

/** @typedef {import("./orderhook-events.d.ts").Event} Event */
/** @typedef {{ dynamodb: Pick<DynamoDBClient, "send">, s3: Pick<S3Client, "send"> }} Clients */

const ORDER_TYPES = new Set(["orderspace.order.created", "orderspace.order.updated", "orderspace.order.deleted"]);
// Longer than any repeat is late: a queue keeps a message for two weeks at most.
const MARKER_SECONDS = 15 * 24 * 3600;

/**
 * Of two events of a record, the one with the greater place is newer: `sequence`, or the same made from the id.
 * @param {Event} event
 */
export function place(event) {
  const firstSeen = parseInt(event.id.slice(0, 8) + event.id.slice(9, 13), 16);
  return event.sequence ?? `${String(firstSeen).padStart(15, "0")}.${event.id}`;
}

/**
 * The record, from the message or from where it points. Read amounts from the text where their last digit counts:
 * `JSON.parse` makes doubles of them.
 * @param {Event} event
 * @param {Clients} clients
 * @returns {Promise<Record<string, unknown>>}
 */
async function record(event, { s3 }) {
  if (event.dataref === undefined) return event.data ?? {};
  const [, Bucket, Key] = /^s3:\/\/([^/]+)\/(.+)$/s.exec(event.dataref) ?? [];
  const object = await s3.send(new GetObjectCommand({ Bucket, Key }));
  return JSON.parse((await object.Body?.transformToString()) ?? "");
}

/**
 * Applies an event once, and says what became of it.
 * @param {Event} event
 * @param {Clients} clients
 * @param {string} table
 */
export async function handle(event, clients, table) {
  if (!ORDER_TYPES.has(event.type)) return "ignored";
  const order = await record(event, clients);
  const isDelete = event.type.endsWith(".deleted");
  // A delete of Orderspace is final, whichever event arrives first.
  const isNewer = isDelete ? "is_deleted = :no" : "is_deleted = :no AND order_place < :place";
  const marker = {
    TableName: table,
    Item: {
      pk: { S: `event#${event.account}#${event.id}` },
      expires_at: { N: String(Math.floor(Date.now() / 1000) + MARKER_SECONDS) },
    },
    ConditionExpression: "attribute_not_exists(pk)",
  };
  const state = {
    TableName: table,
    Key: { pk: { S: `${event.account}#${event.subject}` } },
    UpdateExpression: "SET order_place = :place, order_status = :status, is_deleted = :deleted ADD times_changed :one",
    ConditionExpression: `attribute_not_exists(pk) OR (${isNewer})`,
    ExpressionAttributeValues: {
      ":place": { S: place(event) },
      ":status": { S: String(order.status ?? "") },
      ":deleted": { BOOL: isDelete },
      ":no": { BOOL: false },
      ":one": { N: "1" },
    },
  };
  try {
    // Both or neither: a marker without its change would drop the event when it comes again.
    await clients.dynamodb.send(new TransactWriteItemsCommand({ TransactItems: [{ Put: marker }, { Update: state }] }));
    return "applied";
  } catch (error) {
    if (!(error instanceof TransactionCanceledException)) throw error;
    const failed = (error.CancellationReasons ?? []).map((reason) => reason.Code === "ConditionalCheckFailed");
    if (failed[0]) return "repeat";
    if (failed[1]) return "older";
    throw error;
  }
}

async function main() {
  const { QUEUE_URL: QueueUrl, TABLE: table, DRAIN } = env;
  if (!QueueUrl || !table) throw new Error("QUEUE_URL and TABLE are not set");
  const drain = DRAIN === "1";
  const sqs = new SQSClient({});
  // A local stack has no host name for each bucket.
  const clients = { dynamodb: new DynamoDBClient({}), s3: new S3Client({ forcePathStyle: Boolean(env.AWS_ENDPOINT_URL) }) };
  for (;;) {
    const receive = new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: drain ? 2 : 20 });
    const { Messages: messages = [] } = await sqs.send(receive);
    for (const message of messages) {
      try {
        /** @type {Event} */
        const event = JSON.parse(message.Body ?? "");
        console.log(event.id, event.type, await handle(event, clients, table));
      } catch (error) {
        // It comes again after the queue's visibility timeout, and at last to its DLQ.
        console.error(`${message.MessageId} failed: ${error}`);
        continue;
      }
      await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: message.ReceiptHandle }));
    }
    if (drain && messages.length === 0) return;
  }
}

if (argv[1] && import.meta.url === pathToFileURL(argv[1]).href) await main();
