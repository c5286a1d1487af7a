/* SPDX-License-Identifier: MIT */
#include "base/config.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state) {
    static struct config c;
    unsetenv("DATABASE_URL"); /* whoever runs this may have them */
    unsetenv("NATS_URL");
    config_init(&c);
    *state = &c;
    return 0;
}

static int teardown(void **state) {
    config_free(*state);
    unsetenv("RBF_WORKERS");
    unsetenv("RBF_SWEEPER");
    unsetenv("NATS_URL");
    return 0;
}

static int flags(struct config *c, struct err *e, int *left, char **argv) {
    int n = 0;
    while (argv[n])
        n++;
    int rc = config_from_flags(c, &n, argv, e);
    if (left)
        *left = n;
    return rc;
}
#define FLAGS(c, e, ...) flags(c, e, NULL, (char *[]){__VA_ARGS__, NULL})

static void assert_err(const struct err *e, const char *part) {
    if (e->kind == ERR_NONE || !strstr(e->msg, part))
        fail_msg("message is '%s', expected '%s' in it", e->msg, part);
}

static void defaults(void **state) {
    struct config *c = *state;
    assert_string_equal(c->app_dir, "handlers");
    assert_null(c->database_url);
    assert_string_equal(c->namespace_, "default");
    assert_string_equal(c->subject_prefix, "");
    assert_null(c->log_format);
    assert_int_equal(c->connections, 16);
    assert_int_equal(c->shutdown_timeout_ms, 30000);
    assert_int_equal(c->retry_initial_ms, 100);
    assert_int_equal(c->retry_max_ms, 300000);
    assert_int_equal(c->results_retention_ms, 24 * 3600000);
    assert_int_equal(c->dead_retention_ms, 30 * (int64_t)24 * 3600000);
    assert_true(c->sweeper);
    assert_false(c->watch);
}

static void flags_beat_environment_beats_main_lua(void **state) {
    struct config *c = *state;
    struct err e = {0};
    static const char lua[] =
        "{\"workers\":2,\"connections\":3,\"nats\":\"nats://lua\",\"db\":null,"
        "\"context\":{\"a\":1},\"queues\":{\"jobs\":{}},\"sweeper\":true}";
    setenv("RBF_WORKERS", "4", 1);
    setenv("RBF_SWEEPER", "0", 1);
    setenv("NATS_URL", "", 1); /* empty is unset */
    assert_int_equal(FLAGS(c, &e, "--workers", "5"), 0);
    assert_int_equal(config_from_env(c, &e), 0);
    assert_int_equal(config_from_main_lua(c, lua, strlen(lua), &e), 0);
    assert_int_equal(c->workers, 5);
    assert_int_equal(c->connections, 3);
    assert_false(c->sweeper);
    assert_string_equal(c->nats_url, "nats://lua");
    assert_null(c->database_url);
}

static void flags_have_two_forms(void **state) {
    struct config *c = *state;
    struct err e = {0};
    int left;
    char *argv[] = {"run",         "app", "--queues=a,b", "--watch", "x",         "--no-sweeper",
                    "--retry-max", "2m",  "-5",           "--",      "--workers", NULL};
    assert_int_equal(flags(c, &e, &left, argv), 0);
    assert_int_equal(left, 5);
    assert_string_equal(argv[0], "run");
    assert_string_equal(argv[2], "x");
    assert_string_equal(argv[3], "-5");
    assert_string_equal(argv[4], "--workers");
    assert_null(argv[5]);
    assert_string_equal(c->queues, "a,b");
    assert_true(c->watch);
    assert_false(c->sweeper);
    assert_int_equal(c->retry_max_ms, 120000);
}

