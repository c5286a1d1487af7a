/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* strcasestr */
#include "pg/session.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Comments nest in PostgreSQL. NULL when it does not end. */
static const char *end_of_comment(const char *s) {
    int depth = 0;
    while (*s) {
        if (!strncmp(s, "/*", 2) || !strncmp(s, "*/", 2)) {
            depth += *s == '/' ? 1 : -1;
            s += 2;
            if (!depth)
                return s;
        } else {
            s++;
        }
    }
    return NULL;
}

static const char *skip_blank(const char *s) {
    for (;;) {
        const char *end = NULL;
        if (isspace((unsigned char)*s) || *s == ';')
            end = s + 1;
        else if (!strncmp(s, "--", 2))
            end = strchr(s, '\n');
        else if (!strncmp(s, "/*", 2))
            end = end_of_comment(s);
        if (!end)
            return s;
        s = end;
    }
}

static bool is_word(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

static bool begins(const char *s, const char *word) {
    size_t n = strlen(word);
    return !strncasecmp(s, word, n) && !is_word(s[n]);
}

static bool begins_any(const char *s, const char *const *words) {
    for (; *words; words++)
        if (begins(s, *words))
            return true;
    return false;
}

/* As a word of its own: "attempts" and "template" are innocent. */
static bool has_word(const char *s, const char *word) {
    size_t n = strlen(word);
    for (const char *p = s; (p = strcasestr(p, word)); p += n)
        if ((p == s || !is_word(p[-1])) && !is_word(p[n]))
            return true;
    return false;
}

static int touches_of_set(const char *rest) {
    static const char *const of_the_transaction[] = {"LOCAL", "TRANSACTION", "CONSTRAINTS", NULL};
    bool scope = has_word(rest, "role") || has_word(rest, "authorization") ||
                 has_word(rest, "search_path") || has_word(rest, "schema");
    return (scope ? SESSION_SCOPE : 0) | (begins_any(rest, of_the_transaction) ? 0 : SESSION_LASTS);
}

static int touches(const char *sql) {
    static const char *const first[] = {"RESET",   "LISTEN",     "UNLISTEN", "LOAD",
                                        "PREPARE", "DEALLOCATE", "DECLARE",  "DISCARD",
                                        "DO",      "CALL",       "EXECUTE",  NULL};
    static const char *const calls[] = {"advisory_lock", "pg_temp", "dblink", NULL};
    const char *s = skip_blank(sql);
    if (begins(s, "SET"))
        return SESSION_APART | touches_of_set(skip_blank(s + 3));
    if (begins_any(s, first))
        return SESSION_LASTS;
    if (strcasestr(s, "set_config"))
        return SESSION_LASTS | SESSION_SCOPE;
    for (const char *const *call = calls; *call; call++)
        if (strcasestr(s, *call))
            return SESSION_LASTS;
    return has_word(s, "temp") || has_word(s, "temporary") ? SESSION_LASTS : 0;
}

/* What ends the transaction; what is the transaction's and not the statement's: notifications are
 * folded, its number is everybody's, locks by number are held again by who holds them; and the
 * host's own tables, where the rows of those that ran before are still to come. */
static bool is_apart(const char *sql) {
    static const char *const ends[] = {"BEGIN", "START", "COMMIT", "END", "ABORT", "NOTIFY", NULL};
    static const char *const names[] = {
        "pg_notify",   "advisory",         "txid_current", "pg_current_xact_id", "rbf_outbox",
        "rbf_results", "rbf_dead_letters", "rbf_cron",     "rbf_suspects",       NULL};
    const char *s = skip_blank(sql);
    if (begins_any(s, ends) || (begins(s, "ROLLBACK") && !has_word(s, "to")))
        return true;
    for (const char *const *name = names; *name; name++)
        if (strcasestr(s, *name))
            return true;
    return false;
}

int session_touches(const char *sql) {
    int set = touches(sql);
    return set || is_apart(sql) ? set | SESSION_APART : 0;
}
