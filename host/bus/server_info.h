/* SPDX-License-Identifier: MIT */
/* server_info - what a nats-server says of itself to whoever connects, before anybody has logged
 * in. For commands; blocking. */
#ifndef RBF_SERVER_INFO_H
#define RBF_SERVER_INFO_H
#include "base/err.h"
#include <jansson.h>

/* The INFO of the first server of url (as config.h has it) that can be reached: {"version",
 * "server_name","max_payload","jetstream","auth_required","tls_required", …}, a new reference.
 * NULL with err when none talks within timeout_ms each. */
json_t *server_info(const char *url, int timeout_ms, struct err *err) NODISCARD;
#endif
