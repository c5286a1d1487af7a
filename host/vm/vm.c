/* SPDX-License-Identifier: MIT */
#include "vm/vm.h"
#include "base/log.h"
#include <limits.h>
#include <lualib.h>
#include <string.h>
#include <unistd.h>

/* Gone for the framework too: what is not in the state cannot be reached through getfenv, a
 * metatable or a forgotten upvalue. ("global" or "library.field") What modules from outside the app
 * may have of it is kept in the registry (api_module.c). */
static const char *const removed[] = {
    "io",
    "dofile",
    "loadfile",
    "os.execute",
    "os.exit",
    "os.getenv",
    "os.remove",
    "os.rename",
    "os.tmpname",
    "os.setlocale",
    "string.dump",
    "newproxy",
    "gcinfo",
    "package.loadlib",
    "package.seeall",
    "jit.attach",
    "jit.opt",
    "jit.util",
    "debug.debug",
    "debug.sethook",
    "debug.setmetatable",
    "debug.getregistry",
    "debug.setupvalue",
    "debug.upvaluejoin",
};

static void strip(lua_State *L) {
    api_module_keep(L);
    for (size_t i = 0; i < sizeof removed / sizeof *removed; i++) {
        const char *dot = strchr(removed[i], '.');
        if (!dot) {
            lua_pushnil(L);
            lua_setglobal(L, removed[i]);
            continue;
        }
        lua_pushlstring(L, removed[i], (size_t)(dot - removed[i]));
        lua_rawget(L, LUA_GLOBALSINDEX);
        lua_pushnil(L);
        lua_setfield(L, -2, dot + 1);
        lua_pop(L, 1);
    }
    luaL_findtable(L, LUA_REGISTRYINDEX, "_LOADED", 8);
    lua_pushnil(L);
    lua_setfield(L, -2, "io");
    lua_pushnil(L);
    lua_setfield(L, -2, "ffi");
    lua_pop(L, 1);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushnil(L);
    lua_setfield(L, -2, "ffi");
    lua_pop(L, 2);
}

static void add_functions(struct vm *vm, const luaL_Reg *reg) {
    lua_pushlightuserdata(vm->L, vm);
    luaL_setfuncs(vm->L, reg, 1);
}

/* package.loaded["rbf.host"], and lua_dir alone as package.path. */
static void add_host(struct vm *vm) {
    lua_State *L = vm->L;
    luaL_findtable(L, LUA_REGISTRYINDEX, "_LOADED", 8);
    lua_newtable(L);
    const luaL_Reg *const all[] = {api_module, api_host,  api_json, api_db,  api_ask,
                                   api_cache,  api_sched, api_log,  api_cron};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        add_functions(vm, all[i]);
    api_host_constants(vm);
    lua_getfield(L, -2, "package");
    lua_getfield(L, -1, "path");
    lua_setfield(L, -3, "module_path");
    lua_pop(L, 1);
    lua_setfield(L, -2, "rbf.host");
    lua_getfield(L, -1, "package");
    lua_pushfstring(L, "%s/?.lua;%s/?/init.lua", vm->lua_dir, vm->lua_dir);
    lua_setfield(L, -2, "path");
    lua_pop(L, 2);
}

/* Lua cuts long chunk names to "..." and their last 56 bytes. */
static char *cut_name(const char *full) {
    size_t n = strlen(full);
    if (n < LUA_IDSIZE)
        return xstrdup(full);
    return xasprintf("...%s", full + n - (LUA_IDSIZE - 4));
}

/* Paths are shown below the working directory where they are, else in full: what to skip. */
static size_t shown_from(const char *path) {
    char cwd[PATH_MAX];
    size_t n = getcwd(cwd, sizeof cwd) ? strlen(cwd) : 0;
    return n && !strncmp(path, cwd, n) && path[n] == '/' ? n + 1 : 0;
}

static void name_files(struct vm *vm, const struct tree *tree) {
    size_t skip = shown_from(vm->root);
    vm->files = xcalloc(tree->n ? tree->n : 1, sizeof *vm->files);
    vm->n_files = tree->n;
    for (size_t i = 0; i < tree->n; i++) {
        char *full = xasprintf("%s/%s", vm->root, tree->files[i].path);
        vm->files[i].cut = cut_name(full);
        char *shown = vm->files[i].shown = xstrdup(full + skip);
        vm->files[i].path = shown + strlen(shown) - strlen(tree->files[i].path);
        free(full);
    }
}

void vm_add_file(struct vm *vm, const char *full) {
    vm->files = xrealloc(vm->files, (vm->n_files + 1) * sizeof *vm->files);
    vm->extra_file = xstrdup(full);
    vm->files[vm->n_files++] = (struct vm_file){
        .cut = cut_name(full), .shown = xstrdup(full + shown_from(full)), .path = vm->extra_file};
}

struct vm *vm_new(struct gen *g, const struct tree *tree, const char *lua_dir, size_t limit) {
    struct vm *vm = xcalloc(1, sizeof *vm);
    vm->gen = g;
    vm->tree = tree;
    vm->root = xstrdup(tree->root);
    vm->lua_dir = xstrdup(lua_dir);
    vm->run_ref = vm->on_error_ref = vm->classify_ref = LUA_NOREF;
    name_files(vm, tree);
    vm->L = luaL_newstate();
    if (!vm->L)
        abort();
    memory_open(&vm->memory, vm->L, limit);
    luaL_openlibs(vm->L);
    strip(vm->L);
    add_host(vm);
    return vm;
}

void vm_delete(struct vm *vm) {
    if (!vm)
        return;
    vm_unref(vm, vm->run_ref);
    vm_unref(vm, vm->on_error_ref);
    vm_unref(vm, vm->classify_ref);
    if (vm->refs != 0)
        log_error("Lua references left in a closing generation", LOG_I("refs", vm->refs));
    memory_close(&vm->memory, vm->L);
    lua_close(vm->L);
    for (size_t i = 0; i < vm->n_files; i++) {
        free(vm->files[i].cut);
        free(vm->files[i].shown);
    }
    free(vm->files);
    free(vm->extra_file);
    free(vm->root);
    free(vm->lua_dir);
    json_decref(vm->json);
    buf_free(&vm->buf);
    free(vm);
}

int vm_ref(struct vm *vm, lua_State *L) {
    vm->refs++;
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

void vm_unref(struct vm *vm, int ref) {
    if (ref == LUA_NOREF)
        return;
    vm->refs--;
    luaL_unref(vm->L, LUA_REGISTRYINDEX, ref);
}

struct call *vm_current(struct vm *vm, lua_State *L) {
    if (!vm->current)
        luaL_error(L, "this works inside a handler only");
    return vm->current;
}
