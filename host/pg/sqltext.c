/* SPDX-License-Identifier: MIT */
#include "pg/sqltext.h"
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* Each skip_… stands at the first character of its thing and returns what follows it, or the end of
 * the text when it is not closed. */

static const char *skip_line_comment(const char *s) {
    return s + strcspn(s, "\n");
}

static const char *skip_block_comment(const char *s) { /* they nest */
    int depth = 0;
    do {
        if (s[0] == '/' && s[1] == '*')
            depth++, s += 2;
        else if (s[0] == '*' && s[1] == '/')
            depth--, s += 2;
        else if (*s)
            s++;
    } while (*s && depth > 0);
    return s;
}

static const char *skip_quotes(const char *s, bool backslashes) { /* '' reopens at once */
    char quote = *s++;
    for (; *s && *s != quote; s++)
        if (backslashes && *s == '\\' && s[1])
            s++;
    return *s ? s + 1 : s;
}

static bool is_word(char c) {
    return isalnum((unsigned char)c) || c == '_' || (c & 0x80);
}

/* NULL when it is no dollar quote ("$1", "a$b"). */
static const char *skip_dollars(const char *s) {
    const char *tag_end = s + 1;
    if (isdigit((unsigned char)*tag_end))
        return NULL;
    while (is_word(*tag_end))
        tag_end++;
    if (*tag_end != '$')
        return NULL;
    size_t n = (size_t)(tag_end + 1 - s);
    for (const char *at = s + n; (at = strchr(at, '$')); at++)
        if (strncmp(at, s, n) == 0)
            return at + n;
    return s + strlen(s);
}

static const char *skip_word(const char *s) {
    bool escapes = (*s == 'e' || *s == 'E') && s[1] == '\'';
    if (escapes)
        return skip_quotes(s + 1, true);
    while (is_word(*s) || *s == '$')
        s++;
    return s;
}

static bool is_comment(const char *s) {
    return (s[0] == '-' && s[1] == '-') || (s[0] == '/' && s[1] == '*');
}

static const char *skip_blank(const char *s) {
    while (*s && (isspace((unsigned char)*s) || is_comment(s))) {
        if (!is_comment(s))
            s++;
        else
            s = *s == '-' ? skip_line_comment(s) : skip_block_comment(s);
    }
    return s;
}

static const char *skip_token(const char *s) {
    const char *end = NULL;
    if (is_comment(s))
        return skip_blank(s);
    if (*s == '\'' || *s == '"')
        return skip_quotes(s, false);
    if (*s == '$')
        end = skip_dollars(s);
    else if (is_word(*s))
        end = skip_word(s);
    return end ? end : s + 1;
}

/* Behind the statement's semicolon, or the end. */
static const char *skip_statement(const char *s) {
    int depth = 0;
    while (*s && !(*s == ';' && depth <= 0)) {
        depth += (*s == '(') - (*s == ')');
        s = skip_token(s);
    }
    return *s ? s + 1 : s;
}

static int line_at(const char *text, const char *at) {
    int line = 1;
    for (; text < at; text++)
        line += *text == '\n';
    return line;
}

int sqltext_line_of_statement(const char *text, int n) {
    const char *s = skip_blank(text), *last = s;
    while (*s) {
        if (*s != ';') {
            last = s;
            if (n-- == 0)
                break;
        }
        s = skip_blank(skip_statement(s));
    }
    return line_at(text, last);
}

int sqltext_line_of_char(const char *text, int n) {
    const char *s = text;
    for (; *s && n > 1; s++)
        n -= (s[1] & 0xc0) != 0x80; /* the next byte begins a character */
    return line_at(text, s);
}
