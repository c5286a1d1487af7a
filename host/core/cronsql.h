/* SPDX-License-Identifier: MIT */
/* cronsql - the statements of cron.c. Each is followed by a sync and so a transaction of its own;
 * each writes only while the version is in force. Loop thread only. */
#ifndef RBF_CRONSQL_H
#define RBF_CRONSQL_H
#include "base/config.h"
#include "core/cronplan.h"
#include "pg/pgconn.h"

struct cronsql {
    struct pgconn *conn;
    const struct config *cfg;
    const char *version;
};

/* One statement: says that the version is alive; its row is `since`. known: what that was when last
 * asked, 0 when it was not. deployed: a reload made it so age_ms ago, whatever is known of it; else
 * its host came with it that long ago. */
void cronsql_beat(const struct cronsql *q, int64_t known, bool deployed, int64_t age_ms);
/* Two: (now, version in force or NULL), and rbf_crons for cronsql_rows. */
void cronsql_look(const struct cronsql *q);
/* n rows; the caller frees the list, whose texts are the result's. */
struct cronrow *cronsql_rows(const struct pgres *res) NODISCARD;
/* One statement, which gives a row if it did what a says. */
void cronsql_add(const struct cronsql *q, const struct cronact *a);
#endif
