/* SPDX-License-Identifier: MIT */
/* Messages between libnats's form and ours, and the checks before one is sent. */
#include "bus/bus_private.h"
#include <stdlib.h>
#include <string.h>

/* Where libnats has looked at headers itself it has put NULs in place of colons, CRs and blanks. */
static void restore(char *block, size_t n) {
    bool named = false; /* this line's colon is behind us */
    for (size_t i = 0; i < n; i++) {
        if (!block[i])
            block[i] = named || (i + 1 < n && block[i + 1] == '\n') ? ' ' : ':';
        named = block[i] != '\n' && (named || block[i] == ':');
    }
}

/* Where libnats 3.4 keeps the headers as they came: behind subject and reply, before the data, each
 * with a NUL at its end. A copy as on the wire; NULL when there are none, or the library is
 * another.
 */
static char *header_block(const struct bus_msg *m, size_t *n) {
    const char *data = natsMsg_GetData(m->inner), *name = m->reply ? m->reply : m->subject;
    const char *start = name + strlen(name) + 1;
    bool known = !strncmp(nats_GetVersion(), "3.4.", 4) && data && data > start + 8;
    if (!known || memcmp(start, "NATS/1.0", 8) != 0)
        return NULL;
    *n = (size_t)(data - start) - 1;
    char *block = xmemdup(start, *n);
    restore(block, *n);
    return block;
}

static void copy_parsed(struct hdrs *h, natsMsg *inner) {
    const char **names = NULL;
    int n = 0;
    if (natsMsgHeader_Keys(inner, &names, &n) != NATS_OK)
        return;
    for (int i = 0; i < n; i++) {
        const char **values = NULL;
        int count = 0;
        if (natsMsgHeader_Values(inner, names[i], &values, &count) != NATS_OK)
            continue;
        for (int k = 0; k < count; k++)
            hdrs_add(h, names[i], values[k]);
        free(values);
    }
    free(names);
}

/* libnats 3.4 takes the line behind a header without a value for its value, and the last such one
 * makes it lose them all: ids and reply subjects of requests, too. So they are parsed here. */
static void copy_headers(struct bus_msg *m) {
    size_t n = 0;
    char *block = header_block(m, &n);
    if (block)
        hdrs_parse(&m->hdrs, block, n);
    else
        copy_parsed(&m->hdrs, m->inner);
    free(block);
}

/* libnats turns a status line into a header named Status, and a sender may name one so too: only a
 * server's message has no payload and none of a client's headers. */
static int status_of(const struct bus_msg *m) {
    const char *s = m->len == 0 ? hdrs_get(&m->hdrs, "Status") : NULL;
    return s && strlen(s) == 3 && strspn(s, "0123456789") == 3 ? atoi(s) : 0;
}

/* natsMsg_Destroy hands each message to a thread of the library that frees it: a wake-up for each,
 * and malloc's lock is fought over (4 messages and 13 futex calls for a mutation with a follow-up).
 * What that thread calls is exported, though not declared. */
void natsMsg_free(void *msg) __attribute__((weak));

void bus_msg_free_inner(natsMsg *inner) {
    if (natsMsg_free)
        natsMsg_free(inner);
    else
        natsMsg_Destroy(inner);
}

struct bus_msg *bus_msg_from(natsMsg *inner) {
    struct bus_msg *m = xcalloc(1, sizeof *m);
    m->inner = inner;
    m->subject = natsMsg_GetSubject(inner);
    m->reply = natsMsg_GetReply(inner);
    if (m->reply && !m->reply[0])
        m->reply = NULL;
    m->data = natsMsg_GetData(inner);
    m->len = (size_t)natsMsg_GetDataLength(inner);
    if (!m->data)
        m->data = "";
    copy_headers(m);
    m->status = status_of(m);
    return m;
}

void bus_msg_delete(struct bus_msg *m) {
    if (!m)
        return;
    hdrs_free(&m->hdrs);
    bus_msg_free_inner(m->inner);
    free(m);
}

size_t bus_headers_len(const struct hdrs *h) {
    if (!h || h->n == 0)
        return 0;
    size_t n = strlen("NATS/1.0\r\n") + strlen("\r\n");
    for (size_t i = 0; i < h->n; i++)
        n += strlen(h->v[i].name) + strlen(h->v[i].value) + strlen(": \r\n");
    return n;
}

/* libnats writes subjects as they are: white space in one would be another command. */
static bool is_subject(const char *s) {
    if (!s[0] || s[0] == '.')
        return false;
    for (const unsigned char *p = (const unsigned char *)s; *p; p++)
        if (*p <= ' ' || *p == 0x7f || (*p == '.' && (p[1] == '.' || p[1] == 0)))
            return false;
    return true;
}

static int check_headers(const struct hdrs *h, struct err *err) {
    for (size_t i = 0; h && i < h->n; i++) {
        const char *name = h->v[i].name;
        if (!name[0] || strpbrk(name, ": \t\r\n") || strpbrk(h->v[i].value, "\r\n"))
            return err_set(err, ERR_INVALID,
                           "header '%.60s' cannot be sent: a name is a token, a value one line",
                           name);
    }
    return 0;
}

/* The server closes a connection for good whose command line is longer (max_control_line 4096) or
 * whose message is larger than it allows, so neither is ever sent. */
#define SUBJECTS_MAX 4000

int bus_check(size_t max_payload, const char *subject, const char *reply, const struct hdrs *h,
              size_t len, struct err *err) {
    if (!is_subject(subject) || (reply && !is_subject(reply)))
        return err_set(err, ERR_INVALID, "'%.200s' is no subject to publish to",
                       is_subject(subject) ? reply : subject);
    if (strlen(subject) + (reply ? strlen(reply) : 0) > SUBJECTS_MAX)
        return err_set(err, ERR_INVALID, "subject '%.60s…' is longer than the %d bytes NATS takes",
                       subject, SUBJECTS_MAX);
    if (check_headers(h, err) < 0)
        return -1;
    size_t total = len + bus_headers_len(h);
    if (total > max_payload)
        return err_set(err, ERR_INVALID,
                       "message for '%.200s' has %zu bytes with its headers, the NATS server takes "
                       "%zu: send less, or raise max_payload in its configuration",
                       subject, total, max_payload);
    return 0;
}
