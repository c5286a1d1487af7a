/* SPDX-License-Identifier: MIT */
#include "base/jsonval.h"
#include "vm/vm.h"
#include "vm/watchdog.h"
#include <stdlib.h>
#include <string.h>

/* ---- yields ---- */

static char tag_; /* its address tells the host's yields from the user's */

void coro_tag(lua_State *L) {
    lua_pushlightuserdata(L, &tag_);
}

int coro_yield(lua_State *L, enum coro_ask ask) {
    lua_settop(L, 0);
    coro_tag(L);
    lua_pushinteger(L, ask);
    return lua_yield(L, 2);
}

/* ---- what a handler is started with ---- */

static void set_string(lua_State *L, const char *key, const char *value) {
    lua_pushstring(L, value);
    lua_setfield(L, -2, key);
}

static void push_headers(lua_State *L, const struct hdrs *h) {
    lua_createtable(L, 0, h ? (int)h->n : 0);
    for (size_t i = 0; h && i < h->n; i++)
        set_string(L, h->v[i].name, h->v[i].value);
}

static void push_params(lua_State *L, const struct subject_params *p) {
    lua_createtable(L, 0, p ? (int)p->n : 0);
    for (size_t i = 0; p && i < p->n; i++)
        set_string(L, p->v[i].name, p->v[i].value);
}

static void push_msg(lua_State *L, const struct call *c) {
    const struct call_request *r = c->coro->req;
    const struct gen_op *op = &c->gen->ops[r->op];
    lua_createtable(L, 0, 7);
    set_string(L, "subject", r->subject);
    set_string(L, "requestId", r->request_id);
    set_string(L, "type", op->type == OP_QUERY ? "query" : "mutation");
    lua_pushfstring(L, "%s.%s", op->queue_name, op->path);
    lua_setfield(L, -2, "operation");
    lua_pushinteger(L, r->attempt);
    lua_setfield(L, -2, "attempt");
    lua_pushnumber(L, (lua_Number)r->timestamp);
    lua_setfield(L, -2, "timestamp");
    push_headers(L, r->hdrs);
    lua_setfield(L, -2, "headers");
}

static void push_failure(lua_State *L, const struct failure *f) {
    lua_createtable(L, 0, 10);
    lua_pushinteger(L, f->status);
    lua_setfield(L, -2, "status");
    set_string(L, "kind", failure_kind_name(f->kind));
    set_string(L, "code", f->code);
    set_string(L, "message", f->message);
    set_string(L, "details", f->details);
    set_string(L, "internal", f->internal);
    set_string(L, "traceback", f->traceback);
    set_string(L, "sqlstate", *f->sqlstate ? f->sqlstate : NULL);
}

/* run(op number, input, params, msg, middleware_only) */
static void push_run(lua_State *L, struct call *c) {
    struct vm *vm = c->gen->vm;
    const struct call_request *r = c->coro->req;
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm->run_ref);
    lua_pushinteger(L, r->op + 1);
    if (r->input)
        json_push(vm, L, r->input);
    else
        lua_pushlightuserdata(L, NULL);
    push_params(L, r->params);
    push_msg(L, c);
    lua_pushboolean(L, r->middleware_only);
}

/* on_error(op number, failure, r | nil, params, msg) */
static void push_on_error(lua_State *L, struct call *c) {
    const struct call_request *r = c->coro->req;
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->gen->vm->on_error_ref);
    lua_pushinteger(L, r->op + 1);
    push_failure(L, r->failure);
    if (r->failed->coro->kept == LUA_NOREF)
        lua_pushnil(L);
    else
        lua_rawgeti(L, LUA_REGISTRYINDEX, r->failed->coro->kept);
    push_params(L, r->params);
    push_msg(L, c);
}

/* Protected: makes the coroutine and puts a function and its arguments on its stack. */
static int prepare(lua_State *L) {
    struct call *c = lua_touserdata(L, 1);
    lua_State *co = lua_newthread(L);
    c->coro->ref = vm_ref(c->gen->vm, L);
    c->coro->co = co;
    luaL_checkstack(L, 12, NULL);
    if (c->coro->req->op < 0)
        script_push(c->gen->vm, L, c->coro->req->script);
    else if (c->coro->req->failed)
        push_on_error(L, c);
    else
        push_run(L, c);
    lua_xmove(L, co, lua_gettop(L) - 1); /* all but c */
    return 0;
}

/* ---- events ---- */

static enum call_event ask(struct call *c) {
    lua_State *co = c->coro->co;
    bool ours = lua_touserdata(co, 1) == &tag_;
    enum coro_ask what = ours ? (enum coro_ask)lua_tointeger(co, 2) : 0;
    lua_settop(co, 0);
    if (what == ASK_SQL)
        return CALL_SQL;
    if (what == ASK_TYPES)
        return CALL_TYPES;
    if (what == ASK_QUESTION)
        return CALL_ASK;
    failure_set_text(c, "a C module yielded from the handler, which only the host may do");
    return CALL_FAILED;
}

