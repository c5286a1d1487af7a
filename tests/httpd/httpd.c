/* SPDX-License-Identifier: MIT */
#include "httpd.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define MANY 1000

struct name { /* a path, how often it was asked for; a held name, is it released? */
    char text[200];
    int n;
};

struct httpd {
    int listener, port, n_conns, alive;
    SSL_CTX *tls;
    FILE *log;
    bool stopping;
    int fds[MANY]; /* of living connections; 0: none */
    struct name names[MANY];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

struct conn {
    struct httpd *s;
    int fd, number;
    SSL *ssl;
    char in[65536];
    size_t len;
    /* the request */
    char method[16], path[4096], type[200], line[60000];
    char *body;
    size_t body_len;
};

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* ---- names: under the lock ---- */

static struct name *name_of(struct httpd *s, const char *kind, const char *text) {
    char full[200];
    snprintf(full, sizeof full, "%s%s", kind, text);
    for (int i = 0; i < MANY; i++) {
        if (!strcmp(s->names[i].text, full))
            return &s->names[i];
        if (!*s->names[i].text) {
            strcpy(s->names[i].text, full);
            return &s->names[i];
        }
    }
    die("too many names");
    return NULL;
}

static int add(struct httpd *s, const char *kind, const char *text, int by) {
    pthread_mutex_lock(&s->lock);
    int n = name_of(s, kind, text)->n += by;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return n;
}

static void await(struct httpd *s, const char *kind, const char *text, int n) {
    pthread_mutex_lock(&s->lock);
    while (name_of(s, kind, text)->n < n && !s->stopping)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void httpd_release(struct httpd *s, const char *name) {
    add(s, "held ", name, 1);
}

int httpd_asked(struct httpd *s, const char *path) {
    return add(s, "path ", path, 0);
}

/* ---- bytes ---- */

static long get(struct conn *c, char *p, size_t n) {
    return c->ssl ? SSL_read(c->ssl, p, (int)n) : recv(c->fd, p, n, 0);
}

static bool put(struct conn *c, const char *p, size_t n) {
    while (n > 0) {
        long done = c->ssl ? SSL_write(c->ssl, p, (int)n) : send(c->fd, p, n, MSG_NOSIGNAL);
        if (done <= 0)
            return false;
        p += done;
        n -= (size_t)done;
    }
    return true;
}

static bool say(struct conn *c, const char *fmt, ...) {
    char text[8192];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return put(c, text, (size_t)n);
}

static bool answer(struct conn *c, int status, const char *headers, const char *body, size_t n) {
    return say(c, "HTTP/1.1 %d Test\r\n%sContent-Length: %zu\r\n\r\n", status, headers, n) &&
           (!strcmp(c->method, "HEAD") || put(c, body, n));
}

/* ---- requests ---- */

/* Until the empty line; 0 when the connection ended. Its length. */
static size_t read_head(struct conn *c) {
    for (;;) {
        c->in[c->len] = 0;
        char *end = strstr(c->in, "\r\n\r\n");
        if (end)
            return (size_t)(end - c->in) + 4;
        long n = c->len < sizeof c->in - 1 ? get(c, c->in + c->len, sizeof c->in - 1 - c->len) : 0;
        if (n <= 0 || c->in[0] == 0x16) /* a TLS hello where none is spoken */
            return 0;
        c->len += (size_t)n;
    }
}

static bool read_body(struct conn *c, size_t head, size_t length) {
    size_t have = c->len - head < length ? c->len - head : length;
    free(c->body);
    c->body = malloc(length + 1);
    memcpy(c->body, c->in + head, have);
    memmove(c->in, c->in + head + have, c->len - head - have);
    c->len -= head + have;
    for (c->body_len = length; have < length;) {
        long n = get(c, c->body + have, length - have);
        if (n <= 0)
            return false;
        have += (size_t)n;
    }
    return true;
}

static bool read_request(struct conn *c) {
    size_t head = read_head(c), length = 0, at = 0;
    if (!head)
        return false;
    c->type[0] = 0;
    c->in[head - 2] = 0;
    char *save, *line = strtok_r(c->in, "\r\n", &save);
    sscanf(line, "%15s %4095s", c->method, c->path);
    at += (size_t)snprintf(c->line, sizeof c->line, "%d\t%s\t%s", c->number, c->method, c->path);
    while ((line = strtok_r(NULL, "\r\n", &save))) {
        at += (size_t)snprintf(c->line + at, sizeof c->line - at, "\t%s", line);
        if (!strncasecmp(line, "Content-Length:", 15))
            length = strtoul(line + 15, NULL, 10);
        if (!strncasecmp(line, "Content-Type:", 13))
            snprintf(c->type, sizeof c->type, "%.190s", line + 14);
    }
    return read_body(c, head, length);
}

static void log_request(struct conn *c) {
    flockfile(c->s->log);
    fprintf(c->s->log, "%s\n", c->line);
    fflush(c->s->log);
    funlockfile(c->s->log);
    add(c->s, "path ", c->path, 1);
}

/* ---- answers ---- */

static bool echo(struct conn *c) {
    char headers[300];
    snprintf(headers, sizeof headers, "X-Method: %s\r\nContent-Type: %s\r\n", c->method,
             *c->type ? c->type : "none");
    return answer(c, 200, headers, c->body, c->body_len);
}

static bool send_bytes(struct conn *c, size_t n) {
    char *bytes = malloc(n + 1);
    memset(bytes, 'x', n);
    bool ok = answer(c, 200, "", bytes, n);
    free(bytes);
    return ok;
}

static bool send_endless(struct conn *c) {
    bool ok = say(c, "HTTP/1.1 200 Test\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (ok)
        ok = say(c, "10\r\n0123456789abcdef\r\n");
    return false;
}

static bool send_wide(struct conn *c) {
    bool ok = say(c, "HTTP/1.1 200 Test\r\n");
    for (long i = 0; ok; i++)
        ok = say(c, "X-%ld: 0123456789abcdef0123456789abcdef\r\n", i);
    return false;
}

static bool send_gzip(struct conn *c, const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f)
        return answer(c, 404, "", "", 0);
    fseek(f, 0, SEEK_END);
    size_t n = (size_t)ftell(f);
    rewind(f);
    char *bytes = malloc(n + 1);
    n = fread(bytes, 1, n, f);
    fclose(f);
    bool ok = answer(c, 200, "Content-Encoding: gzip\r\n", bytes, n);
    free(bytes);
    return ok;
}

static bool redirect(struct conn *c, int status, const char *to) {
    char headers[4200];
    snprintf(headers, sizeof headers, "Location: %s\r\n", to);
    return answer(c, status, headers, "", 0);
}

static bool chain(struct conn *c, int n) {
    char to[40];
    snprintf(to, sizeof to, "/redirect/%d", n - 1);
    return n > 0 ? redirect(c, 302, to) : answer(c, 200, "", "landed", 6);
}

static bool barrier(struct conn *c, const char *rest) {
    char name[100];
    int n = 0;
    sscanf(rest, "%99[^/]/%d", name, &n);
    add(c->s, "barrier ", name, 1);
    await(c->s, "barrier ", name, n);
    return answer(c, 200, "", "together", 8);
}

static bool hold(struct conn *c, const char *name) {
    await(c->s, "held ", name, 1);
    return answer(c, 200, "", "released", 8);
}

/* Behind the prefix, when path begins with it. */
static const char *after(const char *path, const char *prefix) {
    size_t n = strlen(prefix);
    return strncmp(path, prefix, n) ? NULL : path + n;
}

/* False: the connection ends. */
static bool respond(struct conn *c) {
    const char *rest, *slash;
    if (after(c->path, "/echo"))
        return echo(c);
    if ((rest = after(c->path, "/status/")))
        return answer(c, atoi(rest), "", "", 0);
    if ((rest = after(c->path, "/bytes/")))
        return send_bytes(c, strtoul(rest, NULL, 10));
    if (after(c->path, "/endless"))
        return send_endless(c);
    if (after(c->path, "/headers"))
        return answer(c, 200, "X-One: 1\r\nx-one:  2 \r\nSet-Cookie: a=1, b\r\nSet-Cookie: c=2\r\n",
                      "", 0);
    if (after(c->path, "/wide"))
        return send_wide(c);
    if ((rest = after(c->path, "/gzip/")))
        return send_gzip(c, rest - 1);
    if ((rest = after(c->path, "/redirect/")))
        return chain(c, atoi(rest));
    if ((rest = after(c->path, "/to/")) && (slash = strchr(rest, '/')))
        return redirect(c, atoi(rest), slash + 1);
    if ((rest = after(c->path, "/hold/")))
        return hold(c, rest);
    if ((rest = after(c->path, "/release/"))) {
        httpd_release(c->s, rest);
        return answer(c, 200, "", "released", 8);
    }
    if ((rest = after(c->path, "/barrier/")))
        return barrier(c, rest);
    if (after(c->path, "/half"))
        say(c, "HTTP/1.1 200 Test\r\nContent-Length: 20\r\n\r\n0123456789");
    else if (after(c->path, "/garbage"))
        say(c, "SSH-2.0-Nonsense\r\n");
    else if (!after(c->path, "/drop"))
        return answer(c, 404, "", "", 0);
    return false;
}

/* ---- connections ---- */

static void serve(struct conn *c) {
    if (c->s->tls) {
        c->ssl = SSL_new(c->s->tls);
        SSL_set_fd(c->ssl, c->fd);
        if (SSL_accept(c->ssl) <= 0)
            return;
    }
    do {
        if (!read_request(c))
            return;
        log_request(c);
    } while (respond(c));
}

static void *conn_main(void *arg) {
    struct conn *c = arg;
    struct httpd *s = c->s;
    serve(c);
    SSL_free(c->ssl);
    pthread_mutex_lock(&s->lock);
    s->fds[c->number] = 0;
    close(c->fd);
    s->alive--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    free(c->body);
    free(c);
    return NULL;
}

static void accept_one(struct httpd *s, int fd) {
    pthread_t thread;
    struct conn *c = calloc(1, sizeof *c);
    int on = 1; /* head and body are two writes: the second would wait for an ACK */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->s = s;
    c->fd = fd;
    pthread_mutex_lock(&s->lock);
    c->number = ++s->n_conns % MANY;
    s->fds[c->number] = fd;
    s->alive++;
    pthread_mutex_unlock(&s->lock);
    if (pthread_create(&thread, NULL, conn_main, c))
        die("pthread_create");
    pthread_detach(thread);
}

static void *accept_main(void *arg) {
    struct httpd *s = arg;
    for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0;)
        accept_one(s, fd);
    return NULL;
}

static void set_tls(struct httpd *s, const char *cert, const char *key) {
    s->tls = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(s->tls, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(s->tls, key, SSL_FILETYPE_PEM) != 1)
        die("certificate");
}

struct httpd *httpd_new(const char *cert, const char *key, FILE *log) {
    struct httpd *s = calloc(1, sizeof *s);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    signal(SIGPIPE, SIG_IGN);
    s->log = log;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    if (cert)
        set_tls(s, cert, key);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(s->listener, (struct sockaddr *)&at, len) || listen(s->listener, 512) ||
        getsockname(s->listener, (struct sockaddr *)&at, &len))
        die("listen");
    s->port = ntohs(at.sin_port);
    if (pthread_create(&s->thread, NULL, accept_main, s))
        die("pthread_create");
    return s;
}

int httpd_port(const struct httpd *s) {
    return s->port;
}

void httpd_delete(struct httpd *s) {
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->changed);
    for (int i = 0; i < MANY; i++)
        if (s->fds[i])
            shutdown(s->fds[i], SHUT_RDWR);
    while (s->alive)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
    SSL_CTX_free(s->tls);
    free(s);
}
