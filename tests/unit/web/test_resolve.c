/* SPDX-License-Identifier: MIT */
/* A resolver that does not answer stops nobody, and can be given up at once. */
#define _GNU_SOURCE
#include "webtest.h"
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int asked, ended;
static bool open_;

/* Stands in front of the C library's, for libcurl's thread as well. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **res) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    pthread_mutex_lock(&lock);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (!strcmp(node, "absent.test")) {
        pthread_mutex_unlock(&lock);
        return EAI_NONAME;
    }
    bool slow = !strcmp(node, "slow.test");
    asked += slow;
    pthread_cond_broadcast(&changed);
    while (slow && !open_)
        pthread_cond_wait(&changed, &lock);
    ended += slow;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return slow ? EAI_NONAME : real(node, service, hints, res);
}

static void wait_for(const int *n, int least) {
    pthread_mutex_lock(&lock);
    while (*n < least)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void start_slow(struct got *g, uint64_t timeout_ms) {
    int before = asked;
    send_req(g, (struct http_request){.url = "http://slow.test/", .timeout_ms = timeout_ms});
    uv_run(&loop, UV_RUN_NOWAIT); /* its timer is due: libcurl begins */
    uv_run(&loop, UV_RUN_NOWAIT);
    wait_for(&asked, before + 1);
}

static void test_slow_resolver(void **state) {
    struct got cancelled, late, g;
    start_slow(&cancelled, LONG_MS);
    start_slow(&late, 60);
    fetch_path(&g, "/redirect/0");
    assert_body(&g, "landed");
    got_free(&g);
    http_cancel(cancelled.call); /* would hang here, did it wait for the thread */
    await_got(&late);
    assert_fails(&late, "HTTP_TIMEOUT");
    assert_int_equal(ended, 0);
}

static void test_no_such_host(void **state) {
    struct got g;
    fetch(&g, (struct http_request){.url = "http://absent.test/?token=1"});
    assert_string_equal(g.message,
                        "GET http://absent.test:80: Could not resolve host: absent.test");
    assert_fails(&g, "HTTP_RESOLVE");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_slow_resolver, webtest_begin, webtest_end),
        cmocka_unit_test_setup_teardown(test_no_such_host, webtest_begin, webtest_end),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pthread_mutex_lock(&lock);
    open_ = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    if (!failed)
        wait_for(&ended, 2);
    return failed;
}
