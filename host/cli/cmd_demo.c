/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The tour is a shell script of `rbf` commands, so that what it shows can be retyped. */
int cmd_demo(struct cli *c) {
    char exe[PATH_MAX], script[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n < 0)
        return cli_fail("cannot find my own program: %s", strerror(errno));
    exe[n] = 0;
    snprintf(script, sizeof script, "%s/examples/demo.sh", c->share);
    setenv("RBF_BIN", exe, 1);
    setenv("RBF_SHARE", c->share, 1);
    execl("/bin/sh", "sh", script, (char *)NULL);
    return cli_fail("cannot run %s: %s", script, strerror(errno));
}
