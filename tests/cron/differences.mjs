// SPDX-License-Identifier: MIT
// differences - where our slots are others than cron-parser's on purpose: all at changes of the clock, where it keeps
// no exact count. (A day field like */2 beside another one is compared with what Vixie cron does: theirs.mjs.)
import { changes } from "./zones.mjs";

const DAY = 86400;
const near = (tz, t, before, after) => changes(tz).some((change) => t >= change - before && t <= change + after);

const odd = ["Australia/Lord_Howe", "Pacific/Chatham", "America/Havana", "America/Scoresbysund"];

export const excuses = [
  {
    name: "a start right after a change",
    reason: "cron-parser knows of a change only when it steps over it: begun within the hour behind, it fires the repeated "
      + "hour again and forgets the skipped one",
    excuse: ({ tz, after }) => near(tz, after, 0, 3600),
  },
  {
    name: "clocks that change by half an hour, at a quarter to, or at midnight (" + odd.join(", ") + ")",
    reason: "cron-parser counts in whole hours of one day: it loses slots, gives some twice or for ever, or finds none",
    excuse: ({ tz }, slot, ours) => odd.includes(tz)
      && (Number.isNaN(slot) ? ours.split(" ").some((s) => near(tz, Number(s), DAY, DAY)) : near(tz, slot, DAY, DAY)),
  },
];
