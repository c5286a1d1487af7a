/* SPDX-License-Identifier: MIT */
/* api_host - what lua/rbf asks of the host itself: places, files, ids, time, path checks. */
#include "base/clock.h"
#include "base/id.h"
#include "vm/vm.h"
#include <luajit.h>
#include <string.h>

/* () → path below the root, line, path as users see it | nothing: the app's innermost frame */
static int l_here(lua_State *L) {
    int line;
    const struct vm_file *f = trace_here(vm_of(L), L, &line);
    if (!f)
        return 0;
    lua_pushstring(L, f->path);
    lua_pushinteger(L, line);
    lua_pushstring(L, f->shown);
    return 3;
}

/* () → list of the paths of the app's files, in order */
static int l_files(lua_State *L) {
    struct vm *vm = vm_of(L);
    lua_createtable(L, (int)vm->n_files, 0);
    for (size_t i = 0; i < vm->n_files; i++) {
        lua_pushstring(L, vm->files[i].path);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* (path) → as users see it */
static int l_shown(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    const struct vm_file *f = trace_file(vm_of(L), path);
    lua_pushstring(L, f ? f->shown : path);
    return 1;
}

/* A hook (the watchdog's) never fires in compiled code, so the app's code is interpreted. */
static void jit_off(lua_State *L, int idx) {
    luaJIT_setmode(L, idx, LUAJIT_MODE_ALLFUNC | LUAJIT_MODE_OFF);
}

/* (path) → function | nil, message: an app file's chunk */
static int l_chunk(lua_State *L) {
    struct vm *vm = vm_of(L);
    const char *path = luaL_checkstring(L, 1);
    const struct tree_file *f = vm->tree ? tree_find(vm->tree, path) : NULL;
    if (!f) {
        lua_pushnil(L);
        lua_pushfstring(L, "%s is not there", path);
        return 2;
    }
    lua_pushfstring(L, "@%s/%s", vm->root, path);
    if (luaL_loadbufferx(L, f->bytes, f->len, lua_tostring(L, -1), "t") != 0) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    jit_off(L, -1);
    return 1;
}

/* (function): what load() made of the app's text is interpreted as well */
static int l_jit_off(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    jit_off(L, 1);
    return 0;
}

/* (function): it, and what it holds, may be compiled; the watchdog cannot stop it then */
static int l_jit_on(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaJIT_setmode(L, 1, LUAJIT_MODE_ALLFUNC | LUAJIT_MODE_ON);
    return 0;
}

static int l_uuid(lua_State *L) {
    char id[ID_TEXT];
    id_v7(id);
    lua_pushstring(L, id);
    return 1;
}

static int l_now(lua_State *L) {
    lua_pushnumber(L, (lua_Number)clock_db_ms());
    return 1;
}

static int check(lua_State *L, int rc, const struct err *err) {
    if (rc == 0) {
        lua_pushboolean(L, true);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, err->msg);
    return 2;
}

/* (path) → true | nil, message */
static int l_check_path(lua_State *L) {
    struct err err;
    return check(L, subject_check_path(luaL_checkstring(L, 1), &err), &err);
}

/* (subject) → true | nil, message */
static int l_check_subject(lua_State *L) {
    struct err err;
    return check(L, subject_check_literal(luaL_checkstring(L, 1), false, &err), &err);
}

static const char *param(const char *name, void *arg) {
    lua_State *L = arg;
    lua_getfield(L, 3, name);
    const char *value = lua_tostring(L, -1);
    /* stays valid after the pop: lua/rbf made the values strings, and the table holds them */
    lua_pop(L, 1);
    return value;
}

/* (queue subject, path, params: name → string) → subject | nil, message */
static int l_subject(lua_State *L) {
    struct vm *vm = vm_of(L);
    struct err err;
    luaL_checktype(L, 3, LUA_TTABLE);
    buf_reset(&vm->buf);
    buf_printf(&vm->buf, "%s.", luaL_checkstring(L, 1));
    if (subject_build(luaL_checkstring(L, 2), param, L, &vm->buf, &err) != 0)
        return check(L, -1, &err);
    lua_pushlstring(L, vm->buf.p, vm->buf.len);
    return 1;
}

/* () → a number to seed math.random with: every state would draw the same otherwise */
static int l_seed(lua_State *L) {
    lua_pushnumber(L, (lua_Number)(clock_mono_ns() & 0xffffffffffff));
    return 1;
}

/* (function) → is it the handler's own coroutine that runs (no coroutine of the user's)? */
static int l_in_main(lua_State *L) {
    struct call *c = vm_of(L)->current;
    lua_pushboolean(L, c && c->coro->co == L);
    return 1;
}

/* () → the coroutine of the call under way: what tells one call from another */
static int l_main(lua_State *L) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm_current(vm_of(L), L)->coro->ref);
    return 1;
}

