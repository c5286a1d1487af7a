/* SPDX-License-Identifier: MIT */
/* configval - one value of the configuration: text in, checked and normalised value out. */
#ifndef RBF_CONFIGVAL_H
#define RBF_CONFIGVAL_H
#include "base/err.h"
#include <stdint.h>

enum configval_type {
    CONFIGVAL_TEXT,      /* anything but "" */
    CONFIGVAL_NAME,      /* 1 to 64 of A-Z a-z 0-9 _ - */
    CONFIGVAL_PG_URL,    /* postgres://… or key=value words */
    CONFIGVAL_NATS_URL,  /* nats://… or tls://…, several joined by commas */
    CONFIGVAL_REDIS_URL, /* redis://… or unix://… */
    CONFIGVAL_PREFIX,    /* a subject prefix: "", or ends with a dot */
    CONFIGVAL_PREFIXES,  /* several, joined by commas */
    CONFIGVAL_LEVEL,
    CONFIGVAL_FORMAT,
    CONFIGVAL_INT,      /* from here on the value is a number */
    CONFIGVAL_DURATION, /* ms: 500ms, 30s, 5m, 1h, or a number of ms */
    CONFIGVAL_BOOL,     /* 1 0 true false yes no on off */
};

struct configval {
    enum configval_type type;
    int64_t min, max; /* of CONFIGVAL_INT and CONFIGVAL_DURATION */
    char *text;       /* set for the textual types; caller frees */
    int64_t number;
};

/* Reads value into v, whose type and bounds are set. -1 with err: who (flag, variable, option), the
 * value without secrets, what was expected. */
int configval_read(struct configval *v, const char *who, const char *value,
                   struct err *err) NODISCARD;
#endif
