/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"
#include "pg/columns.h"
#include "vm/gentypes.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Hidden, so that the host does not load it as one of the app's files; lua-language-server reads
 * it all the same, as it reads every .lua file of a workspace. */
#define DEFAULT_NAME ".rbf-types.lua"

/* Is that the file's content already? Then its time stays as it is, for whatever watches it. */
static bool holds(const char *path, const struct buf *text) {
    FILE *f = fopen(path, "re");
    char *old = xmalloc(text->len + 1);
    bool same =
        f && fread(old, 1, text->len + 1, f) == text->len && !memcmp(old, text->p, text->len);
    if (f)
        fclose(f);
    free(old);
    return same;
}

static int write_all(int fd, const char *p, size_t n) {
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

/* Beside it and renamed: an editor never reads half of it. The other name is hidden as well. */
static int replace(const char *path, const struct buf *text, struct err *err) {
    const char *slash = strrchr(path, '/');
    int dir = slash ? (int)(slash + 1 - path) : 0;
    char *beside = xasprintf("%.*s.rbf-types-%d", dir, path, (int)getpid());
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int rc = fd < 0 || write_all(fd, text->p, text->len) ? -1 : 0;
    if (fd >= 0 && close(fd))
        rc = -1;
    if (rc || rename(beside, path)) {
        rc = err_set(err, ERR_SYS, "cannot write %s: %s", path, strerror(errno));
        unlink(beside);
    }
    free(beside);
    return rc;
}

static int save(const struct cli *c, const struct buf *text, const char *what) {
    struct err err;
    const char *given = cli_flag(c, "--output");
    char *path = given ? xstrdup(given) : xasprintf("%s/" DEFAULT_NAME, c->cfg.app_dir);
    int code = 0;
    if (holds(path, text))
        printf("%s is up to date: %s\n", path, what);
    else if (replace(path, text, &err))
        code = cli_fail("%s", err.msg);
    else
        printf("%s written: %s\n", path, what);
    free(path);
    return code;
}

static int deliver(const struct cli *c, const struct buf *text, const char *what) {
    const char *to = cli_flag(c, "--output");
    if (!cli_flag(c, "--stdout") && !(to && !strcmp(to, "-")))
        return save(c, text, what);
    fwrite(text->p, 1, text->len, stdout);
    return fflush(stdout) ? cli_fail("cannot write: %s", strerror(errno)) : 0;
}

static int write_types(const struct cli *c, struct gen *g, const char *url) {
    struct err err;
    struct buf columns = {0}, text = {0};
    int tables, code;
    if ((url && columns_read(url, &columns, &err)) ||
        gentypes_write(g, columns.p, &text, &tables, &err)) {
        code = cli_fail("%s", err.msg);
    } else {
        char *what = xasprintf("%d operation%s, %d table%s%s", g->n_ops, g->n_ops == 1 ? "" : "s",
                               tables, tables == 1 ? "" : "s", url ? "" : " (no database)");
        code = deliver(c, &text, what);
        free(what);
    }
    buf_free(&columns);
    buf_free(&text);
    return code;
}

int cmd_types(struct cli *c) {
    struct gen *g = cli_app(c);
    if (!g)
        return 1;
    char *url = c->cfg.database_url ? xstrdup(c->cfg.database_url) : cli_dev_database(c);
    if (!url)
        fputs("rbf: no database, so no types of rows: start `rbf dev`, or pass --database-url\n",
              stderr);
    int code = write_types(c, g, url);
    free(url);
    gen_unref(g);
    return code;
}
