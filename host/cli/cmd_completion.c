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
    "    local line=${COMP_LINE:0:COMP_POINT} words cur found\n"
    "    read -ra words <<<\"$line\"\n"
    "    cur=${line##*[[:blank:]]}\n"
    "    if [[ ${#words[@]} -lt 2 || ${#words[@]} -eq 2 && -n $cur ]]; then\n"
    "        found='";
static const char middle[] = "'\n"
                             "    else\n"
                             "        case ${words[1]} in\n";
static const char settings[] = "        esac\n"
                               "        [[ $cur == -* ]] && found+=' --help ";
static const char tail[] = "'\n"
                           "    fi\n"
                           "    COMPREPLY=($(compgen -W \"$found\" -- \"$cur\"))\n"
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
        buf_puts(out, "' ;;\n");
    }
}

int cmd_completion(struct cli *c) {
    struct buf out = {0};
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
