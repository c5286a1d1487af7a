/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* strcasestr */
#include "base/secrets.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

#define MAX_KEY 64 /* longer ones: their end is what tells */

static char more[512]; /* as keys are compared: ",ssn,iban," */

/* Letters and digits only, in lower case. */
static size_t plain(const char *key, size_t n, char out[MAX_KEY + 1]) {
    size_t len = 0;
    for (size_t i = n > MAX_KEY ? n - MAX_KEY : 0; i < n; i++)
        if (key[i] != '-' && key[i] != '_' && key[i] != ' ')
            out[len++] = (char)tolower((unsigned char)key[i]);
    out[len] = 0;
    return len;
}

void secrets_add(const char *names) {
    size_t at = 0;
    more[0] = 0;
    for (size_t n; names && *names; names += n + (names[n] == ',')) {
        char word[MAX_KEY + 1];
        n = strcspn(names, ",");
        size_t len = plain(names, n, word);
        if (len && at + len + 3 < sizeof more) {
            more[at++] = ',';
            memcpy(more + at, word, len + 1);
            at += len;
        }
    }
    if (at)
        memcpy(more + at, ",", 2);
}

static bool ends_with(const char *s, size_t n, const char *end) {
    size_t m = strlen(end);
    return n >= m && !memcmp(s + n - m, end, m);
}

static bool is_added(const char *word, size_t n) {
    for (const char *p = more; (p = strstr(p, word)); p++)
        if (p > more && p[-1] == ',' && p[n] == ',')
            return true;
    return false;
}

static bool is_key(const char *key, size_t n) {
    static const char *const within[] = {"password",      "passwd",    "passphrase", "secret",
                                         "cookie",        "apikey",    "accesskey",  "privatekey",
                                         "authorization", "credential"};
    static const char *const at_end[] = {"token", "tokens", "jwt", "pwd", "nkey"};
    char word[MAX_KEY + 1];
    n = plain(key, n, word);
    for (size_t i = 0; i < sizeof within / sizeof *within; i++)
        if (strstr(word, within[i]))
            return true;
    for (size_t i = 0; i < sizeof at_end / sizeof *at_end; i++)
        if (ends_with(word, n, at_end[i]))
            return true;
    return n && is_added(word, n);
}

bool secrets_is_key(const char *key) {
    return is_key(key, strlen(key));
}

/* --- texts --- */

static bool is_word(char c) {
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

/* The word that ends at p, begun at least at `from`; blanks and a quote may stand between. */
static bool key_before(const char *from, const char *p) {
    while (p > from && (p[-1] == ' ' || p[-1] == '"' || p[-1] == '\'' || p[-1] == '\\'))
        p--;
    const char *end = p;
    while (p > from && is_word(p[-1]))
        p--;
    return end > p && is_key(p, (size_t)(end - p));
}

static const char *skip(const char *p, const char *end, const char *set) {
    while (p < end && strchr(set, *p))
        p++;
    return p;
}

/* The end of a quoted value; escaped: its quotes are \\" themselves. */
static const char *quote_end(const char *p, const char *end, char quote, bool escaped) {
    for (; p < end && *p != quote; p++)
        if (*p == '\\' && p + 1 < end) {
            if (escaped && p[1] == quote)
                return p;
            p++;
        }
    return p;
}

/* Of one without quotes: a blank, or what ends it in JSON, URLs and lists. */
static const char *word_end(const char *p, const char *end) {
    while (p < end && !strchr(" \t\r\n,;&\"'})]", *p))
        p++;
    return p;
}

/* Authorization: Bearer x */
static const char *skip_scheme(const char *p, const char *end) {
    static const char *const schemes[] = {"bearer ", "basic ", "digest "};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t n = strlen(schemes[i]);
        if ((size_t)(end - p) > n && !strncasecmp(p, schemes[i], n))
            return skip(p + n, end, " ");
    }
    return p;
}

/* Before p a key's ':' or '=' stood. Where its value ends, *value where it begins; NULL: none. */
static const char *value_after(const char *p, const char *end, const char **value) {
    p = skip(p, end, " \t");
    bool escaped = end - p > 1 && p[0] == '\\' && (p[1] == '"' || p[1] == '\'');
    p += escaped;
    char quote = p < end && (*p == '"' || *p == '\'') ? *p++ : 0;
    *value = p;
    const char *stop =
        quote ? quote_end(p, end, quote, escaped) : word_end(skip_scheme(p, end), end);
    return stop > *value ? stop : NULL;
}

static bool is_hidden(const char *p, const char *end) {
    return end - p == 3 && !memcmp(p, "***", 3); /* config_redact_url was faster */
}

/* "scheme://user:password@", p at "://": where the '@' is, *secret behind the colon, or, where
 * there is none, behind "://" (NATS' tokens; of PostgreSQL it is the user). NULL: no such thing. */
static const char *url_secret(const char *from, const char *p, const char *end,
                              const char **secret) {
    bool pg = p - from >= 8 && (!memcmp(p - 8, "postgres", 8) || !memcmp(p - 8, "stgresql", 8));
    bool colon = false;
    p += 3;
    *secret = p;
    for (; p < end && !strchr(" \t\r\n\"'<>/?#", *p); p++) {
        if (*p == ':' && !colon) {
            *secret = p + 1;
            colon = true;
        } else if (*p == '@') {
            return p == *secret || (pg && !colon) || is_hidden(*secret, p) ? NULL : p;
        }
    }
    return NULL;
}

static bool is_bearer(const char *from, const char *p, const char *end) {
    return (p == from || !is_word(p[-1])) && end - p > 7 && !strncasecmp(p, "bearer ", 7);
}

bool secrets_suspected(const char *s) {
    return strpbrk(s, ":=") || strcasestr(s, "bearer ");
}

void secrets_put(struct buf *out, const char *s, size_t n) {
    const char *end = s + n, *done = s, *secret, *stop;
    for (const char *p = s; p < end; p++) {
        stop = NULL;
        if (*p == ':' && end - p > 3 && p[1] == '/' && p[2] == '/')
            stop = url_secret(s, p, end, &secret);
        else if ((*p == ':' || *p == '=') && key_before(done, p))
            stop = value_after(p + 1, end, &secret);
        else if ((*p == 'b' || *p == 'B') && is_bearer(s, p, end))
            stop = word_end(secret = skip(p + 7, end, " "), end);
        if (!stop)
            continue;
        buf_put(out, done, (size_t)(secret - done));
        buf_puts(out, SECRETS_HIDDEN);
        done = stop;
        p = stop - 1;
    }
    buf_put(out, done, (size_t)(end - done));
}

/* --- values --- */

static bool may_be_secret(const json_t *v) {
    return !json_is_boolean(v) && !json_is_null(v);
}

static json_t *cleaned(const json_t *text) {
    struct buf out = {0};
    secrets_put(&out, json_string_value(text), json_string_length(text));
    json_t *v = json_stringn(out.p ? out.p : "", out.len);
    buf_free(&out);
    return v;
}

void secrets_hide(json_t *v) {
    const char *key;
    json_t *one;
    void *next;
    size_t i;
    json_object_foreach_safe(v, next, key, one) {
        if (secrets_is_key(key) && may_be_secret(one))
            json_object_set_new(v, key, json_string(SECRETS_HIDDEN));
        else if (json_is_string(one))
            json_object_set_new(v, key, cleaned(one));
        else
            secrets_hide(one);
    }
    json_array_foreach(v, i, one) {
        if (json_is_string(one))
            json_array_set_new(v, i, cleaned(one));
        else
            secrets_hide(one);
    }
}
