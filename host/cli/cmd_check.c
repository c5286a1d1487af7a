/* SPDX-License-Identifier: MIT */
#include "base/jsonval.h"
#include "cli/cli.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "users.lua:12: message" → where its line begins and its message; false: no place in it. */
static bool split(const char *text, size_t *file, long *line, const char **message) {
    for (const char *p = strchr(text, ':'); p; p = strchr(p + 1, ':')) {
        char *end;
        if (!isdigit((unsigned char)p[1]))
            continue;
        *line = strtol(p + 1, &end, 10);
        *file = (size_t)(p - text);
        *message = strncmp(end, ": ", 2) ? end : end + 2;
        return *end == ':';
    }
    return false;
}

static void put_text(struct buf *out, const char *key, const char *s, size_t n) {
    buf_printf(out, ",\"%s\":", key);
    if (jsonval_put_string(out, s, n, NULL) != 0)
        buf_puts(out, "null");
}

static int failed(const struct err *why, bool json) {
    const char *message = why->msg;
    struct buf out = {0};
    size_t file;
    long line;
    if (!json)
        return cli_fail("%s", why->msg);
    buf_puts(&out, "{\"ok\":false");
    put_text(&out, "error", why->msg, strlen(why->msg));
    if (split(why->msg, &file, &line, &message)) {
        put_text(&out, "file", why->msg, file);
        buf_printf(&out, ",\"line\":%ld", line);
    }
    put_text(&out, "message", message, strlen(message));
    buf_putc(&out, '}');
    puts(out.p);
    buf_free(&out);
    return 1;
}

int cmd_check(struct cli *c) {
    struct err err;
    bool json = cli_flag(c, "--json");
    struct buf text = {0};
    if (cli_app_dir(c))
        return 1;
    struct gen *g = cli_load(c, &err);
    if (!g)
        return failed(&err, json);
    if (json) {
        gen_describe(g, &text);
        printf("{\"ok\":true,\"queues\":%d,%s\n", g->n_queues, text.p + 1);
    } else {
        printf("ok: %d operation%s on %d queue%s\n", g->n_ops, g->n_ops == 1 ? "" : "s",
               g->n_queues, g->n_queues == 1 ? "" : "s");
    }
    buf_free(&text);
    gen_unref(g);
    return 0;
}
