/* SPDX-License-Identifier: MIT */
/* redis_url - where Redis is: redis://[[user]:password@]host[:port][/db] or
 * unix://[[user]:password@]/path/to/socket[?db=N]; user and password percent-encoded. Pure. */
#ifndef RBF_REDIS_URL_H
#define RBF_REDIS_URL_H
#include "base/err.h"

struct redis_url {
    char *host, *port;     /* NULL for a socket */
    char *path;            /* of the socket */
    char *user, *password; /* NULL when not said */
    int db;
    char *shown; /* the URL without its secrets: for messages */
};

/* 0, or -1 with err (its message tells no secret) and out empty. */
int redis_url_parse(const char *url, struct redis_url *out, struct err *err) NODISCARD;
void redis_url_free(struct redis_url *u);
#endif
