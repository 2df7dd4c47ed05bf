#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

const char CTL_COMPLETION_HELP[] =
    "Usage: aion2ctl completion bash\n"
    "\n"
    "Prints what makes bash complete the commands and options of aion2ctl with the\n"
    "Tab key. make install puts it where bash-completion looks for it.\n"
    "\n"
    "Examples:\n"
    "  source <(aion2ctl completion bash)      in this shell\n"
    "  aion2ctl completion bash > ~/.local/share/bash-completion/completions/aion2ctl\n"
    "\n"
    "Exit codes: 0 printed, 64 wrong usage.\n";

static const char HEAD[] =
    "# bash completion for aion2ctl, made by \"aion2ctl completion bash\"\n"
    "_aion2ctl()\n"
    "{\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=\n"
    "    local command=${COMP_WORDS[1]} verb=${COMP_WORDS[2]}\n"
    "    COMPREPLY=()\n";

static const char TAIL[] = "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                           "}\n"
                           "complete -o default -F _aion2ctl aion2ctl\n";

/* "a|b" as "a b" */
static void print_words(const char *words)
{
    for (; *words; words++) {
        putchar(*words == '|' ? ' ' : *words);
    }
}

static void print_opts(const struct opt *opts)
{
    for (; opts && opts->name; opts++) {
        printf(" --%s", opts->name);
    }
    fputs(" --help", stdout);
}

/* What may follow an option: its words, or nothing of ours (then bash offers files). */
static void print_values(const char *pattern, const struct opt *opts)
{
    for (; opts && opts->name; opts++) {
        if (opts->kind != OPT_FLAG) {
            printf("    '%s --%s') words='", pattern, opts->name);
            print_words(opts->words ? opts->words : "");
            puts("' ;;");
        }
    }
}

/* case of "command previous-word": values of options, else whatever the next case says. */
static void print_value_cases(void)
{
    puts("    case \"$command $prev\" in");
    for (size_t i = 0; i < CTL_COMMAND_COUNT; i++) {
        const struct ctl_command *c = &CTL_COMMANDS[i];

        print_values(c->name, c->opts);
    }
    puts("    *)");
    puts("    case \"$command $verb $prev\" in");
    for (size_t i = 0; i < CTL_COMMAND_COUNT; i++) {
        const struct ctl_command *c = &CTL_COMMANDS[i];

        for (const struct ctl_verb *v = c->verbs; v && v->name; v++) {
            char pattern[64];

            snprintf(pattern, sizeof pattern, "%s %s", c->name, v->name);
            print_values(pattern, v->opts);
        }
    }
}

static void print_verbs(const struct ctl_command *c)
{
    printf("        %s)\n            case $verb in\n", c->name);
    for (const struct ctl_verb *v = c->verbs; v->name; v++) {
        printf("            %s) words='", v->name);
        print_opts(v->opts);
        puts("' ;;");
    }
    fputs("            -*) words='", stdout); /* no verb: the first one is meant */
    print_opts(c->verbs->opts);
    puts("' ;;\n            esac");
    fputs("            [ \"$COMP_CWORD\" -eq 2 ] && words+='", stdout);
    for (const struct ctl_verb *v = c->verbs; v->name; v++) {
        printf(" %s", v->name);
    }
    puts("' ;;");
}

static void print_word_cases(void)
{
    fputs("    *)\n"
          "        case $command in\n",
          stdout);
    for (size_t i = 0; i < CTL_COMMAND_COUNT; i++) {
        const struct ctl_command *c = &CTL_COMMANDS[i];

        if (c->verbs) {
            print_verbs(c);
        } else {
            printf("        %s) words='", c->name);
            print_opts(c->opts);
            puts("' ;;");
        }
    }
    fputs("        esac\n"
          "        [ \"$COMP_CWORD\" -eq 1 ] && words='",
          stdout);
    for (size_t i = 0; i < CTL_COMMAND_COUNT; i++) {
        printf("%s ", CTL_COMMANDS[i].name);
    }
    puts("--help --version --check-config'");
    puts("    esac\n    esac");
}

static int completion_bash(const struct ctl_settings *s UNUSED, int argc, char **argv)
{
    static const struct opt NONE[] = {OPT_END};
    int first = opt_parse(argv[0], NONE, argc, argv, NULL);

    if (first < 0 || ctl_no_more("completion bash", first, argc, argv) != CTL_OK) {
        return CTL_USAGE;
    }
    fputs(HEAD, stdout);
    print_value_cases();
    print_word_cases();
    fputs(TAIL, stdout);
    return CTL_OK;
}

const struct ctl_verb CTL_COMPLETION_VERBS[] = {{"bash", completion_bash, NULL},
                                                {NULL, NULL, NULL}};
