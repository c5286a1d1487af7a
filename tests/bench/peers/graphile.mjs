// SPDX-License-Identifier: MIT
// graphile-worker running the bench's create and note as two jobs, each in a SERIALIZABLE transaction.
// MODE: "init" makes its tables; "batched" fetches and completes jobs in lots. Ends with its standard
// input.
import { run, runMigrations } from "graphile-worker";
import pg from "pg";

const { PGHOST, PGPORT, PGUSER, PGDATABASE, CONCURRENCY, MODE } = process.env;
const concurrency = Number(CONCURRENCY ?? 1);
const pgPool = new pg.Pool({
  host: PGHOST, port: Number(PGPORT), user: PGUSER, database: PGDATABASE, max: concurrency + 2,
});

if (MODE === "init") {
  await runMigrations({ pgPool });
  process.exit(0);
}

async function serializable(helpers, work) {
  for (;;) {
    try {
      return await helpers.withPgClient(async (client) => {
        await client.query("BEGIN ISOLATION LEVEL SERIALIZABLE");
        try {
          await work(client);
          await client.query("COMMIT");
        } catch (error) {
          await client.query("ROLLBACK");
          throw error;
        }
      });
    } catch (error) {
      if (error.code !== "40001") throw error;
    }
  }
}

const taskList = {
  create: (payload, helpers) =>
    serializable(helpers, async (client) => {
      const { rows } = await client.query({
        name: "create", text: "INSERT INTO users (email, name) VALUES ($1, $2) RETURNING *",
        values: [payload.email, payload.name],
      });
      await client.query({
        name: "add", text: "SELECT graphile_worker.add_job('note', $1)", values: [JSON.stringify({ text: rows[0].id })],
      });
    }),
  note: (payload, helpers) =>
    serializable(helpers, (client) =>
      client.query({ name: "note", text: "INSERT INTO notes (text) VALUES ($1) RETURNING *", values: [payload.text] }),
    ),
};

const quiet = () => () => {};
const { Logger } = await import("graphile-worker");
const worker = MODE === "batched" ? { localQueue: { size: 500 }, completeJobBatchDelay: 0 } : {};
await run({
  pgPool, taskList, concurrency, logger: new Logger(quiet), noHandleSignals: true,
  preset: { worker: { ...worker, concurrentJobs: concurrency, maxPoolSize: concurrency + 2 } },
});
for await (const _ of process.stdin);
process.exit(0);
