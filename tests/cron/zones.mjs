// SPDX-License-Identifier: MIT
// zones - the zones compared, and when their clocks change between 2020 and 2035.
import { DateTime } from "luxon";

export const zones = [
  "UTC", "Europe/Berlin", "Europe/London", "America/New_York", "America/Santiago", "America/St_Johns", "Asia/Beirut",
  "Asia/Kolkata", "Asia/Tokyo", "Australia/Sydney", "Pacific/Auckland", "Pacific/Chatham", "America/Havana",
  "Africa/Casablanca", "Australia/Lord_Howe", "America/Scoresbysund",
];

const known = new Map();

/** Instants (s epoch) at which the zone has another offset than a second before. */
export function changes(tz) {
  if (known.has(tz)) return known.get(tz);
  const offset = (s) => DateTime.fromSeconds(s, { zone: tz }).offset;
  const found = [];
  for (let day = 1577836800; day < 2051222400; day += 86400) {
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
