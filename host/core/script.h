/* SPDX-License-Identifier: MIT */
/* script - runs one Lua script as a client of an app: in the app's own state, with a loop and NATS,
 * without PostgreSQL, consuming nothing. Blocking: it has a loop of its own. */
#ifndef RBF_SCRIPT_H
#define RBF_SCRIPT_H
#include "base/config.h"
#include "vm/call.h"

/* cfg must name NATS. The exit code the script asked for; 1 with its error in complaint: a line
 * that begins with file:line, then the user's frames, one an indented line. */
int script_run(struct config *cfg, struct gen *g, const struct call_script *s,
               struct buf *complaint);
/* How a script failed, so said. */
void script_complain(struct buf *out, const struct failure *f);
#endif