static void mistakes_name_the_cure(void **state) {
    struct config *c = *state;
    struct err e = {0};
    assert_int_equal(FLAGS(c, &e, "--worker", "5"), -1);
    assert_err(&e, "did you mean '--workers'?");
    assert_int_equal(FLAGS(c, &e, "--xyzzy"), -1);
    assert_err(&e, "unknown flag '--xyzzy', see --help");
    assert_int_equal(FLAGS(c, &e, "-x"), -1);
    assert_err(&e, "unknown flag '-x'");
    assert_int_equal(FLAGS(c, &e, "--workers"), -1);
    assert_err(&e, "--workers needs a value");
    assert_int_equal(FLAGS(c, &e, "--workers", "--watch"), -1);
    assert_err(&e, "--workers needs a value");
    assert_int_equal(FLAGS(c, &e, "--no-watch=1"), -1);
    assert_err(&e, "takes no value");
    assert_int_equal(FLAGS(c, &e, "--no-workers", "5"), -1);
    assert_err(&e, "unknown flag '--no-workers'");
    assert_int_equal(FLAGS(c, &e, "--workers", "0"), -1);
    assert_err(&e, "--workers is '0', expected 1 to 256");
    assert_int_equal(config_set(c, "workes", "1", CONFIG_FLAG, &e), -1);
    assert_err(&e, "did you mean 'workers'?");
    assert_int_equal(config_from_main_lua(c, "{\"namspace\":\"a\"}", 16, &e), -1);
    assert_err(&e, "did you mean 'namespace'?");
    assert_int_equal(config_from_main_lua(c, "{\"appDir\":\"a\"}", 14, &e), -1);
    assert_err(&e, "unknown option of createBackend 'appDir'");
    assert_int_equal(config_from_main_lua(c, "{\"workers\":{}}", 14, &e), -1);
    assert_err(&e, "main.lua: workers must be");
    assert_int_equal(config_from_main_lua(c, "[]", 2, &e), -1);
    setenv("RBF_WORKERS", "many", 1);
    assert_int_equal(config_from_env(c, &e), -1);
    assert_err(&e, "RBF_WORKERS is 'many', expected a whole number");
    assert_int_equal(c->workers, 1);
}

static int set_text(struct config *c, const char *name, const char *value, struct err *e) {
    return config_set(c, name, value, CONFIG_FLAG, e);
}

