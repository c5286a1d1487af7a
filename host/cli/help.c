/* SPDX-License-Identifier: MIT */
/* help - what each command's --help says besides its line in `rbf --help`. */
#include "cli/cli.h"
#include <stdio.h>
#include <string.h>

#define USUAL "0 done; 1 not, and standard error says why"
#define CALL_CODES                                                                                 \
    "0 answered with 2xx, or stored (--no-wait); 4 answered with 4xx; 5 with 5xx; 1 nobody has\n"  \
    "  got it; 3 no answer, and it may still run"
#define FINDS                                                                                      \
    "Without --database-url or DATABASE_URL it asks the `rbf dev` that runs in this folder."

struct help {
    const char *name, *text, *example, *codes; /* text and codes: NULL for nothing, the usual */
};

/* What the flags in main.c's table mean; one that several commands have means the same in each. */
static const struct flag {
    const char *name, *value, *what;
} flags_known[] = {
    {"--apply", "", "make them in the database, instead of printing their SQL"},
    {"--status", "", "list all files and which are applied"},
    {"--dry-run", "", "show what it would do, and do nothing"},
    {"--json", "", "for programs: JSON on standard output"},
    {"--param", " NAME=VALUE", "for $NAME in the path; as often as there are parameters"},
    {"--header", " NAME=VALUE", "a header of the request; as often as you like"},
    {"--timeout", " TIME", "how long to wait for the answer (30s)"},
    {"--no-wait", "", "only until NATS has stored it; prints its request id"},
    {"--request-id", " ID", "the same id never takes effect twice"},
    {"--group", " FP", "all dead letters with this fingerprint"},
    {"--all", "", "all dead letters"},
    {"--app", " APP_DIR", "the app's folder (handlers)"},
    {"--dead", "", "its dead letters instead of its messages"},
    {"--limit", " N", "rows at most"},
    {"--gate", "", "reload only when the specs that depend on the change pass"},
    {"--gate-timeout", " TIME", "how long they may take (60s)"},
    {"--allow-http", "", "with --dry-run: let the handler send its requests"},
    {"--stdout", "", "print, write no file"},
    {"--output", " WHERE", "types: a file, or - to print; test: busted's formatter (TAP, junit …)"},
    {"--filter", " PATTERN", "only specs whose name matches this Lua pattern"},
    {"--watch", "", "run again what depends on a file when it is saved"},
    {"--coverage", "", "then name the lines of the app's functions that did not run"},
};

static const struct flag *find_flag(const char *name, size_t n) {
    for (size_t i = 0; i < sizeof flags_known / sizeof *flags_known; i++)
        if (strlen(flags_known[i].name) == n && !strncmp(flags_known[i].name, name, n))
            return &flags_known[i];
    return NULL;
}

/* flags: "--apply --id= --tag=*". Those without a text are another program's (busted's). */
static void put_flags(struct buf *out, const char *flags) {
    struct buf others = {0};
    if (*flags)
        buf_puts(out, "\nFlags:\n");
    for (size_t n; *flags; flags += n + (flags[n] == ' ')) {
        char left[32];
        n = strcspn(flags, " ");
        size_t name = strcspn(flags, " =*");
        const struct flag *f = find_flag(flags, name);
        if (!f) {
            buf_printf(&others, " %.*s", (int)name, flags);
            continue;
        }
        snprintf(left, sizeof left, "%s%s", f->name, f->value);
        buf_printf(out, "  %-21s %s\n", left, f->what);
    }
    if (others.len)
        buf_printf(out, "  and busted's own:%s\n", others.p);
    buf_free(&others);
}

