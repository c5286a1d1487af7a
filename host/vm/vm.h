/* SPDX-License-Identifier: MIT */
/* vm - what the files of this floor share: the lua_State of a generation and the coroutine of a
 * call. Private to host/vm. Loop thread only, but for what gen_load does before it returns.
 *
 * All C functions that Lua sees get their struct vm as upvalue 1 (vm_of) and find the call that
 * runs in vm->current. They report misuse as nil, message; lua/rbf raises it at the user's line. */
#ifndef RBF_VM_H
#define RBF_VM_H
#include "vm/call.h"
#include "vm/memory.h"
#include <lauxlib.h>
#include <lua.h>

/* One of the app's files, as Lua writes it into messages (cut to LUA_IDSIZE) and as users see it.
 */
struct vm_file {
    char *cut, *shown;
    const char *path; /* below the root: the end of shown */
};

struct vm {
    lua_State *L;
    struct gen *gen;
    struct call *current;    /* whose coroutine runs right now; NULL between */
    const struct tree *tree; /* only while loading */
    char *root, *lua_dir;    /* prefixes of chunk names: "@<root>/users.lua" */
    struct vm_file *files;
    size_t n_files;
    struct memory memory;
    char *extra_file;                        /* path of the last of files, when it is a script */
    int64_t limit_ms;                        /* of CPU time between two waits; 0: none */
    int refs;                                /* registry references held: 0 when the state closes */
    int run_ref, on_error_ref, classify_ref; /* functions of rbf.boot */
    const void *array_mt;                    /* identity of the metatable that marks lists */
    json_t *json;   /* being converted; dropped when a raise left it here */
    struct buf buf; /* scratch of one C function at a time */
};

/* A new state: standard libraries without what handlers must not have, rbf.host. Out of memory
 * aborts. tree is borrowed until vm_loaded. limit: bytes that the state may hold, 0 for any. */
struct vm *vm_new(struct gen *g, const struct tree *tree, const char *lua_dir,
                  size_t limit) NODISCARD;
void vm_delete(struct vm *vm);
#define vm_of(L) ((struct vm *)lua_touserdata(L, lua_upvalueindex(1)))
/* The call under way; raises when there is none (an error object's __tostring, say, runs after it).
 */
struct call *vm_current(struct vm *vm, lua_State *L);
/* Registry references, counted. vm_ref pops the value. */
int vm_ref(struct vm *vm, lua_State *L);
void vm_unref(struct vm *vm, int ref);

/* The lists of C functions, one a file; vm.c puts them all into the table rbf.host. */
extern const luaL_Reg api_host[], api_json[], api_db[], api_ask[], api_sched[], api_log[];
extern const luaL_Reg api_module[], api_cache[], api_cron[];
/* Keeps what modules from outside the app may use, before it is taken from the state. */
void api_module_keep(lua_State *L);
/* Sets rbf.host's constants (null, array_mt, …); table at the top of the stack. */
void api_host_constants(struct vm *vm);

/* script.c: pushes the function that runs s and its three arguments. May raise. */
void script_push(struct vm *vm, lua_State *L, const struct call_script *s);

/* vm.c: a file that is no part of the app, for places; full is its absolute path. */
void vm_add_file(struct vm *vm, const char *full);

/* trace.c: where in the user's files. */
/* The innermost frame of L that is the app's; NULL when there is none. */
const struct vm_file *trace_here(const struct vm *vm, lua_State *L, int *line);
/* A file by its path below the root; NULL when it is not there. */
const struct vm_file *trace_file(const struct vm *vm, const char *path);
/* Appends text with the app's chunk names replaced by what users see, newlines kept. */
void trace_pretty(const struct vm *vm, const char *text, struct buf *out);
/* Does text begin with "<one of the app's files>:<line>:"? */
bool trace_placed(const struct vm *vm, const char *text);
/* Appends the frames of L that are the app's, one a line. */
void trace_back(const struct vm *vm, lua_State *L, struct buf *out);

/* api_json.c: between JSON and Lua values. */
/* Pushes v. May raise (memory, stack). */
void json_push(struct vm *vm, lua_State *L, const json_t *v);
/* Reads text and pushes it; -1 with err and nothing pushed. May raise, leaks nothing then. */
int json_push_text(struct vm *vm, lua_State *L, const char *text, size_t n, struct err *err);
/* Appends the value at idx; root names it in messages: "result.items[3]: a function cannot be sent
 * as JSON". -1 with err; out then holds a part. May raise (memory, stack): out must be owned. */
int json_put(struct vm *vm, lua_State *L, int idx, const char *root, struct buf *out,
             struct err *err);

/* What a waiting host yield asks for: second value of the yield, behind the tag. */
enum coro_ask { ASK_SQL = 1, ASK_TYPES, ASK_QUESTION };

/* param.c: Lua values as SQL parameters. What a table or a string of bytes becomes depends on the
 * parameter's type: oid, or 0 as long as nobody has asked. */
enum { PARAM_NULL = 1, PARAM_UNTYPED };
/* Appends the value at idx, parameter `number`, without a NUL behind it. 0; PARAM_NULL;
 * PARAM_UNTYPED: oid is 0 and needed; -1 with err. May raise (memory, stack): out must be owned. */
int param_put(struct vm *vm, lua_State *L, int idx, int number, unsigned oid, struct buf *out,
              struct err *err);

/* The coroutine behind a call. */
struct coro {
    lua_State *co; /* kept alive by ref */
    int ref;
    const struct call_request *req;
    const struct pgres *res; /* during call_resume_result: what api_db's functions read */
    bool in_middleware;
    int kept; /* r of the run, for its onError hooks; LUA_NOREF: none */
    size_t n_effects;
    struct buf result; /* JSON */
    /* The statement: text and parameters one after the other in `text`, each with its NUL. */
    struct buf text, item; /* item: one element of an array */
    size_t *offsets;
    const char **params;
    size_t cap;
    struct call_value args[CALL_MAX_ARGS]; /* of a question; their text is in `text` */
};
/* api_cron.c, for gen.c: the plan's crons (the plan is at the top of the stack), then their fields
 * and zones, then their end. */
void gen_read_crons(lua_State *L, struct gen *g);
int gen_build_crons(struct gen *g, struct err *err);
void gen_free_crons(struct gen *g);
/* Yields to call.c from L, which runs inside vm->current: tag, ask. May raise. */
int coro_yield(lua_State *L, enum coro_ask ask);
void coro_tag(lua_State *L); /* pushes the tag of host yields */

/* failure.c: sorts the error value at the top of from (popped) into c->failure. from's frames are
 * still there for the traceback. */
void failure_set(struct call *c, lua_State *from);
void failure_set_text(struct call *c, const char *message); /* FAIL_ERROR */

/* api_sched.c: one more effect of the call, with an id; its type is to be set. */
struct effect *effect_new(struct call *c, const char *subject);
/* Takes out what was cancelled. */
void effects_settle(struct list *effects);
#endif
