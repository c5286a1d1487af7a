// SPDX-License-Identifier: MIT
// theirs - what zod makes of the pairs on stdin: { ok, value } or { ok: false, issues } a line.
import { createInterface } from "node:readline";
import { z } from "zod";

const size = (v) => (typeof v === "string" ? [...v].length : Array.isArray(v) ? v.length : 0);
const refinements = {
  short: (v) => size(v) <= 3,
  even: (v) => v % 2 === 0,
  hasA: (v) => v.a !== undefined && v.a !== null,
  notEmpty: (v) => v.length > 0,
  present: (v) => v !== undefined && v !== null && v !== false,
};
const transforms = {
  box: (v) => ({ boxed: v ?? "nothing" }),
  kind: (v) => (v === undefined || v === null ? "nothing" : Array.isArray(v) ? "list" : typeof v === "object" ? "table" : typeof v),
  absent: () => undefined,
};

const tree = z.object({ kids: z.array(z.lazy(() => tree)), v: z.string() });
const chain = z.object({ n: z.int(), next: z.lazy(() => chain).optional() });

const map = (shape) => Object.fromEntries(Object.entries(shape).map(([k, d]) => [k, build(d)]));
const kinds = {
  string: () => z.string(),
  number: () => z.number(),
  int: () => z.int(),
  boolean: () => z.boolean(),
  null: () => z.null(),
  any: () => z.any(),
  unknown: () => z.unknown(),
  enum: (d) => z.enum(d.values),
  literal: (d) => z.literal(d.values),
  coerce: (d) => z.coerce[d.to](),
  array: (d) => z.array(build(d.item)),
  tuple: (d) => z.tuple(d.items.map(build), d.rest ? build(d.rest) : null),
  object: (d) => z.object(map(d.shape)),
  record: (d) => z.record(build(d.keys), build(d.item)),
  union: (d) => z.union(d.options.map(build)),
  discriminatedUnion: (d) => z.discriminatedUnion(d.by, d.options.map(build)),
  lazy: (d) => z.lazy(() => (d.name === "tree" ? tree : chain)),
};
const calls = {
  regex: (s, p) => s.regex(new RegExp(p.js)),
  refine: (s, name, options) => s.refine(refinements[name], options),
  transform: (s, name) => s.transform(transforms[name]),
  pipe: (s, d) => s.pipe(build(d)),
  extend: (s, shape) => s.extend(map(shape)),
};
function build(d) {
  let s = kinds[d.kind](d);
  for (const [name, ...args] of d.calls) s = calls[name] ? calls[name](s, ...args) : s[name](...args);
  return s;
}

const issue = ({ path, code, message, errors, issues }) => ({ path, code, message,
  ...(errors ? { errors: errors.map((list) => list.map(issue)) } : {}), ...(issues ? { issues: issues.map(issue) } : {}) });
function jsonSchema(s, io) {
  try {
    return s.toJSONSchema({ io });
  } catch {
    return null;
  }
}

let last, schema;
for await (const line of createInterface({ input: process.stdin })) {
  const pair = JSON.parse(line);
  const text = JSON.stringify(pair.schema);
  const extra = {};
  if (text !== last) {
    [last, schema] = [text, build(pair.schema)];
    extra.output = jsonSchema(schema, "output");
    extra.input = jsonSchema(schema, "input");
  }
  const r = schema.safeParse(pair.value);
  console.log(JSON.stringify({ ...(r.success ? { ok: true, value: r.data } : { ok: false, issues: r.error.issues.map(issue) }), ...extra }));
}