static void durations(void **state) {
    struct config *c = *state;
    struct err e = {0};
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"500ms", 500}, {"30s", 30000}, {"5m", 300000}, {"1h", 3600000}, {"250", 250}};
    static const char *const bad[] = {
        "",   "s", "5 m", "5d", "-1s", "1.5s", "99999999999999999999s", "9223372036854775807h",
        "25h"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(set_text(c, "orphanAfter", good[i].text, &e), 0);
        assert_int_equal(c->orphan_after_ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (set_text(c, "orphanAfter", bad[i], &e) == 0)
            fail_msg("duration '%s' was accepted", bad[i]);
    assert_int_equal(c->orphan_after_ms, 250);
}

static void subject_prefixes(void **state) {
    struct config *c = *state;
    struct err e = {0};
    static const char *const bad[] = {".",    "a..b",     "*",   "a.>", "$JS",
                                      "a.$b", "_INBOX.x", "a b", ".a"};
    assert_int_equal(set_text(c, "subjectPrefix", "app.test", &e), 0);
    assert_string_equal(c->subject_prefix, "app.test.");
    assert_int_equal(set_text(c, "subjectPrefix", "app.", &e), 0);
    assert_string_equal(c->subject_prefix, "app.");
    assert_int_equal(set_text(c, "subjectPrefix", "", &e), 0);
    assert_string_equal(c->subject_prefix, "");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (set_text(c, "subjectPrefix", bad[i], &e) == 0)
            fail_msg("prefix '%s' was accepted", bad[i]);
    assert_int_equal(set_text(c, "replyPrefixes", "a,b.c.", &e), 0);
    assert_string_equal(c->reply_prefixes, "a.,b.c.");
    assert_int_equal(set_text(c, "replyPrefixes", "a.,,b.", &e), -1);
    static const char lua[] = "{\"replyPrefixes\":[\"x\",\"y.\"]}";
    struct config d;
    config_init(&d);
    assert_int_equal(config_from_main_lua(&d, lua, strlen(lua), &e), 0);
    assert_string_equal(d.reply_prefixes, "x.,y.");
    config_free(&d);
}

static void words_are_checked(void **state) {
    struct config *c = *state;
    struct err e = {0};
    assert_int_equal(set_text(c, "logLevel", "loud", &e), -1);
    assert_err(&e, "debug, info, warn or error");
    assert_int_equal(set_text(c, "namespace", "a b", &e), -1);
    assert_int_equal(set_text(c, "namespace", "", &e), -1);
    assert_int_equal(set_text(c, "sweeper", "maybe", &e), -1);
    assert_int_equal(set_text(c, "natsUrl", "nats://a:1,nats://b:2", &e), 0);
    assert_int_equal(set_text(c, "natsUrl", "http://a", &e), -1);
    assert_int_equal(set_text(c, "databaseUrl", "host=/run/x dbname=y", &e), 0);
    assert_int_equal(set_text(c, "databaseUrl", "mysql://u:hunter2@h/db", &e), -1);
    assert_err(&e, "mysql://u:***@h/db");
    assert_null(strstr(e.msg, "hunter2"));
    assert_int_equal(set_text(c, "redisUrl", "unix:///run/redis.sock", &e), 0);
    assert_int_equal(set_text(c, "redisUrl", "rediss://:hunter2@h", &e), -1);
    assert_err(&e, "rediss://:***@h");
    static const char *const good = "{\"redis\":\"redis://:hunter2@h\"}", *const bad =
                                                                              "{\"redi\":1}";
    assert_int_equal(config_from_main_lua(c, good, strlen(good), &e), 0);
    assert_int_equal(config_from_main_lua(c, bad, strlen(bad), &e), -1);
    assert_err(&e, "did you mean 'redis'?");
}

static void urls_are_redacted(void **state) {
    static const char *const pairs[][2] = {
        {"redis://:p,w@h:6379/1", "redis://:***@h:6379/1"},
        {"redis://me:p@w@h", "redis://me:***@h"},
        {"unix://:p,w@/run/r.sock?db=1", "unix://:***@/run/r.sock?db=1"},
        {"postgres://u:pw@h:5432/db", "postgres://u:***@h:5432/db"},
        {"postgres://u:p@w@h/db", "postgres://u:***@h/db"},
        {"postgres://u@h/db", "postgres://u@h/db"},
        {"postgres://u:p,w@h1,h2/db?password=x&sslmode=off",
         "postgres://u:***@h1,h2/db?password=***&sslmode=off"},
        {"postgresql:///db?host=/run&PASSWORD=x", "postgresql:///db?host=/run&PASSWORD=***"},
        {"postgres://h/db?password=x@y", "postgres://***@y"},
        {"nats://secret@h:4222", "nats://***@h:4222"},
        {"nats://u:pw@a,nats://tok@b,c:4222", "nats://u:***@a,nats://***@b,c:4222"},
        {"u:pw@h", "u:***@h"},
        {"host=h password='a b\\' c' user=u", "host=h password=*** user=u"},
        {"password = x dbname=d", "password = *** dbname=d"},
        {"host= password=x", "host= ***"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct buf out = {0};
        config_redact_url(pairs[i][0], &out);
        assert_string_equal(out.p, pairs[i][1]);
        buf_free(&out);
    }
}

static void nearest_words(void **state) {
    static const char *const names[] = {"handler", "input", "output", "path", "timeout", NULL};
    assert_string_equal(config_nearest("handlr", names), "handler");
    assert_string_equal(config_nearest("Time_Out", names), "timeout");
    assert_string_equal(config_nearest("ouptut", names), "output");
    assert_string_equal(config_nearest("pth", names), "path");
    static const char *const ties[] = {"aa1", "aa2", NULL};
    assert_string_equal(config_nearest("aa3", ties), "aa1");
    assert_null(config_nearest("bbb", ties));
    assert_null(config_nearest("middleware", names));
    assert_null(config_nearest("x", names));
    assert_null(config_nearest("", names));
}

static void help_names_every_flag(void **state) {
    struct buf out = {0};
    config_help(&out);
    assert_non_null(strstr(out.p, "--database-url URL"));
    assert_non_null(strstr(out.p, "--[no-]sweeper"));
    assert_non_null(strstr(out.p, "RBF_ORPHAN_AFTER; 5s"));
    assert_null(strstr(out.p, "appDir"));
    buf_free(&out);
}

static void assert_leading(int expected, int argc, ...) {
    char *argv[10];
    va_list ap;
    va_start(ap, argc);
    for (int i = 0; i < argc; i++)
        argv[i] = va_arg(ap, char *);
    va_end(ap);
    assert_int_equal(config_leading(argc, argv, "--apply --app="), expected);
}

static void flags_before_a_command_line_of_its_own(void **state) {
    assert_leading(0, 0);
    assert_leading(0, 2, "a.lua", "--workers");
    assert_leading(2, 3, "--workers", "2", "a.lua");
    assert_leading(1, 3, "--workers=2", "a.lua", "--app");
    assert_leading(3, 5, "--watch", "--app", "x", "a.lua", "--");
    assert_leading(3, 4, "--no-sweeper", "--app=x", "--unknown", "a.lua");
    assert_leading(1, 3, "--", "--a.lua", "b");
    assert_leading(1, 1, "--workers"); /* without its value: the parser says so */
}

static void exports_flags_to_workers(void **state) {
    struct config *c = *state;
    struct err e = {0};
    static const char lua[] = "{\"namespace\":\"lua\"}";
    assert_int_equal(FLAGS(c, &e, "--workers=5", "--no-sweeper", "--nats-url", "nats://x"), 0);
    assert_int_equal(config_from_main_lua(c, lua, strlen(lua), &e), 0);
    config_export(c);
    assert_null(getenv("RBF_NAMESPACE")); /* a worker reads main.lua itself */
    struct config worker;
    config_init(&worker);
    assert_int_equal(config_from_env(&worker, &e), 0);
    assert_int_equal(worker.workers, 5);
    assert_false(worker.sweeper);
    assert_string_equal(worker.nats_url, "nats://x");
    config_free(&worker);
}

static void random_text(void **state) {
    static const char bytes[] = "ab:/@?&=,'\\ .*$>%-_019sm\xff\xc3\xa9ostgreswd";
    struct config *c = *state;
    unsigned seed = 3;
    struct buf out = {0};
    for (int round = 0; round < 100000; round++) {
        char text[32] = {0};
        size_t n = (size_t)rand_r(&seed) % (sizeof text - 1);
        for (size_t i = 0; i < n; i++)
            text[i] = bytes[(size_t)rand_r(&seed) % (sizeof bytes - 1)];
        char *tight = xstrdup(text); /* its end is the allocation's end */
        static const char *const names[] = {"natsUrl",     "databaseUrl",   "replyPrefixes",
                                            "orphanAfter", "subjectPrefix", NULL};
        (void)!config_set(c, names[round % 5], tight, CONFIG_FLAG, NULL);
        buf_reset(&out);
        config_redact_url(tight, &out);
        config_nearest(tight, names);
        free(tight);
    }
    buf_free(&out);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(defaults),
        TEST(flags_beat_environment_beats_main_lua),
        TEST(flags_have_two_forms),
        TEST(mistakes_name_the_cure),
        TEST(durations),
        TEST(subject_prefixes),
        TEST(words_are_checked),
        TEST(urls_are_redacted),
        TEST(nearest_words),
        TEST(help_names_every_flag),
        TEST(flags_before_a_command_line_of_its_own),
        TEST(exports_flags_to_workers),
        TEST(random_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
