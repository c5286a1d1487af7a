/* SPDX-License-Identifier: MIT */
/* ask_cancel - backend.cancel(id), in scripts: (id) → true, was it cancelled | false, message. It
 * blocks the script's loop, on which nothing else is urgent. */
#include "core/ask.h"
#include "core/letters.h"

static int cancel_job(const struct config *cfg, const char *id, bool *cancelled, struct err *err) {
    if (!cfg->database_url)
        return err_set(err, ERR_CONFIG,
                       "backend.cancel needs the database: set DATABASE_URL, or pass "
                       "--database-url URL");
    struct pgsync *s = pgsync_open(cfg->database_url, err);
    int rc = s ? letters_cancel(s, cfg->namespace_, id, cancelled, err) : -1;
    pgsync_close(s);
    return rc;
}

static void start(struct run *r, const struct call_value *args, int n) {
    struct err err;
    bool cancelled = false;
    if (!r->h->client || n != 1 || args[0].type != VALUE_TEXT) {
        ask_refuse(r, "backend.cancel is for scripts; in a handler: r.scheduler:cancel(id)");
    } else if (cancel_job(r->h->cfg, args[0].text.p, &cancelled, &err)) {
        ask_refuse(r, err.msg);
    } else {
        struct call_value v[] = {ask_flag(true), ask_flag(cancelled)};
        run_answer(r, v, 2);
    }
}

static void cancel(struct run *r) {}

const struct ask ask_client_cancel = {"client.cancel", start, cancel};
