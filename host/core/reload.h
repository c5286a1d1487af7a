/* SPDX-License-Identifier: MIT */
/* reload - generations in a worker: built on a thread, off the request path, kept beside the live
 * one until the supervisor says that every worker has it. Loop thread only. */
#ifndef RBF_RELOAD_H
#define RBF_RELOAD_H
#include "base/err.h"
#include "vm/gen.h"
#include <uv.h>

struct reload;
/* g is NULL with err when the files were refused; else it is kept in r for reload_take. */
typedef void (*reload_cb)(uint32_t number, const struct gen *g, const struct err *err, void *arg);
struct reload *reload_new(uv_loop_t *loop, const char *lua_dir, reload_cb cb, void *arg) NODISCARD;
/* Builds the packed tree's generation; cb comes later. One at a time: a new one replaces what was
 * kept. */
void reload_prepare(struct reload *r, uint32_t number, const void *packed, size_t n);
/* The kept generation of that number with its reference, or NULL. Its state will be closed on a
 * thread, too: gen_bury(g, NULL, NULL) before the last reference goes after the loop has ended. */
struct gen *reload_take(struct reload *r, uint32_t number) NODISCARD;
/* Builds the generation that was taken last once more; cb as for reload_prepare. False: another
 * is being built, or waits to go live. */
bool reload_renew(struct reload *r);
void reload_drop(struct reload *r);
/* A build under way ends first, in the background. */
void reload_delete(struct reload *r);
#endif
