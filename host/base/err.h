/* SPDX-License-Identifier: MIT */
/* err - one failure, carried by value up to whoever can act on it. Any thread. */
#ifndef RBF_ERR_H
#define RBF_ERR_H
#include <stdbool.h>

#define NODISCARD __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

enum err_kind {
    ERR_NONE = 0,
    ERR_SYS,      /* a system call failed; msg holds strerror */
    ERR_CONFIG,   /* the user's configuration or files; msg says the cure */
    ERR_INVALID,  /* bytes from outside that break a contract (JSON, subject, header) */
    ERR_LUA,      /* a Lua file failed to load or a definition was refused */
    ERR_PG,       /* PostgreSQL answered with an error: sqlstate is set */
    ERR_PG_LOST,  /* connection to PostgreSQL lost or refused; outcome of a COMMIT unknown */
    ERR_BUS,      /* NATS answered with an error */
    ERR_BUS_DOWN, /* no connection to NATS now */
    ERR_NOBODY,   /* nobody listens on the NATS subject */
    ERR_TIMEOUT,  /* a deadline of ours passed */
    ERR_SHUTDOWN, /* the host is stopping */
};

struct err {
    enum err_kind kind;
    char sqlstate[6]; /* five characters and NUL; "" unless kind is ERR_PG */
    char msg[1000];   /* one line: what was found, what was expected, what to do */
};

/* Fills e (NULL is allowed) and returns -1, so that `return err_set(...)` reads well. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
void err_clear(struct err *e);
#endif
