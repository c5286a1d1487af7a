/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/buf.h"
#include "ops/server.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static void make_token(char out[33]) {
    unsigned char raw[16];
    if (getrandom(raw, sizeof raw, 0) != sizeof raw)
        abort();
    for (size_t i = 0; i < sizeof raw; i++)
        snprintf(out + 2 * i, 3, "%02x", raw[i]);
}

static void put_quoted(struct buf *out, const char *key, const char *value) {
    buf_printf(out, "%s: \"", key);
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            buf_putc(out, '\\');
        buf_putc(out, *value);
    }
    buf_puts(out, "\"\n");
}

/* The token is in a file of 0600, never in argv, which everybody can read. */
static int write_conf(const struct server *s, struct err *err) {
    struct buf text = {0};
    int rc = 0, fd = statedir_file(s->dir, "nats.conf", true, err);
    if (fd < 0)
        return -1;
    buf_puts(&text, "host: \"127.0.0.1\"\n");
    put_quoted(&text, "ports_file_dir", s->data);
    buf_printf(&text, "authorization { token: \"%s\" }\njetstream {\n", s->token);
    put_quoted(&text, "store_dir", s->data);
    buf_puts(&text, "}\n");
    if (write(fd, text.p, text.len) != (ssize_t)text.len)
        rc = err_set(err, ERR_SYS, "cannot write %s: %s", s->conf, strerror(errno));
    close(fd);
    buf_free(&text);
    return rc;
}

static char **command(const struct server *s) {
    char **argv = xcalloc(8, sizeof *argv);
    argv[0] = xstrdup(s->exe);
    argv[1] = xstrdup("-c");
    argv[2] = xstrdup(s->conf);
    argv[3] = xstrdup("-p");
    /* Its own choice the first time; the same again later, for clients have the URL. */
    argv[4] = xasprintf("%d", s->port ? s->port : -1);
    return argv;
}

/* {"nats":["nats://127.0.0.1:PORT"]}, which it writes when it listens. */
static int read_port(const struct server *s) {
    int port = 0;
    char *path = xasprintf("%s/nats-server_%d.ports", s->data, (int)s->pid);
    json_t *ports = json_load_file(path, 0, NULL);
    const char *url = json_string_value(json_array_get(json_object_get(ports, "nats"), 0));
    const char *colon = url ? strrchr(url, ':') : NULL;
    if (colon)
        port = atoi(colon + 1);
    json_decref(ports);
    free(path);
    return port;
}

static bool ready(struct server *s) {
    int port = read_port(s);
    if (port <= 0)
        return false;
    s->port = port;
    if (!s->url)
        s->url = xasprintf("nats://%s@127.0.0.1:%d", s->token, port);
    return true;
}

int server_nats_init(struct server *s, const struct statedir *dir, struct err *err) {
    static const char *const more[] = {"/usr/sbin", "/usr/local/bin", "/usr/local/sbin", NULL};
    *s = (struct server){.name = "nats-server",
                         .log = "nats.log",
                         .fatal = "[FTL]",
                         .dir = dir,
                         .start_ms = 30000,
                         .stop_signal = SIGTERM,
                         .stop_ms = 5000,
                         .command = command,
                         .ready = ready};
    int log = statedir_file(dir, s->log, true, err);
    if (log < 0)
        return -1;
    close(log);
    s->exe = server_find("nats-server", more);
    if (!s->exe)
        return err_set(err, ERR_CONFIG, "no nats-server found: apt-get install nats-server");
    char *name = xasprintf("nats%s", dir->suffix);
    s->data = statedir_subfolder(dir, name, err);
    free(name);
    if (!s->data || statedir_end_orphans(s->data, "nats-server", err) != 0)
        return -1;
    s->conf = xasprintf("%s/nats.conf", dir->home);
    make_token(s->token);
    return write_conf(s, err);
}
