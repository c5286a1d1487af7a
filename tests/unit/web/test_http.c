/* SPDX-License-Identifier: MIT */
/* Requests against a server in this process. */
#include "webtest.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static void test_get(void **state) {
    struct got g;
    fetch_path(&g, "/redirect/0");
    assert_int_equal(g.status, 200);
    assert_body(&g, "landed");
    assert_non_null(strstr(log_text, "\tGET\t/redirect/0\t"));
    assert_non_null(strstr(log_text, "User-Agent: rbf"));
    got_free(&g);
    fetch_path(&g, "/status/404");
    assert_int_equal(g.status, 404);
    assert_body(&g, "");
    got_free(&g);
}

static void test_body_both_ways(void **state) {
    static char bytes[70000];
    struct got g;
    struct hdrs headers = {0};
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)i;
    hdrs_add(&headers, "Content-Type", "application/x-bytes");
    hdrs_add(&headers, "X-Empty", "");
    static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE"};
    for (int i = 0; i < 4; i++) {
        char wanted[80];
        fetch(&g, (struct http_request){.method = methods[i],
                                        .url = webtest_url("/echo"),
                                        .headers = &headers,
                                        .body = bytes,
                                        .body_len = sizeof bytes});
        assert_int_equal(g.body.len, sizeof bytes);
        assert_memory_equal(g.body.p, bytes, sizeof bytes);
        snprintf(wanted, sizeof wanted, "x-method=%s;content-type=application/x-bytes;",
                 methods[i]);
        assert_non_null(strstr(g.headers.p, wanted));
        got_free(&g);
    }
    assert_non_null(strstr(log_text, "\tX-Empty:"));
    assert_null(strstr(log_text, "Expect"));
    hdrs_free(&headers);
}

static void test_without_a_body(void **state) {
    struct got g;
    fetch(&g, (struct http_request){.method = "POST", .url = webtest_url("/echo")});
    assert_non_null(strstr(log_text, "Content-Length: 0"));
    assert_non_null(strstr(g.headers.p, "content-type=none;")); /* no form is claimed */
    got_free(&g);
    fetch(&g, (struct http_request){.method = "HEAD", .url = webtest_url("/bytes/9")});
    assert_body(&g, "");
    assert_non_null(strstr(g.headers.p, "content-length=9;"));
    got_free(&g);
}

static void test_headers(void **state) {
    struct got g;
    fetch_path(&g, "/headers");
    assert_string_equal(g.headers.p,
                        "x-one=1;x-one=2;set-cookie=a=1, b;set-cookie=c=2;content-length=0;");
    got_free(&g);
}

static void test_connection_is_kept(void **state) {
    struct got g;
    for (int i = 0; i < 3; i++) {
        fetch_path(&g, "/bytes/10");
        got_free(&g);
    }
    assert_non_null(strstr(log_text, "1\tGET"));
    assert_null(strstr(log_text, "2\tGET"));
}

/* ---- limits ---- */

static void test_size(void **state) {
    struct got g;
    fetch(&g, (struct http_request){.url = webtest_url("/bytes/1000"), .max_bytes = 1000});
    assert_int_equal(g.body.len, 1000);
    got_free(&g);
    fetch(&g, (struct http_request){.url = webtest_url("/bytes/1001"), .max_bytes = 1000});
    assert_non_null(strstr(g.message, "larger than 1000 bytes"));
    assert_fails(&g, "HTTP_TOO_LARGE");
    fetch_path(&g, "/endless");
    assert_fails(&g, "HTTP_TOO_LARGE");
    fetch_path(&g, "/wide");
    assert_fails(&g, "HTTP_TOO_LARGE");
}

/* 20 MB that travel as 20 KB. */
static void test_size_counts_unpacked(void **state) {
    char file[] = "/tmp/rbf-gzip-XXXXXX", command[200], path[100];
    struct got g;
    close(mkstemp(file));
    snprintf(command, sizeof command, "head -c 20000000 /dev/zero | gzip >%s", file);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "/gzip%s", file);
    fetch_path(&g, path);
    assert_fails(&g, "HTTP_TOO_LARGE");
    fetch(&g, (struct http_request){.url = webtest_url(path), .max_bytes = 20000000});
    assert_int_equal(g.body.len, 20000000);
    got_free(&g);
    unlink(file);
}

static void test_redirects(void **state) {
    struct got g;
    fetch(&g, (struct http_request){.url = webtest_url("/redirect/3"), .redirects = 3});
    assert_body(&g, "landed");
    assert_string_equal(g.url, webtest_url("/redirect/0"));
    got_free(&g);
    fetch(&g, (struct http_request){.url = webtest_url("/redirect/4"), .redirects = 3});
    assert_fails(&g, "HTTP_REDIRECTS");
    fetch(&g, (struct http_request){.url = webtest_url("/redirect/1")});
    assert_int_equal(g.status, 302);
    got_free(&g);
    fetch(&g,
          (struct http_request){.url = webtest_url("/to/302/ftp://127.0.0.1/"), .redirects = 3});
    assert_fails(&g, "HTTP_REDIRECTS");
}

