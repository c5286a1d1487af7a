/* SPDX-License-Identifier: MIT */
/* alone - finds the message that kills its worker. A worker's death makes everything it had in hand
 * come again, innocent or not; so a message at its third delivery runs alone: nothing new is
 * pulled, what is in hand ends first, and what still arrives is held back. How often it was begun
 * alone is counted in rbf_suspects before it runs; one that was begun three times and had no end is
 * poison: answered with 500, and a dead letter. Loop thread only. */
#ifndef RBF_ALONE_H
#define RBF_ALONE_H
#include "core/task.h"

struct alone;

struct alone *alone_new(struct host *h) NODISCARD;
/* May t run now? If not it belongs to a until it is its turn: then task_restart or settle takes it.
 */
bool alone_admit(struct alone *a, struct task *t);
/* Somebody runs or will run alone: pull nothing. */
bool alone_wanted(const struct alone *a);
/* t has ended (it is still whole). */
void alone_ended(struct alone *a, struct task *t);
void alone_delete(struct alone *a);
#endif
