/* SPDX-License-Identifier: MIT */
#include "base/zone.h"
#include "base/config.h"
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "/usr/share/zoneinfo"
#define NAME_MAX_BYTES 64

/* Files of the folder that are no zones of their own: clocks that count leap seconds, aliases of
 * the machine's setting. */
static const char *const refused[] = {"right/", "posix/", "localtime", "posixrules"};

static bool well_formed(const char *name) {
    size_t n = strlen(name);
    if (n == 0 || n > NAME_MAX_BYTES ||
        strspn(name, "0123456789+-/_"
                     "abcdefghijklmnopqrstuvwxyz"
                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != n)
        return false;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (!strncmp(name, refused[i], strlen(refused[i])))
            return false;
    return name[0] != '/';
}

static bool is_zone_file(const char *name) {
    char magic[4] = "";
    char *path = xasprintf("%s/%s", FOLDER, name);
    FILE *f = fopen(path, "rb");
    bool is = f && fread(magic, 1, sizeof magic, f) == sizeof magic && !memcmp(magic, "TZif", 4);
    if (f)
        fclose(f);
    free(path);
    return is;
}

/* tzdata.zi has a line "Z NAME …" for each zone and "L TARGET NAME" for each other name of one. */
static char *name_of_line(char *line) {
    char *word = NULL;
    if (line[0] == 'Z' && line[1] == ' ')
        word = line + 2;
    else if (line[0] == 'L' && line[1] == ' ')
        word = strchr(line + 2, ' ');
    if (!word)
        return NULL;
    word += *word == ' ';
    word[strcspn(word, " \n")] = 0;
    return xstrdup(word);
}

static char *nearest(const char *name) {
    char line[512], *found = NULL;
    FILE *f = fopen(FOLDER "/tzdata.zi", "r");
    char **names = xcalloc(1, sizeof *names);
    size_t n = 0;
    while (f && fgets(line, sizeof line, f)) {
        char *one = name_of_line(line);
        if (!one)
            continue;
        names = xrealloc(names, (n + 2) * sizeof *names);
        names[n++] = one;
        names[n] = NULL;
    }
    if (f)
        fclose(f);
    found = xstrdup(config_nearest(name, (const char *const *)names));
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
    return found;
}

static int unknown(const char *name, struct err *err) {
    if (!is_zone_file("Etc/UTC"))
        return err_set(err, ERR_SYS,
                       "time zone '%.64s' cannot be read: " FOLDER
                       " is missing; install the package tzdata",
                       name);
    char *near = nearest(name);
    err_set(err, ERR_INVALID, "no time zone '%.64s'%s%s%s", name, near ? ", did you mean '" : "",
            near ? near : "; use an IANA name such as 'Europe/Berlin'", near ? "'?" : "");
    free(near);
    return -1;
}

struct zone *zone_open(const char *name, struct err *err) {
    if (!well_formed(name) || !is_zone_file(name)) {
        unknown(name, err);
        return NULL;
    }
    GTimeZone *z = g_time_zone_new_identifier(name);
    if (!z)
        err_set(err, ERR_SYS, "time zone '%s': " FOLDER "/%s cannot be read", name, name);
    return (struct zone *)z;
}

/* Looking does not change a GTimeZone; its functions only lack the const. */
int zone_offset(const struct zone *z, int64_t utc_s) {
    GTimeZone *g = (GTimeZone *)z;
    if (!g)
        return 0;
    return g_time_zone_get_offset(g, g_time_zone_find_interval(g, G_TIME_TYPE_UNIVERSAL, utc_s));
}

void zone_close(struct zone *z) {
    if (z)
        g_time_zone_unref((GTimeZone *)z);
}
