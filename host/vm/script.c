/* SPDX-License-Identifier: MIT */
/* script - what a script of `rbf exec` is given, besides what the app's files see. */
#include "vm/vm.h"
#include <lualib.h>

/* Scripts are their user's own programs, as those of `lua` are: with files and processes. The app
 * is loaded by now, without. */
static void open_libraries(lua_State *L) {
    lua_pushcfunction(L, luaopen_io);
    lua_pushliteral(L, LUA_IOLIBNAME);
    lua_call(L, 1, 0);
    lua_pushcfunction(L, luaopen_os);
    lua_pushliteral(L, LUA_OSLIBNAME);
    lua_call(L, 1, 0);
}

/* Specs and what runs them are plain Lua programs. The app has its own globals by now. */
static void open_all(lua_State *L) {
    static const luaL_Reg all[] = {{"", luaopen_base},
                                   {LUA_DBLIBNAME, luaopen_debug},
                                   {LUA_IOLIBNAME, luaopen_io},
                                   {LUA_OSLIBNAME, luaopen_os},
                                   {NULL, NULL}};
    for (const luaL_Reg *lib = all; lib->func; lib++) {
        lua_pushcfunction(L, lib->func);
        lua_pushstring(L, lib->name);
        lua_call(L, 1, 0);
    }
}

/* rbf.script's run(text, path, list of arguments) */
void script_push(struct vm *vm, lua_State *L, const struct call_script *s) {
    luaL_checkstack(L, 8, NULL);
    vm_add_file(vm, s->path);
    if (s->runner)
        open_all(L);
    else
        open_libraries(L);
    lua_getglobal(L, "require");
    lua_pushstring(L, s->runner ? s->runner : "rbf.script");
    lua_call(L, 1, 1);
    lua_pushlstring(L, s->text, s->len);
    lua_pushstring(L, s->path);
    lua_createtable(L, s->argc, 0);
    for (int i = 0; i < s->argc; i++) {
        lua_pushstring(L, s->argv[i]);
        lua_rawseti(L, -2, i + 1);
    }
}
