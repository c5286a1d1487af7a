/* SPDX-License-Identifier: MIT */
#include "base/tree.h"
#include "base/id.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DEPTH 32          /* a symbolic link that leads back up ends here */
#define MAX_BYTES (64u << 20) /* of all files; frames to the workers hold them (ctl.c) */

static void add_file(struct tree *t, const char *path, struct buf *bytes) {
    if ((t->n & (t->n - 1)) == 0) /* full at each power of two */
        t->files = xrealloc(t->files, (t->n ? 2 * t->n : 1) * sizeof *t->files);
    size_t len = bytes->len;
    t->files[t->n++] = (struct tree_file){xstrdup(path), buf_steal(bytes), len};
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* What is read into which tree. */
struct reading {
    struct tree *t;
    bool specs; /* too */
};

static bool is_wanted_file(const struct reading *r, const char *name) {
    return ends_with(name, ".lua") && (r->specs || !ends_with(name, "_spec.lua"));
}

static bool is_wanted_dir(const struct reading *r, const char *name) {
    return (r->specs || strcmp(name, "spec") != 0) && strcmp(name, "migrations") != 0;
}

static int read_all(int fd, struct buf *out) {
    for (;;) {
        buf_reserve(out, 16384);
        ssize_t n = read(fd, out->p + out->len, 16384);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return (int)n;
        out->len += (size_t)n;
        out->p[out->len] = 0;
        if (out->len > MAX_BYTES) {
            errno = EFBIG;
            return -1;
        }
    }
}

/* 0 also when the file is gone by now. */
static int take_file(struct tree *t, int dir, const char *name, const char *path, struct err *err) {
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return 0;
    struct buf bytes = {0};
    if (fd < 0 || read_all(fd, &bytes)) {
        err_set(err, ERR_CONFIG, "cannot read %.300s/%.300s: %s", t->root, path, strerror(errno));
        if (fd >= 0)
            close(fd);
        buf_free(&bytes);
        return -1;
    }
    close(fd);
    add_file(t, path, &bytes);
    return 0;
}

static int walk(const struct reading *r, int fd, const char *below, int depth, struct err *err);

static int take_dir(const struct reading *r, int dir, const char *name, const char *path, int depth,
                    struct err *err) {
    const char *root = r->t->root;
    if (depth >= MAX_DEPTH)
        return err_set(err, ERR_CONFIG,
                       "%.300s/%.300s: folders deeper than %d, or a link in a ring", root, path,
                       MAX_DEPTH);
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return err_set(err, ERR_CONFIG, "cannot read folder %.300s/%.300s: %s", root, path,
                       strerror(errno));
    return walk(r, fd, path, depth + 1, err);
}

static int take_entry(const struct reading *r, int dir, const char *name, const char *below,
                      int depth, struct err *err) {
    struct stat st;
    if (name[0] == '.' || fstatat(dir, name, &st, 0) != 0) /* gone, or a link to nowhere */
        return 0;
    int rc = 0;
    char *path = xasprintf("%s%s%s", below, *below ? "/" : "", name);
    if (S_ISDIR(st.st_mode) && is_wanted_dir(r, name))
        rc = take_dir(r, dir, name, path, depth, err);
    else if (S_ISREG(st.st_mode) && is_wanted_file(r, name))
        rc = take_file(r->t, dir, name, path, err);
    free(path);
    return rc;
}

static int walk(const struct reading *r, int fd, const char *below, int depth, struct err *err) {
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return err_set(err, ERR_SYS, "cannot list %.300s/%.300s: %s", r->t->root, below,
                       strerror(errno));
    }
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(d));)
        rc = take_entry(r, dirfd(d), e->d_name, below, depth, err);
    closedir(d);
    return rc;
}

static int by_path(const void *a, const void *b) {
    return strcmp(((const struct tree_file *)a)->path, ((const struct tree_file *)b)->path);
}

static void put_u32(struct buf *out, size_t v) {
    for (int shift = 0; shift < 32; shift += 8)
        buf_putc(out, (char)(v >> shift));
}

static void put_text(struct buf *out, const char *s, size_t n) {
    put_u32(out, n);
    buf_put(out, s, n);
}

/* Packed: root, then for each file path and bytes; each text as length (u32, little endian) and
 * bytes. The version is the hash of what follows the root. */
