/* SPDX-License-Identifier: MIT */
/* api_module - what lua/rbf/modules.lua needs for modules from outside the app's folder: their
 * files, and the libraries that the app itself must not have. */
#include "vm/vm.h"

/* in the registry: { io, os, ffi = its opener, dump = string.dump } */
#define KEPT "rbf.unlocked"

void api_module_keep(lua_State *L) {
    lua_newtable(L);
    lua_getglobal(L, "io");
    lua_setfield(L, -2, "io");
    lua_newtable(L); /* a copy: the original loses functions */
    lua_getglobal(L, "os");
    for (lua_pushnil(L); lua_next(L, -2);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_settable(L, -5);
    }
    lua_pop(L, 1);
    lua_setfield(L, -2, "os");
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_getfield(L, -1, "ffi");
    lua_setfield(L, -4, "ffi");
    lua_pop(L, 2);
    lua_getglobal(L, "string");
    lua_getfield(L, -1, "dump");
    lua_setfield(L, -3, "dump");
    lua_pop(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, KEPT);
}

/* () → { io, os, ffi, dump } for the environment of modules and for coverage, nobody else */
static int l_unlocked(lua_State *L) {
    lua_getfield(L, LUA_REGISTRYINDEX, KEPT);
    return 1;
}

/* (path) → function | nil, message: the chunk of a module's file */
static int l_module_chunk(lua_State *L) {
    if (luaL_loadfilex(L, luaL_checkstring(L, 1), "t") != 0) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    return 1;
}

const luaL_Reg api_module[] = {
    {"unlocked", l_unlocked},
    {"module_chunk", l_module_chunk},
    {NULL, NULL},
};
