// SPDX-License-Identifier: MIT
// The published TypeScript package running the bench's create and note. Messages wait in its stream;
// how many it has at once is the consumer's max_ack_pending. Ends with its standard input.
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

const { NATS, PREFIX, PGHOST, PGPORT, PGUSER, PGDATABASE, CONCURRENCY } = process.env;
const pool = postgres({
  host: PGHOST, port: Number(PGPORT), user: PGUSER, database: PGDATABASE, max: Math.max(4, Number(CONCURRENCY)),
  onnotice() {},
});
const app = defineBackend({ queues: { jobs: { subject: "jobs" }, events: { subject: "events" } } });

const note = app.mutation("events", {
  path: "note",
  input: z.object({ text: z.string() }),
  handler: async ({ db, input }) => {
    await db.execute(sql`INSERT INTO notes (text) VALUES (${input.text})`);
    return { ok: true };
  },
});

app.mutation("jobs", {
  path: "create",
  input: z.object({ email: z.email(), name: z.string().min(2) }),
  output: z.object({ id: z.string(), email: z.string(), name: z.string() }),
  handler: async ({ db, input, scheduler }) => {
    const [user] = await db.execute(
      sql`INSERT INTO users (email, name) VALUES (${input.email}, ${input.name}) RETURNING id, email, name`,
    );
    scheduler.enqueue(note, { input: { text: user.id }, params: {} });
    return user;
  },
});

const backend = new Backend(app, {
  db: drizzle(pool), nats: await connect({ servers: NATS }), namespace: "peer",
  jetstream: { subjectPrefix: PREFIX, streamNamePrefix: process.env.STREAMS, consumerNamePrefix: process.env.STREAMS },
});
await backend.start();
for await (const _ of process.stdin);
process.exit(0);
