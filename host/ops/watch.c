/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ops/watch.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LATEST_MS 1000
#define ROOT_CHECK_MS 1000

struct watch {
    char *dir;
    uv_loop_t *loop;
    uv_timer_t quiet, root_check;
    bool specs;
    unsigned quiet_ms;
    uint64_t first_ms; /* of the changes not yet told; 0: none */
    dev_t root_dev;
    ino_t root_ino;
    struct list folders;
    int open_handles; /* timers and folders; the memory goes with the last */
    watch_cb cb;
    void *arg;
};

struct folder {
    struct list link;
    uv_fs_event_t event;
    struct watch *watch;
};

static void release(struct watch *w) {
    if (--w->open_handles > 0)
        return;
    free(w->dir);
    free(w);
}

static void on_folder_closed(uv_handle_t *h) {
    struct folder *f = h->data;
    struct watch *w = f->watch;
    free(f);
    release(w);
}

static void on_timer_closed(uv_handle_t *h) {
    release(h->data);
}

static void close_folders(struct list *folders) {
    for (struct list *l; (l = list_pop(folders));)
        uv_close((uv_handle_t *)&container_of(l, struct folder, link)->event, on_folder_closed);
}

static void on_quiet(uv_timer_t *t);

static void note_change(struct watch *w) {
    uint64_t now = clock_mono_ms();
    if (!w->first_ms)
        w->first_ms = now;
    if (now - w->first_ms + w->quiet_ms <= LATEST_MS || !uv_is_active((uv_handle_t *)&w->quiet))
        uv_timer_start(&w->quiet, on_quiet, w->quiet_ms, 0);
}

static void on_event(uv_fs_event_t *e, const char *name, int events, int status) {
    struct folder *f = e->data;
    note_change(f->watch);
}

static bool is_left_out(const struct watch *w, const char *name) {
    return name[0] == '.' || (!w->specs && strcmp(name, "spec") == 0) ||
           strcmp(name, "migrations") == 0;
}

static bool is_folder(const char *path, const struct dirent *e) {
    struct stat st;
    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_DIR;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int start_folder(struct watch *w, const char *path) {
    struct folder *f = xcalloc(1, sizeof *f);
    f->watch = w;
    uv_fs_event_init(w->loop, &f->event);
    f->event.data = f;
    w->open_handles++;
    list_push(&w->folders, &f->link);
    return uv_fs_event_start(&f->event, on_event, path, 0);
}

/* The watch comes before the look inside, so that nothing made in between is missed. Folders that
 * vanish meanwhile are no failure: their parent has told. */
static int add_folders(struct watch *w, const char *path) {
    int rc = start_folder(w, path);
    DIR *d = rc == 0 ? opendir(path) : NULL;
    for (struct dirent *e; rc == 0 && d && (e = readdir(d));) {
        if (is_left_out(w, e->d_name))
            continue;
        char *below = xasprintf("%s/%s", path, e->d_name);
        if (is_folder(below, e) && (rc = add_folders(w, below)) == UV_ENOENT)
            rc = 0;
        free(below);
    }
    if (d)
        closedir(d);
    return rc;
}

static bool root_changed(struct watch *w) {
    struct stat st;
    if (stat(w->dir, &st) != 0) {
        w->root_ino = 0; /* what comes back may have the old number */
        return false;
    }
    bool changed = st.st_dev != w->root_dev || st.st_ino != w->root_ino;
    w->root_dev = st.st_dev;
    w->root_ino = st.st_ino;
    return changed;
}

/* All watches anew: a folder removed and made again has the same name, often the same inode, but a
 * dead watch. The old ones are closed afterwards, else the kernel's would go with them. */
static int rescan(struct watch *w) {
    struct list old;
    root_changed(w);
    list_init(&old);
    while (!list_empty(&w->folders))
        list_push(&old, list_pop(&w->folders));
    int rc = add_folders(w, w->dir);
    close_folders(&old);
    return rc;
}

static void on_quiet(uv_timer_t *t) {
    struct watch *w = t->data;
    w->first_ms = 0;
    int rc = rescan(w);
    if (rc != 0 && rc != UV_ENOENT)
        log_warn("cannot watch for changes", LOG_S("folder", w->dir),
                 LOG_S("error", uv_strerror(rc)));
    w->cb(w->arg);
}

/* The folder itself may be replaced (a checkout, a rename): nobody tells of its coming back. */
static void on_root_check(uv_timer_t *t) {
    if (root_changed(t->data))
        note_change(t->data);
}

static void start_timer(struct watch *w, uv_timer_t *t) {
    uv_timer_init(w->loop, t);
    t->data = w;
    w->open_handles++;
}

struct watch *watch_new(uv_loop_t *loop, const char *dir, bool specs, unsigned quiet_ms,
                        watch_cb cb, void *arg, struct err *err) {
    struct watch *w = xcalloc(1, sizeof *w);
    *w = (struct watch){.dir = xstrdup(dir),
                        .loop = loop,
                        .specs = specs,
                        .quiet_ms = quiet_ms,
                        .cb = cb,
                        .arg = arg};
    list_init(&w->folders);
    start_timer(w, &w->quiet);
    start_timer(w, &w->root_check);
    uv_timer_start(&w->root_check, on_root_check, ROOT_CHECK_MS, ROOT_CHECK_MS);
    int rc = rescan(w);
    if (rc == 0)
        return w;
    watch_delete(w);
    if (rc == UV_ENOSPC)
        err_set(err, ERR_SYS,
                "cannot watch %s: too many watches in use, raise "
                "fs.inotify.max_user_watches",
                dir);
    else
        err_set(err, ERR_SYS, "cannot watch %s: %s", dir, uv_strerror(rc));
    return NULL;
}

void watch_delete(struct watch *w) {
    close_folders(&w->folders);
    uv_close((uv_handle_t *)&w->quiet, on_timer_closed);
    uv_close((uv_handle_t *)&w->root_check, on_timer_closed);
}
