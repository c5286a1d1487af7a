/* SPDX-License-Identifier: MIT */
/* site - what a command needs that looks at a running app: its files where they are at hand, its
 * database, its JetStream. Blocking, main thread. */
#ifndef RBF_SITE_H
#define RBF_SITE_H
#include "cli/cli.h"
#include "cli/js.h"
#include "pg/pgsync.h"

enum site_parts { SITE_DATABASE = 1, SITE_JETSTREAM = 2 };

struct site {
    struct cli *c;
    struct gen *gen; /* NULL: no folder, or (said on standard error) it does not load */
    struct pgsync *pg;
    struct js *js;
};

/* Those of `rbf dev`, where neither URL is given: one of hers beside another's would be a mix. -1
 * with err when none runs; the app may still name them. */
int site_find_servers(struct cli *c, struct err *err);
/* Finds the servers as site_find_servers, then in main.lua, and connects to those of parts. 0, or
 * -1 with err. */
int site_open(struct site *s, struct cli *c, int parts, struct err *err) NODISCARD;
void site_close(struct site *s);

/* The rows of a SELECT as an array of objects, as PostgreSQL makes JSON of them; parameters are
 * texts, NULL entries SQL NULL. NULL with err. */
json_t *site_rows(struct site *s, const char *select, int n, const char *const *params,
                  struct err *err) NODISCARD;

/* The queues: {"queue","stream","consumer","subjects"}, those of the app first, then what
 * else has a stream in this namespace. Needs JetStream. NULL with err. */
json_t *site_queues(struct site *s, struct err *err) NODISCARD;
/* The messages of a queue (as above) that nobody has acked, the first `limit` of them:
 * {"sequence","requestId","subject","attempt","storedAt","inFlight","headers","payload"}. *more:
 * there are others. NULL with err. */
json_t *site_messages(struct site *s, const json_t *queue, int limit, bool *more,
                      struct err *err) NODISCARD;

/* A text field of a row, "" when it is none. */
const char *site_text(const json_t *row, const char *key);
/* --limit N of the command, else preset; -1, said, when it is no number from 1 on. */
int site_limit(const struct cli *c, int preset);
/* The payload as a value, else as text, else {"base64":…}. */
json_t *site_payload(const char *bytes, size_t n);
#endif
