/* SPDX-License-Identifier: MIT */
/* help - what each command's --help says besides its line in `rbf --help`. */
#include "cli/cli.h"
#include <string.h>

#define USUAL "0 done; 1 not, and standard error says why"
#define FINDS                                                                                      \
    "Without --database-url or DATABASE_URL it asks the `rbf dev` that runs in this folder."

struct help {
    const char *name, *text, *example, *codes; /* text and codes: NULL for nothing, the usual */
};

static const struct help helps[] = {
    {"dev", "Ctrl-C stops it; its data stays in .rbf/ for the next time.", "rbf dev examples/shop",
     "0 ended by a signal; 1 could not start"},
    {"demo", NULL, "rbf demo", NULL},
    {"run", "SIGTERM drains, SIGHUP reloads the files once.", "rbf run handlers --workers 2",
     "0 drained; 1 could not start, or was killed by a second signal"},
    {"db:init", NULL, "rbf db:init --apply --database-url postgresql://localhost/app", NULL},
    {"job:trigger", NULL,
     "rbf job:trigger jobs.users.create '{\"email\":\"ada@example.com\",\"name\":\"Ada\"}'",
     "0 answered with status 200; 1 with another, or not at all"},
    {"job:replay", FINDS, "rbf job:replay --group 6f1c2a9e",
     "0 sent again; 1 nothing has that id, or some letters were left"},
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

void cli_help(struct buf *out, const char *command) {
    const struct help *h = helps, *end = helps + sizeof helps / sizeof *helps;
    while (h < end && strcmp(h->name, command) != 0)
        h++;
    if (h == end)
        return;
    if (h->text)
        buf_printf(out, "  %s\n", h->text);
    buf_printf(out, "\nExample:\n  %s\n\nExit codes:\n  %s\n", h->example,
               h->codes ? h->codes : USUAL);
}
