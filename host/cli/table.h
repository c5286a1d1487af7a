/* SPDX-License-Identifier: MIT */
/* table - what commands list: rows as JSON objects, printed as they are for --json (an array, a row
 * a line; times and durations in ms), else as a table for people. Main thread only.
 *
 *     static const struct table_column columns[] = {
 *         {"queue", "QUEUE", TABLE_ID}, {"pending", "PENDING", TABLE_NUMBER}, {0}};
 *     return cli_list(c, rows, columns, "no queues");
 *
 * A table fits the terminal (COLUMNS, else the terminal itself; no limit in a file or pipe): texts
 * are cut, ids and numbers are not; where even those do not fit, each row is a list of its fields.
 * No cell can move the cursor: control characters are shown as spaces. */
#ifndef RBF_TABLE_H
#define RBF_TABLE_H
#include "base/buf.h"
#include <jansson.h>

struct cli;

enum table_type {
    TABLE_TEXT,     /* may be cut; JSON of anything that is no string */
    TABLE_JSON,     /* may be cut; JSON of everything */
    TABLE_ID,       /* text that is never cut */
    TABLE_NUMBER,   /* to the right */
    TABLE_BAD,      /* a number that should be 0: red when it is not */
    TABLE_TIME,     /* ms epoch as local time */
    TABLE_AGE,      /* ms epoch as "3m ago", "in 2h" */
    TABLE_DURATION, /* ms as "3m", "250ms" */
    TABLE_STATE,    /* text; see table_state_colour */
};

struct table_column {
    const char *key;   /* of each row's object; a missing or null value is an empty cell */
    const char *title; /* NULL key ends the list */
    enum table_type type;
};

/* Appends. width: columns of the terminal, 0 for any. now_ms: for ages. */
void table_put(struct buf *out, const json_t *rows, const struct table_column *columns, int width,
               bool colours, int64_t now_ms);
/* The row's fields below each other, "  title  value", empty ones left out; nothing is cut. */
void table_put_fields(struct buf *out, const json_t *row, const struct table_column *columns,
                      bool colours, int64_t now_ms);
/* Appends "3m", "250ms", "2h 5m". */
void table_put_duration(struct buf *out, int64_t ms);
/* The escape sequence for a state's word (done, ok: green; waits: yellow; dead: red …), or "". */
const char *table_state_colour(const char *state);
#define TABLE_PLAIN "\033[0m"

/* Of standard output: is it a terminal that may be coloured (NO_COLOR is not set)? Its width. */
bool table_colours(void);
int table_width(void);

/* Prints rows (taken) in the way that was asked for; `none`, a sentence, where a table would be
 * empty. Returns 0, the exit code; 1, said, when standard output does not take it. */
int cli_list(const struct cli *c, json_t *rows, const struct table_column *columns,
             const char *none);
/* One value (taken) as a line of JSON: for commands that show one thing with --json. */
int cli_json(json_t *value);
#endif
