/* SPDX-License-Identifier: MIT */
/* The router half of subject.h: a trie of tokens. */
#include "base/utf8.h"
#include "wire/subject.h"
#include <stdlib.h>
#include <string.h>

struct edge {
    char *token;
    struct node *to;
};

struct node {
    struct edge *edges; /* literal tokens, sorted */
    size_t n;
    struct node *param; /* any one token */
    int op;             /* -1: no operation ends here */
    char *pattern;      /* queue subject and path, of op */
    char **names;       /* of its parameters, in order */
    size_t n_names;
};

struct router {
    struct node *root;
};

struct span {
    const char *p;
    size_t n;
};

static struct node *node_new(void) {
    struct node *node = xcalloc(1, sizeof *node);
    node->op = -1;
    return node;
}

static void node_delete(struct node *node) {
    if (!node)
        return;
    for (size_t i = 0; i < node->n; i++) {
        free(node->edges[i].token);
        node_delete(node->edges[i].to);
    }
    for (size_t i = 0; i < node->n_names; i++)
        free(node->names[i]);
    node_delete(node->param);
    free(node->edges);
    free(node->names);
    free(node->pattern);
    free(node);
}

struct router *router_new(void) {
    struct router *r = xcalloc(1, sizeof *r);
    r->root = node_new();
    return r;
}

void router_delete(struct router *r) {
    if (!r)
        return;
    node_delete(r->root);
    free(r);
}

static struct span token_at(const char *s) {
    return (struct span){s, strcspn(s, ".")};
}

static const char *behind(struct span t) { /* the next token; NULL at the end */
    return t.p[t.n] ? t.p + t.n + 1 : NULL;
}

static int compare(const char *token, struct span t) {
    int order = strncmp(token, t.p, t.n);
    return order ? order : token[t.n] != 0;
}

/* Where t stands among the edges, or would. */
static size_t edge_find(const struct node *node, struct span t, bool *found) {
    size_t low = 0, high = node->n;
    *found = false;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = compare(node->edges[mid].token, t);
        if (order == 0) {
            *found = true;
            return mid;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct node *literal_child(struct node *node, struct span t) {
    bool found;
    size_t i = edge_find(node, t, &found);
    if (found)
        return node->edges[i].to;
    node->edges = xrealloc(node->edges, (node->n + 1) * sizeof *node->edges);
    memmove(node->edges + i + 1, node->edges + i, (node->n - i) * sizeof *node->edges);
    node->edges[i] = (struct edge){xmemdup(t.p, t.n), node_new()};
    node->n++;
    return node->edges[i].to;
}

static struct node *param_child(struct node *node) {
    if (!node->param)
        node->param = node_new();
    return node->param;
}

static struct node *grow(struct node *node, const char *tokens) {
    for (const char *s = tokens; s;) {
        struct span t = token_at(s);
        node = *t.p == '$' ? param_child(node) : literal_child(node, t);
        s = behind(t);
    }
    return node;
}

static void set_names(struct node *leaf, const char *path) {
    leaf->names = xcalloc(SUBJECT_MAX_PARAMS, sizeof *leaf->names);
    for (const char *s = path; s;) {
        struct span t = token_at(s);
        if (*t.p == '$')
            leaf->names[leaf->n_names++] = xmemdup(t.p + 1, t.n - 1);
        s = behind(t);
    }
}

static int conflict(const struct node *leaf, const char *pattern, int *other, struct err *err) {
    if (other)
        *other = leaf->op;
    if (strcmp(leaf->pattern, pattern) == 0)
        return err_set(err, ERR_CONFIG, "path '%.300s' is defined twice, rename one", pattern);
    return err_set(err, ERR_CONFIG,
                   "paths '%.300s' and '%.300s' match the same subjects, rename a part of one",
                   leaf->pattern, pattern);
}

int router_add(struct router *r, const char *queue_subject, const char *path, int op, int *other,
               struct err *err) {
    if (other)
        *other = -1;
    if (subject_check_literal(queue_subject, false, err) || subject_check_path(path, err))
        return -1;
    char *pattern = xasprintf("%s.%s", queue_subject, path);
    struct node *leaf = grow(r->root, pattern);
    if (leaf->op >= 0) {
        int rc = conflict(leaf, pattern, other, err);
        free(pattern);
        return rc;
    }
    leaf->op = op;
    leaf->pattern = pattern;
    set_names(leaf, path);
    return 0;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The text a token stands for; NULL when it stands for none. Caller frees. */
static char *decode(struct span t) {
    char *out = xmalloc(t.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < t.n; i++) {
        if (t.p[i] != '%') {
            out[n++] = t.p[i];
            continue;
        }
        int high = t.n - i > 2 ? hex_digit(t.p[i + 1]) : -1;
        int low = high < 0 ? -1 : hex_digit(t.p[i + 2]);
        if (low < 0 || high + low == 0) /* %00: no C string, no Postgres text */
            goto bad;
        out[n++] = (char)(high << 4 | low);
        i += 2;
    }
    out[n] = 0;
    if (n > 0 && utf8_valid(out, n))
        return out;
bad:
    free(out);
    return NULL;
}

/* Each node has one depth, so it is entered at most once: the backtracking is linear in the trie.
 * values[0..depth) are the decoded parameters on the way, freed on the way back. */
static const struct node *descend(const struct node *node, const char *s, char **values, size_t n) {
    if (!s)
        return node->op >= 0 ? node : NULL;
    struct span t = token_at(s);
    bool found;
    size_t i = edge_find(node, t, &found);
    const struct node *leaf = found ? descend(node->edges[i].to, behind(t), values, n) : NULL;
    if (leaf || !node->param)
        return leaf;
    values[n] = decode(t);
    leaf = values[n] ? descend(node->param, behind(t), values, n + 1) : NULL;
    if (!leaf) {
        free(values[n]);
        values[n] = NULL;
    }
    return leaf;
}

int router_match(const struct router *r, const char *subject, struct subject_params *params) {
    char *values[SUBJECT_MAX_PARAMS] = {0};
    const struct node *leaf = descend(r->root, subject, values, 0);
    if (!leaf)
        return -1;
    if (params)
        params->n = leaf->n_names;
    for (size_t i = 0; i < leaf->n_names; i++) {
        if (params)
            params->v[i] = (struct subject_param){leaf->names[i], values[i]};
        else
            free(values[i]);
    }
    return leaf->op;
}

void subject_params_free(struct subject_params *p) {
    for (size_t i = 0; i < p->n; i++)
        free(p->v[i].value);
    p->n = 0;
}
