// SPDX-License-Identifier: MIT
// theirs - the slots cron-parser gives for the crons on stdin, or "refused: …".
import { createInterface } from "node:readline";
import { CronExpressionParser } from "cron-parser";

const seconds = (date) => date.getTime() / 1000;
const expression = ({ spec, tz, after }, fields) =>
  CronExpressionParser.parse(fields?.join(" ") ?? spec, { tz, currentDate: new Date(after * 1000) });

/** A day field like "*" + "/2" beside another restricted one: Vixie cron, and ours, ask for both; cron-parser for
 * either. Both is what two of its expressions have in common. */
function bothDays(fields) {
  const [day, , weekday] = fields.slice(-3);
  return day !== "*" && weekday !== "*" && (day[0] === "*" || weekday[0] === "*");
}

const HALF_DAY = 43200;

/** The expression's first slot from t on; on the way it must not begin right behind a change of the clock. */
function walker(e) {
  let slot = 0;
  return (t) => {
    if (t - slot > 2 * HALF_DAY) {
      e.reset(new Date((t - HALF_DAY) * 1000));
      slot = 0;
    }
    while (slot < t) slot = seconds(e.next());
    return slot;
  };
}

function common(cron, fields) {
  const [a, b] = [-3, -1].map((at) => walker(expression(cron, fields.with(at, "*"))));
  const slots = [];
  for (let t = cron.after + 1; slots.length < cron.count;) {
    const x = a(t), y = b(x);
    if (x === y) slots.push(x);
    t = x === y ? x + 1 : y;
  }
  return slots;
}

function slots(cron) {
  const fields = cron.spec.split(" ");
  if (fields.length >= 5 && bothDays(fields)) return common(cron, fields);
  const e = expression(cron);
  return Array.from({ length: cron.count }, () => seconds(e.next()));
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log(slots(JSON.parse(line)).join(" "));
  } catch (e) {
    console.log("refused: " + e.message.replaceAll("\n", " "));
  }
}