/* Runs the coroutine to its next event; nargs values are on its stack. */
static enum call_event step(struct call *c, int nargs) {
    struct vm *vm = c->gen->vm;
    vm->current = c;
    memory_enter(&vm->memory, vm->L);
    /* nobody else waits for the loop of a script */
    watchdog_enter(vm, c->coro->co, c->coro->req->op < 0 ? 0 : vm->limit_ms);
    int rc = lua_resume(c->coro->co, nargs);
    watchdog_leave();
    if (!c->gen->spent)
        c->gen->spent = memory_leave(&vm->memory, vm->L);
    else
        vm->memory.limited = false;
    vm->current = NULL;
    c->coro->res = NULL;
    if (rc == LUA_YIELD)
        return ask(c);
    if (rc != 0) {
        failure_set(c, c->coro->co);
        return CALL_FAILED;
    }
    effects_settle(&c->effects);
    c->result = c->coro->result.p ? c->coro->result.p : "";
    c->result_len = c->coro->result.len;
    return CALL_DONE;
}

struct call *call_new(struct gen *g, const struct call_request *r) {
    struct call *c = xcalloc(1, sizeof *c + sizeof *c->coro);
    c->coro = (struct coro *)(c + 1);
    c->coro->ref = c->coro->kept = LUA_NOREF;
    c->coro->req = r;
    c->gen = gen_ref(g);
    c->retry_delay_ms = -1;
    list_init(&c->effects);
    return c;
}

enum call_event call_start(struct call *c) {
    lua_State *L = c->gen->vm->L;
    if (lua_cpcall(L, prepare, c) != 0) { /* out of memory, input nested too deeply */
        failure_set(c, L);
        return CALL_FAILED;
    }
    return step(c, lua_gettop(c->coro->co) - 1);
}

enum call_event call_resume_result(struct call *c, const struct pgres *r) {
    if (pgres_status(r) == PGRES_FAILED)
        return call_resume_error(c, pgres_err(r));
    c->coro->res = r;
    lua_pushboolean(c->coro->co, true);
    return step(c, 1);
}

enum call_event call_resume_error(struct call *c, const struct err *err) {
    lua_State *co = c->coro->co;
    lua_pushboolean(co, false);
    lua_pushstring(co, err->msg);
    if (err->kind == ERR_PG)
        lua_pushstring(co, err->sqlstate);
    else
        lua_pushnil(co);
    return step(c, 3);
}

struct type_list {
    const unsigned *oids;
    int n;
    lua_State *to;
};

/* Protected: puts true and the list on the stack of `to`. */
static int push_types(lua_State *L) {
    const struct type_list *t = lua_touserdata(L, 1);
    lua_pushboolean(L, true);
    lua_createtable(L, t->n, 0);
    for (int i = 0; i < t->n; i++) {
        lua_pushnumber(L, t->oids[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_xmove(L, t->to, 2);
    return 0;
}

enum call_event call_resume_types(struct call *c, const unsigned *oids, int n) {
    lua_State *L = c->gen->vm->L;
    struct type_list list = {oids, n, c->coro->co};
    if (lua_cpcall(L, push_types, &list) != 0) { /* out of memory */
        failure_set(c, L);
        return CALL_FAILED;
    }
    return step(c, 2);
}

struct value_list {
    const struct call_value *v;
    int n;
    lua_State *to;
};

static void push_value(lua_State *L, const struct call_value *v) {
    switch (v->type) {
    case VALUE_NIL:
        lua_pushnil(L);
        return;
    case VALUE_BOOL:
        lua_pushboolean(L, v->flag);
        return;
    case VALUE_NUMBER:
        lua_pushnumber(L, v->number);
        return;
    case VALUE_TEXT:
        lua_pushlstring(L, v->text.p ? v->text.p : "", v->text.len);
        return;
    }
}

/* Protected: puts the values on the stack of `to`. */
static int push_values(lua_State *L) {
    const struct value_list *list = lua_touserdata(L, 1);
    luaL_checkstack(L, list->n, NULL);
    for (int i = 0; i < list->n; i++)
        push_value(L, &list->v[i]);
    lua_xmove(L, list->to, list->n);
    return 0;
}

enum call_event call_resume_values(struct call *c, const struct call_value *v, int n) {
    lua_State *L = c->gen->vm->L;
    struct value_list list = {v, n, c->coro->co};
    if (lua_cpcall(L, push_values, &list) != 0) { /* out of memory */
        failure_set(c, L);
        return CALL_FAILED;
    }
    return step(c, n);
}

char *call_traceback(struct call *c) {
    struct buf out = {0};
    if (c->coro->co)
        trace_back(c->gen->vm, c->coro->co, &out);
    return buf_steal(&out);
}

void call_delete(struct call *c) {
    if (!c)
        return;
    struct coro *co = c->coro;
    list_each_safe(&c->effects, it) effect_delete(container_of(it, struct effect, node));
    vm_unref(c->gen->vm, co->ref);
    vm_unref(c->gen->vm, co->kept);
    failure_free(&c->failure);
    buf_free(&co->result);
    buf_free(&co->text);
    buf_free(&co->item);
    free(co->offsets);
    free(co->params);
    gen_unref(c->gen);
    free(c);
}
