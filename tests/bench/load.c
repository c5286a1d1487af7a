/* SPDX-License-Identifier: MIT */
/* bench_load - the load generator of tests/bench: sends messages and prints one line of JSON.
 *   --mode fill    into the stream, PubAck by PubAck; nobody waits for the results
 *   --mode closed  at most --inflight without a result, the next when one comes
 *   --mode open    --rate a second by the clock, whatever comes back: a latency counts from the
 *                  time a message was due, so a host that falls behind cannot hide it
 *   --mode echo    answers each request to the subject itself, until it is killed: what NATS costs
 * alone
 * --rpc asks by plain requests, else results come by Reply-To. See text.h for templates. */
#define _GNU_SOURCE /* memmem */
#include "hist.h"
#include "link.h"
#include "text.h"
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define MAX_TEXT 2000
#define PATIENCE_US 30000000 /* without any result: the rest is missing */

enum mode { FILL, CLOSED, OPEN, ECHO };

struct load {
    enum mode mode;
    bool rpc;
    int id_version;
    uint64_t count, inflight, accounts, base;
    double rate;
    const char *url, *subject, *data;
    char inbox[60];
    struct link link;
    struct hist hist;
    uint64_t *due; /* us, by number; 0: answered */
    uint64_t sent, answered, refused;
    uint64_t began, last; /* us: first send, last answer */
};

