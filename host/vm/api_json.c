/* SPDX-License-Identifier: MIT */
/* api_json - Lua values and JSON. Lists are tables with the metatable array_mt (decoded ones always
 * have it, so [] stays []) or tables with the keys 1..n; {} without it is an object; null is the
 * light userdata NULL. */
#include "base/jsonval.h"
#include "vm/vm.h"
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 512 /* as jsonval reads */

/* ---- JSON to Lua ---- */

static void push_array(struct vm *vm, lua_State *L, const json_t *v) {
    size_t n = json_array_size(v);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        json_push(vm, L, json_array_get(v, i));
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_getfield(L, LUA_REGISTRYINDEX, "rbf.array_mt");
    lua_setmetatable(L, -2);
}

static void push_object(struct vm *vm, lua_State *L, json_t *v) {
    const char *key;
    json_t *item;
    lua_createtable(L, 0, (int)json_object_size(v));
    json_object_foreach(v, key, item) {
        lua_pushstring(L, key); /* keys hold no NUL: jsonval refuses it */
        json_push(vm, L, item);
        lua_rawset(L, -3);
    }
}

void json_push(struct vm *vm, lua_State *L, const json_t *v) {
    luaL_checkstack(L, 4, "JSON is nested too deeply");
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        push_object(vm, L, (json_t *)v);
        break;
    case JSON_ARRAY:
        push_array(vm, L, v);
        break;
    case JSON_STRING:
        lua_pushlstring(L, json_string_value(v), json_string_length(v));
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        lua_pushnumber(L, json_number_value(v));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        lua_pushboolean(L, json_is_true(v));
        break;
    case JSON_NULL:
        lua_pushlightuserdata(L, NULL);
        break;
    }
}

int json_push_text(struct vm *vm, lua_State *L, const char *text, size_t n, struct err *err) {
    json_decref(vm->json); /* of a conversion that raised */
    vm->json = jsonval_read(text, n, err);
    if (!vm->json)
        return -1;
    json_push(vm, L, vm->json);
    json_decref(vm->json);
    vm->json = NULL;
    return 0;
}

/* ---- Lua to JSON ---- */

struct step { /* one key on the way to a value, for messages */
    const struct step *up;
    const char *key; /* NULL: a list's index */
    size_t index;
};

struct writer {
    struct vm *vm;
    lua_State *L;
    const char *root;
    struct buf *out;
    struct err *err;
};

static void put_path(struct buf *b, const struct step *s) {
    if (!s)
        return;
    put_path(b, s->up);
    if (s->key)
        buf_printf(b, ".%s", s->key);
    else
        buf_printf(b, "[%zu]", s->index);
}

static int fail_at(struct writer *w, const struct step *at, const char *what) {
    struct buf path = {0};
    put_path(&path, at);
    err_set(w->err, ERR_INVALID, "%s%s: %s", w->root, path.p ? path.p : "", what);
    buf_free(&path);
    return -1;
}

static int put_value(struct writer *w, int idx, const struct step *at, int depth);

/* A list whose keys are not 1..n: says which one is wrong. table at idx. */
static int bad_list(struct writer *w, int idx, size_t n, const struct step *at) {
    lua_State *L = w->L;
    char what[200];
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        if (lua_type(L, -2) == LUA_TSTRING) {
            snprintf(what, sizeof what,
                     "a list with %zu entries that also has the key '%.60s'; JSON has lists or "
                     "objects, not both",
                     n, lua_tostring(L, -2));
            lua_pop(L, 2);
            return fail_at(w, at, what);
        }
    }
    return fail_at(w, at, "a list with holes; fill them with rbf.null");
}

static int put_list(struct writer *w, int idx, size_t n, const struct step *at, int depth) {
    lua_State *L = w->L;
    size_t keys = 0;
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1))
        keys++;
    if (keys != n)
        return bad_list(w, idx, n, at);
    buf_putc(w->out, '[');
    for (size_t i = 1; i <= n; i++) {
        struct step step = {at, NULL, i};
        if (i > 1)
            buf_putc(w->out, ',');
        lua_rawgeti(L, idx, (int)i);
        if (lua_isnil(L, -1))
            return bad_list(w, idx, n, at);
        if (put_value(w, lua_gettop(L), &step, depth) != 0)
            return -1;
        lua_pop(L, 1);
    }
    buf_putc(w->out, ']');
    return 0;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Pushes a userdata with the table's keys, sorted: the same value is the same text each time.
 * (The strings live as long as the table does.) NULL when a key is not a string. */
static const char **sorted_keys(struct writer *w, int idx, size_t *n, const struct step *at) {
    lua_State *L = w->L;
    *n = 0;
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING) {
            char what[160];
            snprintf(what, sizeof what,
                     "an object's keys must be strings, found a %s (a list's keys are 1, 2, 3, …)",
                     luaL_typename(L, -2));
            fail_at(w, at, what);
            return NULL;
        }
        if (strlen(lua_tostring(L, -2)) != lua_objlen(L, -2)) {
            fail_at(w, at, "an object's key holds a NUL byte");
            return NULL;
        }
        ++*n;
    }
    const char **keys = lua_newuserdata(L, (*n ? *n : 1) * sizeof *keys);
    size_t i = 0;
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1))
        keys[i++] = lua_tostring(L, -2);
    qsort(keys, *n, sizeof *keys, by_text);
    return keys;
}

