/* SPDX-License-Identifier: MIT */
/* bus_tls - TLS and credential files of a connection to NATS, and what libnats 3.4 lacks there:
 *
 * - its handshake reads without a deadline, holding the connection's lock: limited here;
 * - on our loop it waits for the rest of a TLS record, or for room in a full socket, as long as the
 *   peer likes: taught to come back instead;
 * - why a reconnect fails it tells nobody: logged here.
 *
 * All by hooks OpenSSL documents, which are set for libnats's connections only: it uses the same
 * OpenSSL, and shows none of its objects. */
#ifndef RBF_BUS_TLS_H
#define RBF_BUS_TLS_H
#include "bus/bus.h"
#include <nats/nats.h>

/* Does the URL or a file of o demand TLS? */
bool bus_tls_wanted(const struct bus_options *o);
/* Files that cannot be read, or are not what they should be: -1 with err, one line. */
int bus_tls_check(const struct bus_options *o, struct err *err) NODISCARD;
natsStatus bus_tls_options(natsOptions *opts, const struct bus_options *o);

/* So that another thread may make TLS connections of its own while one is made here. Any number of
 * times; before that thread begins. */
void bus_tls_prepare(void);
/* Around a blocking connect: what it makes in this thread is libnats's. timeout_ms holds for each
 * step of every handshake from then on. */
void bus_tls_begin(int timeout_ms);
void bus_tls_end(void);

enum bus_tls_kind {
    BUS_TLS_NONE,  /* there was no handshake */
    BUS_TLS_DONE,  /* no failure; but a server can refuse our certificate after it */
    BUS_TLS_TRUST, /* nobody we know signed it */
    BUS_TLS_NAME,  /* it is for another host */
    BUS_TLS_DATES, /* not yet or no longer valid */
    BUS_TLS_ALERT, /* the server broke it off */
    BUS_TLS_OTHER,
};
struct bus_tls_failure {
    enum bus_tls_kind kind;
    char text[400]; /* what was found, on one line */
};
/* What came of the last handshake since bus_tls_begin in this thread. */
const struct bus_tls_failure *bus_tls_failure(void);
#endif
