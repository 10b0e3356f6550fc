// The work of functions/inbound on one delivery of orders, with AWS's SDK for JavaScript.
//
// It proves the delivery genuine, splits it, sends one message for each event to the lane of orders, ten a call, and keeps
// the receipt: the same calls, and messages that say the same. It runs as Lambda's own runtime does, and does less than that.

import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import http from "node:http";
import { deflateSync } from "node:zlib";
import { DynamoDBClient, GetItemCommand, UpdateItemCommand } from "@aws-sdk/client-dynamodb";
import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { SendMessageBatchCommand, SQSClient } from "@aws-sdk/client-sqs";

const requestHandler = { connectionTimeout: 1000, requestTimeout: 2000 };
const dynamo = new DynamoDBClient({ requestHandler });
const sqs = new SQSClient({ requestHandler });
const secrets = new SecretsManagerClient({ requestHandler });
const env = process.env;
const KEYS_TTL_MS = 300_000;
const known = new Map();

/** The account and the keys of a URL token, believed for five minutes. */
async function keysOf(token) {
  const registration = createHash("sha256").update(token).digest("hex");
  const cached = known.get(registration);
  if (cached && Date.now() - cached.at <= KEYS_TTL_MS) return cached;
  const key = { pk: { S: `token#${registration}` } };
  const { Item } = await dynamo.send(new GetItemCommand({ TableName: env.ACCOUNTS_TABLE, Key: key }));
  if (!Item) return undefined;
  const account = Item.account.S;
  const secret = await secrets.send(new GetSecretValueCommand({ SecretId: env.SIGNING_SECRET_PREFIX + account }));
  const keys = JSON.parse(secret.SecretString).registrations[registration].macs;
  const entry = { account, keys, registration, at: Date.now() };
  known.set(registration, entry);
  return entry;
}

/** A UUID of version 7. */
function deliveryId(millis) {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(millis, 0, 6);
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function envelope(account, delivery, index, time, event) {
  const kind = event.event.split(".")[0];
  const data = event.data[kind];
  return JSON.stringify({
    specversion: "1.0",
    id: `${delivery}.${String(index).padStart(5, "0")}`,
    source: `/orderspace/${account}`,
    type: `orderspace.${event.event}`,
    subject: `${kind}/${data.id}`,
    time,
    datacontenttype: "application/json",
    account,
    deliveryid: delivery,
    data,
  });
}

/** Sends up to ten messages; whether the queue took them all. */
async function send(account, messages) {
  const Entries = messages.map((MessageBody, i) => ({ Id: String(i), MessageBody, MessageGroupId: account }));
  const answer = await sqs.send(new SendMessageBatchCommand({ QueueUrl: env.ORDERS_QUEUE_URL, Entries }));
  return answer.Successful?.length === messages.length;
}

function keep(account, registration, delivery, time, body, hash, events) {
  const expires = Math.floor(Date.now() / 1000) + 30 * 86_400;
  const names = ["body", "received", "registration", "proof", "hash", "events", "expires_at", "attempts"];
  return dynamo.send(
    new UpdateItemCommand({
      TableName: env.RECEIPTS_TABLE,
      Key: { pk: { S: `${account}#${time.slice(0, 10)}` }, sk: { S: delivery } },
      UpdateExpression:
        "SET #body = :body, #received = if_not_exists(#received, :received), #registration = " +
        "if_not_exists(#registration, :registration), #proof = if_not_exists(#proof, :proof), #hash = :hash, " +
        "#events = :events, #expires_at = :expires_at ADD #attempts :attempts",
      ExpressionAttributeNames: Object.fromEntries(names.map((name) => [`#${name}`, name])),
      ExpressionAttributeValues: {
        ":body": { B: deflateSync(body) },
        ":received": { S: time },
        ":registration": { S: registration },
        ":proof": { S: "signature" },
        ":hash": { S: hash },
        ":events": { N: String(events) },
        ":expires_at": { N: String(expires) },
        ":attempts": { N: "1" },
      },
    }),
  );
}

function isGenuine(keys, body, offered) {
  const found = keys.map((key) => {
    const tag = Buffer.from(createHmac("sha256", key).update(body).digest("base64"));
    const other = Buffer.from(offered);
    return tag.length === other.length && timingSafeEqual(tag, other);
  });
  return found.includes(true);
}

async function handle(event) {
  const body = Buffer.from(event.body ?? "", event.isBase64Encoded ? "base64" : "utf8");
  const entry = await keysOf(event.pathParameters.token);
  if (!entry || !isGenuine(entry.keys, body, event.headers["x-orderspace-signature"] ?? "")) {
    return { statusCode: 401 };
  }
  const { account, registration } = entry;
  const hash = createHash("sha256").update(body).digest("hex");
  const marker = { pk: { S: `#retry#${account}` }, sk: { S: `${registration}#${hash}` } };
  await dynamo.send(new GetItemCommand({ TableName: env.RECEIPTS_TABLE, Key: marker, ConsistentRead: true }));
  const millis = event.requestContext.timeEpoch;
  const time = new Date(millis).toISOString();
  const delivery = deliveryId(millis);
  const events = JSON.parse(body);
  const messages = events.map((event, index) => envelope(account, delivery, index, time, event));
  const batches = [];
  for (let i = 0; i < messages.length; i += 10) batches.push(messages.slice(i, i + 10));
  const [sent] = await Promise.all([
    Promise.all(batches.map((batch) => send(account, batch))),
    keep(account, registration, delivery, time, body, hash, events.length),
  ]);
  const isSent = sent.every(Boolean);
  console.log(JSON.stringify({ account, "delivery.id": delivery, events: events.length, sent: isSent }));
  return { statusCode: isSent ? 200 : 503 };
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const [host, port] = env.AWS_LAMBDA_RUNTIME_API.split(":");

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, method, path, agent }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => resolve({ headers: response.headers, text: Buffer.concat(parts).toString() }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

const base = "/2018-06-01/runtime/invocation/";
for (;;) {
  const { headers, text } = await call("GET", `${base}next`);
  const response = JSON.stringify(await handle(JSON.parse(text)));
  await call("POST", `${base}${headers["lambda-runtime-aws-request-id"]}/response`, response);
}