static void pack_files(const struct tree *t, struct buf *out) {
    for (size_t i = 0; i < t->n; i++) {
        put_text(out, t->files[i].path, strlen(t->files[i].path));
        put_text(out, t->files[i].bytes, t->files[i].len);
    }
}

static void set_version(struct tree *t) {
    struct buf packed = {0};
    pack_files(t, &packed);
    id_hash12(packed.p, packed.len, t->version);
    buf_free(&packed);
}

static int check_size(const struct tree *t, struct err *err) {
    size_t total = 0;
    for (size_t i = 0; i < t->n; i++)
        total += t->files[i].len;
    if (t->n == 0)
        return err_set(err, ERR_CONFIG,
                       "no Lua file in %.500s: name the folder that holds your handlers", t->root);
    if (total > MAX_BYTES)
        return err_set(err, ERR_CONFIG,
                       "the Lua files in %.500s have more than %u MB: is this the "
                       "right folder?",
                       t->root, MAX_BYTES >> 20);
    return 0;
}

static struct tree *tree_open(const char *dir, int *fd, struct err *err) {
    char root[PATH_MAX];
    if (!realpath(dir, root) || (*fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        err_set(err, ERR_CONFIG, "cannot read the app's folder '%.300s': %s", dir, strerror(errno));
        return NULL;
    }
    struct tree *t = xcalloc(1, sizeof *t);
    t->root = xstrdup(root);
    return t;
}

static struct tree *read_files(const char *dir, bool specs, struct err *err) {
    int fd;
    struct tree *t = tree_open(dir, &fd, err);
    struct reading r = {t, specs};
    if (!t)
        return NULL;
    if (walk(&r, fd, "", 0, err) || check_size(t, err)) {
        tree_delete(t);
        return NULL;
    }
    qsort(t->files, t->n, sizeof *t->files, by_path);
    set_version(t);
    return t;
}

struct tree *tree_read(const char *dir, struct err *err) {
    return read_files(dir, false, err);
}

struct tree *tree_read_with_specs(const char *dir, struct err *err) {
    return read_files(dir, true, err);
}

const struct tree_file *tree_find(const struct tree *t, const char *path) {
    struct tree_file key = {.path = (char *)path};
    return t->n ? bsearch(&key, t->files, t->n, sizeof *t->files, by_path) : NULL;
}

void tree_pack(const struct tree *t, struct buf *out) {
    put_text(out, t->root, strlen(t->root));
    pack_files(t, out);
}

struct reader {
    const unsigned char *p;
    size_t left;
};

/* NULL when the bytes end before the text does. Caller frees. */
static char *take_text(struct reader *r, size_t *len) {
    if (r->left < 4)
        return NULL;
    size_t n = r->p[0] | (size_t)r->p[1] << 8 | (size_t)r->p[2] << 16 | (size_t)r->p[3] << 24;
    if (n > r->left - 4)
        return NULL;
    char *text = xmemdup(r->p + 4, n);
    r->p += 4 + n;
    r->left -= 4 + n;
    *len = n;
    return text;
}

static int unpack_file(struct tree *t, struct reader *r) {
    size_t path_len, len;
    char *path = take_text(r, &path_len), *text = path ? take_text(r, &len) : NULL;
    bool in_order = text && strlen(path) == path_len &&
                    (t->n == 0 || strcmp(t->files[t->n - 1].path, path) < 0);
    struct buf bytes = {.p = text, .len = text ? len : 0};
    if (in_order)
        add_file(t, path, &bytes);
    free(path);
    buf_free(&bytes);
    return in_order ? 0 : -1;
}

struct tree *tree_unpack(const void *bytes, size_t n, struct err *err) {
    struct reader r = {bytes, n};
    struct tree *t = xcalloc(1, sizeof *t);
    size_t len;
    t->root = take_text(&r, &len);
    while (t->root && r.left > 0) {
        if (unpack_file(t, &r) == 0)
            continue;
        free(t->root);
        t->root = NULL;
    }
    if (!t->root) {
        err_set(err, ERR_INVALID, "a packed tree of %zu bytes is broken", n);
        tree_delete(t);
        return NULL;
    }
    set_version(t);
    return t;
}

void tree_delete(struct tree *t) {
    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++) {
        free(t->files[i].path);
        free(t->files[i].bytes);
    }
    free(t->files);
    free(t->root);
    free(t);
}
