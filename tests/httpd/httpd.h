/* SPDX-License-Identifier: MIT */
/* httpd - an HTTP server for tests, on 127.0.0.1, a thread for each connection. What it answers
 * depends on the path alone:
 *   /echo              the request's body, its type, its method as X-Method
 *   /status/N          N, without a body
 *   /bytes/N           N times 'x'
 *   /endless           chunks until the client goes
 *   /headers           X-One twice, Set-Cookie twice
 *   /wide              headers without end
 *   /gzip/PATH         the file PATH (absolute), Content-Encoding: gzip
 *   /redirect/N        a chain of N redirects (302), then "landed"
 *   /to/STATUS/URL     STATUS, Location: URL
 *   /hold/NAME         nothing until /release/NAME was asked for, then "released"
 *   /release/NAME      "released"
 *   /barrier/NAME/N    nothing until N requests wait there
 *   /drop              closes the connection
 *   /half              half of what Content-Length says, then closes
 *   /garbage           no HTTP
 * Each request is a line of the log before it is answered: number of the connection, method, path
 * and each "Name: value", joined by tabs. */
#ifndef RBF_TEST_HTTPD_H
#define RBF_TEST_HTTPD_H
#include <stdio.h>

struct httpd;
/* cert and key: PEM files, or NULL: plain HTTP. log is written to, flushed after each line, not
 * closed. Exits with a message when it cannot. */
struct httpd *httpd_new(const char *cert, const char *key, FILE *log);
int httpd_port(const struct httpd *s);
void httpd_release(struct httpd *s, const char *name); /* as /release/NAME does */
/* How many requests for path have come. */
int httpd_asked(struct httpd *s, const char *path);
void httpd_delete(struct httpd *s); /* lets go of what is held, waits for its threads */
#endif
