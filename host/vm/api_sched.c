/* SPDX-License-Identifier: MIT */
/* api_sched - the C side of the scheduler: each call to it becomes one effect on the running call's
 * list, to be written with the transaction. */
#include "base/clock.h"
#include "base/id.h"
#include "base/jsonval.h"
#include "vm/vm.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void effect_delete(struct effect *e) {
    list_remove(&e->node);
    free(e->request_id);
    free(e->subject);
    free(e->data);
    free(e->raw);
    free(e->headers);
    free(e);
}

static int refuse(lua_State *L, const char *message) {
    lua_pushnil(L);
    lua_pushstring(L, message);
    return 2;
}

/* NULL when effects may be collected now, else why not. */
static const char *not_now(struct call *c) {
    if (!c || c->coro->req->op < 0)
        return "the scheduler works inside a mutation's handler only";
    if (c->coro->req->failed)
        return "onError runs after the rollback: nothing can be scheduled there";
    if (c->gen->ops[c->coro->req->op].type == OP_QUERY)
        return "queries have no scheduler; make this operation a mutation";
    return NULL;
}

/* Headers the host writes itself. */
static bool reserved(const char *name) {
    return !strcasecmp(name, "Request-Id") || !strcasecmp(name, "Reply-To") ||
           !strncasecmp(name, "RBF-", 4) || !strncasecmp(name, "Nats-", 5);
}

static int put_header(struct hdrs *h, const char *name, const char *value, struct err *err) {
    if (reserved(name))
        return err_set(err, ERR_INVALID, "header '%s' is reserved for the host", name);
    if (!value)
        return err_set(err, ERR_INVALID, "header '%s' must be a string", name);
    if (!hdrs_valid(name, value))
        return err_set(err, ERR_INVALID,
                       "header '%.*s' cannot be sent: a name is a token, a value one line of UTF-8",
                       (int)strcspn(name, "\r\n"), name);
    hdrs_set(h, name, value);
    return 0;
}

/* The table at idx (may be nil) into h. */
static int read_headers(lua_State *L, int idx, struct hdrs *h, struct err *err) {
    if (!lua_istable(L, idx))
        return 0;
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            return err_set(err, ERR_INVALID, "headers must be { [\"Name\"] = \"value\", … }");
        if (put_header(h, lua_tostring(L, -2), lua_tostring(L, -1), err) != 0)
            return -1;
    }
    return 0;
}

/* The trace goes on in follow-ups. */
static void inherit_trace(struct hdrs *h, const struct call_request *req) {
    const char *trace = req->hdrs ? hdrs_get(req->hdrs, "traceparent") : NULL;
    if (trace && hdrs_valid("traceparent", trace) && !hdrs_get(h, "traceparent"))
        hdrs_set(h, "traceparent", trace);
}

struct effect *effect_new(struct call *c, const char *subject) {
    struct effect *e = xcalloc(1, sizeof *e);
    e->subject = xstrdup(subject);
    id_v7(e->id);
    list_push(&c->effects, &e->node);
    c->coro->n_effects++;
    return e;
}

/* Headers at idx into e. On failure e is dropped again. */
static int set_headers(lua_State *L, int idx, struct call *c, struct effect *e, struct err *err) {
    struct hdrs h = {0};
    int rc = read_headers(L, idx, &h, err);
    if (rc == 0 && e->type == EFFECT_REQUEST)
        inherit_trace(&h, c->coro->req);
    if (rc == 0 && h.n) {
        struct buf text = {0};
        hdrs_to_json(&h, &text);
        e->headers = buf_steal(&text);
    }
    hdrs_free(&h);
    if (rc != 0) {
        effect_delete(e);
        c->coro->n_effects--;
    }
    return rc;
}

static bool good_id(const char *id, size_t n) {
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)id[i] < 0x20 || id[i] == 0x7f)
            return false;
    return n >= 1 && n <= ENVELOPE_ID_MAX && jsonval_is_utf8(id, n);
}

/* (subject, input, headers or nil, request id or nil, target ms or nil) → row id | nil, message */
static int l_request(lua_State *L) {
    struct vm *vm = vm_of(L);
    struct call *c = vm_current(vm, L);
    struct err err;
    size_t n;
    lua_settop(L, 5);
    if (not_now(c))
        return refuse(L, not_now(c));
    const char *subject = luaL_checkstring(L, 1), *id = lua_tolstring(L, 4, &n);
    int op = router_match(vm->gen->router, subject, NULL);
    if (op >= 0 && vm->gen->ops[op].type == OP_QUERY)
        return refuse(L, "a query cannot be enqueued: nobody would see its answer");
    if (id && !good_id(id, n))
        return refuse(L, "id must be 1 to 200 bytes of printable UTF-8");
    buf_reset(&vm->buf);
    if (json_put(vm, L, 2, "input", &vm->buf, &err) != 0)
        return refuse(L, err.msg);
    struct effect *e = effect_new(c, subject);
    e->type = EFFECT_REQUEST;
    e->data = xstrdup(vm->buf.p);
    e->target_at = (int64_t)lua_tonumber(L, 5);
    if (id) {
        e->request_id = xstrdup(id);
        id_v5(id, n, e->id);
    }
    if (set_headers(L, 3, c, e, &err) != 0)
        return refuse(L, err.msg);
    lua_pushstring(L, e->id);
    return 1;
}

