/* SPDX-License-Identifier: MIT */
/* failure - sorts what a handler raised. The rules are in lua/rbf/errors.lua (classify); here the
 * answer is carried over, and places are written as users see them. */
#include "base/log.h"
#include "vm/vm.h"
#include "vm/watchdog.h"
#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = {
    [FAIL_PERMANENT] = "permanent", [FAIL_INPUT] = "input",
    [FAIL_RETRY] = "retry",         [FAIL_SQL] = "sql",
    [FAIL_ERROR] = "error",         [FAIL_OUTPUT] = "output",
};

static enum failure_kind kind_of(const char *word) {
    for (size_t i = 0; word && i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i], word))
            return (enum failure_kind)i;
    return FAIL_ERROR;
}

/* Copy of field key of the table at the top; NULL when absent. */
static char *text_field(lua_State *L, const char *key) {
    lua_getfield(L, -1, key);
    char *s = xstrdup(lua_tostring(L, -1));
    lua_pop(L, 1);
    return s;
}

static int64_t number_field(lua_State *L, const char *key, int64_t absent) {
    lua_getfield(L, -1, key);
    int64_t v = lua_isnumber(L, -1) ? (int64_t)lua_tonumber(L, -1) : absent;
    lua_pop(L, 1);
    return v;
}

/* Where the operation was defined, or the script. */
static void put_home(struct call *c, struct buf *out) {
    const struct vm *vm = c->gen->vm;
    const struct call_request *req = c->coro->req;
    const char *where = req->op < 0 ? req->script->path : c->gen->ops[req->op].file;
    const char *colon = req->op < 0 ? NULL : strrchr(where, ':');
    char *path = xstrdup(where);
    path[colon ? colon - where : (long)strlen(path)] = 0;
    const struct vm_file *f = trace_file(vm, path);
    buf_printf(out, "%s%s: ", f ? f->shown : path, colon ? colon : "");
    free(path);
}

/* "users.lua:12: message"; when the error names no line (a tail call hid it), its home. */
static char *place(struct call *c, const char *message) {
    const struct vm *vm = c->gen->vm;
    struct buf pretty = {0}, out = {0};
    trace_pretty(vm, message ? message : "", &pretty);
    if (!trace_placed(vm, pretty.p ? pretty.p : ""))
        put_home(c, &out);
    buf_puts(&out, pretty.p ? pretty.p : "");
    buf_free(&pretty);
    return buf_steal(&out);
}

/* The table that classify gave is at the top of L. */
static void take(struct call *c, lua_State *L) {
    struct failure *f = &c->failure;
    char *kind = text_field(L, "kind"), *sqlstate = text_field(L, "sqlstate");
    char *internal = text_field(L, "internal");
    f->kind = kind_of(kind);
    f->status = (int)number_field(L, "status", 500);
    f->retry_after_ms = number_field(L, "retry_after_ms", -1);
    f->code = text_field(L, "code");
    f->message = text_field(L, "message");
    f->details = text_field(L, "details");
    f->internal = place(c, internal);
    snprintf(f->sqlstate, sizeof f->sqlstate, "%s", sqlstate ? sqlstate : "");
    free(kind);
    free(sqlstate);
    free(internal);
}

void failure_set_text(struct call *c, const char *message) {
    struct failure *f = &c->failure;
    f->kind = FAIL_ERROR;
    f->status = 500;
    f->code = xstrdup("INTERNAL_SERVER_ERROR");
    f->message = xstrdup("Internal server error");
    f->internal = place(c, message);
    f->retry_after_ms = -1;
}

/* Protected: (call) with the error value at the top of from; classifies on L. */
static int sort_out(lua_State *L) {
    struct call *c = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->gen->vm->classify_ref);
    lua_State *co = c->coro->co;
    if (co && lua_gettop(co) > 0)
        lua_xmove(co, L, 1);
    else
        lua_pushliteral(L, "not enough memory");
    lua_pushinteger(L, c->coro->req->op + 1);
    lua_call(L, 2, 1);
    take(c, L);
    return 0;
}

/* An error object may have a metamethod of the app's. */
static int sort_out_watched(struct call *c, lua_State *L) {
    struct vm *vm = c->gen->vm;
    watchdog_enter(vm, L, vm->limit_ms);
    int rc = lua_cpcall(L, sort_out, c);
    watchdog_leave();
    return rc;
}

void failure_set(struct call *c, lua_State *from) {
    lua_State *L = c->gen->vm->L;
    struct buf trace = {0};
    c->failure.in_middleware = c->coro->in_middleware;
    trace_back(c->gen->vm, from, &trace);
    if (trace.len)
        c->failure.traceback = buf_steal(&trace);
    if (from == L) { /* nothing of the user's ran yet */
        failure_set_text(c, lua_tostring(L, -1));
        lua_pop(L, 1);
    } else if (sort_out_watched(c, L) != 0) {
        failure_free(&c->failure);
        failure_set_text(c, lua_tostring(L, -1));
        lua_pop(L, 1);
    }
}

void failure_free(struct failure *f) {
    free(f->code);
    free(f->message);
    free(f->details);
    free(f->internal);
    free(f->traceback);
    f->code = f->message = f->details = f->internal = f->traceback = NULL;
}

void failure_copy(struct failure *to, const struct failure *from) {
    *to = *from;
    to->code = xstrdup(from->code);
    to->message = xstrdup(from->message);
    to->details = xstrdup(from->details);
    to->internal = xstrdup(from->internal);
    to->traceback = xstrdup(from->traceback);
}

const char *failure_kind_name(enum failure_kind kind) {
    return kinds[kind];
}
