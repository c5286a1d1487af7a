/* SPDX-License-Identifier: MIT */
#include "core/task.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/jsonval.h"
#include "base/log.h"
#include "base/utf8.h"
#include "core/alone.h"
#include "core/gateway.h"
#include "core/query.h"
#include "core/reply.h"
#include "core/settle.h"
#include "core/tasklog.h"
#include "core/tx.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const struct gen_op *task_op(const struct task *t) {
    return t->op < 0 ? NULL : &t->gen->ops[t->op];
}

bool task_has_caller(const struct task *t) {
    return t->env.reply_to && reply_allowed(t->h, t->env.reply_to);
}

void task_message_name(const struct task *t, struct buf *out) {
    buf_printf(out, "%s:%" PRIu64 ":%" PRIu64, t->ack.stream, t->ack.stream_seq, t->ack.ts_ns);
}

static struct reply reply_of(const struct task *t, int status) {
    return (struct reply){t->env.reply_to, t->env.id, t->gen->version, status};
}

void task_reply(const struct task *t, int status, const char *body, size_t len) {
    struct reply r = reply_of(t, status);
    if (task_has_caller(t))
        reply_send(t->h, &r, body, len);
}

void task_reply_error(const struct task *t, int status, const char *code, const char *message,
                      const char *issues) {
    struct reply r = reply_of(t, status);
    if (task_has_caller(t))
        reply_error(t->h, &r, code, message, issues);
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
    if (word && FAILPOINT("task.before_ack"))
        word = NULL;
    struct queue *q = t->q;
    if (word && q) {
        bus_ack(h->bus, t->msg->reply, word);
        h->stats.naks += word[0] == '-';
    }
    tasklog_ended(t, word);
    if (t->leader)
        HASH_DEL(h->running, t);
    list_remove(&t->node);
    h->n_tasks--;
    wake_twins(t);
    alone_ended(h->alone, t);
    free_task(t);
    if (q)
        queue_task_ended(q);
    else
        gateway_task_ended(h->gateway);
}

void task_hold_all(struct host *h) {
    uint64_t now = clock_mono_ms();
    list_each(&h->tasks, it) {
        struct task *t = container_of(it, struct task, node);
        if (!t->q || (int64_t)(now - t->held_ms) < queue_ack_wait_ms(t->q) / 3)
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

/* A query changed nothing and is nobody's job: it is answered, never a dead letter. One that asks
 * for a reply where none may go is not a query that failed, but somebody's mistake or attack. */
static void refuse(struct task *t, int status, const char *code, const char *message) {
    if (!is_query(t)) {
        settle_refuse(t, status, code, message, NULL, true);
        return;
    }
    task_reply_error(t, status, code, message, NULL);
    t->h->stats.refused++;
    tasklog_end(t, &(struct tasklog_end){.level = LOG_INFO,
                                         .msg = "refused",
                                         .outcome = "refused",
                                         .status = status,
                                         .code = code,
                                         .error = message});
    task_end(t, "+ACK");
}

/* What needs no database, in the contract's order: id, Content-Type, JSON. */
static void check(struct task *t, const struct err *envelope) {
    struct err err;
    if (t->env.reply_to && !task_has_caller(t)) {
        settle_refuse(t, 400, "BAD_REPLY_TO",
                      "Reply-To must be an inbox subject (_INBOX…) or begin with "
                      "one of the host's reply prefixes",
                      NULL, !is_query(t));
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
        .db_ns = &t->db_ns,
    };
}

static void check_all(struct task *t) {
    struct err err;
    int bad = envelope_parse(&t->msg->hdrs, t->ack.stream, t->ack.stream_seq, t->ack.ts_ns, &t->env,
                             &err);
    tasklog_taken(t);
    check(t, bad ? &err : NULL);
}

void task_restart(struct task *t) {
    if (t->input)
        start(t);
    else
        check_all(t);
}

/* subject: within m's, without the app's prefix. */
static struct task *new_task(struct host *h, struct bus_msg *m, const char *subject) {
    struct task *t = xcalloc(1, sizeof *t);
    t->h = h;
    t->msg = m;
    t->gen = gen_ref(h->gen);
    t->held_ms = clock_mono_ms();
    t->taken_ns = clock_mono_ns();
    t->subject = subject;
    list_init(&t->twins);
    list_init(&t->twin);
    list_init(&t->apart);
    list_init(&t->member);
    list_push(&h->tasks, &t->node);
    h->n_tasks++;
    t->op = router_match(t->gen->router, t->subject, &t->params);
    t->path = utf8_copy(m->subject);
    return t;
}

void task_accept(struct host *h, struct queue *q, struct bus_msg *m) {
    size_t prefix = strlen(h->cfg->subject_prefix);
    struct task *t = new_task(h, m, strlen(m->subject) > prefix ? m->subject + prefix : "");
    t->q = q;
    if (ack_subject_parse(m->reply, &t->ack))
        memset(&t->ack, 0, sizeof t->ack); /* intake checked it; the name is then ":0:0" */
    h->stats.redelivered += t->ack.delivered > 1;
    fill_request(t);
    check_all(t);
}

void task_accept_plain(struct host *h, const struct plain_request *p) {
    struct task *t = new_task(h, p->msg, p->subject);
    snprintf(t->ack.stream, sizeof t->ack.stream, "rpc");
    t->ack.stream_seq = p->number;
    t->ack.ts_ns = (uint64_t)p->wall_ms * 1000000;
    t->answer_by_ms = p->answer_by_ms;
    fill_request(t);
    check_all(t);
}

void task_give_up_plain(struct host *h) {
    list_each(&h->tasks, it) {
        struct task *t = container_of(it, struct task, node);
        if (t->q)
            continue;
        task_reply_error(t, 503, NULL, "the host is shutting down; ask again", NULL);
        t->env.reply_to = NULL; /* once is enough */
        h->stats.rpc_busy++;
    }
}
