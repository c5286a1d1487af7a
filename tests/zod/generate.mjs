// SPDX-License-Identifier: MIT
// generate - writes schema × value pairs, one JSON object a line: { schema, value } (no value: absent).
// A schema is { kind, …, calls: [[name, …], …] }, which build.mjs and build.lua make real.
// usage: node generate.mjs SEED COUNT
import * as pools from "./pools.mjs";

let state = Number(process.argv[2] ?? 1) >>> 0;
const count = Number(process.argv[3] ?? 6000);
let written = 0;

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
const times = (n, f) => Array.from({ length: n }, (_, i) => f(i));

const s = (kind, more = {}, ...calls) => ({ kind, ...more, calls });
const string = (...calls) => s("string", {}, ...calls);
const number = (...calls) => s("number", {}, ...calls);

/** Keys in one order on both sides: Lua's tables have none. */
function sorted(v) {
  if (Array.isArray(v)) return v.map(sorted);
  if (v === null || typeof v !== "object") return v;
  return Object.fromEntries(Object.keys(v).sort().map((k) => [k, sorted(v[k])]));
}
function emit(schema, value) {
  written += 1;
  console.log(JSON.stringify({ schema, value: sorted(value) }));
}

// ---- each check against the values that are made for it

const pattern = (js, lua) => ({ js, lua });
const stringChecks = [
  ["min", 2], ["min", 0], ["max", 3], ["length", 3], ["nonempty"], ["startsWith", "ab"], ["endsWith", "c"], ["includes", "b"],
  ["startsWith", ""], ["endsWith", ""], ["includes", ""],
  ["trim"], ["toLowerCase"], ["toUpperCase"], ["regex", pattern("^[a-z]+$", "^[a-z]+$")], ["regex", pattern("\\d", "%d")],
  ["refine", "short"], ["min", 3, "own message"], ["refine", "short", { message: "own", path: ["x"] }],
];
const numberChecks = [
  ["min", 2], ["max", 42], ["gt", 1], ["gte", 1], ["lt", 42], ["lte", 42], ["int"], ["positive"], ["negative"], ["nonnegative"],
  ["nonpositive"], ["multipleOf", 0.07], ["multipleOf", 2], ["multipleOf", 0.1], ["multipleOf", -3], ["gt", 0.1], ["min", 1e21],
  ["refine", "even"],
];
const datetimeOptions = [[], [{ offset: true }], [{ local: true }], [{ precision: 3 }], [{ precision: 0 }], [{ precision: -1 }],
  [{ local: true, offset: true }], [{ local: true, precision: -1 }]];
const literals = [["a"], [1], [true], [null], ["a", 1, null], [false], [0.1], ["a", "b"]];

const everything = [...pools.strings, ...pools.numbers, ...pools.others, undefined];
function leaves() {
  const kinds = [
    string(), number(), s("int"), s("boolean"), s("null"), s("any"), s("unknown"), s("enum", { values: ["a", "b", "abc"] }),
    s("enum", { values: ["a"] }), ...literals.map((values) => s("literal", { values })),
    s("coerce", { to: "string" }), s("coerce", { to: "number" }), s("coerce", { to: "boolean" }),
  ];
  for (const schema of kinds) for (const v of everything) emit(schema, v);
  for (const check of stringChecks) for (const v of [...pools.strings, ...pools.others]) emit(string(check), v);
  for (const check of numberChecks) for (const v of [...pools.numbers, "1", null, undefined]) emit(number(check), v);
  for (const check of [["min", 2], ["max", 2], ["length", 1], ["nonempty"], ["min", 4]]) {
    for (const v of [...pools.others, "abc"]) emit(s("array", { item: s("any") }, check), v);
  }
  for (const v of pools.emails) emit(string(["email"]), v);
  for (const v of pools.uuids) emit(string(["uuid"]), v);
  for (const v of pools.urls) emit(string(["url"]), v);
  for (const options of datetimeOptions) for (const v of pools.datetimes) emit(string(["datetime", ...options]), v);
}

// ---- schemas by chance, and values that nearly fit them

const names = ["a", "b", "c", "d", "name", "tag"];

function randomString() {
  const all = string();
  for (let n = below(3); n > 0; n--) {
    all.calls.push(chance(0.15) ? [pick(["email", "uuid", "url", "datetime"])] : pick(stringChecks));
  }
  return all;
}
function randomNumber() {
  const all = chance(0.3) ? s("int") : number();
  for (let n = below(3); n > 0; n--) all.calls.push(pick(numberChecks));
  return all;
}
function shape(depth, more = {}) {
  const result = { ...more };
  for (let n = 1 + below(4); n > 0; n--) result[pick(names)] = randomSchema(depth - 1);
  return sorted(result);
}
function objectCalls(fields) {
  const calls = [];
  if (chance(0.3)) calls.push([pick(["strict", "passthrough", "strip"])]);
  const keys = Object.keys(fields);
  const mask = { [pick(keys)]: true };
  if (chance(0.1)) calls.push(["partial"]);
  else if (chance(0.1)) calls.push(["partial", mask]);
  if (chance(0.08)) calls.push(["extend", { zed: randomSchema(0) }]);
  if (chance(0.08)) calls.push([pick(["pick", "omit"]), mask]);
  if (chance(0.15)) calls.push(["refine", "hasA", { path: ["deep", 1] }]);
  return calls;
}
function randomObject(depth) {
  const fields = shape(depth);
  return s("object", { shape: fields }, ...objectCalls(fields));
}
function randomList(depth) {
  const calls = [];
  if (chance(0.4)) calls.push(pick([["min", 1], ["min", 2], ["max", 2], ["length", 2], ["nonempty"], ["refine", "notEmpty"]]));
  return s("array", { item: randomSchema(depth - 1) }, ...calls);
}
const randomKeys = () => pick([string(), string(["min", 2]), s("enum", { values: ["a", "b"] }), s("literal", { values: ["a", "tag"] }),
  number(["max", 5]), s("int"), string(["toUpperCase"]), s("union", { options: [s("literal", { values: ["b"] }), s("enum", { values: ["a"] })] })]);
