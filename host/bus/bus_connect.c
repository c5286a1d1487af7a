/* SPDX-License-Identifier: MIT */
/* Making the connection: options, and errors that say what to do without telling a secret. */
#include "base/config.h"
#include "base/log.h"
#include "bus/bus_private.h"
#include "bus/bus_tls.h"
#include <signal.h>
#include <string.h>

struct bus_options bus_options_of(const struct config *c) {
    return (struct bus_options){.url = c->nats_url,
                                .ca_file = c->nats_ca_file,
                                .cert_file = c->nats_cert_file,
                                .key_file = c->nats_key_file,
                                .creds_file = c->nats_creds_file};
}

/* The hosts of a list of URLs. A password may hold commas: what stands before the last '@' up to
 * the next "://" is never shown. */
static void put_hosts(struct buf *out, const char *url) {
    for (const char *p = url; p && *p;) {
        const char *scheme = strstr(p, "://");
        const char *start = scheme ? scheme + 3 : p;
        const char *next = strstr(start, "://");
        const char *end = next ? next : p + strlen(p);
        while (next && end > start && end[-1] != ',')
            end--; /* leaves out the next scheme */
        const char *host = start;
        for (const char *c = start; c < end; c++)
            if (*c == '@')
                host = c + 1;
        size_t n = (size_t)(end - host);
        while (n > 0 && strchr(", /", host[n - 1]))
            n--;
        if (out->len > 0)
            buf_puts(out, ", ");
        buf_put(out, host, n);
        p = next ? end : NULL;
    }
}

/* Our own guess at what is wrong, from what the library said; NULL when it is something else. */
static char *explain_tls(const struct bus_options *o, natsStatus s, const char *at) {
    if (s == NATS_SECURE_CONNECTION_WANTED)
        return xasprintf("nats-server at %s does not demand TLS, but tls:// or a certificate file "
                         "does: write nats:// in NATS_URL, or give the server a tls section "
                         "(without allow_non_tls)",
                         at);
    const struct bus_tls_failure *f = bus_tls_failure();
    bool dropped = s == NATS_IO_ERROR || s == NATS_CONNECTION_CLOSED;
    if (f->kind == BUS_TLS_NONE || (f->kind == BUS_TLS_DONE && !dropped))
        return NULL;
    if (!bus_tls_wanted(o))
        return xasprintf("nats-server at %s demands TLS (%s): write tls:// in NATS_URL, and give "
                         "its CA by --nats-ca-file unless it is a public one",
                         at, f->text);
    switch (f->kind) {
    case BUS_TLS_NAME:
        return xasprintf("the certificate of nats-server at %s is for another name (%s): write the "
                         "name it bears in NATS_URL, or give the server one for this name",
                         at, f->text);
    case BUS_TLS_TRUST:
        return xasprintf("the certificate of nats-server at %s is not trusted (%s): give the CA "
                         "that signed it by --nats-ca-file",
                         at, f->text);
    case BUS_TLS_DATES:
        return xasprintf("the certificate of nats-server at %s is not valid now (%s): renew it, or "
                         "set this machine's clock",
                         at, f->text);
    case BUS_TLS_ALERT:
    case BUS_TLS_DONE: /* its alert can get lost when it closes at once */
        return xasprintf("nats-server at %s broke off TLS (%s): does it want a client certificate "
                         "that it trusts? Give one by --nats-cert-file and --nats-key-file",
                         at, *f->text ? f->text : "it closed the connection");
    default:
        return xasprintf("no TLS with nats-server at %s: %s", at, f->text);
    }
}

static int refuse(const struct bus_options *o, natsStatus s, struct err *err) {
    struct buf hosts = {0};
    put_hosts(&hosts, o->url);
    const char *at = hosts.len ? hosts.p : "(empty URL)";
    int rc;
    char *tls = NULL;
    if (s == NATS_CONNECTION_AUTH_FAILED || s == NATS_NOT_PERMITTED)
        rc = err_set(err, ERR_CONFIG, "nats-server at %s refused the credentials: check %s", at,
                     o->creds_file ? "the file of --nats-creds-file"
                                   : "the token or user and password in NATS_URL "
                                     "(nats://token@host:port), or give --nats-creds-file");
    else if (s == NATS_INVALID_ARG || s == NATS_ADDRESS_MISSING)
        rc = err_set(err, ERR_CONFIG,
                     "the NATS URL for %s cannot be read: expected nats://[token@]host:port", at);
    else if ((tls = explain_tls(o, s, at)))
        rc = err_set(err, ERR_CONFIG, "%s", tls);
    else
        rc =
            err_set(err, ERR_BUS_DOWN,
                    "cannot connect to NATS at %s within %d ms (%s): is nats-server running there? "
                    "`rbf dev` starts a private one",
                    at, o->connect_timeout_ms, natsStatus_GetText(s));
    free(tls);
    buf_free(&hosts);
    return rc;
}

