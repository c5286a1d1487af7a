/* SPDX-License-Identifier: MIT */
/* NATS over TLS, with a real nats-server: who is let in, what a refusal says, and that reconnects,
 * slow peers and stopped servers are what they are without. */
#define _GNU_SOURCE /* accept4 */
#include "natsproxy.h"
#include "nkeys.h"
#include <stdarg.h>

static struct testloop loop;
static char certs[64]; /* folder of tests/certs/make */

static const char *pem(const char *name) {
    static char at[8][128];
    static int i;
    i = (i + 1) % 8;
    snprintf(at[i], sizeof at[i], "%s/%s", certs, name);
    return at[i];
}

/* ---- servers and connections ---- */

static void use_certificate(struct natsserver *s, const char *name) {
    static char files[2][128];
    snprintf(files[0], sizeof files[0], "--tlscert=%s/%s.pem", certs, name);
    snprintf(files[1], sizeof files[1], "--tlskey=%s/%s.key", certs, name);
    s->extra[0] = "--tls";
    s->extra[1] = files[0];
    s->extra[2] = files[1];
}

/* certificate: NULL for none. more: up to two further arguments. */
static void serve(struct natsserver *s, const char *certificate, const char *more0,
                  const char *more1) {
    memset(s, 0, sizeof *s);
    strcpy(s->dir, "/tmp/rbf-bus-XXXXXX");
    if (!mkdtemp(s->dir))
        exit(1);
    if (certificate)
        use_certificate(s, certificate);
    int n = certificate ? 3 : 0;
    s->extra[n++] = more0;
    s->extra[n] = more0 ? more1 : NULL;
    natsserver_up(s);
}

static void on_closed(const struct err *why, void *arg) {
    ((struct changes *)arg)->closed++;
}

static const char *url_of(const char *scheme, const char *host, int port) {
    static char url[128];
    snprintf(url, sizeof url, "%s://%s:%d", scheme, host, port);
    return url;
}

static struct bus_options trusting(const char *url, struct changes *c) {
    return (struct bus_options){.url = url,
                                .name = "test",
                                .connect_timeout_ms = 20000,
                                .ca_file = pem("ca.pem"),
                                .on_change = on_change,
                                .on_closed = on_closed,
                                .arg = c};
}

static struct bus *open_bus(const struct bus_options *o) {
    struct err err = {0};
    struct bus *b = bus_new(&loop.loop, o, &err);
    if (!b)
        fail_msg("%s", err.msg);
    return b;
}

static void echo(struct bus *b) {
    struct got g = {0};
    struct err err;
    if (!bus_echo(b, 20000, on_got, &g, &err))
        fail_msg("%s", err.msg);
    UNTIL(&loop, 30000, g.calls);
    assert_int_equal(g.kind, ERR_NONE);
}

static void refused(const struct bus_options *o, int n, ...) {
    struct err err = {0};
    va_list ap;
    if (bus_new(&loop.loop, o, &err))
        fail_msg("%s was let in", o->url);
    print_message("    %s\n", err.msg);
    va_start(ap, n);
    for (int i = 0; i < n; i++) {
        const char *part = va_arg(ap, const char *);
        if (!strstr(err.msg, part))
            fail_msg("expected '%s' in: %s", part, err.msg);
    }
    va_end(ap);
    assert_null(strstr(err.msg, "secret"));
    assert_null(strchr(err.msg, '\n'));
    assert_int_equal(err.kind, ERR_CONFIG);
}

static int port_of(const struct natsserver *s) {
    return atoi(s->port);
}

/* ---- who is let in ---- */

static void test_connects(void **state) {
    struct natsserver s;
    struct changes c = {0};
    serve(&s, "server", "--auth=secret", NULL);
    static const char *const hosts[] = {"secret@localhost", "secret@127.0.0.1"};
    for (size_t i = 0; i < 2; i++) {
        struct bus_options o = trusting(url_of("tls", hosts[i], port_of(&s)), &c);
        struct bus *b = open_bus(&o);
        echo(b);
        bus_delete(b);
    }
    /* The CA alone demands TLS, too. */
    struct bus_options o = trusting(url_of("nats", "secret@localhost", port_of(&s)), &c);
    struct bus *b = open_bus(&o);
    echo(b);
    bus_delete(b);
    natsserver_end(&s);
}

