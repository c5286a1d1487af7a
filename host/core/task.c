/* SPDX-License-Identifier: MIT */
#include "core/task.h"
#include "base/clock.h"
#include "base/jsonval.h"
#include "base/log.h"
#include "base/utf8.h"
#include "core/alone.h"
#include "core/query.h"
#include "core/settle.h"
#include "core/tx.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const struct gen_op *task_op(const struct task *t) {
    return t->op < 0 ? NULL : &t->gen->ops[t->op];
}

bool task_has_caller(const struct task *t) {
    const char *to = t->env.reply_to;
    return to && (subject_reply_allowed(to, bus_inbox(t->h->bus)) ||
                  subject_reply_prefixed(to, t->h->cfg->reply_prefixes));
}

void task_message_name(const struct task *t, struct buf *out) {
    buf_printf(out, "%s:%" PRIu64 ":%" PRIu64, t->ack.stream, t->ack.stream_seq, t->ack.ts_ns);
}

void task_reply(const struct task *t, int status, const char *body, size_t len) {
    struct hdrs h = {0};
    char code[12];
    struct err err;
    if (!task_has_caller(t))
        return;
    snprintf(code, sizeof code, "%d", status);
    hdrs_add(&h, "Status-Code", code);
    hdrs_add(&h, "Request-Id", t->env.id);
    hdrs_add(&h, "RBF-Request-Id", t->env.id);
    hdrs_add(&h, "RBF-Code-Version", t->gen->version);
    if (bus_publish(t->h->bus, t->env.reply_to, NULL, &h, body, len, &err) &&
        err.kind != ERR_BUS_DOWN)
        log_error("reply not sent", LOG_S("request_id", t->env.id), LOG_S("error", err.msg));
    hdrs_free(&h);
}

void task_reply_error(const struct task *t, int status, const char *code, const char *message,
                      const char *issues) {
    struct buf body = {0};
    if (!task_has_caller(t))
        return;
    envelope_error_body(&body, code ? code : envelope_code_of(status), message, issues);
    task_reply(t, status, body.p, body.len);
    buf_free(&body);
}

/* --- the end --- */

static void start(struct task *t);

static void free_task(struct task *t) {
    subject_params_free(&t->params);
    free(t->path);
    json_decref(t->input);
    gen_unref(t->gen);
    bus_msg_delete(t->msg);
    free(t);
}

/* The first twin leads now; the others wait for it. */
static void wake_twins(struct task *t) {
    struct list *node = list_pop(&t->twins);
    if (!node)
        return;
    struct task *next = container_of(node, struct task, twin);
    while ((node = list_pop(&t->twins)))
        list_push(&next->twins, node);
    start(next);
}

void task_end(struct task *t, const char *word) {
    struct host *h = t->h;
    struct queue *q = t->q;
    if (word) {
        bus_ack(h->bus, t->msg->reply, word);
        h->stats.naks += word[0] == '-';
    }
    if (t->leader)
        HASH_DEL(h->running, t);
    list_remove(&t->node);
    h->n_tasks--;
    wake_twins(t);
    alone_ended(h->alone, t);
    free_task(t);
    queue_task_ended(q);
}

void task_hold_all(struct host *h) {
    uint64_t now = clock_mono_ms();
    list_each(&h->tasks, it) {
        struct task *t = container_of(it, struct task, node);
        if ((int64_t)(now - t->held_ms) < queue_ack_wait_ms(t->q) / 3)
            continue;
        bus_ack(h->bus, t->msg->reply, "+WPI");
        t->held_ms = now;
        h->stats.held++;
    }
}

/* --- the beginning --- */

static bool is_query(const struct task *t) {
    return t->op >= 0 && task_op(t)->type == OP_QUERY;
}

/* A mutation whose id is under way in this worker waits for that one's outcome; true when it does.
 */
static bool wait_for_twin(struct task *t) {
    struct task *leader = NULL;
    HASH_FIND_STR(t->h->running, t->env.id, leader);
    if (leader) {
        list_push(&leader->twins, &t->twin);
        t->h->stats.twins++;
        return true;
    }
    HASH_ADD_STR(t->h->running, env.id, t);
    t->leader = true;
    return false;
}

static void start(struct task *t) {
    if (!alone_admit(t->h->alone, t))
        return;
    if (is_query(t))
        query_run(t);
    else if (t->leader || !wait_for_twin(t))
        tx_run(t);
}

/* A query changed nothing and is nobody's job: it is answered, never a dead letter. */
static void refuse(struct task *t, int status, const char *code, const char *message) {
    if (!is_query(t)) {
        settle_refuse(t, status, code, message, NULL, true);
        return;
    }
    task_reply_error(t, status, code, message, NULL);
    t->h->stats.refused++;
    task_end(t, "+ACK");
}

/* What needs no database, in the contract's order: id, Content-Type, JSON. */
static void check(struct task *t, const struct err *envelope) {
    struct err err;
    if (t->env.reply_to && !task_has_caller(t)) {
        refuse(t, 400, "BAD_REPLY_TO",
               "Reply-To must be an inbox subject (_INBOX…) or begin with "
               "one of the host's reply prefixes");
    } else if (envelope) {
        refuse(t, 400, "BAD_REQUEST", envelope->msg);
    } else if (!envelope_content_type_ok(&t->msg->hdrs)) {
        refuse(t, 415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type must be application/json or absent");
    } else if (!(t->input = jsonval_read(t->msg->data, t->msg->len, &err))) {
        refuse(t, 400, "BAD_REQUEST", err.msg);
    } else {
        t->req.input = t->input;
        t->req.attempt = t->env.attempt;
        start(t);
    }
}

static void fill_request(struct task *t) {
    t->req = (struct call_request){
        .op = t->op,
        .subject = t->subject,
        .request_id = t->env.id,
        .hdrs = &t->msg->hdrs,
        .params = &t->params,
        .timestamp = (int64_t)(t->ack.ts_ns / 1000000),
    };
}

static void check_all(struct task *t) {
    struct err err;
    int bad = envelope_parse(&t->msg->hdrs, t->ack.stream, t->ack.stream_seq, t->ack.ts_ns, &t->env,
                             &err);
    check(t, bad ? &err : NULL);
}

void task_restart(struct task *t) {
    if (t->input)
        start(t);
    else
        check_all(t);
}

void task_accept(struct host *h, struct queue *q, struct bus_msg *m) {
    struct task *t = xcalloc(1, sizeof *t);
    size_t prefix = strlen(h->cfg->subject_prefix);
    t->h = h;
    t->q = q;
    t->msg = m;
    t->gen = gen_ref(h->gen);
    t->held_ms = clock_mono_ms();
    t->subject = strlen(m->subject) > prefix ? m->subject + prefix : "";
    list_init(&t->twins);
    list_init(&t->twin);
    list_init(&t->apart);
    list_init(&t->member);
    list_push(&h->tasks, &t->node);
    h->n_tasks++;
    if (ack_subject_parse(m->reply, &t->ack))
        memset(&t->ack, 0, sizeof t->ack); /* intake checked it; the name is then ":0:0" */
    h->stats.redelivered += t->ack.delivered > 1;
    t->op = router_match(t->gen->router, t->subject, &t->params);
    t->path = utf8_copy(m->subject);
    fill_request(t);
    check_all(t);
}
