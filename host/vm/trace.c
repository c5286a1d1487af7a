/* SPDX-License-Identifier: MIT */
/* trace - places in the app's files: for blame, messages and tracebacks. */
#include "vm/vm.h"
#include <ctype.h>
#include <string.h>

const struct vm_file *trace_file(const struct vm *vm, const char *path) {
    for (size_t i = 0; i < vm->n_files; i++)
        if (!strcmp(vm->files[i].path, path))
            return &vm->files[i];
    return NULL;
}

static const struct vm_file *file_of(const struct vm *vm, const char *source) {
    size_t n = strlen(vm->root);
    if (source[0] != '@')
        return NULL;
    if (vm->extra_file && !strcmp(source + 1, vm->extra_file))
        return trace_file(vm, vm->extra_file);
    if (strncmp(source + 1, vm->root, n) != 0 || source[n + 1] != '/')
        return NULL;
    return trace_file(vm, source + n + 2);
}

const struct vm_file *trace_here(const struct vm *vm, lua_State *L, int *line) {
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        const struct vm_file *f = ar.currentline > 0 ? file_of(vm, ar.source) : NULL;
        if (f) {
            *line = ar.currentline;
            return f;
        }
    }
    return NULL;
}

/* The file whose name stands at s, followed by ':' and a digit. */
static const struct vm_file *file_at(const struct vm *vm, const char *s, bool shown, size_t *len) {
    for (size_t i = 0; i < vm->n_files; i++) {
        const char *name = shown ? vm->files[i].shown : vm->files[i].cut;
        size_t n = strlen(name);
        if (!strncmp(s, name, n) && s[n] == ':' && isdigit((unsigned char)s[n + 1])) {
            *len = n;
            return &vm->files[i];
        }
    }
    return NULL;
}

void trace_pretty(const struct vm *vm, const char *text, struct buf *out) {
    const char *from = text;
    for (const char *s = text; *s; s++) {
        size_t n;
        const struct vm_file *f = *s == '/' || *s == '.' ? file_at(vm, s, false, &n) : NULL;
        if (!f)
            continue;
        buf_put(out, from, (size_t)(s - from));
        buf_puts(out, f->shown);
        from = s + n;
        s = from - 1;
    }
    buf_puts(out, from);
}

bool trace_placed(const struct vm *vm, const char *text) {
    size_t n;
    if (!file_at(vm, text, true, &n))
        return false;
    text += n + 1;
    while (isdigit((unsigned char)*text))
        text++;
    return *text == ':';
}

/* A handler that calls itself without end has tens of thousands of frames, and finding the n-th
 * takes n steps: all of them took a second, and half a megabyte in the dead letter. */
#define MAX_LEVELS 100

void trace_back(const struct vm *vm, lua_State *L, struct buf *out) {
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        if (level == MAX_LEVELS) {
            buf_printf(out, "%s…", out->len ? "\n" : "");
            return;
        }
        lua_getinfo(L, "Snl", &ar);
        const struct vm_file *f = ar.currentline > 0 ? file_of(vm, ar.source) : NULL;
        if (!f)
            continue;
        buf_printf(out, "%s%s:%d: in ", out->len ? "\n" : "", f->shown, ar.currentline);
        if (*ar.what == 'm')
            buf_puts(out, "main chunk");
        else if (ar.name)
            buf_printf(out, "'%s'", ar.name);
        else
            buf_printf(out, "the function at line %d", ar.linedefined);
    }
}
