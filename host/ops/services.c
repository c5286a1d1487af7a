/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ops/services.h"
#include "base/buf.h"
#include "base/jsonval.h"
#include "ops/server.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct services {
    struct statedir dir;
    struct server pg, nats;
    char *dev_json;
    bool throwaway;
};

static void put_member(struct buf *out, const char *key, const char *value) {
    buf_printf(out, ",\"%s\":", key);
    if (jsonval_put_string(out, value, strlen(value), NULL) != 0)
        buf_puts(out, "\"\"");
}

static void describe(const struct services *s, const struct services_options *o, struct buf *out) {
    buf_printf(out, "{\"pid\":%d", (int)getpid());
    put_member(out, "database_url", s->pg.url);
    put_member(out, "nats_url", s->nats.url);
    put_member(out, "app_dir", o->app_dir ? o->app_dir : "");
    put_member(out, "namespace", o->namespace_ ? o->namespace_ : "default");
    put_member(out, "subject_prefix", o->subject_prefix ? o->subject_prefix : "");
    buf_puts(out, "}\n");
}

static int write_dev_json(struct services *s, const struct services_options *o, struct err *err) {
    struct buf text = {0};
    char *temp = xasprintf("%s/dev.json.new", s->dir.path);
    int rc = 0;
    unlink(temp);
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    s->dev_json = xasprintf("%s/dev.json", s->dir.path);
    describe(s, o, &text);
    if (fd < 0 || write(fd, text.p, text.len) != (ssize_t)text.len ||
        rename(temp, s->dev_json) != 0)
        rc = err_set(err, ERR_SYS, "cannot write %s: %s", s->dev_json, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(temp);
    buf_free(&text);
    return rc;
}

struct services *services_start(const struct services_options *o, struct err *err) {
    struct services *s = xcalloc(1, sizeof *s);
    s->throwaway = o->throwaway;
    if (statedir_open(&s->dir, o->state_dir, o->app_dir, err) != 0) {
        free(s);
        return NULL;
    }
    int rc = server_pg_init(&s->pg, &s->dir, err);
    if (rc == 0 && !o->postgres_only)
        rc = server_nats_init(&s->nats, &s->dir, err) || server_start(&s->nats, err);
    if (rc == 0)
        rc = server_start(&s->pg, err);
    if (rc == 0 && !o->postgres_only)
        rc = write_dev_json(s, o, err);
    if (rc == 0)
        return s;
    services_stop(s);
    return NULL;
}

const char *services_database_url(const struct services *s) {
    return s->pg.url;
}

const char *services_nats_url(const struct services *s) {
    return s->nats.url;
}

const char *services_home(const struct services *s) {
    return s->dir.home;
}

void services_tick(struct services *s) {
    server_tick(&s->nats);
    server_tick(&s->pg);
}

void services_stop(struct services *s) {
    if (!s)
        return;
    if (s->dev_json)
        unlink(s->dev_json);
    server_stop(&s->nats);
    server_stop(&s->pg);
    if (s->throwaway) {
        statedir_remove(s->dir.home);
        statedir_remove(s->dir.path);
    }
    server_free(&s->nats);
    server_free(&s->pg);
    statedir_close(&s->dir);
    free(s->dev_json);
    free(s);
}

static char *member(const json_t *o, const char *key) {
    const char *v = json_string_value(json_object_get(o, key));
    return xstrdup(v ? v : "");
}

int services_find(const char *state_dir, struct services_dev *out, struct err *err) {
    const char *dir = state_dir ? state_dir : ".rbf";
    pid_t owner = statedir_owner(dir);
    char *path = xasprintf("%s/dev.json", dir);
    json_t *o = owner ? json_load_file(path, 0, NULL) : NULL;
    free(path);
    /* While it starts, the file may still be that of a crashed run. */
    if (!o || json_integer_value(json_object_get(o, "pid")) != owner) {
        json_decref(o);
        if (owner)
            return err_set(err, ERR_CONFIG, "rbf dev (pid %d) in %s is not ready yet", (int)owner,
                           dir);
        return err_set(
            err, ERR_CONFIG,
            "no rbf dev runs in %s: start it here, or name its folder with --state-dir, or the "
            "server with --nats-url",
            dir);
    }
    *out = (struct services_dev){.pid = owner,
                                 .database_url = member(o, "database_url"),
                                 .nats_url = member(o, "nats_url"),
                                 .app_dir = member(o, "app_dir"),
                                 .namespace_ = member(o, "namespace"),
                                 .subject_prefix = member(o, "subject_prefix")};
    json_decref(o);
    return 0;
}

void services_dev_free(struct services_dev *d) {
    free(d->database_url);
    free(d->nats_url);
    free(d->app_dir);
    free(d->namespace_);
    free(d->subject_prefix);
    *d = (struct services_dev){0};
}
