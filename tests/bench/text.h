/* SPDX-License-Identifier: MIT */
/* text - what a generated message holds: request ids, and templates in which
 *   %u is unique and random, %n counts up from a base (adjacent texts),
 *   %a and %b are two different numbers from 1 to `accounts`. One thread. */
#ifndef BENCH_TEXT_H
#define BENCH_TEXT_H
#include <stddef.h>
#include <stdint.h>

#define TEXT_ID_LEN 37

/* Different in each process. */
void text_seed(void);
/* A UUID: version 7 (begins with the time) or 4 (random). */
void text_id(char id[TEXT_ID_LEN], int version);
/* Writes the template, filled, as a terminated text of less than `size`. */
void text_fill(char *to, size_t size, const char *tmpl, uint64_t number, uint64_t accounts);
#endif