/* From a thread of libnats: slow consumers, missing permissions. */
static void on_library_error(natsConnection *nc, natsSubscription *sub, natsStatus s, void *arg) {
    const char *text = NULL;
    natsConnection_GetLastError(nc, &text);
    log_warn("NATS reports an error", LOG_S("status", natsStatus_GetText(s)), LOG_S("error", text));
}

static natsStatus set_servers(natsOptions *opts, const char *url) {
    char *copy = xstrdup(url), *save = NULL;
    const char *servers[64];
    int n = 0;
    for (char *p = strtok_r(copy, ", ", &save); p && n < 64; p = strtok_r(NULL, ", ", &save))
        servers[n++] = p;
    natsStatus s = n > 0 ? natsOptions_SetServers(opts, servers, n) : NATS_INVALID_ARG;
    free(copy);
    return s;
}

#define TRY(call) (s = s == NATS_OK ? (call) : s)

static natsStatus set_options(natsOptions *opts, struct bus *b, const struct bus_options *o) {
    natsStatus s = set_servers(opts, o->url);
    if (o->name)
        TRY(natsOptions_SetName(opts, o->name));
    TRY(natsOptions_SetTimeout(opts, o->connect_timeout_ms)); /* of each reconnect, too */
    TRY(natsOptions_SetSendAsap(opts, true));  /* else a thread sleeps 1 ms for each flush */
    TRY(natsOptions_SetPingInterval(opts, 0)); /* else a thread may close the socket we poll */
    /* The token of such a reply is lost: see bus/probes.h. */
    TRY(natsOptions_DisableNoResponders(opts, !o->tell_nobody));
    TRY(natsOptions_SetAllowReconnect(opts, true));
    TRY(natsOptions_SetMaxReconnect(opts, -1));
    TRY(natsOptions_SetReconnectWait(opts, 250));
    TRY(natsOptions_SetReconnectBufSize(opts, 4096)); /* nothing is published while down */
    TRY(natsOptions_SetErrorHandler(opts, on_library_error, NULL));
    TRY(bus_adapter_options(b->link, opts));
    TRY(bus_tls_options(opts, o));
    return s;
}

static natsStatus take_inbox(struct bus *b) {
    natsInbox *inbox = NULL;
    natsStatus s = natsInbox_Create(&inbox);
    if (s != NATS_OK)
        return s;
    b->inbox_len = (size_t)snprintf(b->inbox, sizeof b->inbox, "%s", inbox);
    natsInbox_Destroy(inbox);
    char all[sizeof b->inbox + 2];
    snprintf(all, sizeof all, "%s.*", b->inbox);
    TRY(natsConnection_SubscribeSync(&b->sub, b->nc, all));
    TRY(natsSubscription_SetPendingLimits(b->sub, -1, -1)); /* else drops above 65,536 */
    return s;
}

static natsStatus connect_now(struct bus *b, const struct bus_options *o) {
    natsOptions *opts = NULL;
    natsStatus s = natsOptions_Create(&opts);
    if (s == NATS_OK) {
        TRY(set_options(opts, b, o));
        TRY(natsConnection_Connect(&b->nc, opts));
    }
    TRY(take_inbox(b));
    natsOptions_Destroy(opts);
    return s;
}

int bus_connect(struct bus *b, const struct bus_options *o, struct err *err) {
    if (bus_tls_check(o, err) < 0)
        return -1;
    /* The threads libnats starts here inherit the mask: signals are for our threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    bus_tls_begin(o->connect_timeout_ms);
    natsStatus s = connect_now(b, o);
    /* libnats 3.4 signs one nonce in 350 wrongly (5 of 1,800 connects with good credentials) */
    for (int i = 0; i < 2 && o->creds_file && s == NATS_CONNECTION_AUTH_FAILED; i++) {
        natsConnection_Destroy(b->nc);
        b->nc = NULL;
        s = connect_now(b, o);
    }
    bus_tls_end();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (s != NATS_OK)
        return refuse(o, s, err);
    b->max_payload = (size_t)natsConnection_GetMaxPayload(b->nc);
    return 0;
}
