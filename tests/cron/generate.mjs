// SPDX-License-Identifier: MIT
// generate - writes crons to compare, one JSON object a line: { spec, tz, after (s epoch), count }.
// usage: node generate.mjs SEED SPECS
import { zones, changes } from "./zones.mjs";

let state = Number(process.argv[2] ?? 1) >>> 0;
const specs = Number(process.argv[3] ?? 1600);
const STARTS = 3, SLOTS = 12;

function random() { // mulberry32
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const below = (n) => Math.floor(random() * n);
const chance = (p) => random() < p;
const pick = (list) => list[below(list.length)];

const months = ["JAN", "feb", "Mar", "APR", "MAY", "jun", "JUL", "AUG", "Sep", "OCT", "NOV", "dec"];
const weekdays = ["SUN", "Mon", "TUE", "wed", "THU", "FRI", "SAT"];
const names = { month: (n) => months[n - 1], weekday: (n) => weekdays[n] };
const bounds = { second: [0, 59], minute: [0, 59], hour: [0, 23], day: [1, 31], month: [1, 12], weekday: [0, 7] };

function word(field, n) {
  return names[field] && chance(0.4) && n <= 12 && names[field](n) || String(n);
}

/** One item of a list, and the values it takes. */
function item(field) {
  const [min, max] = bounds[field];
  const from = min + below(max - min + 1), to = from + below(max - from + 1), step = 1 + below(pick([4, 10, max + 5]));
  switch (below(10)) {
    case 0: return "*/" + step;
    case 1: return `${from}/${step}`;
    case 2: return `${from}-${to}/${step}`;
    case 3: case 4: return `${word(field, from)}-${to}`;
    default: return word(field, from);
  }
}

/** cron-parser refuses a list that names a value twice: one of single values, else one item. */
function list(field) {
  if (chance(0.6)) return item(field);
  const [min, max] = bounds[field];
  const all = new Set();
  for (let n = 2 + below(4); n > 0; n--) all.add(min + below(max - min + (field === "weekday" ? 0 : 1)));
  return [...all].map((n) => word(field, n)).join(",");
}

const field = (name, star) => (chance(star) ? "*" : list(name));

/** What both must refuse. */
const broken = { minute: "60", hour: "24", day: "0", month: "13", weekday: "8" };

function bad() {
  const fields = ["minute", "hour", "day", "month", "weekday"];
  const at = below(5), name = fields[at], one = pick([broken[name], "4-2", "*/0", "1,,2", "foo", "1-", "-", "1-2-3", "*5", "/2"]);
  return fields.map((_, i) => (i === at ? one : "*")).join(" ") + (chance(0.1) ? " * *" : "");
}

function spec() {
  if (chance(0.02)) return bad();
  if (chance(0.03)) return pick(["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@hourly"]);
  const fields = [field("minute", 0.25), field("hour", 0.4), field("day", 0.6), field("month", 0.7), field("weekday", 0.6)];
  return (chance(0.15) ? [field("second", 0.2), ...fields] : fields).join(" ");
}

/** Half of the starts lie in the two days around a change of the zone's clock. */
function start(tz) {
  const near = changes(tz);
  if (near.length && chance(0.5)) return pick(near) - 129600 + below(172800);
  return 1577836800 + below(15 * 365 * 86400);
}

for (let i = 0; i < specs; i++) {
  const one = spec();
  for (let k = 0; k < STARTS; k++) {
    const tz = pick(zones);
    console.log(JSON.stringify({ spec: one, tz, after: start(tz), count: SLOTS }));
  }
}
