#include "ctl/note.h"

#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/changes.h"
#include "common/host.h"
#include "common/text.h"
#include "ctl/ctl.h"

#define ADDRESS       "aion2ctl"
#define STATUS_DONE   200
#define STATUS_FAILED 500

const char *note_principal(char out[128])
{
    char host[HOST_NAME_SIZE];
    const struct passwd *user = getpwuid(getuid());

    if (user) {
        snprintf(out, 128, "ctl:%.50s@%.60s", user->pw_name, host_name(host));
    } else {
        snprintf(out, 128, "ctl:%ju@%.60s", (uintmax_t)getuid(), host_name(host));
    }
    text_make_utf8(out);
    return out;
}

void note_target(struct note *n, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(n->target, sizeof n->target, fmt, ap);
    va_end(ap);
    text_make_utf8(n->target);
}

static struct change describe(const struct note *n)
{
    return (struct change){.principal = n->principal,
                           .address = ADDRESS,
                           .action = n->action,
                           .target = n->target,
                           .before = n->before,
                           .after = n->after};
}

bool note_begin(struct note *n, PGconn *c, struct err *e)
{
    struct change ch;

    note_principal(n->principal);
    ch = describe(n);
    n->id = changes_add(c, &ch, e);
    return n->id >= 0;
}

void note_end(struct note *n, PGconn *c, const struct err *why)
{
    struct change ch = describe(n);
    struct err e;

    ch.status = why ? STATUS_FAILED : STATUS_DONE;
    ch.detail = why ? why->text : NULL;
    if (!changes_finish(c, n->id, &ch, &e)) {
        ctl_fail(n->command, CTL_FAILED, "its end is not in the log of changes: %s", e.text);
    }
}
