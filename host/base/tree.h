/* SPDX-License-Identifier: MIT */
/* tree - the bytes of an app: every Lua file below a folder, read once, so that all workers, and
 * restarted ones, run exactly the same code whatever is on disk by then. Any thread. */
#ifndef RBF_TREE_H
#define RBF_TREE_H
#include "base/buf.h"

struct tree_file {
    char *path; /* below the folder, '/' between parts: "users.lua", "mail/send.lua" */
    char *bytes;
    size_t len;
};

struct tree {
    char *root; /* the folder, absolute: for messages (root/path is what the user opens) */
    struct tree_file *files; /* sorted by path */
    size_t n;
    char version[13]; /* id_hash12 over paths, lengths and bytes: the code_version */
};

/* Reads *.lua below dir, except *_spec.lua and the folders spec/, migrations/ and dot folders.
 * NULL with err when dir cannot be read or holds no Lua file (says so, and what to do).
 * Files that vanish while reading are skipped (an editor's rename). */
struct tree *tree_read(const char *dir, struct err *err) NODISCARD;
/* The same with what specs are made of: *_spec.lua and the folders spec/. */
struct tree *tree_read_with_specs(const char *dir, struct err *err) NODISCARD;
/* One file by path; NULL when it is not there. Borrowed. */
const struct tree_file *tree_find(const struct tree *t, const char *path);
void tree_pack(const struct tree *t, struct buf *out);
struct tree *tree_unpack(const void *bytes, size_t n, struct err *err) NODISCARD;
void tree_delete(struct tree *t); /* NULL is allowed */
#endif
