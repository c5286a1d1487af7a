/* SPDX-License-Identifier: MIT */
/* load - the app as a worker would have it, for commands that serve nothing. */
#include "base/tree.h"
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What ops/gate.h hands over: the bytes that are to go live, whatever is on disk by now. */
static struct tree *handed_over(int fd, struct err *err) {
    struct buf bytes = {0};
    ssize_t n;
    do {
        buf_reserve(&bytes, 65536);
        n = read(fd, bytes.p + bytes.len, 65536);
        bytes.len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    close(fd);
    struct tree *t = tree_unpack(bytes.p, bytes.len, err);
    buf_free(&bytes);
    return t;
}

static struct tree *read_tree(const struct cli *c, struct err *err) {
    const char *fd = getenv("RBF_TEST_TREE");
    if (!fd || !*fd)
        return tree_read(c->cfg.app_dir, err);
    unsetenv("RBF_TEST_TREE");
    return handed_over(atoi(fd), err);
}

struct gen *cli_load(struct cli *c, struct err *err) {
    char *lua_dir = xasprintf("%s/lua", c->share);
    struct tree *tree = read_tree(c, err);
    struct gen *g = tree ? gen_load(tree, lua_dir, 1, err) : NULL;
    if (g && config_from_main_lua(&c->cfg, g->options, strlen(g->options), err)) {
        gen_unref(g);
        g = NULL;
    }
    tree_delete(tree);
    free(lua_dir);
    return g;
}

struct gen *cli_app(struct cli *c) {
    struct err err;
    if (cli_app_dir(c))
        return NULL;
    struct gen *g = cli_load(c, &err);
    if (!g)
        cli_fail("%s", err.msg);
    return g;
}
