/* SPDX-License-Identifier: MIT */
/* rbf_httpd LOG [CERT KEY] - serves what httpd.h says until it is killed; says its port first, as
 * one line. */
#include "httpd.h"
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    FILE *log = argc == 2 || argc == 4 ? fopen(argv[1], "a") : NULL;
    if (!log) {
        fprintf(stderr, "rbf_httpd LOG [CERT KEY]\n");
        return 1;
    }
    struct httpd *s = httpd_new(argc == 4 ? argv[2] : NULL, argc == 4 ? argv[3] : NULL, log);
    printf("%d\n", httpd_port(s));
    fflush(stdout);
    for (;;)
        pause();
}
