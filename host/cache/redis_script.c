/* SPDX-License-Identifier: MIT */
#include "cache/redis_script.h"
#include <stddef.h>

/* A stamp lives longer than nearly any reader; when it is gone, it is made again as one of now. */
#define STAMP_MS "600000"

#define BEGIN                                                                                      \
    "local count, run = KEYS[1], ARGV[1]\n"                                                        \
    "local c = redis.call('HMGET', count, 'run', 'era', 'n')\n"                                    \
    "if c[1] ~= run or ARGV[3] == 'new' then\n"                                                    \
    "  c = {run, ARGV[2], '0'}\n"                                                                  \
    "  redis.call('HMSET', count, 'run', run, 'era', c[2], 'n', c[3])\n"                           \
    "end\n"                                                                                        \
    "local era, n = c[2], c[3]\n"

/* The number of the key's last invalidation, as far as known. */
#define STAMPED                                                                                    \
    "local function stamped(key)\n"                                                                \
    "  local e, at = (redis.call('GET', key) or ''):match('^(%S+) (%d+)$')\n"                      \
    "  if e == era then\n"                                                                         \
    "    redis.call('PEXPIRE', key, " STAMP_MS ")\n"                                               \
    "    return tonumber(at)\n"                                                                    \
    "  end\n"                                                                                      \
    "  redis.call('SET', key, era .. ' ' .. n, 'PX', " STAMP_MS ")\n"                              \
    "  return tonumber(n)\n"                                                                       \
    "end\n"

const char *const redis_scripts[] = {
    [SCRIPT_SYNC] = BEGIN "return {1, era, n}",

    [SCRIPT_GET] = BEGIN STAMPED "local v = redis.call('GET', KEYS[2])\n"
                                 "if v and v:sub(1, #era + 1) == era .. ' ' then\n"
                                 "  return {v:sub(#era + 2), era, n}\n"
                                 "end\n"
                                 "stamped(KEYS[3])\n"
                                 "return {false, era, n}",

    [SCRIPT_SET] =
        BEGIN STAMPED "if stamped(KEYS[3]) <= tonumber(ARGV[4]) and ARGV[3] == era then\n"
                      "  redis.call('SET', KEYS[2], era .. ' ' .. ARGV[5], 'PX', ARGV[6])\n"
                      "  return {1, era, n}\n"
                      "end\n"
                      "return {0, era, n}",

    /* DEL first: a full Redis lets it through, and with it what follows */
    [SCRIPT_INVALIDATE] = BEGIN
    "for i = 2, #KEYS, 2 do redis.call('DEL', KEYS[i]) end\n"
    "n = tostring(redis.call('HINCRBY', count, 'n', 1))\n"
    "for i = 3, #KEYS, 2 do redis.call('SET', KEYS[i], era .. ' ' .. n, 'PX', " STAMP_MS ") end\n"
    "return {1, era, n}",
    NULL,
};
