/* SPDX-License-Identifier: MIT */
/* new - a folder with an app to begin with: a copy of examples/new. */
#include "cli/cli.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACEHOLDER "{{NAME}}"
#define MAX_NAME 64

static const char *const folders[] = {"", "/handlers", "/handlers/migrations", "/handlers/spec"};
static const char *const files[] = {
    "README.md",
    ".gitignore",
    "handlers/app.lua",
    "handlers/notes.lua",
    "handlers/migrations/001_notes.sql",
    "handlers/spec/notes_spec.lua",
};

static int check_name(const char *name, struct err *err) {
    size_t n = strlen(name);
    bool good = isalpha((unsigned char)*name) && n <= MAX_NAME;
    for (const char *p = name; *p && good; p++)
        good = isalnum((unsigned char)*p) || *p == '-' || *p == '_';
    if (good)
        return 0;
    return err_set(err, ERR_CONFIG,
                   "a name begins with a letter and has letters, digits, '-' and '_', at most %d: "
                   "found '%.80s'%s",
                   MAX_NAME, name, strchr(name, '/') ? " (go to its folder first: cd)" : "");
}

/* Not there, or a folder with nothing in it. */
static int check_free(const char *name, struct err *err) {
    int n = 0;
    DIR *d = opendir(name);
    if (!d && errno == ENOENT)
        return 0;
    if (!d)
        return err_set(err, ERR_CONFIG, "%s is there already, and is no folder", name);
    for (struct dirent *e; (e = readdir(d));)
        n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(d);
    return n ? err_set(err, ERR_CONFIG,
                       "%s is there already, and not empty: take another name, or remove it", name)
             : 0;
}

static int read_template(const char *path, struct buf *out, struct err *err) {
    char chunk[4096];
    size_t n;
    FILE *in = fopen(path, "re");
    while (in && (n = fread(chunk, 1, sizeof chunk, in)) > 0)
        buf_put(out, chunk, n);
    buf_put(out, "", 0);
    int rc =
        in && !ferror(in) ? 0 : err_set(err, ERR_SYS, "cannot read %s: %s", path, strerror(errno));
    if (in)
        fclose(in);
    return rc;
}

static void put_named(struct buf *out, const char *text, const char *name) {
    for (const char *at; (at = strstr(text, PLACEHOLDER)); text = at + strlen(PLACEHOLDER)) {
        buf_put(out, text, (size_t)(at - text));
        buf_puts(out, name);
    }
    buf_puts(out, text);
}

/* Never over a file that came in between. */
static int write_new(const char *path, const struct buf *text, struct err *err) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    ssize_t n = fd < 0 ? -1 : write(fd, text->p, text->len);
    if (fd < 0 || n != (ssize_t)text->len || close(fd))
        return err_set(err, ERR_SYS, "cannot write %s: %s", path, strerror(errno));
    return 0;
}

static int copy(const struct cli *c, const char *name, const char *file, struct err *err) {
    char *from = xasprintf("%s/examples/new/%s", c->share, file);
    char *to = xasprintf("%s/%s", name, file);
    struct buf text = {0}, named = {0};
    int rc = read_template(from, &text, err);
    if (!rc) {
        put_named(&named, text.p, name);
        rc = write_new(to, &named, err);
    }
    buf_free(&text);
    buf_free(&named);
    free(from);
    free(to);
    return rc;
}

static int make(const struct cli *c, const char *name, struct err *err) {
    int rc = 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders && !rc; i++) {
        char *path = xasprintf("%s%s", name, folders[i]);
        if (mkdir(path, 0777) && !(i == 0 && errno == EEXIST))
            rc = err_set(err, ERR_SYS, "cannot make the folder %s: %s", path, strerror(errno));
        free(path);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files && !rc; i++)
        rc = copy(c, name, files[i], err);
    return rc;
}

int cmd_new(struct cli *c) {
    struct err err;
    if (c->argc != 1)
        return cli_fail("usage: rbf new NAME, as in rbf new guestbook");
    const char *name = c->argv[0];
    if (check_name(name, &err) || check_free(name, &err) || make(c, name, &err))
        return cli_fail("%s", err.msg);
    printf("%s/ has an app with one mutation, one query, a table and a spec. Next:\n\n"
           "  cd %s\n  %s test     # its specs, on a private PostgreSQL\n"
           "  %s dev      # serves handlers/, and reloads what you save\n",
           name, name, cli_self(), cli_self());
    return 0;
}