static int put_object(struct writer *w, int idx, const struct step *at, int depth) {
    lua_State *L = w->L;
    size_t n;
    const char **keys = sorted_keys(w, idx, &n, at);
    if (!keys)
        return -1;
    buf_putc(w->out, '{');
    for (size_t i = 0; i < n; i++) {
        struct step step = {at, keys[i], 0};
        if (i)
            buf_putc(w->out, ',');
        if (jsonval_put_string(w->out, keys[i], strlen(keys[i]), NULL) != 0)
            return fail_at(w, at, "an object's key is not valid UTF-8");
        buf_putc(w->out, ':');
        lua_pushstring(L, keys[i]);
        lua_rawget(L, idx);
        if (put_value(w, lua_gettop(L), &step, depth) != 0)
            return -1;
        lua_pop(L, 1);
    }
    buf_putc(w->out, '}');
    lua_pop(L, 1); /* the keys */
    return 0;
}

static bool is_array(struct writer *w, int idx) {
    if (!lua_getmetatable(w->L, idx))
        return false;
    bool marked = lua_topointer(w->L, -1) == w->vm->array_mt;
    lua_pop(w->L, 1);
    return marked;
}

static int put_table(struct writer *w, int idx, const struct step *at, int depth) {
    if (depth >= DEPTH_MAX)
        return fail_at(w, NULL, "nested deeper than 512 levels (does it contain itself?)");
    luaL_checkstack(w->L, 6, "nested too deeply");
    size_t n = lua_objlen(w->L, idx);
    if (n > 0 || is_array(w, idx))
        return put_list(w, idx, n, at, depth + 1);
    return put_object(w, idx, at, depth + 1);
}

static int put_string(struct writer *w, int idx, const struct step *at) {
    size_t n;
    const char *s = lua_tolstring(w->L, idx, &n);
    if (jsonval_put_string(w->out, s, n, NULL) == 0)
        return 0;
    return fail_at(w, at,
                   memchr(s, 0, n) ? "a string with a NUL byte cannot be sent as JSON"
                                   : "a string that is not valid UTF-8 cannot be sent as JSON");
}

static int put_value(struct writer *w, int idx, const struct step *at, int depth) {
    char what[80];
    switch (lua_type(w->L, idx)) {
    case LUA_TNONE:
    case LUA_TNIL:
        buf_puts(w->out, "null");
        return 0;
    case LUA_TBOOLEAN:
        buf_puts(w->out, lua_toboolean(w->L, idx) ? "true" : "false");
        return 0;
    case LUA_TNUMBER:
        if (jsonval_put_number(w->out, lua_tonumber(w->L, idx), NULL) == 0)
            return 0;
        return fail_at(w, at, "NaN and infinity cannot be sent as JSON");
    case LUA_TSTRING:
        return put_string(w, idx, at);
    case LUA_TTABLE:
        return put_table(w, idx, at, depth);
    case LUA_TLIGHTUSERDATA:
        if (!lua_touserdata(w->L, idx)) {
            buf_puts(w->out, "null");
            return 0;
        } /* fall through */
    default:
        snprintf(what, sizeof what, "a %s cannot be sent as JSON", luaL_typename(w->L, idx));
        return fail_at(w, at, what);
    }
}

int json_put(struct vm *vm, lua_State *L, int idx, const char *root, struct buf *out,
             struct err *err) {
    struct writer w = {vm, L, root, out, err};
    int top = lua_gettop(L);
    luaL_checkstack(L, 6, "nested too deeply");
    int rc = put_value(&w, idx, NULL, 0);
    lua_settop(L, top);
    return rc;
}

/* ---- for lua/rbf ---- */

/* (value, name of it for messages) → text | nil, message */
static int l_encode(lua_State *L) {
    struct vm *vm = vm_of(L);
    struct err err;
    const char *root = luaL_checkstring(L, 2);
    buf_reset(&vm->buf);
    if (json_put(vm, L, 1, root, &vm->buf, &err) != 0) {
        lua_pushnil(L);
        lua_pushstring(L, err.msg);
        return 2;
    }
    lua_pushlstring(L, vm->buf.p, vm->buf.len);
    return 1;
}

/* (text) → value | nil, message (a value that is null comes as rbf.null) */
static int l_decode(lua_State *L) {
    size_t n;
    struct err err;
    const char *text = luaL_checklstring(L, 1, &n);
    if (json_push_text(vm_of(L), L, text, n, &err) == 0)
        return 1;
    lua_pushnil(L);
    lua_pushstring(L, err.msg);
    return 2;
}

const luaL_Reg api_json[] = {
    {"encode", l_encode},
    {"decode", l_decode},
    {NULL, NULL},
};