/* Two servers: the second hears no secrets, but the request itself if it is to be repeated. */
static void test_redirect_elsewhere(void **state) {
    char *text = NULL, path[200];
    size_t len;
    FILE *log = open_memstream(&text, &len);
    struct httpd *other = httpd_new(NULL, NULL, log);
    struct hdrs headers = {0};
    struct got g;
    hdrs_add(&headers, "Authorization", "Bearer secret");
    hdrs_add(&headers, "Idempotency-Key", "id/1");
    snprintf(path, sizeof path, "/to/307/http://127.0.0.1:%d/echo", httpd_port(other));
    fetch(&g, (struct http_request){.method = "POST",
                                    .url = webtest_url(path),
                                    .headers = &headers,
                                    .body = "again",
                                    .body_len = 5,
                                    .redirects = 5});
    assert_body(&g, "again");
    assert_non_null(strstr(log_text, "secret"));
    assert_null(strstr(text, "secret"));
    assert_non_null(strstr(text, "Idempotency-Key: id/1"));
    got_free(&g);
    hdrs_free(&headers);
    httpd_delete(other);
    fclose(log);
    free(text);
}

static void test_timeout(void **state) {
    struct got g;
    fetch(&g, (struct http_request){.url = webtest_url("/hold/never"), .timeout_ms = 50});
    assert_non_null(strstr(g.message, "no answer within 50 ms"));
    assert_fails(&g, "HTTP_TIMEOUT");
}

/* ---- what goes wrong ---- */

static void check_url(const char *url, const char *code) {
    struct got g;
    fetch(&g, (struct http_request){.url = url});
    assert_null(strstr(g.message, "token")); /* what the URL holds may be a secret */
    assert_fails(&g, code);
}

static int unused_port(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    getsockname(fd, (struct sockaddr *)&at, &len);
    close(fd);
    return ntohs(at.sin_port);
}

static void test_failures(void **state) {
    char url[100];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/?token=1", unused_port());
    check_url(url, "HTTP_CONNECT");
    snprintf(url, sizeof url, "https://127.0.0.1:%d/?token=1", httpd_port(server));
    check_url(url, "HTTP_TLS");
    check_url("ftp://127.0.0.1/?token=1", "HTTP_URL");
    check_url("http://127.0.0.1:99999/?token=1", "HTTP_URL");
    check_url("http://a b/?token=1", "HTTP_URL");
    check_url(webtest_url("/drop?token=1"), "HTTP_BROKEN");
    check_url(webtest_url("/half?token=1"), "HTTP_BROKEN");
    check_url(webtest_url("/garbage?token=1"), "HTTP_BROKEN");
}

/* A server that answers before it has read all, and goes: epoll reports the answer and the reset
 * together. */
static void test_answer_before_a_reset(void **state) {
    static const char answer[] = "HTTP/1.1 413 Too Large\r\nContent-Length: 6\r\n\r\nenough";
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    char url[64], first;
    struct got g;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), fd = -1;
    assert_int_equal(bind(listener, (struct sockaddr *)&at, n), 0);
    assert_int_equal(listen(listener, 1), 0);
    getsockname(listener, (struct sockaddr *)&at, &n);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(at.sin_port));
    send_req(&g,
             (struct http_request){.method = "POST", .url = url, .body = "much", .body_len = 4});
    uint64_t end = clock_mono_ms() + LONG_MS;
    while (clock_mono_ms() < end && (fd < 0 || recv(fd, &first, 1, MSG_DONTWAIT) != 1)) {
        uv_run(&loop, UV_RUN_NOWAIT);
        if (fd < 0)
            fd = accept(listener, NULL, NULL);
    }
    assert_int_equal(send(fd, answer, strlen(answer), 0), strlen(answer));
    close(fd); /* the rest is unread: a reset */
    close(listener);
    await_got(&g);
    assert_int_equal(g.status, 413);
    assert_body(&g, "enough");
    got_free(&g);
}

static void test_proxies_are_ignored(void **state) {
    char proxy[60];
    struct got g;
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", unused_port());
    setenv("http_proxy", proxy, 1);
    setenv("ALL_PROXY", proxy, 1);
    fetch_path(&g, "/redirect/0");
    assert_body(&g, "landed");
    got_free(&g);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
}

/* ---- many ---- */

static void fetch_many(const char *path, int max_total, int max_host, const char *text) {
    struct got g[100];
    struct http_options o = {.max_total = max_total, .max_host = max_host};
    webtest_http(&o);
    for (int i = 0; i < 100; i++)
        send_path(&g[i], path);
    for (int i = 0; i < 100; i++) {
        await_got(&g[i]);
        assert_body(&g[i], text);
        got_free(&g[i]);
    }
}

