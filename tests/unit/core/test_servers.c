/* SPDX-License-Identifier: MIT */
/* Servers that refuse, and such that never answer; those that do are the functional specs'. */
#include "core/servers.h"
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    uv_loop_t loop;
    struct servers *servers;
    struct config early, late;
    int told;
    struct err err;
    bool connected;
};

static int setup(void **state) {
    struct fixture *f = xcalloc(1, sizeof *f);
    const struct bus_options bus = {0};
    uv_loop_init(&f->loop);
    f->servers = servers_new(&f->loop, RBF_SHARE "/sql", &bus);
    config_init(&f->early);
    config_init(&f->late);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    servers_close(f->servers);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    servers_delete(f->servers);
    config_free(&f->early);
    config_free(&f->late);
    int rc = uv_loop_close(&f->loop);
    free(f);
    return rc;
}

static void on_servers(struct bus *bus, const struct err *err, void *arg) {
    struct fixture *f = arg;
    f->told++;
    f->connected = bus != NULL;
    if (err)
        f->err = *err;
}

/* A listener that accepts nothing; its port. */
static int quiet_server(int *fd) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(*fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(*fd, 8), 0);
    assert_int_equal(getsockname(*fd, (struct sockaddr *)&a, &n), 0);
    return ntohs(a.sin_port);
}

static int closed_port(void) {
    int fd, port = quiet_server(&fd);
    close(fd);
    return port;
}

static void set_ports(struct config *c, int database, int nats) {
    char *pg = xasprintf("postgres://u@127.0.0.1:%d/d?sslmode=disable", database);
    char *url = xasprintf("nats://127.0.0.1:%d", nats);
    assert_int_equal(config_set(c, "databaseUrl", pg, CONFIG_FLAG, NULL), 0);
    assert_int_equal(config_set(c, "natsUrl", url, CONFIG_FLAG, NULL), 0);
    free(pg);
    free(url);
}

static void assert_names(const struct fixture *f, int port) {
    char text[16];
    snprintf(text, sizeof text, "%d", port);
    assert_int_equal(f->told, 1);
    assert_false(f->connected);
    if (!strstr(f->err.msg, text))
        fail_msg("'%s' does not name port %d", f->err.msg, port);
}

static void a_refusal_is_told_when_it_is_asked_for(void **state) {
    struct fixture *f = *state;
    int database = closed_port();
    set_ports(&f->early, database, closed_port());
    servers_begin(f->servers, &f->early);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->told, 0);
    servers_take(f->servers, &f->early, on_servers, f);
    assert_names(f, database);
}

static void what_main_lua_says_counts(void **state) {
    struct fixture *f = *state;
    int database = closed_port();
    set_ports(&f->early, closed_port(), closed_port());
    set_ports(&f->late, database, closed_port());
    servers_begin(f->servers, &f->early);
    servers_take(f->servers, &f->late, on_servers, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_names(f, database);
}

/* How many have connected, the first of them awaited. */
static int connections(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n = 0, c;
    assert_int_equal(poll(&p, 1, 20000), 1);
    for (; (c = accept(fd, NULL, NULL)) >= 0; n++)
        close(c);
    return n;
}

static void what_was_begun_is_what_is_taken(void **state) {
    struct fixture *f = *state;
    int pg, nats, database = quiet_server(&pg);
    set_ports(&f->early, database, quiet_server(&nats));
    servers_begin(f->servers, &f->early);
    servers_begin(f->servers, &f->early);
    servers_take(f->servers, &f->early, on_servers, f);
    assert_int_equal(connections(nats), 1); /* and closed */
    assert_int_equal(connections(pg), 1);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_names(f, database);
    struct pollfd p = {.fd = nats, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 0), 0);
    close(nats);
    close(pg);
}

static void what_failed_is_tried_again(void **state) {
    struct fixture *f = *state;
    set_ports(&f->early, closed_port(), closed_port());
    servers_begin(f->servers, &f->early);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    servers_begin(f->servers, &f->early);
    assert_false(servers_close(f->servers));
}

static void nobody_is_called_after_the_close(void **state) {
    struct fixture *f = *state;
    int pg, nats, database = quiet_server(&pg);
    set_ports(&f->early, database, quiet_server(&nats));
    servers_take(f->servers, &f->early, on_servers, f);
    assert_false(servers_close(f->servers));
    close(nats);
    close(pg);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->told, 0);
    assert_true(servers_close(f->servers));
}

static void without_both_urls_nothing_is_begun(void **state) {
    struct fixture *f = *state;
    set_ports(&f->early, closed_port(), closed_port());
    config_forget(&f->early, "natsUrl");
    servers_begin(f->servers, &f->early);
    assert_true(servers_close(f->servers));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_refusal_is_told_when_it_is_asked_for), TEST(what_main_lua_says_counts),
        TEST(what_was_begun_is_what_is_taken),        TEST(what_failed_is_tried_again),
        TEST(nobody_is_called_after_the_close),       TEST(without_both_urls_nothing_is_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
