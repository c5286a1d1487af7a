// SPDX-License-Identifier: MIT
// The published package, as a client of our host and as a worker beside it. Prints one JSON object
// a line: { name, ok } or { name, code, message }; "ready" when its worker consumes; then waits for
// its standard input to end.
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { Backend, defineBackend } from "@robot.com/reliable-backend-framework";
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { z } from "zod";

// Node 22 has it; the package needs it.
Promise.withResolvers ??= () => {
  let resolve, reject;
  const promise = new Promise((a, b) => ((resolve = a), (reject = b)));
  return { promise, resolve, reject };
};

const { NATS, PREFIX, PGHOST, PGPORT, PGUSER, PGDATABASE } = process.env;
const db = drizzle(
  postgres({ host: PGHOST, port: Number(PGPORT), user: PGUSER, database: PGDATABASE, onnotice() {} }),
);
const nats = await connect({ servers: NATS });
const say = (line) => console.log(JSON.stringify(line));
const logger = {
  onInternalError: ({ error, operation }) => say({ name: "internal error", operation, message: error.message }),
  onStartQueueError: ({ error }) => say({ name: "queue error", message: error.message }),
};

// ---- as a client ----

const ours = defineBackend({ queues: { jobs: { subject: "jobs" } } });
const put = ours.mutation("jobs", { path: "things.put.$id", input: z.any(), handler: async () => null });
const get = ours.query("jobs", { path: "things.get.$id", handler: async () => null });
const relay = ours.mutation("jobs", { path: "relay", input: z.any(), handler: async () => null });
const note = ours.mutation("jobs", { path: "note", input: z.any(), handler: async () => null });
const missing = ours.mutation("jobs", { path: "missing", handler: async () => null });

const client = new Backend(ours, { db, nats, namespace: "client", jetstream: { subjectPrefix: PREFIX }, logger });
await client.start({ clientOnly: true });

async function call(name, work) {
  try {
    say({ name, ok: await work() });
  } catch (error) {
    say({ name, code: error.code, message: error.message });
  }
}

const id = "a b/ü"; // its client does not encode dots: an id with one is two tokens
await call("put", () => client.mutate(put, { params: { id }, input: { text: "hello" }, requestId: "r1" }));
await call("the same again", () =>
  client.mutate(put, { params: { id }, input: { text: "hello" }, requestId: "r1" }),
);
await call("another under its id", () =>
  client.mutate(put, { params: { id }, input: { text: "other" }, requestId: "r1" }),
);
await call("taken", () => client.mutate(put, { params: { id }, input: { text: "hello" } }));
await call("bad input", () => client.mutate(put, { params: { id }, input: { text: "x" } }));
await call("get", () => client.query(get, { params: { id } }));
await call("get nothing", () => client.query(get, { params: { id: "nobody" } }));
await call("no such path", () => client.mutate(missing, { retries: 1 }));

// ---- as a worker ----

const manager = await jetstreamManager(nats);
await manager.streams.add({ name: "theirs", subjects: [`${PREFIX}theirs.>`], retention: "workqueue" });
await manager.consumers.add("theirs", { durable_name: "theirs", ack_policy: "explicit", ack_wait: 3e9 });

const theirs = defineBackend({ queues: { theirs: { subject: "theirs" } } });
theirs.mutation("theirs", {
  path: "notes.add",
  input: z.object({ number: z.number() }),
  handler: async ({ db: tx, input, scheduler }) => {
    await tx.execute(sql`INSERT INTO theirs (number) VALUES (${input.number})`);
    scheduler.enqueue(note, { input, params: {} });
    return null;
  },
});
const worker = new Backend(theirs, {
  db, nats, namespace: "theirs", jetstream: { subjectPrefix: PREFIX }, logger, periodicTasksInterval: 500,
});
await worker.start();
say({ name: "ready" });
for (let number = 1; number <= 10; number++)
  await call(`relay ${number}`, () => client.mutate(relay, { input: { number } }));

for await (const _ of process.stdin);
process.exit(0);