static void test_many_at_once(void **state) {
    fetch_many("/barrier/all/100", 100, 100, "together");
}

static void test_many_in_turn(void **state) {
    fetch_many("/redirect/0", 100, 4, "landed");
    fetch_many("/redirect/0", 4, 100, "landed");
    for (int i = 9; i < 100; i++) { /* the connections were 4 each time */
        char number[20];
        snprintf(number, sizeof number, "\n%d\tGET", i);
        assert_null(strstr(log_text, number));
    }
}

/* One host that does not answer takes no other host's turn. */
static void test_turns(void **state) {
    struct httpd *other = httpd_new(NULL, NULL, log_file);
    struct http_options o = {.max_total = 3, .max_host = 2};
    struct got held[3], late, g;
    char url[100];
    webtest_http(&o);
    for (int i = 0; i < 3; i++)
        send_path(&held[i], "/hold/a");
    snprintf(url, sizeof url, "http://127.0.0.1:%d/bytes/1", httpd_port(other));
    fetch(&g, (struct http_request){.url = url});
    assert_body(&g, "x");
    got_free(&g);
    fetch(&late, (struct http_request){.url = webtest_url("/bytes/2"), .timeout_ms = 20});
    assert_fails(&late, "HTTP_TIMEOUT"); /* its turn never came */
    httpd_release(server, "a");
    for (int i = 0; i < 3; i++) {
        await_got(&held[i]);
        assert_body(&held[i], "released");
        got_free(&held[i]);
    }
    assert_null(strstr(log_text, "/bytes/2"));
    httpd_delete(other);
}

/* ---- cancelling ---- */

static void cancel(struct got *g) {
    http_cancel(g->call);
    assert_int_equal(g->n, 0);
    got_free(g);
}

static void pump_until(const char *path, int n) { /* the server has heard n of them */
    uint64_t end = clock_mono_ms() + LONG_MS;
    while (httpd_asked(server, path) < n && clock_mono_ms() < end)
        uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(httpd_asked(server, path), n);
}

static void test_cancel(void **state) {
    struct http_options o = {.max_host = 2};
    struct got active, unsent, waiting, next;
    webtest_http(&o);
    send_path(&unsent, "/bytes/1");
    send_path(&active, "/hold/b");
    send_path(&waiting, "/bytes/2");
    send_path(&next, "/bytes/3");
    cancel(&waiting);
    cancel(&unsent);
    pump_until("/hold/b", 1);
    cancel(&active);
    await_got(&next);
    assert_body(&next, "xxx");
    got_free(&next);
    assert_null(strstr(log_text, "/bytes/1"));
    assert_null(strstr(log_text, "/bytes/2"));
}

static struct got victim, follower;

static void on_first(const struct http_answer *a, const struct http_error *e, void *arg) {
    if (victim.call && !victim.n)
        cancel(&victim);
    send_path(&follower, "/bytes/4");
    on_got(a, e, arg);
}

static void test_callbacks_may_do_anything(void **state) {
    struct got g = {0};
    struct http_error e;
    send_path(&victim, "/hold/c");
    struct http_request req = {
        .method = "GET", .url = webtest_url("/bytes/1"), .timeout_ms = LONG_MS, .max_bytes = 10};
    g.call = http_send(http, &req, on_first, &g, &e);
    await_got(&g);
    assert_body(&g, "x");
    await_got(&follower);
    assert_body(&follower, "xxxx");
    got_free(&follower);
    got_free(&g);
}

/* The sanitizers watch what test end leaves behind. */
static void test_delete_with_calls(void **state) {
    static struct got g[6];
    struct http_options o = {.max_host = 3};
    webtest_http(&o);
    for (int i = 0; i < 6; i++)
        send_path(&g[i], "/hold/d");
    pump_until("/hold/d", 3);
    http_delete(http);
    http = NULL;
    for (int i = 0; i < 6; i++)
        assert_int_equal(g[i].n, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, webtest_begin, webtest_end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_get),
        TEST(test_body_both_ways),
        TEST(test_without_a_body),
        TEST(test_headers),
        TEST(test_connection_is_kept),
        TEST(test_size),
        TEST(test_size_counts_unpacked),
        TEST(test_redirects),
        TEST(test_redirect_elsewhere),
        TEST(test_timeout),
        TEST(test_failures),
        TEST(test_answer_before_a_reset),
        TEST(test_proxies_are_ignored),
        TEST(test_many_at_once),
        TEST(test_many_in_turn),
        TEST(test_turns),
        TEST(test_cancel),
        TEST(test_callbacks_may_do_anything),
        TEST(test_delete_with_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
