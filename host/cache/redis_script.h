/* SPDX-License-Identifier: MIT */
/* redis_script - what is to happen in Redis at once, in its own Lua. Private to host/cache.
 *
 * KEYS[1] is the count of invalidations, a hash { run: run_id of the server, era, n }; behind it
 * stand, for each key, its value ("<era> <text>") and its stamp ("<era> <n>").
 * ARGV[1] is the server's run_id, ARGV[2] the name of an era in case one begins.
 * Each answers { what was asked for, era, n }. */
#ifndef RBF_REDIS_SCRIPT_H
#define RBF_REDIS_SCRIPT_H

enum {
    SCRIPT_SYNC,       /* ARGV[3] "new": begins an era */
    SCRIPT_GET,        /* the text or false */
    SCRIPT_SET,        /* ARGV[3…6]: era and number of the reader, text, ms → 1 or 0 */
    SCRIPT_INVALIDATE, /* 1 */
};

extern const char *const redis_scripts[]; /* in that order; NULL ends them */
#endif