static void test_refusals(void **state) {
    struct natsserver s;
    serve(&s, "server", "--auth=secret", NULL);
    struct bus_options o = trusting(url_of("tls", "secret@localhost", port_of(&s)), NULL);
    o.ca_file = NULL;
    refused(&o, 3, "not trusted", "--nats-ca-file", "/CN=test ca");
    o.ca_file = pem("other.pem");
    refused(&o, 2, "not trusted", "--nats-ca-file");
    o.url = url_of("nats", "secret@localhost", port_of(&s));
    o.ca_file = NULL;
    refused(&o, 3, "demands TLS", "tls://", "--nats-ca-file");
    o = trusting(url_of("tls", "secret:wrong@localhost", port_of(&s)), NULL);
    refused(&o, 1, "refused the credentials");
    natsserver_end(&s);

    serve(&s, "elsewhere", NULL, NULL);
    o = trusting(url_of("tls", "secret@localhost", port_of(&s)), NULL);
    refused(&o, 3, "for another name", "expected for localhost", "/CN=test elsewhere");
    o.url = url_of("tls", "127.0.0.1", port_of(&s));
    refused(&o, 2, "for another name", "expected for 127.0.0.1");
    o.ca_file = pem("other.pem"); /* both wrong */
    refused(&o, 1, "not trusted");
    natsserver_end(&s);

    serve(&s, "expired", NULL, NULL);
    o = trusting(url_of("tls", "localhost", port_of(&s)), NULL);
    refused(&o, 2, "not valid now", "expired");
    natsserver_end(&s);

    serve(&s, NULL, NULL, NULL);
    o = trusting(url_of("tls", "secret@localhost", port_of(&s)), NULL);
    refused(&o, 2, "does not demand TLS", "nats://");
    natsserver_end(&s);
}

static void test_client_certificate(void **state) {
    struct natsserver s;
    struct changes c = {0};
    char ca[128];
    snprintf(ca, sizeof ca, "--tlscacert=%s", pem("ca.pem"));
    serve(&s, "server", "--tlsverify", ca);
    struct bus_options o = trusting(url_of("tls", "localhost", port_of(&s)), &c);
    refused(&o, 2, "client certificate", "--nats-cert-file");
    o.cert_file = pem("foreign.pem");
    o.key_file = pem("foreign.key");
    refused(&o, 2, "client certificate", "--nats-cert-file");
    o.cert_file = pem("client.pem");
    o.key_file = pem("client.key");
    struct bus *b = open_bus(&o);
    echo(b);
    bus_delete(b);
    natsserver_end(&s);
}

static void test_files(void **state) {
    struct bus_options o = trusting("tls://localhost:1", NULL);
    o.ca_file = "/no/such/file";
    refused(&o, 2, "/no/such/file", "--nats-ca-file");
    o.ca_file = pem("make");
    refused(&o, 2, "not a file of CA certificates", "--nats-ca-file");
    o.ca_file = pem("ca.pem");
    o.cert_file = pem("client.pem");
    refused(&o, 1, "both --nats-cert-file and --nats-key-file");
    o.key_file = pem("server.key");
    refused(&o, 2, "private key", "--nats-key-file");
    o.cert_file = o.key_file = NULL;
    o.creds_file = "/no/such/creds";
    refused(&o, 2, "/no/such/creds", "--nats-creds-file");
}

static void test_credentials_file(void **state) {
    struct natsserver s;
    struct changes c = {0};
    struct nkeys k;
    char config[128], creds[128];
    snprintf(config, sizeof config, "%s/jwt.conf", certs);
    snprintf(creds, sizeof creds, "%s/user.creds", certs);
    nkeys_make(&k);
    nkeys_write_server(&k, config);
    nkeys_write_creds(&k, creds);
    serve(&s, "server", "-c", config);
    struct bus_options o = trusting(url_of("tls", "localhost", port_of(&s)), &c);
    refused(&o, 2, "refused the credentials", "--nats-creds-file");
    o.creds_file = pem("ca.pem");
    refused(&o, 2, "no user JWT and seed", "--nats-creds-file");
    o.creds_file = creds;
    struct bus *b = open_bus(&o);
    echo(b);
    natsserver_kill(&s);
    UNTIL(&loop, 30000, c.down == 1);
    natsserver_spawn(&s);
    UNTIL(&loop, 10000, c.up == 1); /* a nonce is signed for each connection */
    echo(b);
    bus_delete(b);
    natsserver_end(&s);
    nkeys_free(&k);
}

/* ---- reconnects ---- */

static void await_ms(uint64_t ms) {
    uint64_t end = clock_mono_ms() + ms;
    UNTIL(&loop, ms + 2000, clock_mono_ms() >= end);
}

