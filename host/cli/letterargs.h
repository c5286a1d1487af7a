/* SPDX-License-Identifier: MIT */
/* letterargs - which dead letters a command was given, the database that has them, and a bar while
 * it goes through them. Blocking, main thread; what fails is said on standard error. */
#ifndef RBF_LETTERARGS_H
#define RBF_LETTERARGS_H
#include "cli/cli.h"
#include "cli/progress.h"
#include "core/letters.h"

struct letterargs {
    struct letter_choice which; /* borrows the command's words */
    struct pgsync *pg;
    struct progress bar;
};

/* Reads ID, --group FP or --all, opens the database, begins a bar that says `doing`: pointed to by
 * `which`, so *a stays where it is. -1: said, nothing to end. */
int letterargs_begin(struct letterargs *a, struct cli *c, const char *command,
                     const char *doing) NODISCARD;
void letterargs_end(struct letterargs *a);
/* The exit code, where there were none of those. */
int letterargs_none(const struct letterargs *a);
/* The database alone: the caller's; NULL: said. */
struct pgsync *letterargs_open(struct cli *c) NODISCARD;
#endif