static uint64_t now_us(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void *must(void *p) {
    if (!p)
        abort();
    return p;
}

/* --- answers --- */

/* A result has a Status-Code; a PubAck has none, and says "error" when it is one. */
static bool is_good(const struct load *l, const struct link_msg *m) {
    static const char name[] = "Status-Code:";
    if (l->mode == FILL)
        return !memmem(m->data, m->data_len, "\"error\"", 7);
    const char *status = memmem(m->head, m->head_len, name, sizeof name - 1);
    return status && atoi(status + sizeof name - 1) == 200;
}

static void on_message(const struct link_msg *m, void *arg) {
    struct load *l = arg;
    uint64_t number = strtoull(m->subject + strlen(l->inbox) + 1, NULL, 10);
    if (number >= l->sent || !l->due[number])
        return;
    l->last = now_us();
    hist_add(&l->hist, l->last - l->due[number]);
    l->due[number] = 0;
    l->answered++;
    l->refused += !is_good(l, m);
}

/* --- sending --- */

static void send_one(struct load *l, uint64_t due) {
    char subject[500], data[MAX_TEXT], head[200] = "", reply[90], id[TEXT_ID_LEN];
    uint64_t number = l->sent++;
    l->due[number] = due;
    text_fill(subject, sizeof subject, l->subject, l->base + number, l->accounts);
    text_fill(data, sizeof data, l->data, l->base + number, l->accounts);
    snprintf(reply, sizeof reply, "%s.%" PRIu64, l->inbox, number);
    if (!l->rpc) {
        text_id(id, l->id_version);
        snprintf(head, sizeof head, "NATS/1.0\r\nRequest-Id: %s\r\nReply-To: %s\r\n\r\n", id,
                 l->mode == FILL ? "_INBOX.bench.nobody" : reply);
    }
    bool wants_answer = l->rpc || l->mode == FILL;
    link_publish(&l->link, subject, wants_answer ? reply : "", head, data);
}

/* Sends what is due; how long the next one can wait. */
static int64_t send_due(struct load *l) {
    const int64_t idle = 100000;
    uint64_t now = now_us();
    if (l->mode != OPEN) {
        while (l->sent < l->count && l->sent - l->answered < l->inflight)
            send_one(l, now);
        return idle;
    }
    for (; l->sent < l->count; now = now_us()) {
        uint64_t due = l->began + (uint64_t)((double)l->sent * 1e6 / l->rate);
        if (due > now)
            return due - now < (uint64_t)idle ? (int64_t)(due - now) : idle;
        send_one(l, due);
    }
    return idle;
}

static void run(struct load *l) {
    l->began = l->last = now_us();
    while (l->answered < l->count) {
        int64_t wait = send_due(l);
        link_turn(&l->link, wait);
        if (l->mode != OPEN || l->sent == l->count)
            if (now_us() - l->last > PATIENCE_US)
                return;
    }
}

static void print(const struct load *l) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                 (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
    double seconds = (double)(l->last - l->began) / 1e6;
    printf("{\"sent\": %" PRIu64 ", \"answered\": %" PRIu64 ", \"refused\": %" PRIu64 ", ", l->sent,
           l->answered, l->refused);
    printf("\"seconds\": %.6g, \"rate\": %.6g, \"cpu_seconds\": %.4g, \"ms\": {", seconds,
           seconds > 0 ? (double)l->answered / seconds : 0, cpu);
    hist_print(&l->hist);
    printf("}}\n");
}

/* --- the other side --- */

static void on_request(const struct link_msg *m, void *arg) {
    struct load *l = arg;
    char reply[200];
    if (m->reply_len == 0 || m->reply_len >= sizeof reply)
        return;
    memcpy(reply, m->reply, m->reply_len);
    reply[m->reply_len] = 0;
    link_publish(&l->link, reply, "", "NATS/1.0\r\nStatus-Code: 200\r\n\r\n", "null");
}

static void echo(struct load *l) {
    link_open(&l->link, l->url, on_request, l);
    link_subscribe(&l->link, l->subject);
    for (;;)
        link_turn(&l->link, 1000000);
}

/* --- command line --- */

static const struct option names[] = {
    {"nats", 1, 0, 'n'}, {"subject", 1, 0, 's'},  {"data", 1, 0, 'd'},     {"mode", 1, 0, 'm'},
    {"rpc", 0, 0, 'q'},  {"id", 1, 0, 'i'},       {"count", 1, 0, 'c'},    {"rate", 1, 0, 'r'},
    {"base", 1, 0, 'b'}, {"inflight", 1, 0, 'f'}, {"accounts", 1, 0, 'a'}, {0}};

static enum mode mode_of(const char *word) {
    static const char *const words[] = {"fill", "closed", "open", "echo"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(word, words[i]))
            return (enum mode)i;
    fprintf(stderr, "bench_load: --mode fill, closed, open or echo, not %s\n", word);
    exit(2);
}

static void read_options(struct load *l, int argc, char **argv) {
    int c;
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        const char *word = optarg ? optarg : "";
        uint64_t number = strtoull(word, NULL, 10);
        switch (c) {
        case 'n':
            l->url = word;
            break;
        case 's':
            l->subject = word;
            break;
        case 'd':
            l->data = word;
            break;
        case 'm':
            l->mode = mode_of(word);
            break;
        case 'q':
            l->rpc = true;
            break;
        case 'i':
            l->id_version = (int)number;
            break;
        case 'c':
            l->count = number;
            break;
        case 'r':
            l->rate = strtod(word, NULL);
            break;
        case 'b':
            l->base = number;
            break;
        case 'f':
            l->inflight = number;
            break;
        case 'a':
            l->accounts = number;
            break;
        default:
            exit(2);
        }
    }
    if (!l->url || !l->subject || (!l->count && l->mode != ECHO) ||
        (l->mode == OPEN && l->rate <= 0)) {
        fprintf(stderr, "bench_load --nats URL --subject S --count N [--data TEXT] [--rpc]\n"
                        "  [--mode fill|closed|open|echo] [--inflight N] [--rate R] [--id 7|4]\n"
                        "  [--accounts N] [--base N]\n");
        exit(2);
    }
}

int main(int argc, char **argv) {
    struct load *l = must(calloc(1, sizeof *l));
    *l = (struct load){.mode = CLOSED, .id_version = 7, .inflight = 512, .data = "null"};
    read_options(l, argc, argv);
    if (l->mode == ECHO)
        echo(l);
    l->due = must(calloc(l->count, sizeof *l->due));
    char id[TEXT_ID_LEN], all[70];
    text_seed();
    text_id(id, 4);
    snprintf(l->inbox, sizeof l->inbox, "_INBOX.%s", id);
    snprintf(all, sizeof all, "%s.*", l->inbox);
    link_open(&l->link, l->url, on_message, l);
    link_subscribe(&l->link, all);
    link_turn(&l->link, 100000); /* the server has introduced itself */
    run(l);
    print(l);
    bool missing = l->answered < l->count;
    link_close(&l->link);
    free(l->due);
    free(l);
    return missing;
}