static void test_server_restarts(void **state) {
    struct natsserver s;
    struct changes c = {0};
    serve(&s, "server", NULL, NULL);
    struct bus_options o = trusting(url_of("tls", "localhost", port_of(&s)), &c);
    struct bus *b = open_bus(&o);
    echo(b);
    testloop_restart(&loop);
    for (int round = 1; round <= 4; round++) {
        struct got request = {0};
        bus_request(b, "nobody.here", NULL, "", 0, 20000, on_got, &request, NULL);
        natsserver_kill(&s);
        UNTIL(&loop, 30000, c.down == round);
        assert_false(bus_up(b));
        assert_int_equal(request.kind, ERR_BUS_DOWN);
        if (round % 2)
            await_ms(round == 1 ? 3000 : 300);
        natsserver_spawn(&s);
        UNTIL(&loop, 30000, c.up == round);
        echo(b);
    }
    assert_int_equal(c.closed, 0);
    print_message("    largest loop gap over four restarts: %d ms\n", (int)loop.gap_ms);
    assert_true(testloop_ran_on(&loop, 500));
    bus_delete(b);
    natsserver_end(&s);
}

/* It comes back as somebody else, by each way there is to be wrong, in both orders; it is let in
 * again when it is itself. */
static void test_server_comes_back_wrong(void **state) {
    static const char *const orders[][3] = {{"foreign", "elsewhere", "expired"},
                                            {"elsewhere", "foreign", NULL}};
    for (int i = 0; i < 2; i++) {
        struct natsserver s;
        struct changes c = {0};
        struct natsproxy proxy; /* counts the attempts */
        serve(&s, "server", NULL, NULL);
        natsproxy_start(&proxy, &s);
        struct bus_options o = trusting(url_of("tls", "localhost", proxy.port), &c);
        struct bus *b = open_bus(&o);
        testloop_restart(&loop);
        for (int k = 0; k < 3 && orders[i][k]; k++) {
            natsserver_kill(&s);
            UNTIL(&loop, 30000, c.down == 1);
            use_certificate(&s, orders[i][k]);
            natsserver_spawn(&s);
            int before = atomic_load(&proxy.connected);
            UNTIL(&loop, 20000, atomic_load(&proxy.connected) >= before + 4);
            assert_int_equal(c.up, 0);
        }
        natsserver_kill(&s);
        use_certificate(&s, "server");
        natsserver_spawn(&s);
        UNTIL(&loop, 10000, c.up == 1);
        echo(b);
        assert_int_equal(c.closed, 0);
        assert_true(testloop_ran_on(&loop, 500));
        bus_delete(b);
        natsproxy_end(&proxy);
        natsserver_end(&s);
    }
}

static void test_connection_cut(void **state) {
    struct natsserver s;
    struct changes c = {0};
    struct natsproxy proxy;
    serve(&s, "server", NULL, NULL);
    natsproxy_start(&proxy, &s);
    struct bus_options o = trusting(url_of("tls", "localhost", proxy.port), &c);
    struct bus *b = open_bus(&o);
    testloop_restart(&loop);
    for (int round = 1; round <= 10; round++) {
        atomic_store(&proxy.cut, true);
        UNTIL(&loop, 30000, c.down == round && c.up == round);
        echo(b);
    }
    assert_true(testloop_ran_on(&loop, 500));
    bus_delete(b);
    natsproxy_end(&proxy);
    natsserver_end(&s);
}

/* libnats's handshake has no deadline of its own, and holds the lock bus_delete needs. */
static void test_handshake_nobody_answers(void **state) {
    struct natsserver s;
    struct changes c = {0};
    struct natsproxy proxy;
    struct err err = {0};
    serve(&s, "server", "--config", pem("patient.conf"));
    natsproxy_start(&proxy, &s);
    atomic_store(&proxy.mute, true);
    struct bus_options o = trusting(url_of("tls", "localhost", proxy.port), &c);
    o.connect_timeout_ms = 1000;
    assert_null(bus_new(&loop.loop, &o, &err));
    assert_non_null(strstr(err.msg, "does not answer"));
    atomic_store(&proxy.mute, false);
    o.connect_timeout_ms = 3000; /* here and below the server has to answer within it */
    struct bus *b = open_bus(&o);
    atomic_store(&proxy.mute, true);
    int before = atomic_load(&proxy.connected);
    testloop_restart(&loop);
    atomic_store(&proxy.cut, true);
    UNTIL(&loop, 30000, c.down == 1);
    UNTIL(&loop, 20000, atomic_load(&proxy.connected) >= before + 2); /* gave the first one up */
    assert_true(testloop_ran_on(&loop, 500));
    atomic_store(&proxy.mute, false);
    UNTIL(&loop, 30000, c.up == 1);
    echo(b);
    bus_delete(b);
    natsproxy_end(&proxy);
    natsserver_end(&s);
}

