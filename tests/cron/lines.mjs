// SPDX-License-Identifier: MIT
// lines - the crons on stdin as tests/cron/slots.c reads them.
import { createInterface } from "node:readline";

for await (const line of createInterface({ input: process.stdin })) {
  const { spec, tz, after, count } = JSON.parse(line);
  console.log([spec, tz, after, count].join("\t"));
}
