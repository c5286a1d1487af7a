/* SPDX-License-Identifier: MIT */
/* call - one run of a handler: a Lua coroutine that yields each time it wants a database answer.
 * Loop thread only. Its owner drives it: start or resume gives the next event; the fields that
 * belong to the event are valid until the next resume or delete. Nothing here raises; Lua errors
 * become VM_FAILED. A call may be deleted at any event (a conflict, a lost connection, a timeout):
 * the handler is then simply never resumed, so no pcall of its can swallow what happened. */
#ifndef RBF_CALL_H
#define RBF_CALL_H
#include "base/list.h"
#include "pg/pgconn.h"
#include "vm/gen.h"
#include "wire/envelope.h"
#include <jansson.h>

struct call;
struct failure;

/* A script of `rbf exec`, run in the place of an operation: lua/rbf/script.lua says how. */
struct call_script {
    const char *path; /* absolute */
    const char *text;
    size_t len;
    int argc; /* its arguments */
    char *const *argv;
    const char *runner; /* the module that runs it, in the place of rbf.script; NULL: that */
};

struct call_request { /* borrowed until call_delete */
    int op;           /* index into gen->ops; -1: script, and nothing below it counts */
    const struct call_script *script;
    const char *subject; /* as received, without prefix */
    const char *request_id;
    const struct hdrs *hdrs;
    const struct subject_params *params;
    const json_t *input; /* parsed payload */
    int attempt;
    int64_t timestamp;    /* of the message in its stream, ms epoch */
    uint64_t *db_ns;      /* how long its statements took is added here; NULL: not of interest */
    bool middleware_only; /* a stored reply is about to be given: may this caller have it? */
    /* Not NULL: runs no handler, but the onError hooks of op, after this failure of that call. Ends
     * with CALL_FAILED and the error that a hook gave in its place, or CALL_DONE: it stands. */
    const struct failure *failure;
    const struct call *failed;
};

#define CALL_MAX_ARGS 8

/* The plain values that questions and their answers are made of. Text may hold NULs; one that Lua
 * asked with has a NUL behind it. */
struct call_value {
    enum { VALUE_NIL, VALUE_BOOL, VALUE_NUMBER, VALUE_TEXT } type;
    union {
        bool flag;
        double number;
        struct {
            const char *p;
            size_t len;
        } text;
    };
};

enum call_event {
    CALL_SQL,   /* run sql with params; then call_resume_result or call_resume_error */
    CALL_TYPES, /* describe sql, without running it; then call_resume_types or call_resume_error */
    CALL_ASK,   /* the handler waits for something else: question, args; then call_resume_values */
    CALL_DONE, /* result is the reply's JSON (a script's: its exit code), effects what the scheduler
                  collected */
    CALL_FAILED, /* failure says how */
};

enum failure_kind {
    FAIL_PERMANENT, /* rbf.fail: status, code, message, details */
    FAIL_INPUT,     /* validation of the input: 400, issues in details */
    FAIL_RETRY,     /* rbf.retry: retry_after_ms or -1 */
    FAIL_SQL,       /* an uncaught error of PostgreSQL: sqlstate */
    FAIL_ERROR,     /* any other error; traceback */
    FAIL_OUTPUT,    /* the result does not fit the output schema or is not JSON */
};

struct failure {
    enum failure_kind kind;
    bool in_middleware;
    int status; /* HTTP-like; 500 for FAIL_ERROR and FAIL_OUTPUT */
    char sqlstate[6];
    char *code, *message; /* for the caller (FAIL_ERROR: "Internal server error") */
    char *details;        /* JSON array of issues or any JSON, or NULL */
    char *internal;       /* the real message with the user's file:line, for log and dead letter */
    char *traceback;      /* or NULL */
    int64_t retry_after_ms;
};

const char *failure_kind_name(enum failure_kind kind); /* "permanent", … */
void failure_free(struct failure *f);                  /* what it points to */
void failure_copy(struct failure *to, const struct failure *from);

struct effect { /* one call to the scheduler */
    struct list node;
    /* EFFECT_CANCEL is gone, with what it cancels, when the call is done; EFFECT_CACHE: subject is
     * a key of the cache, to be invalidated */
    enum { EFFECT_REQUEST, EFFECT_MESSAGE, EFFECT_CANCEL, EFFECT_CACHE } type;
    char id[37];      /* of the outbox row */
    char *request_id; /* the follow-up's, NULL: the row's id */
    char *subject;    /* EFFECT_REQUEST: without the app's prefix; EFFECT_MESSAGE: as it is */
    char *data;       /* JSON text; NULL with raw set */
    char *raw;        /* bytes of rbf.raw */
    size_t raw_len;
    char *headers;     /* JSON object or NULL */
    int64_t target_at; /* ms epoch; 0: now */
    bool stream;       /* EFFECT_MESSAGE: wait for a PubAck */
};
void effect_delete(struct effect *e); /* takes it out of its list */

struct call {
    /* CALL_TYPES: sql. CALL_SQL: text and text parameters (NULL entries are SQL NULL) */
    const char *sql;
    int n_params;
    const char *const *params;
    /* CALL_ASK: which question, and what was said with it; gone once the call is resumed */
    const char *question;
    const struct call_value *args;
    int n_args;
    /* CALL_DONE */
    const char *result;
    size_t result_len;
    struct list effects; /* struct effect.node, in the order of the calls; owned by the call */
    /* CALL_FAILED */
    struct failure failure;
    /* any time: scheduler:setRetryDelay; -1 when not called */
    int64_t retry_delay_ms;
    struct gen *gen;   /* holds a reference */
    struct coro *coro; /* private to vm/ */
};

struct call *call_new(struct gen *g, const struct call_request *r) NODISCARD;
enum call_event call_start(struct call *c);
enum call_event call_resume_result(struct call *c, const struct pgres *r);
/* err of kind ERR_PG with sqlstate, or another kind with its message: raised at the handler's line.
 */
enum call_event call_resume_error(struct call *c, const struct err *err);
/* The n types of the parameters; borrowed during the call. */
enum call_event call_resume_types(struct call *c, const unsigned *oids, int n);
/* The answer to CALL_ASK: by custom true and what it is, or false and a message. Borrowed. */
enum call_event call_resume_values(struct call *c, const struct call_value *v, int n);
/* Traceback of a call that is waiting, for a timeout's log line. Caller frees. */
char *call_traceback(struct call *c) NODISCARD;
void call_delete(struct call *c);
#endif
