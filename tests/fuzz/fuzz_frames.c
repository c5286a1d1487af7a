/* SPDX-License-Identifier: MIT */
/* Frames and trees between the supervisor and a worker, PostgreSQL's array and bytea texts, and the
 * words of SQL. */
#include "base/tree.h"
#include "fuzz.h"
#include "pg/pgtypes.h"
#include "pg/session.h"
#include "pg/sqltext.h"
#include "wire/ctl.h"

static int depth;

static int on_open(void *arg) {
    return ++depth > 1000;
}

static int on_item(const char *text, size_t len, void *arg) {
    HOLDS(!text || memchr(text, 0, len) == NULL);
    return 0;
}

static int on_close(void *arg) {
    depth--;
    return 0;
}

static void frames(const uint8_t *data, size_t size) {
    struct buf in = {.p = (char *)data, .len = size};
    struct ctl_frame f;
    size_t used;
    while (in.len && ctl_take(&in, &f, &used) == 1) {
        HOLDS(used > 0 && used <= in.len);
        HOLDS(f.len <= in.len);
        in.p += used;
        in.len -= used;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err err = {0};
    struct pgarray_visitor visitor = {on_open, on_item, on_close, NULL};
    size_t len;
    frames(data, size);
    tree_delete(tree_unpack((const char *)data, size, &err));
    char *text = xmemdup(data, size);
    depth = 0;
    if (pgarray_walk(text, &visitor, &err) == 0)
        HOLDS(depth == 0);
    free(pgbytea_decode(text, &len, &err));
    (void)session_touches(text);
    HOLDS(sqltext_line_of_statement(text, 3) >= 1);
    HOLDS(sqltext_line_of_char(text, 5) >= 1);
    free(text);
    return 0;
}
