// SPDX-License-Identifier: MIT
// compare - holds zod's answers against ours. usage: node compare.mjs PAIRS THEIRS OURS
import { readFileSync } from "node:fs";
import { excuses, same } from "./differences.mjs";

const [pairs, theirs, ours] = process.argv.slice(2).map((file) => readFileSync(file, "utf8").trimEnd().split("\n").map((l) => JSON.parse(l)));
if (pairs.length !== theirs.length || pairs.length !== ours.length) {
  console.error(`pairs: ${pairs.length}, zod answered ${theirs.length}, ours ${ours.length}`);
  process.exit(1);
}

const through = (step, x) => same.filter((rule) => rule[step]).reduce((v, rule) => rule[step](v), x);
function plainIssue({ path, code, message, errors, issues }) {
  return { path, code, message: through("message", message), ...(errors ? { errors: errors.map(plainIssues) } : {}),
    ...(issues ? { issues: plainIssues(issues) } : {}) };
}
const plainIssues = (list) => through("issues", list.map(plainIssue));
const plain = (a) => JSON.stringify(a.ok ? { ok: true, value: through("value", a.value) } : { ok: false, issues: plainIssues(a.issues) });

/** JSON Schema without what only regular expressions of JavaScript can say, in one order. zod counts
 * regex, startsWith and their like as formats, so that one hides the format before it. */
function plainSchema(v, hidden) {
  if (Array.isArray(v)) return v.map((x) => plainSchema(x, hidden));
  if (v === null || typeof v !== "object") return v;
  const result = {};
  for (const k of Object.keys(v).sort()) {
    if (k === "format" && (hidden || /^(starts_with|ends_with|includes)$/.test(v[k]))) continue;
    if (k === "pattern" && typeof v[k] === "string") continue;
    if (k === "allOf" && v[k].every((x) => "pattern" in x)) continue;
    const part = plainSchema(v[k], hidden);
    if (k === "anyOf" && part.every((x) => Object.keys(x).join() === "type")) {
      result.type = [...new Set(part.flatMap((x) => x.type))].sort();
      if (result.type.length === 1) [result.type] = result.type;
    } else if (k === "type" && Array.isArray(part)) result.type = [...part].sort();
    else result[k] = k === "required" ? [...v[k]].sort() : part;
  }
  return Object.fromEntries(Object.keys(result).sort().map((k) => [k, result[k]]));
}

const hits = new Map(excuses.map((rule) => [rule.name, 0]));
const wrong = [];
let accepted = 0, schemas = 0;
pairs.forEach((pair, i) => {
  const [a, b] = [plain(theirs[i]), plain(ours[i])];
  accepted += theirs[i].ok;
  if (a !== b) {
    const rule = excuses.find((r) => r.excuse(pair, theirs[i], ours[i]));
    if (rule) hits.set(rule.name, hits.get(rule.name) + 1);
    else wrong.push({ ...pair, zod: a, ours: b });
  }
  for (const io of ["input", "output"]) {
    if (!theirs[i][io]) continue;
    schemas += 1;
    const hidden = /\["(regex|startsWith|endsWith|includes)"/.test(JSON.stringify(pair.schema));
    const [x, y] = [theirs[i][io], ours[i][io]].map((v) => JSON.stringify(plainSchema(v, hidden)));
    if (x !== y) wrong.push({ schema: pair.schema, io, zod: x, ours: y });
  }
});

console.log(`${pairs.length} pairs (zod accepts ${accepted}), ${schemas} JSON schemas`);
console.log("differences on purpose:");
for (const rule of same) console.log(`  ${rule.name}: ${rule.reason}`);
for (const rule of excuses) console.log(`  ${rule.name} (${hits.get(rule.name)} pairs): ${rule.reason}`);
const idle = excuses.filter((rule) => hits.get(rule.name) === 0);
for (const rule of idle) console.error(`no pair differs by '${rule.name}' any more: remove it`);
for (const w of wrong.slice(0, Number(process.env.RBF_ZOD_SHOW ?? 10))) {
  console.error(`\nschema ${JSON.stringify(w.schema)}\n${w.io ? w.io : "value  " + JSON.stringify(w.value)}\nzod    ${w.zod}\nours   ${w.ours}`);
}
if (wrong.length) console.error(`\n${wrong.length} differ`);
process.exit(wrong.length || idle.length ? 1 : 0);
