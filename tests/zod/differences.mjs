// SPDX-License-Identifier: MIT
// differences - where z is not zod on purpose, and why. `excuse` says whether a pair's answers
// differ for that reason; `same` makes both answers alike before they are compared.

/** Does some schema in the description (a call's argument too) satisfy the test? */
function some(d, test) {
  if (Array.isArray(d)) return d.some((x) => some(x, test));
  if (d === null || typeof d !== "object") return false;
  return (d.kind && test(d)) || Object.values(d).some((x) => some(x, test));
}
const calls = (d, name) => Array.isArray(d.calls) && d.calls.some(([n]) => n === name);
const uses = (schema, name) => some(schema, (d) => calls(d, name));
const text = (v) => JSON.stringify(v) ?? "";

export const same = [
  {
    name: "null in a field",
    reason: "Lua: after validation a nullable field that is null is nil (DESIGN 2); slots of lists keep null",
    value(v) {
      if (Array.isArray(v)) return v.map((x) => this.value(x ?? null));
      if (v === null || typeof v !== "object") return v ?? null;
      return Object.fromEntries(Object.keys(v).sort().filter((k) => v[k] !== null && v[k] !== undefined)
        .map((k) => [k, this.value(v[k])]));
    },
  },
  {
    name: "order of fields",
    reason: "Lua's tables have no order: fields, unknown keys and records go by name",
    issues: (list) => list.map((x, i) => [text(x.path), i, x]).sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : a[1] - b[1])).map((x) => x[2]),
  },
  {
    name: "words for an email",
    reason: "the documents say 'Invalid email'; zod's words have changed between versions",
    message: (m) => (m === "Invalid email address" ? "Invalid email" : m),
  },
  {
    name: "words for a pattern",
    reason: "regex() takes a Lua pattern, and the message shows that one",
    message: (m) => m.replace(/^(Invalid string: must match pattern) .*/s, "$1 …"),
  },
];

export const excuses = [
  {
    name: "case beyond ASCII",
    reason: "toLowerCase and toUpperCase change ASCII letters only: Lua has no tables of Unicode",
    excuse: ({ schema }, theirs) => (uses(schema, "toUpperCase") || uses(schema, "toLowerCase")) && /[^\x00-\x7f]/.test(text(theirs)),
  },
  {
    name: "the highest UUID in capitals",
    reason: "RFC 9562 takes capitals everywhere; zod takes them everywhere but there",
    excuse: ({ value }) => text(value).includes("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"),
  },
  {
    name: "coerced tables",
    reason: "JavaScript's String({}) is \"[object Object]\" and Number([]) is 0: a table is no text and no number here",
    excuse: ({ schema, value }, theirs, ours) => some(schema, (d) => d.kind === "coerce" && d.to !== "boolean")
      && (/[[{]/.test(text(value)) || /received (object|array)/.test(text(ours))),
  },
  {
    name: "a field called length",
    reason: "JavaScript takes { length: 3 } for something that has a length: an object has none here",
    excuse: ({ value }, theirs) => text(value).includes('"length"') && text(theirs).includes("expected unknown to"),
  },
  {
    name: "coerced absence",
    reason: "JavaScript's String(undefined) is \"undefined\": what is absent is not made a text here",
    excuse: ({ schema }, theirs, ours) => some(schema, (d) => d.kind === "coerce" && d.to === "string")
      && (text(ours).includes("expected string, received undefined") || text(theirs).includes('"undefined"')),
  },
];
