/* SPDX-License-Identifier: MIT */
/* PostgreSQL over TLS, by the URL alone (sslmode, sslrootcert, sslcert, sslkey), with SCRAM
 * passwords: both ways to connect, what a refusal says, large flights, and the pool's reconnect. */
#include "pg/pgpool.h"
#include "pg/pgsync.h"
#include "pgtest.h"
#include <arpa/inet.h>

static char certs[64], port[16], port_setting[24];

static int free_port(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&a, n) != 0 || getsockname(fd, (struct sockaddr *)&a, &n) != 0)
        pgserver_fail("no free port");
    close(fd);
    return ntohs(a.sin_port);
}

/* with: who is let in by TCP, and how, as pg_hba.conf says it. */
static void let_in(const char *with) {
    char path[128];
    snprintf(path, sizeof path, "%s/data/pg_hba.conf", server.dir);
    FILE *f = fopen(path, "w");
    fprintf(f, "local all postgres trust\n%s\n", with);
    fclose(f);
}

static void run_with(const char *certificate) {
    static char cert[128], key[128], ca[128];
    snprintf(cert, sizeof cert, "ssl_cert_file=%s/%s.pem", certs, certificate ? certificate : "");
    snprintf(key, sizeof key, "ssl_key_file=%s/%s.key", certs, certificate ? certificate : "");
    snprintf(ca, sizeof ca, "ssl_ca_file=%s/ca.pem", certs);
    const char *more[] = {"-c", "listen_addresses=127.0.0.1",
                          "-c", port_setting,
                          "-c", "ssl=on",
                          "-c", cert,
                          "-c", key,
                          "-c", ca,
                          NULL};
    memcpy(server.more, more, sizeof more);
    if (!certificate)
        server.more[4] = NULL;
    pgserver_halt(&server);
    pgserver_run(&server);
}

/* user me, by TCP. */
static const char *url_of(const char *host, const char *password, const char *rest) {
    static char url[512];
    snprintf(url, sizeof url, "postgresql://me:%s@%s:%s/postgres?%s", password, host, port, rest);
    return url;
}

static const char *ca(const char *mode, const char *name) {
    static char rest[200];
    snprintf(rest, sizeof rest, "sslmode=%s&sslrootcert=%s/%s.pem", mode, certs, name);
    return rest;
}

/* Both ways to connect say the same. */
static void refused(const char *url, int n, ...) {
    struct opened o = {0};
    struct err err = {0};
    va_list ap;
    struct pgconn *c = pgconn_new(&loop, url, 20000, on_opened, &o);
    assert_true(run_until(&o.done, 30000));
    assert_true(pgconn_dead(c));
    pgconn_delete(c);
    run_for(1);
    assert_null(pgsync_open(url, &err));
    print_message("    %s\n", o.err.msg);
    va_start(ap, n);
    for (int i = 0; i < n; i++) {
        const char *part = va_arg(ap, const char *);
        if (!strstr(o.err.msg, part) || !strstr(err.msg, part))
            fail_msg("expected '%s' in: %s", part, o.err.msg);
    }
    va_end(ap);
    assert_null(strchr(o.err.msg, '\n'));
    assert_null(strstr(o.err.msg, "secret"));
    assert_null(strstr(err.msg, "secret"));
}

static void verifies_and_encrypts(void **state) {
    static const char ssl[] = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    static const char *const hosts[] = {"localhost", "127.0.0.1"};
    run_with("server");
    for (size_t i = 0; i < 2; i++) {
        const char *url = url_of(hosts[i], "secret", ca("verify-full", "ca"));
        struct pgconn *c = open_conn(url);
        assert_string_equal(ask(c, ssl)->value, "t");
        pgconn_delete(c);
        struct err err;
        struct pgsync *s = pgsync_open(url, &err);
        if (!s)
            fail_msg("%s", err.msg);
        struct pgres *r = pgsync_query(s, ssl, 0, NULL, &err);
        assert_string_equal(pgres_value(r, 0, 0, NULL), "t");
        pgsync_free(r);
        pgsync_close(s);
    }
    run_for(1);
}

static void refusals_say_what_to_do(void **state) {
    run_with("server");
    refused(url_of("localhost", "secret", ca("verify-full", "other")), 2,
            "certificate verify failed", "sslrootcert=FILE");
    refused(url_of("localhost", "secret", ca("verify-full", "none")), 2, "does not exist",
            "sslrootcert=FILE");
    refused(url_of("localhost", "secret", "sslmode=disable"), 2, "no encryption", "verify-full");
    refused(url_of("localhost", "secretwrong", ca("verify-full", "ca")), 2,
            "password authentication failed", "check user and password");
    run_with("elsewhere");
    refused(url_of("localhost", "secret", ca("verify-full", "ca")), 2, "does not match host name",
            "the name the certificate bears");
    refused(url_of("localhost", "secret", ca("verify-full", "other")), 1,
            "certificate verify failed"); /* both wrong */
    struct pgconn *c = open_conn(url_of("localhost", "secret", ca("verify-ca", "ca")));
    pgconn_delete(c);
    run_with("expired");
    refused(url_of("localhost", "secret", ca("verify-full", "ca")), 1, "certificate");
    run_with(NULL);
    refused(url_of("localhost", "secret", ca("verify-full", "ca")), 2, "does not support SSL",
            "ssl = on");
}

