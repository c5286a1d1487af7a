/* SPDX-License-Identifier: MIT */
#include "vm/gen.h"
#include "base/clock.h"
#include "base/jsonval.h"
#include "vm/vm.h"
#include "vm/watchdog.h"
#include <stdlib.h>
#include <string.h>

/* ---- reading the plan that rbf.boot's load() gives ---- */

/* Copy of string field key of the table at the top; NULL when absent. */
static char *text_field(lua_State *L, const char *key) {
    lua_getfield(L, -1, key);
    char *s = xstrdup(lua_tostring(L, -1));
    lua_pop(L, 1);
    return s;
}

static int64_t number_field(lua_State *L, const char *key) {
    lua_getfield(L, -1, key);
    int64_t v = (int64_t)lua_tonumber(L, -1);
    lua_pop(L, 1);
    return v;
}

static void read_queue(lua_State *L, struct gen_queue *q) {
    q->name = text_field(L, "name");
    q->subject = text_field(L, "subject");
    q->stream = text_field(L, "stream");
    q->consumer = text_field(L, "consumer");
    q->ack_wait_ms = number_field(L, "ackWait");
    q->timeout_ms = number_field(L, "timeout");
    q->concurrency = number_field(L, "concurrency");
    q->group = (int)number_field(L, "group");
    q->replicas = (int)number_field(L, "replicas");
}

static int64_t number_or(lua_State *L, const char *key, int64_t absent) {
    lua_getfield(L, -1, key);
    int64_t v = lua_isnil(L, -1) ? absent : (int64_t)lua_tonumber(L, -1);
    lua_pop(L, 1);
    return v;
}

