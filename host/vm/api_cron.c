/* SPDX-License-Identifier: MIT */
/* api_cron - crons on their way from the app's files into a generation: the check that app:cron
 * makes while it loads, and what gen.c reads of the plan. */
#include "vm/vm.h"
#include <stdlib.h>
#include <string.h>

static int check_zone(const char *name, struct err *err) {
    struct zone *z = zone_open(name, err);
    zone_close(z);
    return z ? 0 : -1;
}

/* (spec, time zone) → true | nil, message */
static int l_check_cron(lua_State *L) {
    struct err err;
    struct cronspec s;
    const char *spec = luaL_checkstring(L, 1), *zone = luaL_checkstring(L, 2);
    if (cronspec_parse(&s, spec, &err) == 0 && check_zone(zone, &err) == 0) {
        lua_pushboolean(L, true);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, err.msg);
    return 2;
}

const luaL_Reg api_cron[] = {
    {"check_cron", l_check_cron},
    {NULL, NULL},
};

/* --- the plan --- */

static char *text_field(lua_State *L, const char *key) {
    lua_getfield(L, -1, key);
    char *s = xstrdup(lua_tostring(L, -1));
    lua_pop(L, 1);
    return s;
}

static void read_cron(lua_State *L, struct gen_cron *c) {
    c->name = text_field(L, "name");
    c->spec_text = text_field(L, "spec");
    c->tz = text_field(L, "tz");
    c->missed = text_field(L, "missed");
    c->subject = text_field(L, "subject");
    c->data = text_field(L, "data");
    c->file = text_field(L, "file");
}

void gen_read_crons(lua_State *L, struct gen *g) {
    lua_getfield(L, -1, "crons");
    int n = (int)lua_objlen(L, -1);
    g->crons = xcalloc((size_t)n + 1, sizeof *g->crons);
    for (; g->n_crons < n; g->n_crons++) {
        lua_rawgeti(L, -1, g->n_crons + 1);
        read_cron(L, &g->crons[g->n_crons]);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

int gen_build_crons(struct gen *g, struct err *err) {
    for (int i = 0; i < g->n_crons; i++) {
        struct gen_cron *c = &g->crons[i];
        struct err why;
        if (cronspec_parse(&c->spec, c->spec_text, &why) || !(c->zone = zone_open(c->tz, &why)))
            return err_set(err, ERR_LUA, "%s: %s", c->file, why.msg);
    }
    return 0;
}

void gen_free_crons(struct gen *g) {
    for (int i = 0; i < g->n_crons; i++) {
        struct gen_cron *c = &g->crons[i];
        free(c->name);
        free(c->spec_text);
        free(c->tz);
        free(c->missed);
        free(c->subject);
        free(c->data);
        free(c->file);
        zone_close(c->zone);
    }
    free(g->crons);
}
