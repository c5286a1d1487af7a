/* SPDX-License-Identifier: MIT */
/* The JSON codec: what is read and written is the same value, and text that PostgreSQL takes. */
#include "base/jsonval.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err err = {0};
    const char *text = (const char *)data;
    json_t *v = jsonval_read(text, size, &err);
    if (!v) {
        HOLDS(err.kind == ERR_INVALID && err.msg[0] && !strchr(err.msg, '\n'));
        return 0;
    }
    struct buf out = {0};
    jsonval_write(&out, v);
    HOLDS(jsonval_is_utf8(out.p, out.len));
    json_t *again = jsonval_read(out.p, out.len, &err);
    HOLDS(again != NULL);
    HOLDS(jsonval_same(v, again));
    HOLDS(jsonval_same_text(text, size, out.p, out.len));
    json_decref(again);
    json_decref(v);
    buf_free(&out);
    return 0;
}
