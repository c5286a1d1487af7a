/* SPDX-License-Identifier: MIT */
/* list - prints what a command found, in the form that was asked for. */
#include "base/clock.h"
#include "base/jsonval.h"
#include "cli/cli.h"
#include "cli/table.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool table_colours(void) {
    const char *no = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && !(no && *no);
}

int table_width(void) {
    struct winsize size;
    const char *set = getenv("COLUMNS");
    int n = set ? atoi(set) : 0;
    if (n > 0)
        return n;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) ? 0 : size.ws_col;
}

static int print(struct buf *text) {
    fwrite(text->p ? text->p : "", 1, text->len, stdout);
    buf_free(text);
    return fflush(stdout) ? cli_fail("cannot write: %s", strerror(errno)) : 0;
}

/* A row a line, so that grep and diff have something to hold. */
static void put_rows(struct buf *out, const json_t *rows) {
    size_t i;
    json_t *row;
    buf_putc(out, '[');
    json_array_foreach(rows, i, row) {
        buf_puts(out, i ? ",\n " : "");
        jsonval_write(out, row);
    }
    buf_puts(out, "]\n");
}

int cli_list(const struct cli *c, json_t *rows, const struct table_column *columns,
             const char *none) {
    struct buf out = {0};
    if (cli_flag(c, "--json"))
        put_rows(&out, rows);
    else if (!json_array_size(rows))
        buf_printf(&out, "%s\n", none);
    else
        table_put(&out, rows, columns, table_width(), table_colours(), clock_wall_ms());
    json_decref(rows);
    return print(&out);
}

int cli_json(json_t *value) {
    struct buf out = {0};
    jsonval_write(&out, value);
    buf_putc(&out, '\n');
    json_decref(value);
    return print(&out);
}
