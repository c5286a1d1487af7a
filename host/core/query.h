/* SPDX-License-Identifier: MIT */
/* query - the life of a query: REPEATABLE READ READ ONLY, begun with its first statement, answered
 * before COMMIT, stored nowhere. Run again for 40001 and lost connections only. Loop thread only.
 */
#ifndef RBF_QUERY_H
#define RBF_QUERY_H
#include "core/task.h"

void query_run(struct task *t);
#endif
