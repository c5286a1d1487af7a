// SPDX-License-Identifier: MIT
// zones - the zones compared, and when their clocks change between 2020 and 2035.
import { spawnSync } from "node:child_process";
import { DateTime } from "luxon";

const all = [
  "UTC", "Europe/Berlin", "Europe/London", "America/New_York", "America/Santiago", "America/St_Johns", "Asia/Beirut",
  "Asia/Kolkata", "Asia/Tokyo", "Australia/Sydney", "Pacific/Auckland", "Pacific/Chatham", "America/Havana",
  "Africa/Casablanca", "Australia/Lord_Howe", "America/Scoresbysund",
];

const END = 2051222400; // 2035
const known = new Map();

/** Instants (s epoch) at which the zone has another offset than a second before. */
export function changes(tz) {
  if (known.has(tz)) return known.get(tz);
  const offset = (s) => DateTime.fromSeconds(s, { zone: tz }).offset;
  const found = [];
  for (let day = 1577836800; day < END; day += 86400) {
    let from = day, to = day + 86400;
    if (offset(from) === offset(to)) continue;
    const before = offset(from);
    while (to - from > 1) {
      const middle = Math.floor((from + to) / 2);
      if (offset(middle) === before) from = middle;
      else to = middle;
    }
    found.push(to);
  }
  known.set(tz, found);
  return found;
}

/** node brings time zones of its own; where they are older or newer than the system's there is nothing to compare. */
function agrees(tz) {
  const { stdout } = spawnSync("zdump", ["-v", "-c", "2020,2035", tz], { encoding: "utf8" });
  const theirs = (stdout ?? "").split("\n").map((line) => line.match(/  \w+ (.*) UT = /)?.[1]).filter(Boolean)
    .map((text) => Date.parse(text + " UTC") / 1000).filter((s) => s % 60 === 0 && s >= 1577836800 && s < END);
  const same = theirs.join() === changes(tz).join();
  if (!same) console.error(`left out: ${tz}, of which node knows other changes than the system's tzdata`);
  return same;
}

export const zones = all.filter(agrees);
