/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "ops/statedir.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOCKET_BELOW_HOME "/run/.s.PGSQL.5432"

/* initdb refuses root, and wants a user that has a passwd entry. */
static int choose_user(struct statedir *s, struct err *err) {
    s->uid = geteuid();
    s->gid = getegid();
    if (s->uid != 0)
        return 0;
    struct passwd *pw = getpwnam("postgres");
    if (!pw)
        pw = getpwnam("nobody");
    if (!pw)
        return err_set(err, ERR_CONFIG,
                       "neither user postgres nor nobody exists: PostgreSQL does "
                       "not run as root");
    s->uid = pw->pw_uid;
    s->gid = pw->pw_gid;
    return 0;
}

/* Empty, or used by us before: not some folder that --state-dir names by mistake. */
static bool is_state_folder(const char *path) {
    int entries = 0;
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (strcmp(e->d_name, "lock") == 0) {
            entries = 0;
            break;
        }
        entries += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    }
    if (d)
        closedir(d);
    return d && entries == 0;
}

/* A folder of ours that nobody else can have put there for us. */
static int own_folder(const char *path, struct err *err) {
    struct stat st;
    if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return err_set(err, ERR_SYS, "%s is not a folder", path);
    if (st.st_uid != geteuid())
        return err_set(err, ERR_CONFIG,
                       "%s belongs to another user (uid %d): run as that user, remove it, or "
                       "choose another folder with --state-dir",
                       path, (int)st.st_uid);
    /* The servers' user has to pass through to folders of its own. */
    if (geteuid() == 0 && !(st.st_mode & S_IXOTH) && is_state_folder(path))
        chmod(path, 0711);
    if (st.st_mode & 022)
        return err_set(err, ERR_CONFIG, "%s may be written by others: chmod 700 it", path);
    return 0;
}

/* Creates path if need be and gives its real name; the caller's. */
static char *make_folder(const char *path, struct err *err) {
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        err_set(err, ERR_SYS, "cannot create %s: %s", path, strerror(errno));
        return NULL;
    }
    char *real = realpath(path, NULL);
    if (!real)
        err_set(err, ERR_SYS, "%s: %s", path, strerror(errno));
    return real;
}

static bool servers_can_enter(const struct statedir *s, const char *path) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && s->uid != 0 && (setgid(s->gid) != 0 || setuid(s->uid) != 0))
            _exit(1);
        _exit(chdir(path) == 0 ? 0 : 1);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static int find_home(struct statedir *s, struct err *err) {
    bool fits = strlen(s->path) + sizeof SOCKET_BELOW_HOME <=
                sizeof(((struct sockaddr_un *)NULL)->sun_path);
    if (fits && servers_can_enter(s, s->path)) {
        s->home = xstrdup(s->path);
        return 0;
    }
    char hash[13], elsewhere[64];
    id_hash12(s->path, strlen(s->path), hash);
    snprintf(elsewhere, sizeof elsewhere, "/var/tmp/rbf-%d-%s", (int)geteuid(), hash);
    if (mkdir(elsewhere, 0700) != 0 && errno != EEXIST)
        return err_set(err, ERR_SYS, "cannot create %s: %s", elsewhere, strerror(errno));
    if (own_folder(elsewhere, err) != 0) /* before a link is followed */
        return -1;
    s->home = make_folder(elsewhere, err);
    return s->home ? 0 : -1;
}