function discriminated(depth) {
  const option = (...tags) => s("object", { shape: shape(depth, { type: s("literal", { values: tags }) }) },
    ...(chance(0.3) ? [["strict"]] : []));
  return s("discriminatedUnion", { by: "type", options: [option("a"), option("b", 1), s("object", { shape: shape(depth, { type: s("enum", { values: ["c", "d"] }) }) })] });
}

function base(depth) {
  const leaf = [randomString, randomNumber, () => s("boolean"), () => s("null"), () => s(pick(["any", "unknown"])),
    () => s("enum", { values: ["a", "b", "abc"] }), () => s("literal", { values: pick(literals) }),
    () => s("coerce", { to: pick(["string", "number", "boolean"]) })];
  const branch = [randomObject, randomObject, randomList, discriminated,
    () => s("tuple", { items: times(below(4), () => randomSchema(depth - 1)), ...(chance(0.3) ? { rest: randomSchema(depth - 1) } : {}) }),
    () => s("record", { keys: randomKeys(), item: randomSchema(depth - 1) }),
    () => s("union", { options: times(1 + below(3), () => randomSchema(depth - 1)) }),
    () => s("lazy", { name: pick(["tree", "chain"]) })];
  return pick(depth > 0 && chance(0.6) ? branch : leaf)(depth);
}
const wrappers = [["optional"], ["nullable"], ["default", "dflt"], ["default", null], ["default", { a: [1] }], ["refine", "present"],
  ["transform", "box"], ["transform", "kind"], ["transform", "absent"]];
function randomSchema(depth) {
  const schema = base(depth);
  for (let n = below(5) - 2; n > 0; n--) {
    schema.calls.push(chance(0.15) ? ["pipe", randomSchema(0)] : pick(wrappers));
  }
  return schema;
}

const junk = () => pick(chance(0.5) ? pools.others : chance(0.5) ? pools.strings : pools.numbers);
const fitting = {
  string(d) {
    const names_ = d.calls.map(([name]) => name);
    for (const [name, pool] of [["email", pools.emails], ["uuid", pools.uuids], ["url", pools.urls], ["datetime", pools.datetimes]]) {
      if (names_.includes(name) && chance(0.8)) return chance(0.4) ? pool[0] : pick(pool);
    }
    return pick(["abc", "ab", "a", "abcc", "", ...(chance(0.3) ? pools.strings : [])]);
  },
  number: () => pick(chance(0.6) ? [2, 3, 4, 6, 40, 42] : pools.numbers),
  int: () => pick([1, 2, 3, 4, 10, 42]),
  boolean: () => chance(0.5),
  null: () => null,
  any: junk,
  unknown: junk,
  enum: (d) => pick(d.values),
  literal: (d) => pick(d.values),
  coerce: () => pick([...pools.strings, ...pools.numbers, true, false, null]),
  array: (d) => times(below(4), () => fit(d.item)).map((v) => v ?? null),
  tuple: (d) => times(d.items.length + (d.rest ? below(3) : 0) - (chance(0.2) ? 1 : 0), (i) => fit(d.items[i] ?? d.rest ?? s("any")) ?? null),
  record: (d) => Object.fromEntries([...(chance(0.7) ? ["a", "b"] : []), ...(chance(0.3) ? ["tag"] : []), ...(chance(0.4) ? ["1", "7"] : [])]
    .map((k) => [k, fit(d.item)])),
  union: (d) => fit(pick(d.options)),
  discriminatedUnion: (d) => fit(pick(d.options)),
  lazy: (d) => (d.name === "tree" ? { kids: chance(0.4) ? [fit(d), fit(d)] : [], v: chance(0.9) ? "x" : 1 }
    : { n: chance(0.9) ? below(9) : "n", ...(chance(0.6) ? { next: fit(d) } : {}) }),
  object(d) {
    const all = { ...d.shape };
    for (const [name, arg] of d.calls) if (name === "extend") Object.assign(all, arg);
    const v = Object.fromEntries(Object.entries(all).map(([k, field]) => [k, fit(field)]));
    if (chance(0.3)) v[pick(["extra", "zzz", ...names])] = junk();
    return v;
  },
};
/** A value for the schema; with a small chance, wherever it is, another. */
function fit(d) {
  const has = (name) => d.calls.some(([n]) => n === name);
  if (chance(0.06)) return junk();
  if ((has("optional") || has("default")) && chance(0.4)) return undefined;
  if (has("nullable") && chance(0.4)) return null;
  if (chance(0.03)) return undefined;
  return fitting[d.kind](d);
}

leaves();
while (written < count) {
  const schema = randomSchema(3);
  for (let n = 0; n < 4; n++) emit(schema, chance(0.1) ? junk() : fit(schema));
}