/* (is it middleware?): a failure from now on is its, or not */
static int l_phase(lua_State *L) {
    vm_current(vm_of(L), L)->coro->in_middleware = lua_toboolean(L, 1);
    return 0;
}

/* (result) → true | nil, message: the call's answer as JSON */
static int l_finish(lua_State *L) {
    struct vm *vm = vm_of(L);
    struct err err;
    struct buf *out = &vm_current(vm, L)->coro->result;
    buf_reset(out);
    return check(L, json_put(vm, L, 1, "result", out, &err), &err);
}

/* (r): the call's request as its handler sees it, for onError hooks */
static int l_keep(lua_State *L) {
    struct vm *vm = vm_of(L);
    struct coro *co = vm_current(vm, L)->coro;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    vm_unref(vm, co->kept);
    co->kept = vm_ref(vm, L);
    return 0;
}

/* (text) → with the app's files named as users see them */
static int l_pretty(lua_State *L) {
    struct vm *vm = vm_of(L);
    buf_reset(&vm->buf);
    trace_pretty(vm, luaL_checkstring(L, 1), &vm->buf);
    lua_pushlstring(L, vm->buf.p ? vm->buf.p : "", vm->buf.len);
    return 1;
}

/* (text) → does it begin with a place in the app's files? */
static int l_placed(lua_State *L) {
    struct vm *vm = vm_of(L);
    buf_reset(&vm->buf);
    trace_pretty(vm, luaL_checkstring(L, 1), &vm->buf);
    lua_pushboolean(L, vm->buf.p && trace_placed(vm, vm->buf.p));
    return 1;
}

static int l_is_yieldable(lua_State *L) {
    lua_pushboolean(L, lua_isyieldable(L));
    return 1;
}

static int l_null_text(lua_State *L) {
    lua_pushliteral(L, "null");
    return 1;
}

void api_host_constants(struct vm *vm) {
    lua_State *L = vm->L;
    lua_pushlightuserdata(L, NULL); /* the same value as cjson.null */
    lua_newtable(L);                /* of all light userdata: the type has one metatable */
    lua_pushcfunction(L, l_null_text);
    lua_setfield(L, -2, "__tostring");
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "null");
    lua_newtable(L);
    lua_pushliteral(L, "rbf.array");
    lua_setfield(L, -2, "__name");
    vm->array_mt = lua_topointer(L, -1);
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, "rbf.array_mt");
    lua_setfield(L, -2, "array_mt");
    coro_tag(L);
    lua_setfield(L, -2, "yield_tag");
    lua_pushstring(L, vm->root);
    lua_setfield(L, -2, "root");
}

const luaL_Reg api_host[] = {
    {"here", l_here},
    {"files", l_files},
    {"shown", l_shown},
    {"chunk", l_chunk},
    {"jit_off", l_jit_off},
    {"jit_on", l_jit_on},
    {"uuid", l_uuid},
    {"now", l_now},
    {"check_path", l_check_path},
    {"check_subject", l_check_subject},
    {"subject", l_subject},
    {"seed", l_seed},
    {"in_main", l_in_main},
    {"main", l_main},
    {"phase", l_phase},
    {"finish", l_finish},
    {"keep", l_keep},
    {"pretty", l_pretty},
    {"placed", l_placed},
    {"is_yieldable", l_is_yieldable},
    {NULL, NULL},
};