/* (subject, payload or nil, raw bytes or nil, headers or nil, stream) → true | nil, message */
static int l_message(lua_State *L) {
    struct vm *vm = vm_of(L);
    struct call *c = vm_current(vm, L);
    struct err err;
    lua_settop(L, 5);
    if (not_now(c))
        return refuse(L, not_now(c));
    const char *subject = luaL_checkstring(L, 1);
    if (!subject_reply_allowed(subject, NULL) && subject_check_literal(subject, false, &err) != 0)
        return refuse(L, err.msg);
    size_t n;
    const char *raw = lua_tolstring(L, 3, &n);
    buf_reset(&vm->buf);
    if (!raw && json_put(vm, L, 2, "payload", &vm->buf, &err) != 0)
        return refuse(L, err.msg);
    struct effect *e = effect_new(c, subject);
    e->type = EFFECT_MESSAGE;
    if (raw) {
        e->raw = xmemdup(raw, n);
        e->raw_len = n;
    } else
        e->data = xstrdup(vm->buf.p);
    e->stream = lua_toboolean(L, 5);
    if (set_headers(L, 4, c, e, &err) != 0)
        return refuse(L, err.msg);
    lua_pushboolean(L, true);
    return 1;
}

/* (headers) → JSON text of them | nil, message: checked as for enqueue */
static int l_headers(lua_State *L) {
    struct hdrs h = {0};
    struct err err;
    struct buf *out = &vm_of(L)->buf;
    int rc = read_headers(L, 1, &h, &err);
    buf_reset(out);
    hdrs_to_json(&h, out);
    hdrs_free(&h);
    if (rc != 0)
        return refuse(L, err.msg);
    lua_pushlstring(L, out->p, out->len);
    return 1;
}

static struct effect *with_id(struct effect *from, const struct list *all, const char *id) {
    for (struct list *it = from->node.prev; it != all; it = it->prev) {
        struct effect *e = container_of(it, struct effect, node);
        if (!strcmp(e->id, id))
            return e;
    }
    return NULL;
}

void effects_settle(struct list *effects) {
    list_each_safe(effects, it) {
        struct effect *e = container_of(it, struct effect, node);
        if (e->type != EFFECT_CANCEL)
            continue;
        struct effect *cancelled;
        while ((cancelled = with_id(e, effects, e->id))) /* behind us in the walk */
            effect_delete(cancelled);
        effect_delete(e);
    }
}

/* (row id) → true, had it a request id of its own: this run's own, not to be | false: none of this
 * run | nil, message. An entry of its own, so that a savepoint's rollback takes the cancelling back
 * as well. */
static int l_cancel(lua_State *L) {
    struct call *c = vm_current(vm_of(L), L);
    if (not_now(c))
        return refuse(L, not_now(c));
    const char *id = luaL_checkstring(L, 1);
    struct effect *last = NULL;
    list_each(&c->effects, it) {
        struct effect *e = container_of(it, struct effect, node);
        if (!strcmp(e->id, id))
            last = e;
    }
    bool own = last && last->type == EFFECT_REQUEST;
    lua_pushboolean(L, own);
    lua_pushboolean(L, own && last->request_id);
    if (own) {
        struct effect *e = effect_new(c, "");
        e->type = EFFECT_CANCEL;
        snprintf(e->id, sizeof e->id, "%s", id);
    }
    return 2;
}

/* (request id) → the id of the row that `id = …` makes */
static int l_id_of(lua_State *L) {
    size_t n;
    char id[ID_TEXT];
    const char *text = luaL_checklstring(L, 1, &n);
    id_v5(text, n, id);
    lua_pushstring(L, id);
    return 1;
}

/* (ms) → true | nil, message */
static int l_retry_delay(lua_State *L) {
    struct call *c = vm_current(vm_of(L), L);
    if (not_now(c))
        return refuse(L, not_now(c));
    c->retry_delay_ms = (int64_t)luaL_checknumber(L, 1);
    lua_pushboolean(L, true);
    return 1;
}

/* () → how many effects there are: a savepoint remembers it */
static int l_mark(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)vm_current(vm_of(L), L)->coro->n_effects);
    return 1;
}

/* (mark): what was collected since is dropped */
static int l_drop_since(lua_State *L) {
    struct call *c = vm_current(vm_of(L), L);
    size_t mark = (size_t)luaL_checkinteger(L, 1);
    for (; c->coro->n_effects > mark; c->coro->n_effects--)
        effect_delete(container_of(c->effects.prev, struct effect, node));
    return 0;
}

const luaL_Reg api_sched[] = {
    {"headers", l_headers}, {"request", l_request},       {"message", l_message},
    {"cancel", l_cancel},   {"id_of", l_id_of},           {"retry_delay", l_retry_delay},
    {"mark", l_mark},       {"drop_since", l_drop_since}, {NULL, NULL},
};
