/* SPDX-License-Identifier: MIT */
#include "cli/progress.h"
#include "base/clock.h"
#include "cli/table.h"
#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define AFTER_MS 1000
#define EVERY_MS 100
#define BAR_MAX 30
#define ERASE "\r\033[K"

struct progress progress_begin(const char *what, int64_t total) {
    return (struct progress){.what = what, .total = total, .began_ms = clock_mono_ms()};
}

static void put_bar(struct buf *out, int64_t done, int64_t total, int width) {
    int full = (int)((done < total ? done : total) * width / total);
    buf_puts(out, " [");
    for (int i = 0; i < width; i++)
        buf_putc(out, i < full ? '#' : '.');
    buf_puts(out, "]");
}

static void put_time(struct buf *out, uint64_t ms) {
    buf_puts(out, " ");
    table_put_duration(out, (int64_t)ms);
}

void progress_put(struct buf *out, const struct progress *p, int width, uint64_t elapsed_ms) {
    struct buf count = {0};
    if (p->total > 0)
        buf_printf(&count, " %" PRId64 "/%" PRId64, p->done, p->total);
    else if (p->done > 0)
        buf_printf(&count, " %" PRId64, p->done);
    else
        put_time(&count, elapsed_ms);
    if (p->done > 0 && p->done < p->total) {
        buf_puts(&count, ", ");
        table_put_duration(&count, (int64_t)elapsed_ms * (p->total - p->done) / p->done);
        buf_puts(&count, " left");
    }
    buf_puts(out, p->what);
    int room = width - (int)count.len - (int)out->len - 4;
    if (p->total > 0 && room >= 5)
        put_bar(out, p->done, p->total, room > BAR_MAX ? BAR_MAX : room);
    buf_put(out, count.p, count.len);
    buf_free(&count);
}

static void draw(struct progress *p, uint64_t now) {
    struct winsize size;
    struct buf line = {0};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || !size.ws_col)
        size.ws_col = 80;
    progress_put(&line, p, size.ws_col, now - p->began_ms);
    fprintf(stderr, ERASE "%s", line.p);
    fflush(stderr);
    buf_free(&line);
    p->drawn_ms = now;
}

void progress_tick(struct progress *p) {
    uint64_t now = clock_mono_ms();
    if (now - p->began_ms >= AFTER_MS && now - p->drawn_ms >= EVERY_MS && isatty(STDERR_FILENO))
        draw(p, now);
}

void progress_step(struct progress *p) {
    p->done++;
    progress_tick(p);
}

void progress_end(struct progress *p) {
    if (p->drawn_ms)
        fputs(ERASE, stderr);
    p->drawn_ms = 0;
}
