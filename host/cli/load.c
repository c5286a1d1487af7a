/* SPDX-License-Identifier: MIT */
/* load - the app as a worker would have it, for commands that serve nothing. */
#include "base/tree.h"
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

struct gen *cli_load(struct cli *c, struct err *err) {
    char *lua_dir = xasprintf("%s/lua", c->share);
    struct tree *tree = tree_read(c->cfg.app_dir, err);
    struct gen *g = tree ? gen_load(tree, lua_dir, 1, err) : NULL;
    if (g && config_from_main_lua(&c->cfg, g->options, strlen(g->options), err)) {
        gen_unref(g);
        g = NULL;
    }
    tree_delete(tree);
    free(lua_dir);
    return g;
}
