/* SPDX-License-Identifier: MIT */
/* specs - runs the specs of an app (rbf test): a script in the app's own state, as in script.h,
 * that has a connection to PostgreSQL and may run operations on it. No NATS. Blocking: it has a
 * loop of its own. */
#ifndef RBF_SPECS_H
#define RBF_SPECS_H
#include "base/config.h"
#include "core/host.h"
#include "vm/call.h"

struct specs {
    /* The URL of a database with all tables: always the same one; or, fresh, one that nobody has
     * written to (the last such is dropped). Blocking; NULL with err. Valid until the next call. */
    const char *(*database)(void *arg, bool fresh, struct err *err);
    void *arg;
    struct pgpool *shared, *fresh; /* of one connection each; NULL until a spec wants it */
    struct pgpool *lender;         /* of the connection in use */
    struct pgpool_waiter waiter;
    char *nats_url; /* of the host that a spec has started; NULL: none */
};

/* The exit code; 1 with its error in complaint when the runner itself failed. */
int specs_run(struct config *cfg, struct gen *g, const struct call_script *s, struct specs *specs,
              struct buf *complaint);
#endif
