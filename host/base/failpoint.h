/* SPDX-License-Identifier: MIT */
/* failpoint - faults on purpose, at named steps of a message's life. The steps exist only where
 * RBF_FAILPOINTS is defined (the program rbf-fault, built with the tests): elsewhere FAILPOINT() is
 * false and costs nothing. Which of them act is said by the environment:
 *
 *   RBF_FAILPOINT=tx.before_commit:kill#3,outbox.stored:delay=50@0.01
 *
 * A step has its own name; the subject of an operation (jobs.users.create) is the step before each
 * of its statements. name:act, with #N the N-th time only, with @P with probability P each time,
 * else always. Acts:
 *
 *   kill      SIGKILL to this process
 *   stop      SIGSTOP to this process (somebody must send SIGCONT, or kill it)
 *   delay=MS  the whole process sleeps
 *   error     FAILPOINT() is true: the step is to fail, in a way that its file says
 *
 * RBF_FAILPOINT_SEED makes the probabilities repeatable; each act that happens is written to the
 * file RBF_FAILPOINT_LOG as "name act". Any thread; a malformed RBF_FAILPOINT ends the process. */
#ifndef RBF_FAILPOINT_H
#define RBF_FAILPOINT_H
#include <stdbool.h>

#ifdef RBF_FAILPOINTS
#define FAILPOINT(name) failpoint_hit(name)
#else
#define FAILPOINT(name) false
#endif

bool failpoint_hit(const char *name);
/* Reads the environment again: for tests. */
void failpoint_reset(void);
#endif
