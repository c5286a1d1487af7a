/* SPDX-License-Identifier: MIT */
/* multi - libcurl's transfers driven by the loop: its sockets are polls, its timeouts one timer.
 * Loop thread only. Private to host/web. */
#ifndef RBF_MULTI_H
#define RBF_MULTI_H
#include <curl/curl.h>
#include <uv.h>

struct multi;
/* A transfer is over; not from inside libcurl, so it may add and remove any. The transfer is still
 * to be removed. */
typedef void (*multi_cb)(CURL *easy, CURLcode rc);

struct multi *multi_new(uv_loop_t *loop, long max_idle, multi_cb cb);
void multi_add(struct multi *m, CURL *easy);
/* At any time but from inside libcurl; then no cb comes for it. */
void multi_remove(struct multi *m, CURL *easy);
/* After all transfers are removed. Handles close in the loop's next turn. */
void multi_delete(struct multi *m);
#endif