static void client_certificates(void **state) {
    char rest[400];
    let_in("hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca");
    run_with("server");
    refused(url_of("localhost", "secret", ca("verify-full", "ca")), 2, "valid client certificate",
            "sslcert=FILE");
    snprintf(rest, sizeof rest, "%s&sslcert=%s/client.pem&sslkey=%s/mine.key",
             ca("verify-full", "ca"), certs, certs);
    struct pgconn *c = open_conn(url_of("localhost", "secret", rest));
    pgconn_delete(c);
    run_for(1);
    let_in("hostssl all all 127.0.0.1/32 scram-sha-256");
}

/* More than a TLS record and than the sockets hold, both ways. */
static void large_flights(void **state) {
    run_with("server");
    struct pgconn *c = open_conn(url_of("localhost", "secret", ca("verify-full", "ca")));
    size_t n = 12 * 1000 * 1000;
    char *big = malloc(n + 1);
    memset(big, 'x', n);
    big[n] = '\0';
    const char *params[] = {big};
    for (int round = 0; round < 3; round++) {
        pgconn_add(c, "SELECT length($1::text)", 1, params, 0);
        pgconn_add(c, "SELECT repeat('y', 8000) FROM generate_series(1, 2000)", 0, NULL, 0);
        struct landed *l = fly(c);
        assert_int_equal(l->lost.kind, ERR_NONE);
        assert_string_equal(l->r[0].value, "12000000");
        assert_int_equal(l->r[1].rows, 2000);
    }
    free(big);
    pgconn_delete(c);
    run_for(1);
}

struct lent {
    struct pgpool_waiter w;
    bool done;
    struct pgconn *conn;
    struct err err;
};

static void on_lent(struct pgconn *c, const struct err *err, void *arg) {
    struct lent *l = arg;
    l->done = true;
    l->conn = c;
    if (err)
        l->err = *err;
}

static void pool_works(struct pgpool *pool) {
    struct lent l = {0};
    pgpool_acquire(pool, &l.w, 0, on_lent, &l);
    assert_true(run_until(&l.done, 20000));
    assert_string_equal(l.err.msg, "");
    assert_string_equal(ask(l.conn, "SELECT 7")->value, "7");
    pgpool_release(pool, l.conn);
}

static void on_change(bool up, void *arg) {
    *(bool *)arg = !up;
}

static void pool_reconnects(void **state) {
    bool down = false;
    run_with("server");
    struct pgpool *pool =
        pgpool_new(&loop, url_of("localhost", "secret", ca("verify-full", "ca")), 2);
    pgpool_on_change(pool, on_change, &down);
    pool_works(pool);
    run_with("server"); /* a restart */
    run_for(1);         /* it is seen */
    pool_works(pool);
    /* It comes back as somebody else, in two ways; then as itself. */
    static const char *const wrong[] = {"foreign", "elsewhere"};
    for (int i = 0; i < 2; i++) {
        struct lent l = {0};
        run_with(wrong[i]);
        assert_true(run_until(&down, 30000));
        pgpool_acquire(pool, &l.w, clock_mono_ms() + 1500, on_lent, &l);
        assert_true(run_until(&l.done, 30000));
        assert_null(l.conn);
        assert_false(pgpool_up(pool));
    }
    run_with("server");
    pool_works(pool);
    assert_true(pgpool_up(pool));
    /* Waits for the process's end: its row there goes before its connection. */
    assert_string_equal(
        pgserver_sql(&server, "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE "
                              "application_name = 'rbf'"),
        "t");
    run_for(1);
    pool_works(pool);
    pgpool_delete(pool);
    run_for(1);
}

static int start(void **state) {
    char command[512];
    struct passwd *pw = getuid() == 0 ? getpwnam("postgres") : NULL;
    start_server(state);
    snprintf(certs, sizeof certs, "%s/certs", server.dir);
    snprintf(command, sizeof command,
             "mkdir %s && cd %s && %s/tests/certs/make . && cp client.key mine.key && chmod 755 . "
             "&& chown %s server.key elsewhere.key expired.key foreign.key",
             certs, certs, RBF_SHARE, pw ? pw->pw_name : "$(id -un)");
    if (system(command) != 0 || chmod(server.dir, 0755) != 0)
        return -1;
    snprintf(port, sizeof port, "%d", free_port());
    snprintf(port_setting, sizeof port_setting, "port=%s", port);
    snprintf(server.url + strlen(server.url), sizeof server.url - strlen(server.url), "&port=%s",
             port);
    let_in("hostssl all all 127.0.0.1/32 scram-sha-256");
    run_with("server");
    pgserver_sql(&server, "CREATE ROLE me LOGIN PASSWORD 'secret'");
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verifies_and_encrypts), cmocka_unit_test(refusals_say_what_to_do),
        cmocka_unit_test(client_certificates),   cmocka_unit_test(large_flights),
        cmocka_unit_test(pool_reconnects),
    };
    return cmocka_run_group_tests(tests, start, stop_server);
}
