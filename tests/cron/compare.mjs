// SPDX-License-Identifier: MIT
// compare - holds cron-parser's slots against ours. usage: node compare.mjs CRONS THEIRS OURS
import { readFileSync } from "node:fs";
import { excuses } from "./differences.mjs";

const read = (file) => readFileSync(file, "utf8").trimEnd().split("\n");
const [crons, theirs, ours] = process.argv.slice(2).map(read);
if (crons.length !== theirs.length || crons.length !== ours.length) {
  console.error(`crons: ${crons.length}, cron-parser answered ${theirs.length}, ours ${ours.length}`);
  process.exit(1);
}

/** The slot at which two lists part. */
function first(a, b) {
  const [x, y] = [a, b].map((list) => list.split(" ").map(Number));
  const at = x.findIndex((slot, i) => slot !== y[i]);
  return Math.min(x[at], y[at]);
}

const hits = new Map(excuses.map((rule) => [rule.name, 0]));
const wrong = [], specs = new Set();
let slots = 0, refused = 0;
crons.forEach((line, i) => {
  const cron = JSON.parse(line);
  const [a, b] = [theirs[i], ours[i]];
  specs.add(cron.spec);
  if (a.startsWith("refused") && b.startsWith("refused")) {
    refused += 1;
    return;
  }
  slots += a.split(" ").length;
  if (a === b) return;
  const rule = excuses.find((r) => r.excuse(cron, first(a, b), b));
  if (rule) hits.set(rule.name, hits.get(rule.name) + 1);
  else wrong.push({ ...cron, theirs: a, ours: b });
});

const iso = (text) => (text.startsWith("refused") ? text : text.split(" ").map((s) => new Date(s * 1000).toISOString().slice(0, 19)).join(" "));
console.log("differences on purpose:");
for (const rule of excuses) console.log(`  ${rule.name}, ${hits.get(rule.name)} times: ${rule.reason}`);
for (const w of wrong.slice(0, 5)) {
  console.log(`DIFFERENT: '${w.spec}' in ${w.tz} after ${new Date(w.after * 1000).toISOString()}\n  theirs ${iso(w.theirs)}\n  ours   ${iso(w.ours)}`);
}
console.log(`checked ${specs.size} specs, ${crons.length} times (cron-parser): ${slots} slots, ${refused} refused by both, ${wrong.length} differences`);
process.exit(wrong.length || specs.size < 1000 ? 1 : 0);
