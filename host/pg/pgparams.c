/* SPDX-License-Identifier: MIT */
#include "pg/pgparams.h"
#include <ctype.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

/* The forms pgtypes.h and the Lua side rely on, whatever the server's configuration says. */
#define FORMS                                                                                      \
    "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=iso_8601 -c extra_float_digits=1 "          \
    "-c bytea_output=hex"
/* enable_seqscan=off: on a small table the planner picks a sequential scan, which locks the whole
 * relation under SERIALIZABLE (87 % of 8 clients' transactions on 20 rows failed so, 0 % without).
 * jit=off: what must be scanned for want of an index then costs 1e10 in the planner's eyes, and was
 * compiled for 50 ms before it was read in 0.01.
 * The limits end before a task's ack wait of 30 s does, so that a stopped host holds no locks. */
#define LIMITS                                                                                     \
    "-c enable_seqscan=off -c jit=off -c idle_in_transaction_session_timeout=27000 -c "            \
    "lock_timeout=20000 "                                                                          \
    "-c statement_timeout=25000 "

void pg_one_line(struct buf *out, const char *text) {
    bool gap = false;
    size_t from = out->len;
    for (const char *s = text ? text : ""; *s; s++) {
        if (isspace((unsigned char)*s)) {
            gap = true;
            continue;
        }
        if (gap && out->len > from)
            buf_putc(out, ' ');
        gap = false;
        buf_putc(out, *s);
    }
}

/* libpq puts guesses on further lines, after a tab ("Is the server running locally …?"). */
void pg_client_line(struct buf *out, const char *message) {
    struct buf facts = {0};
    for (const char *s = message; *s;) {
        size_t n = strcspn(s, "\n");
        if (*s != '\t')
            buf_put(&facts, s, n);
        buf_putc(&facts, ' ');
        s += n + (s[n] != '\0');
    }
    pg_one_line(out, facts.p);
    buf_free(&facts);
}

static int set_line(struct err *err, enum err_kind kind, const char *text, const char *cure) {
    struct buf line = {0};
    pg_client_line(&line, text);
    err_set(err, kind, "%s%s%s", line.p ? line.p : "unknown error", *cure ? ": " : "", cure);
    buf_free(&line);
    return -1;
}

/* libpq quotes the URL, and with it the password: its message goes on without. */
static int refuse_url(const char *url, const char *message, struct err *err) {
    const char *hit = *url ? strstr(message, url) : NULL;
    if (!hit)
        return set_line(err, ERR_CONFIG, message, "a database URL is postgresql://user@host/name");
    char *clean = xasprintf("%.*s***%s", (int)(hit - message), message, hit + strlen(url));
    set_line(err, ERR_CONFIG, clean, "a database URL is postgresql://user@host/name");
    free(clean);
    return -1;
}

static void add(struct pgparams *p, const char *key, const char *value) {
    p->keys[p->n] = key;
    p->values[p->n++] = value;
    p->keys[p->n] = p->values[p->n] = NULL;
}

static const char *value_of(const PQconninfoOption *given, const char *key) {
    for (; given->keyword; given++)
        if (strcmp(given->keyword, key) == 0)
            return given->val && *given->val ? given->val : NULL;
    return NULL;
}

static bool is_number_list(const char *s) {
    return s[strspn(s, "0123456789,")] == '\0';
}

/* "postgres://me:pa/ss@host/db" reads as the host `me` and the port `pa`: part of a password, which
 * libpq would print. */
static int check_port(const PQconninfoOption *given, struct err *err) {
    const char *port = value_of(given, "port");
    if (!port || is_number_list(port))
        return 0;
    return err_set(err, ERR_CONFIG,
                   "the port in the database URL is not a number: characters like / : @ # in a "
                   "user name or password must be percent-encoded (/ is %%2F)");
}

int pgparams_make(struct pgparams *p, const char *url, enum pgparams_use use, struct err *err) {
    *p = (struct pgparams){0};
    char *message = NULL;
    PQconninfoOption *given = PQconninfoParse(url, &message);
    if (!given) {
        refuse_url(url, message ? message : "not a database URL", err);
        PQfreemem(message);
        return -1;
    }
    int rc = check_port(given, err);
    const char *options = value_of(given, "options");
    if (!options && !(options = getenv("PGOPTIONS")))
        options = "";
    p->options = xasprintf("%s%s %s", use == PGPARAMS_TASKS ? LIMITS : "", FORMS, options);
    PQconninfoFree(given);

    add(p, "application_name", "rbf");
    add(p, "gssencmode", "disable"); /* its handshake knows no non-blocking form that is tried */
    /* A peer that vanished is noticed in seconds, not after the kernel's two hours. It also bounds
     * each address' SYN, so that the next host of the URL is reached within the connect time. */
    add(p, "keepalives_idle", "10");
    add(p, "keepalives_interval", "5");
    add(p, "keepalives_count", "3");
    add(p, "tcp_user_timeout", "7000");
    if (use == PGPARAMS_COMMAND)
        add(p, "connect_timeout", "5"); /* of the blocking form; pgconn has a timer of its own */
    add(p, "dbname", url);
    add(p, "options", p->options);
    add(p, "client_encoding", "UTF8");
    return rc;
}

void pgparams_free(struct pgparams *p) {
    free(p->options);
    *p = (struct pgparams){0};
}

/* libpq 15 gives no SQLSTATE for a refused connection: only the text tells. */
static const struct {
    const char *part, *cure;
} cures[] = {
    {"onnection refused", "is PostgreSQL running there? `rbf dev` starts a private one"},
    {"No such file or directory", "is PostgreSQL running there? `rbf dev` starts a private one"},
    {"password authentication failed", "check user and password in the database URL"},
    {"no password supplied", "put the password into the database URL, or into ~/.pgpass"},
    {"Peer authentication failed", "connect by TCP (host in the database URL) or as that user"},
    {"does not match host name",
     "write the name the certificate bears into the database URL (and "
     "its address as hostaddr=…), or give the server one for this name"},
    {"certificate verify failed", "give the CA that signed the server's certificate as "
                                  "sslrootcert=FILE in the database URL; or it has expired"},
    {"root certificate file", "give the server's CA as sslrootcert=FILE in the database URL"},
    {"server does not support SSL", "set ssl = on in the server, or take sslmode out of the "
                                    "database URL where the network is private"},
    {"no encryption", "the server wants TLS: sslmode=verify-full&sslrootcert=FILE in the database "
                      "URL"},
    {"valid client certificate", "give one as sslcert=FILE&sslkey=FILE in the database URL"},
    {"no pg_hba.conf entry", "the server's pg_hba.conf must let this host, user and database in"},
    {"could not translate host name", "check the host in the database URL"},
    {"too many clients", "lower --connections or raise the server's max_connections"},
    {"connection slots", "lower --connections or raise the server's max_connections"},
    {"session is read-only", "give the primary's host, or all hosts, in the database URL"},
};

int pgparams_explain(const char *message, struct err *err) {
    const char *cure = "";
    for (size_t i = 0; !*cure && i < sizeof cures / sizeof *cures; i++)
        if (strstr(message, cures[i].part))
            cure = cures[i].cure;
    bool missing = strstr(message, "FATAL:  database \"") && strstr(message, "does not exist");
    if (!*cure && missing)
        cure = "create it, for example with `createdb`";
    return set_line(err, ERR_PG_LOST, message, cure);
}
