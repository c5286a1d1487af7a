/* SPDX-License-Identifier: MIT */
#include "wire/subject.h"
#include "base/utf8.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool is_plain(char c) { /* isalnum() would ask the locale */
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static size_t token_len(const char *s) {
    return strcspn(s, ".");
}

/* NULL, or what is wrong with one token of an operation path. */
static const char *path_token_fault(const char *t, size_t n) {
    if (n == 0)
        return "has an empty part, write one dot between names";
    if (t[0] == '$' && (n == 1 || (t[1] >= '0' && t[1] <= '9')))
        return "has a '$' without a name, write for example $userId";
    for (size_t i = t[0] == '$'; i < n; i++)
        if (!is_plain(t[i]) && t[i] != '_' && !(t[i] == '-' && t[0] != '$'))
            return t[0] == '$' ? "has a parameter name with other characters than A-Z a-z 0-9 _"
                               : "has other characters than A-Z a-z 0-9 _ - in a part";
    return NULL;
}

static bool param_before(const char *path, const char *t, size_t n) {
    for (const char *p = path; p < t; p += token_len(p) + 1)
        if (token_len(p) == n && memcmp(p, t, n) == 0)
            return true;
    return false;
}

int subject_check_path(const char *path, struct err *err) {
    size_t params = 0;
    for (const char *t = path;; t++) {
        size_t n = token_len(t);
        const char *fault = path_token_fault(t, n);
        if (fault)
            return err_set(err, ERR_CONFIG, "path '%.200s' %s", path, fault);
        if (*t == '$' && param_before(path, t, n))
            return err_set(err, ERR_CONFIG,
                           "path '%.200s' names parameter %.*s twice, give each its own name", path,
                           (int)n, t);
        if (*t == '$' && ++params > SUBJECT_MAX_PARAMS)
            return err_set(err, ERR_CONFIG, "path '%.200s' has more than %d parameters", path,
                           SUBJECT_MAX_PARAMS);
        t += n;
        if (!*t)
            break;
    }
    if (strlen(path) > SUBJECT_MAX / 2)
        return err_set(err, ERR_CONFIG, "path '%.40s…' is longer than %d bytes", path,
                       SUBJECT_MAX / 2);
    return 0;
}

static const char *literal_token_fault(const char *t, size_t n) {
    if (n == 0)
        return "has an empty part";
    if (t[0] == '$')
        return "has a part that begins with '$', which belongs to the server";
    for (size_t i = 0; i < n; i++)
        if (t[i] <= ' ' || t[i] >= 0x7F || t[i] == '*' || t[i] == '>')
            return "has a wildcard, white space or a character that is not ASCII";
    return NULL;
}

int subject_check_literal(const char *subject, bool prefix, struct err *err) {
    const char *what = prefix ? "subject prefix" : "subject", *fault = NULL;
    if (prefix && !*subject)
        return 0;
    if (strncmp(subject, "_INBOX", 6) == 0)
        fault = "begins with _INBOX, which is for replies";
    if (strlen(subject) > SUBJECT_MAX / 2)
        fault = "is too long";
    for (const char *t = subject; !fault; t++) {
        size_t n = token_len(t);
        fault = literal_token_fault(t, n);
        t += n;
        if (!*t || (prefix && !t[1]))
            break;
    }
    if (fault)
        return err_set(err, ERR_CONFIG, "%s '%.200s' %s: use names joined by dots, like app.jobs",
                       what, subject, fault);
    return 0;
}

/* May be published to by anybody's request: whole, short, and nothing the server gives a meaning.
 */
static bool is_publishable(const char *subject) {
    size_t n = strlen(subject);
    if (n == 0 || n > SUBJECT_MAX || subject[0] == '.' || subject[n - 1] == '.' ||
        strstr(subject, ".."))
        return false;
    for (const char *p = subject; *p; p++)
        if (*p <= ' ' || *p >= 0x7F || *p == '*' || *p == '>' || *p == '$')
            return false;
    return true;
}

/* What of subject stands behind top, which may end with ".", ".*" or ".>": "" when they are equal,
 * NULL when subject is elsewhere. */
static const char *rest_below(const char *subject, const char *top, size_t n) {
    while (n > 0 && strchr(".*>", top[n - 1]))
        n--;
    if (n == 0 || strncmp(subject, top, n) != 0 || (subject[n] && subject[n] != '.'))
        return NULL;
    return subject + n;
}

bool subject_reply_allowed(const char *subject, const char *own_inbox) {
    if (!is_publishable(subject) || strncmp(subject, "_INBOX", 6) != 0)
        return false;
    return !own_inbox || !rest_below(subject, own_inbox, strlen(own_inbox));
}

bool subject_reply_prefixed(const char *subject, const char *prefixes) {
    if (!is_publishable(subject))
        return false;
    for (const char *p = prefixes; *p; p += *p == ',') {
        size_t n = strcspn(p, ",");
        const char *rest = rest_below(subject, p, n);
        if (rest && *rest)
            return true;
        p += n;
    }
    return false;
}

void subject_encode(struct buf *out, const char *s, size_t n) {
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (is_plain(s[i]) || c == '_' || c == '~' || c == '-')
            buf_putc(out, s[i]);
        else
            buf_put(out, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
    }
}

static int build_param(const char *path, const char *t, size_t n, const char *value,
                       struct buf *out, struct err *err) {
    if (!value)
        return err_set(err, ERR_INVALID, "parameter '%.*s' of path '%.200s' is missing", (int)n - 1,
                       t + 1, path);
    size_t len = strlen(value);
    if (len == 0 || !utf8_valid(value, len))
        return err_set(err, ERR_INVALID, "parameter '%.*s' of path '%.200s' is %s", (int)n - 1,
                       t + 1, path, len ? "not valid UTF-8" : "empty");
    subject_encode(out, value, len);
    return 0;
}

int subject_build(const char *path, const char *(*get)(const char *name, void *arg), void *arg,
                  struct buf *out, struct err *err) {
    size_t start = out->len;
    if (subject_check_path(path, err))
        return -1;
    for (const char *t = path;; t++) {
        size_t n = token_len(t);
        if (*t == '$') {
            char *name = xmemdup(t + 1, n - 1);
            int rc = build_param(path, t, n, get(name, arg), out, err);
            free(name);
            if (rc)
                return -1;
        } else {
            buf_put(out, t, n);
        }
        t += n;
        if (!*t)
            break;
        buf_putc(out, '.');
    }
    if (out->len - start > SUBJECT_MAX)
        return err_set(err, ERR_INVALID,
                       "path '%.200s' with these parameters is longer than %d bytes: put long "
                       "values into the input",
                       path, SUBJECT_MAX);
    return 0;
}