/* ---- peers that are slow ---- */

static void test_half_a_record(void **state) {
    struct natsserver s;
    struct changes c = {0};
    struct natsproxy proxy;
    static char big[40000];
    struct buf inbox = {0};
    serve(&s, "server", NULL, NULL);
    natsproxy_start(&proxy, &s);
    struct bus_options o = trusting(url_of("tls", "localhost", proxy.port), &c);
    struct bus *b = open_bus(&o);
    echo(b);
    testloop_restart(&loop);
    for (int cut = 1; cut < 30000; cut = cut * 3 + 1) {
        struct got g = {0};
        bus_expect(b, 20000, on_got, &g, &inbox);
        atomic_store(&proxy.allowed, cut);
        assert_int_equal(bus_publish(b, inbox.p, NULL, NULL, big, sizeof big, NULL), 0);
        UNTIL(&loop, 30000, atomic_load(&proxy.allowed) == 0 && atomic_load(&proxy.held) > 0);
        await_ms(150); /* a blocked loop would now be blocked for ever */
        assert_int_equal(g.calls, 0);
        atomic_store(&proxy.allowed, -1);
        UNTIL(&loop, 30000, g.calls);
        assert_int_equal(g.kind, ERR_NONE);
        buf_reset(&inbox);
    }
    print_message("    largest loop gap with records cut in two: %d ms\n", (int)loop.gap_ms);
    assert_true(testloop_ran_on(&loop, 120));
    assert_int_equal(c.down, 0);
    buf_free(&inbox);
    bus_delete(b);
    natsproxy_end(&proxy);
    natsserver_end(&s);
}

static void on_count(const struct bus_msg *m, const struct err *err, void *arg) {
    *(int *)arg += err == NULL;
}

/* More than the sockets hold, to a server that does not read: it is kept, and the loop goes on. */
static void test_server_does_not_read(void **state) {
    struct natsserver s;
    struct changes c = {0};
    static char big[100000];
    struct buf inbox = {0};
    int came = 0, sent = 0;
    serve(&s, "server", NULL, NULL);
    struct bus_options o = trusting(url_of("tls", "localhost", port_of(&s)), &c);
    struct bus *b = open_bus(&o);
    echo(b);
    kill(s.pid, SIGSTOP);
    testloop_restart(&loop);
    for (; sent < 200; sent++) {
        buf_reset(&inbox);
        bus_expect(b, 60000, on_count, &came, &inbox);
        memset(big, 'a' + sent % 26, sizeof big);
        assert_int_equal(bus_publish(b, inbox.p, NULL, NULL, big, sizeof big, NULL), 0);
        uv_run(&loop.loop, UV_RUN_NOWAIT);
    }
    await_ms(300);
    print_message("    largest loop gap with 20 MB to a stopped server: %d ms\n", (int)loop.gap_ms);
    assert_true(testloop_ran_on(&loop, 300));
    kill(s.pid, SIGCONT);
    UNTIL(&loop, 30000, came == sent);
    assert_int_equal(c.down, 0);
    buf_free(&inbox);
    bus_delete(b);
    natsserver_end(&s);
}

static int set_up(void **state) {
    testloop_init(&loop);
    return 0;
}

static int tear_down(void **state) {
    testloop_end(&loop);
    return 0;
}

static int start(void **state) {
    char command[256];
    strcpy(certs, "/tmp/rbf-bus-XXXXXX");
    if (!mkdtemp(certs))
        return -1;
    snprintf(command, sizeof command,
             "%s/tests/certs/make %s && cd %s && echo nothing >make && "
             "echo 'tls { timeout: 60 }' >patient.conf",
             RBF_SHARE, certs, certs);
    return system(command);
}

/* No nats_Close: once it has spoken TLS, libnats 3.4 frees OpenSSL's compression methods then, and
 * OpenSSL does again at exit. */
static int end(void **state) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", certs);
    return system(command);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_connects),
        T(test_refusals),
        T(test_client_certificate),
        T(test_files),
        T(test_credentials_file),
        T(test_server_restarts),
        T(test_server_comes_back_wrong),
        T(test_connection_cut),
        T(test_handshake_nobody_answers),
        T(test_half_a_record),
        T(test_server_does_not_read),
    };
    return cmocka_run_group_tests(tests, start, end);
}
