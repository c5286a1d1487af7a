/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ops/child.h"
#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void reset_signals(void) {
    sigset_t none;
    sigemptyset(&none);
    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int become(const struct child_spec *s) {
    if (geteuid() == 0 && s->uid != 0)
        return setgroups(0, NULL) || setgid(s->gid) || setuid(s->uid) ? -1 : 0;
    return 0;
}

static int arrange_files(const struct child_spec *s) {
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, 0) < 0)
        return -1;
    if (s->out_fd >= 0 && (dup2(s->out_fd, 1) < 0 || dup2(s->out_fd, 2) < 0))
        return -1;
    /* Not dup2 when it is 3 already: that would keep close-on-exec set. */
    if (s->ctl_fd == 3)
        return fcntl(3, F_SETFD, 0);
    return s->ctl_fd < 0 ? 0 : dup2(s->ctl_fd, 3) < 0 ? -1 : 0;
}

/* In the child, only calls that are safe after fork. The order matters: the death signal is
 * forgotten when the user changes, and a parent that died before it was set is never noticed. */
static void run_child(const struct child_spec *s, pid_t parent, int report) {
    setpgid(0, 0);
    umask(077);
    bool ok = become(s) == 0 && prctl(PR_SET_PDEATHSIG, s->death_signal) == 0;
    if (getppid() != parent)
        _exit(127);
    ok = ok && (!s->dir || chdir(s->dir) == 0) && arrange_files(s) == 0;
    if (ok) {
        close_range(s->ctl_fd < 0 ? 3 : 4, ~0U, CLOSE_RANGE_CLOEXEC);
        reset_signals();
        const char *exe = s->exe ? s->exe : s->argv[0];
        execve(exe, (char *const *)s->argv, s->env ? (char *const *)s->env : environ);
    }
    int e = errno;
    ssize_t ignored = write(report, &e, sizeof e);
    (void)ignored;
    _exit(127);
}

/* A pipe whose ends lie above file 3, which the child may need for itself. */
static int report_pipe(int fds[2]) {
    int raw[2];
    if (pipe2(raw, O_CLOEXEC) != 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        fds[i] = fcntl(raw[i], F_DUPFD_CLOEXEC, 10);
        close(raw[i]);
    }
    return fds[0] < 0 || fds[1] < 0 ? -1 : 0;
}

int child_start(const struct child_spec *spec, pid_t *pid, struct err *err) {
    int report[2], failure = 0;
    sigset_t all, before;
    pid_t parent = getpid();
    if (report_pipe(report) != 0)
        return err_set(err, ERR_SYS, "pipe: %s", strerror(errno));
    /* A signal between fork and exec would run our handlers in the child. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    *pid = fork();
    if (*pid == 0)
        run_child(spec, parent, report[1]);
    int fork_errno = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    if (*pid < 0) {
        close(report[0]);
        return err_set(err, ERR_SYS, "fork: %s", strerror(fork_errno));
    }
    ssize_t n;
    do
        n = read(report[0], &failure, sizeof failure);
    while (n < 0 && errno == EINTR);
    close(report[0]);
    if (n != sizeof failure)
        return 0;
    waitpid(*pid, NULL, 0);
    *pid = 0;
    return err_set(err, ERR_SYS, "cannot start %s: %s", spec->exe ? spec->exe : spec->argv[0],
                   strerror(failure));
}

bool child_ended(pid_t pid, int *status) {
    int st;
    pid_t r;
    do
        r = waitpid(pid, &st, WNOHANG);
    while (r < 0 && errno == EINTR);
    if (r == 0)
        return false;
    *status = r < 0 ? 0 : st; /* no such child: somebody else reaped it */
    return true;
}

bool child_wait(pid_t pid, int ms, int *status) {
    uint64_t end = clock_mono_ms() + (uint64_t)ms;
    while (!child_ended(pid, status)) {
        if (clock_mono_ms() >= end)
            return false;
        usleep(2000);
    }
    return true;
}

void child_stop(pid_t pid, int sig, int ms) {
    int status;
    kill(pid, sig);
    if (child_wait(pid, ms, &status))
        return;
    kill(pid, SIGKILL);
    child_wait(pid, 5000, &status);
}

void child_describe(int status, char *text, unsigned n) {
    if (WIFSIGNALED(status))
        snprintf(text, n, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text, n, "exit code %d", WEXITSTATUS(status));
}
