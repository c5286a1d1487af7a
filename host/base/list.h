/* SPDX-License-Identifier: MIT */
/* list - an intrusive doubly linked ring; a head is a node of its own. Nothing is allocated. */
#ifndef RBF_LIST_H
#define RBF_LIST_H
#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define list_each(head, it) for (struct list *it = (head)->next; it != (head); it = it->next)
/* The same, when the body may remove `it`. */
#define list_each_safe(head, it)                                                                   \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                      \
         it = it##_next, it##_next = it->next)

static inline void list_init(struct list *l) {
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l) {
    return l->next == l;
}

static inline void list_push(struct list *head, struct list *node) { /* at the tail */
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_push_front(struct list *head, struct list *node) {
    list_push(head->next, node);
}

/* Leaves the node an empty ring, so that removing twice does no harm. */
static inline void list_remove(struct list *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

static inline struct list *list_pop(struct list *head) { /* NULL when empty */
    struct list *first = head->next;
    if (first == head)
        return NULL;
    list_remove(first);
    return first;
}
#endif