static const struct help helps[] = {
    {"new", "The folder must not be there yet, or be empty.", "rbf new guestbook", NULL},
    {"completion", "cmake --install puts it where bash finds it by itself.",
     "rbf completion bash\n  source <(rbf completion bash)", NULL},
    {"db:migrate",
     "First the host's own tables, as db:init --apply does, then APP_DIR/migrations/NNN_name.sql:\n"
     "  each file once, in one transaction. rbf dev and rbf test do the same. Without "
     "--database-url\n"
     "  or DATABASE_URL: the database of the `rbf dev` of this app that runs here, else "
     "main.lua's.",
     "rbf db:migrate handlers --database-url postgresql://localhost/app",
     "0 up to date; 1 a file failed, or was changed after it was applied"},
    {"routes", NULL, "rbf routes handlers --json", "0 the app loads; 1 its first fault is printed"},
    {"call",
     "JSON is the input: text, @FILE, or - for standard input; none is null. Prints the answer.\n"
     "  Without --nats-url or NATS_URL it asks the `rbf dev` that runs in this folder.",
     "rbf call jobs.users.create '{\"email\":\"ada@example.com\",\"name\":\"Ada\"}'\n"
     "  rbf call 'jobs.users.get.$userId' --param userId=42 --header Authorization=secret",
     CALL_CODES},

    {"dev", "Ctrl-C stops it; its data stays in .rbf/ for the next time.", "rbf dev examples/shop",
     "0 ended by a signal; 1 could not start"},
    {"demo", NULL, "rbf demo", NULL},
    {"run", "SIGTERM drains, SIGHUP reloads the files once.", "rbf run handlers --workers 2",
     "0 drained; 1 could not start, or was killed by a second signal"},
    {"db:init", NULL, "rbf db:init --apply --database-url postgresql://localhost/app", NULL},
    {"job:trigger", "The same as rbf call.",
     "rbf job:trigger jobs.users.create '{\"email\":\"ada@example.com\",\"name\":\"Ada\"}'",
     CALL_CODES},
    {"job:replay", FINDS, "rbf job:replay --group 6f1c2a9e",
     "0 sent again; 1 nothing has that id, or some letters were left; --dry-run: 0 it succeeds\n"
     "  today, 2 it fails, 1 it could not be tried"},
    {"job:discard", FINDS, "rbf job:discard 0190f3c2-7a1b-7c3d-9e4f-001122334455",
     "0 discarded; 1 nothing has that id"},
    {"job:cancel", FINDS, "rbf job:cancel 0190f3c2-7a1b-7c3d-9e4f-001122334455",
     "0 it will never run; 1 it is due, under way, done or unknown"},
    {"job:show", FINDS, "rbf job:show 0190f3c2-7a1b-7c3d-9e4f-001122334455",
     "0 shown; 1 nothing is known of it"},
    {"queue:list", FINDS, "rbf queue:list --json | jq '.[] | select(.dead > 0)'", NULL},
    {"queue:inspect", FINDS, "rbf queue:inspect jobs --dead --limit 100",
     "0 shown, also when it is empty; 1 no such queue, or no server"},
    {"outbox:list", FINDS, "rbf outbox:list --json --limit 1000", NULL},
    {"doctor", "Give it the settings of the host: its role, its user, its namespace. " FINDS,
     "rbf doctor handlers --database-url postgresql://shop_host@db/shop",
     "0 no problem (there may be warnings); 1 a problem, and what to do about it"},
    {"check", NULL, "rbf check handlers --json", "0 the app loads; 1 its first fault is printed"},
    {"types", NULL, "rbf types handlers --stdout", NULL},
    {"exec", NULL, "rbf exec --app handlers seed.lua 100",
     "what the script returned or gave to os.exit; 1 it failed"},
    {"test", NULL, "rbf test handlers/spec --filter signup", "0 all passed; 1 not"},
};

void cli_help_codes(struct buf *out) {
    buf_puts(out, "\nExit codes:\n"
                  "  0  done\n"
                  "  1  not done, or arguments that are none: standard error says why, in a line\n"
                  "  2  job:replay --dry-run: it fails today\n"
                  "  3  call: no answer, and it may still run\n"
                  "  4  call: answered with a status of 4xx\n"
                  "  5  call: answered with a status of 5xx\n"
                  "  exec gives what its script returns; above 128 a signal ended it\n");
}

void cli_help(struct buf *out, const char *command, const char *flags) {
    const struct help *h = helps, *end = helps + sizeof helps / sizeof *helps;
    while (h < end && strcmp(h->name, command) != 0)
        h++;
    if (h < end && h->text)
        buf_printf(out, "  %s\n", h->text);
    put_flags(out, flags);
    if (h == end)
        return;
    buf_printf(out, "\nExample:\n  %s\n\nExit codes:\n  %s\n", h->example,
               h->codes ? h->codes : USUAL);
}
