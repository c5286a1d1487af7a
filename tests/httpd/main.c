/* SPDX-License-Identifier: MIT */
/* rbf_httpd LOG [CERT KEY] - serves what httpd.h says until it is killed; says its port first, as
 * one line.
 * rbf_httpd release PORT NAME - asks such a server (without TLS) for /release/NAME. */
#include "httpd.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int release(const char *port, const char *name) {
    char text[300];
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(port)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int n = snprintf(text, sizeof text, "GET /release/%s HTTP/1.1\r\n\r\n", name);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) || write(fd, text, (size_t)n) != n ||
        read(fd, text, sizeof text) <= 0) {
        perror("rbf_httpd: release");
        return 1;
    }
    close(fd);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && !strcmp(argv[1], "release"))
        return release(argv[2], argv[3]);
    FILE *log = argc == 2 || argc == 4 ? fopen(argv[1], "a") : NULL;
    if (!log) {
        fprintf(stderr, "rbf_httpd LOG [CERT KEY] | release PORT NAME\n");
        return 1;
    }
    struct httpd *s = httpd_new(argc == 4 ? argv[2] : NULL, argc == 4 ? argv[3] : NULL, log);
    printf("%d\n", httpd_port(s));
    fflush(stdout);
    for (;;)
        pause();
}