static int open_lock(const char *path, int flags) {
    char *file = xasprintf("%s/lock", path);
    int fd = open(file, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    free(file);
    return fd;
}

static pid_t written_pid(int fd) {
    char text[24] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    return n > 0 ? (pid_t)atoi(text) : 0;
}

/* Locks of the open file, not of the process: they can be tested without being taken. */
static int take_lock(struct statedir *s, struct err *err) {
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    s->lock_fd = open_lock(s->path, O_RDWR | O_CREAT);
    if (s->lock_fd < 0)
        return err_set(err, ERR_SYS, "cannot open %s/lock: %s", s->path, strerror(errno));
    if (fcntl(s->lock_fd, F_OFD_SETLK, &whole) != 0)
        return err_set(err, ERR_CONFIG,
                       "rbf dev already runs in %s (pid %d): stop it, or choose another folder "
                       "with --state-dir",
                       s->path, (int)written_pid(s->lock_fd));
    if (ftruncate(s->lock_fd, 0) != 0 || dprintf(s->lock_fd, "%d\n", (int)getpid()) < 0)
        return err_set(err, ERR_SYS, "cannot write %s/lock: %s", s->path, strerror(errno));
    return 0;
}

/* The name for people, the hash for apps of the same name. */
static char *suffix_of(const char *app_dir) {
    char hash[13];
    char *real = app_dir ? realpath(app_dir, NULL) : NULL;
    if (!real)
        return xstrdup("");
    id_hash12(real, strlen(real), hash);
    char *suffix = xasprintf("-%.40s-%.6s", strrchr(real, '/') + 1, hash);
    free(real);
    return suffix;
}

int statedir_open(struct statedir *s, const char *path, const char *app_dir, struct err *err) {
    *s = (struct statedir){.lock_fd = -1, .suffix = suffix_of(app_dir)};
    if (choose_user(s, err) == 0 && (s->path = make_folder(path ? path : ".rbf", err)) &&
        own_folder(s->path, err) == 0 && take_lock(s, err) == 0 && find_home(s, err) == 0)
        return 0;
    statedir_close(s);
    return -1;
}

void statedir_close(struct statedir *s) {
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    free(s->path);
    free(s->home);
    free(s->suffix);
    *s = (struct statedir){.lock_fd = -1};
}

char *statedir_subfolder(const struct statedir *s, const char *name, struct err *err) {
    struct stat st;
    char *path = xasprintf("%s/%s", s->home, name);
    if (mkdir(path, 0700) == 0) {
        if (geteuid() == 0 && chown(path, s->uid, s->gid) != 0)
            goto fail;
    } else if (errno != EEXIST || lstat(path, &st) != 0) {
        goto fail;
    } else if (!S_ISDIR(st.st_mode) || st.st_uid != s->uid) {
        err_set(err, ERR_CONFIG, "%s belongs to another user (uid %d): remove it", path,
                (int)st.st_uid);
        free(path);
        return NULL;
    } else if ((st.st_mode & 077) && chmod(path, 0700) != 0) { /* PostgreSQL insists on it */
        goto fail;
    }
    return path;
fail:
    err_set(err, ERR_SYS, "cannot create %s: %s", path, strerror(errno));
    free(path);
    return NULL;
}

int statedir_file(const struct statedir *s, const char *name, bool fresh, struct err *err) {
    char *path = xasprintf("%s/%s", s->home, name);
    int fd = open(
        path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | (fresh ? O_TRUNC : 0), 0600);
    if (fd >= 0 && geteuid() == 0 && fchown(fd, s->uid, s->gid) != 0) {
        close(fd);
        fd = -1;
    }
    if (fd < 0)
        err_set(err, ERR_SYS, "cannot write %s: %s", path, strerror(errno));
    free(path);
    return fd;
}

pid_t statedir_owner(const char *path) {
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open_lock(path ? path : ".rbf", O_RDWR);
    if (fd < 0)
        return 0;
    bool held = fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    pid_t pid = held ? written_pid(fd) : 0;
    close(fd);
    return pid;
}

static bool proc_link(const char *pid, const char *what, char *target, size_t n) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%.20s/%s", pid, what);
    ssize_t len = readlink(path, target, n - 1);
    target[len < 0 ? 0 : len] = '\0';
    return len > 0;
}

static bool is_orphan(const char *pid, const char *dir, const char *program) {
    char target[PATH_MAX];
    if (!proc_link(pid, "cwd", target, sizeof target) || strcmp(target, dir) != 0)
        return false;
    if (!proc_link(pid, "exe", target, sizeof target))
        return false;
    const char *base = strrchr(target, '/');
    return base && strncmp(base + 1, program, strlen(program)) == 0;
}

/* Signals them all (also those that are stopped); how many there are. */
static int signal_orphans(const char *dir, const char *program, int sig) {
    int n = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *e; proc && (e = readdir(proc));)
        if (atoi(e->d_name) > 1 && is_orphan(e->d_name, dir, program)) {
            kill(atoi(e->d_name), sig);
            kill(atoi(e->d_name), SIGCONT);
            n++;
        }
    if (proc)
        closedir(proc);
    return n;
}

int statedir_end_orphans(const char *dir, const char *program, struct err *err) {
    /* Both servers take SIGINT as "stop now, in order". */
    int n = signal_orphans(dir, program, SIGINT);
    if (n == 0)
        return 0;
    log_warn("ending servers a crashed run left", LOG_S("program", program), LOG_I("processes", n));
    uint64_t start = clock_mono_ms(), waited = 0;
    while ((n = signal_orphans(dir, program, waited > 10000 ? SIGKILL : 0)) > 0 && waited < 15000) {
        usleep(10000);
        waited = clock_mono_ms() - start;
    }
    if (n == 0)
        return 0;
    return err_set(err, ERR_SYS, "%d processes of an earlier %s in %s do not end", n, program, dir);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    return remove(path);
}

void statedir_remove(const char *path) {
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
