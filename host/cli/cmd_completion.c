/* SPDX-License-Identifier: MIT */
/* completion - a script for bash, made of the tables that the commands themselves are read by. */
#include "cli/cli.h"
#include <stdio.h>
#include <string.h>

/* Words are those of the line between blanks: bash's own break at the colon of "db:init", which is
 * why what stands before it is taken off again at the end. */
static const char head[] =
    "# bash completion for rbf, printed by `rbf completion bash`\n"
    "_rbf() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} words cur found of\n"
    "    read -ra words <<<\"$line\"\n"
    "    cur=${line##*[[:blank:]]}\n"
    "    if [[ ${#words[@]} -lt 2 || ${#words[@]} -eq 2 && -n $cur ]]; then\n"
    "        found='";
static const char middle[] = "'\n"
                             "    else\n"
                             "        case ${words[1]} in\n";
static const char settings[] = "        esac\n"
                               "        [[ $cur == -* ]] && found+=' --help ";
/* What a path holds must not be taken for the shell's: "$userId" is quoted as the line has it. */
static const char tail[] =
    "'\n"
    "    fi\n"
    "    COMPREPLY=($(compgen -W \"$found\" -- \"$cur\"))\n"
    "    if [[ -n $of && $cur != -* && ${#words[@]} -le 3 &&\n"
    "        ( ${#words[@]} -eq 2 || -n $cur ) ]]; then\n"
    "        local plain=${cur//[\\\\\\'\\\"]/} name\n"
    "        while read -r name; do\n"
    "            [[ $name == \"$plain\"* ]] || continue\n"
    "            [[ $cur == \\'* ]] || name=${name//\\$/\\\\$}\n"
    "            COMPREPLY+=(\"$name\")\n"
    "        done < <(\"${words[0]}\" completion $of 2>/dev/null </dev/null)\n"
    "    fi\n"
    "    if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then\n"
    "        COMPREPLY=(\"${COMPREPLY[@]#\"${cur%\"${cur##*:}\"}\"}\")\n"
    "    fi\n"
    "}\n"
    "complete -o default -F _rbf rbf\n";

static void put_commands(struct buf *out) {
    const char *name;
    for (int i = 0; (name = cli_command(i, NULL)); i++)
        buf_printf(out, "%s%s", i ? " " : "", name);
}

/* What its first argument is one of, as print_names() has them. */
static const char *names_for(const char *command) {
    if (!strcmp(command, "call") || !strcmp(command, "job:trigger"))
        return "paths";
    return strcmp(command, "queue:inspect") ? NULL : "queues";
}

/* "--apply --id=" without its marks. */
static void put_flags(struct buf *out, const char *flags) {
    for (; *flags; flags++)
        if (!strchr("=*", *flags))
            buf_putc(out, *flags);
}

static void put_cases(struct buf *out) {
    const char *name, *flags;
    for (int i = 0; (name = cli_command(i, &flags)); i++) {
        bool itself = !strcmp(name, "completion");
        if (!*flags && !itself)
            continue;
        buf_printf(out, "        %s) found='", name);
        put_flags(out, itself ? "bash" : flags);
        buf_puts(out, "'");
        if (names_for(name))
            buf_printf(out, " of=%s", names_for(name));
        buf_puts(out, " ;;\n");
    }
}

/* Of the app at hand, as call has it: that of the `rbf dev` which runs here, or handlers. */
static int print_names(struct cli *c, bool queues) {
    struct err none;
    (void)!cli_find_servers(c, &c->cfg.nats_url, &none);
    struct gen *g = cli_load(c, &none);
    for (int i = 0; g && queues && i < g->n_queues; i++)
        puts(g->queues[i].name);
    for (int i = 0; g && !queues && i < g->n_ops; i++)
        printf("%s.%s\n", g->queues[g->ops[i].queue].subject, g->ops[i].path);
    int code = g ? 0 : 1;
    gen_unref(g);
    return code;
}

int cmd_completion(struct cli *c) {
    struct buf out = {0};
    bool queues = c->argc == 1 && !strcmp(c->argv[0], "queues"); /* asked for by the script */
    if (queues || (c->argc == 1 && !strcmp(c->argv[0], "paths")))
        return print_names(c, queues);
    if (c->argc != 1 || strcmp(c->argv[0], "bash"))
        return cli_fail("usage: rbf completion bash, as in source <(rbf completion bash); other "
                        "shells have none (zsh: bashcompinit takes it)");
    buf_puts(&out, head);
    put_commands(&out);
    buf_puts(&out, middle);
    put_cases(&out);
    buf_puts(&out, settings);
    config_flags(&out);
    buf_puts(&out, tail);
    fputs(out.p, stdout);
    buf_free(&out);
    return 0;
}