static void read_list(lua_State *L, struct gen_retry *r) {
    lua_getfield(L, -1, "list");
    r->n_list = lua_istable(L, -1) ? (int)lua_objlen(L, -1) : 0;
    r->list_ms = r->n_list ? xcalloc((size_t)r->n_list, sizeof *r->list_ms) : NULL;
    for (int i = 0; i < r->n_list; i++) {
        lua_rawgeti(L, -1, i + 1);
        r->list_ms[i] = (int64_t)lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* The policy is at the top, or nil. */
static void read_retry(lua_State *L, struct gen_retry *r) {
    static const char *const words[] = {
        [BACKOFF_EXPONENTIAL] = "exponential", [BACKOFF_FIXED] = "fixed", [BACKOFF_LIST] = "list"};
    *r = (struct gen_retry){.max_attempts = -1, .initial_ms = -1, .max_ms = -1, .jitter = -1};
    if (!lua_istable(L, -1))
        return;
    r->max_attempts = number_or(L, "maxAttempts", -1);
    r->initial_ms = number_or(L, "initial", -1);
    r->max_ms = number_or(L, "max", -1);
    lua_getfield(L, -1, "jitter");
    if (lua_isnumber(L, -1))
        r->jitter = lua_tonumber(L, -1);
    lua_getfield(L, -2, "backoff");
    for (int i = BACKOFF_EXPONENTIAL; i <= BACKOFF_LIST && lua_isstring(L, -1); i++)
        if (!strcmp(lua_tostring(L, -1), words[i]))
            r->backoff = i;
    lua_pop(L, 2);
    if (r->backoff == BACKOFF_LIST)
        read_list(L, r);
}

static void read_op(lua_State *L, struct gen_op *op) {
    lua_getfield(L, -1, "type");
    op->type = strcmp(lua_tostring(L, -1), "query") == 0 ? OP_QUERY : OP_MUTATION;
    lua_pop(L, 1);
    op->queue_name = text_field(L, "queue");
    op->path = text_field(L, "path");
    op->name = text_field(L, "name");
    op->file = text_field(L, "file");
    op->middleware = text_field(L, "middleware");
    op->example = text_field(L, "example");
    op->timeout_ms = number_field(L, "timeout");
    op->group = (int)number_field(L, "group");
    lua_getfield(L, -1, "on_error");
    op->on_error = lua_toboolean(L, -1);
    lua_getfield(L, -2, "retry");
    read_retry(L, &op->retry);
    lua_pop(L, 1);
    lua_pop(L, 1);
}

static int queue_index(const struct gen *g, const char *name) {
    int i = 0;
    while (i < g->n_queues && strcmp(g->queues[i].name, name) != 0)
        i++;
    return i;
}

/* The plan is at the top of the stack. */
static void read_plan(lua_State *L, struct gen *g) {
    lua_getfield(L, -1, "queues");
    int n = (int)lua_objlen(L, -1);
    g->queues = xcalloc((size_t)n + 1, sizeof *g->queues);
    for (; g->n_queues < n; g->n_queues++) {
        lua_rawgeti(L, -1, g->n_queues + 1);
        read_queue(L, &g->queues[g->n_queues]);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    lua_getfield(L, -1, "ops");
    n = (int)lua_objlen(L, -1);
    g->ops = xcalloc((size_t)n + 1, sizeof *g->ops);
    for (; g->n_ops < n; g->n_ops++) {
        struct gen_op *op = &g->ops[g->n_ops];
        lua_rawgeti(L, -1, g->n_ops + 1);
        read_op(L, op);
        op->queue = queue_index(g, op->queue_name);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    gen_read_crons(L, g);
    g->options = text_field(L, "options");
}

/* ---- loading ---- */

/* Protected: loads the framework, then the app. */
static int load(lua_State *L) {
    struct gen *g = lua_touserdata(L, 1);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "rbf.boot");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "run");
    g->vm->run_ref = vm_ref(g->vm, L);
    lua_getfield(L, -1, "on_error");
    g->vm->on_error_ref = vm_ref(g->vm, L);
    lua_getfield(L, -1, "classify");
    g->vm->classify_ref = vm_ref(g->vm, L);
    lua_getfield(L, -1, "load");
    lua_call(L, 0, 1);
    read_plan(L, g);
    return 0;
}

/* The error value at the top of the stack as one line. Its metamethods are not asked: lua/rbf made
 * text of what the app raised. */
static int load_error(struct vm *vm, struct err *err) {
    lua_State *L = vm->L;
    struct buf text = {0};
    if (!lua_isstring(L, -1))
        lua_pushfstring(L, "the error is a %s where a string was expected", luaL_typename(L, -1));
    trace_pretty(vm, lua_tostring(L, -1) ? lua_tostring(L, -1) : "", &text);
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.p[i] < ' ')
            text.p[i] = ' ';
    err_set(err, ERR_LUA, "%s", text.p ? text.p : "the app failed to load");
    buf_free(&text);
    return -1;
}

/* lua/rbf refuses duplicates as they are defined; this catches what its rules might miss. */
static int build_router(struct gen *g, struct err *err) {
    g->router = router_new();
    for (int i = 0; i < g->n_ops; i++) {
        struct err why;
        int other = -1;
        const struct gen_op *op = &g->ops[i];
        if (router_add(g->router, g->queues[op->queue].subject, op->path, i, &other, &why) == 0)
            continue;
        if (other >= 0)
            return err_set(err, ERR_LUA, "%s: %s (the other is at %s)", op->file, why.msg,
                           g->ops[other].file);
        return err_set(err, ERR_LUA, "%s: %s", op->file, why.msg);
    }
    return 0;
}

static int64_t limit_ms = WATCHDOG_PRESET_MS;
static size_t limit_bytes;

void gen_limit(int64_t ms, size_t bytes) {
    limit_ms = ms;
    limit_bytes = bytes;
}

/* Made anew it would be spent at once, again and again. */
static int check_room(const struct gen *g, struct err *err) {
    if (!g->spent)
        return 0;
    return err_set(
        err, ERR_LUA,
        "the app holds %zu MB once it is loaded, of the %zu MB of --memory-limit, of which "
        "40 %% must be left for its work: raise the limit, or load less",
        g->vm->memory.used >> 20, g->vm->memory.limit >> 20);
}

bool gen_starved(const struct gen *g) {
    return g->vm->memory.refused;
}

struct gen *gen_load(const struct tree *tree, const char *lua_dir, uint32_t number,
                     struct err *err) {
    uint64_t start = clock_mono_ns();
    struct gen *g = xcalloc(1, sizeof *g);
    g->refs = 1;
    g->number = number;
    snprintf(g->version, sizeof g->version, "%s", tree->version);
    g->vm = vm_new(g, tree, lua_dir, limit_bytes);
    g->vm->limit_ms = limit_ms;
    memory_enter(&g->vm->memory, g->vm->L);
    watchdog_enter(g->vm, g->vm->L, limit_ms * WATCHDOG_LOAD);
    int failed = lua_cpcall(g->vm->L, load, g);
    watchdog_leave();
    g->spent = memory_leave(&g->vm->memory, g->vm->L);
    int rc = failed ? load_error(g->vm, err) : 0;
    g->vm->tree = NULL;
    if (rc != 0 || check_room(g, err) != 0 || build_router(g, err) != 0 ||
        gen_build_crons(g, err) != 0) {
        gen_unref(g);
        return NULL;
    }
    g->load_ms = (double)(clock_mono_ns() - start) / 1e6;
    return g;
}

/* ---- life ---- */

static void free_queue(struct gen_queue *q) {
    free(q->name);
    free(q->subject);
    free(q->stream);
    free(q->consumer);
}

static void free_op(struct gen_op *op) {
    free(op->queue_name);
    free(op->path);
    free(op->name);
    free(op->file);
    free(op->middleware);
    free(op->example);
    free(op->retry.list_ms);
}

struct gen *gen_ref(struct gen *g) {
    g->refs++;
    return g;
}

void gen_bury(struct gen *g, void (*bury)(struct gen *g, void *arg), void *arg) {
    g->bury = bury;
    g->bury_arg = arg;
}

void gen_unref(struct gen *g) {
    if (!g || --g->refs > 0)
        return;
    if (g->bury)
        g->bury(g, g->bury_arg);
    else
        gen_delete(g);
}

void gen_delete(struct gen *g) {
    vm_delete(g->vm);
    for (int i = 0; i < g->n_queues; i++)
        free_queue(&g->queues[i]);
    for (int i = 0; i < g->n_ops; i++)
        free_op(&g->ops[i]);
    gen_free_crons(g);
    free(g->queues);
    free(g->ops);
    if (g->router)
        router_delete(g->router);
    free(g->options);
    free(g);
}

static void put_pair(struct buf *out, const char *key, const char *value) {
    buf_printf(out, ",\"%s\":", key);
    if (!value || jsonval_put_string(out, value, strlen(value), NULL) != 0)
        buf_puts(out, "null");
}

void gen_describe(const struct gen *g, struct buf *out) {
    buf_printf(out, "{\"version\":\"%s\",\"ms\":%.1f,\"operations\":[", g->version, g->load_ms);
    for (int i = 0; i < g->n_ops; i++) {
        const struct gen_op *op = &g->ops[i];
        buf_printf(out, "%s{\"type\":\"%s\"", i ? "," : "",
                   op->type == OP_QUERY ? "query" : "mutation");
        put_pair(out, "queue", op->queue_name);
        put_pair(out, "path", op->path);
        put_pair(out, "name", op->name);
        put_pair(out, "file", op->file);
        put_pair(out, "subject", g->queues[op->queue].subject);
        put_pair(out, "example", op->example);
        buf_putc(out, '}');
    }
    buf_puts(out, "]}");
}
