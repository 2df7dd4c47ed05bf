#include "ctl/migrate_plan.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

const char *const MIGRATE_STATE_NAMES[MIGRATE_STATE_COUNT] = {
    [MIGRATE_APPLIED] = "applied",
    [MIGRATE_PENDING] = "pending",
    [MIGRATE_EDITED] = "edited",
    [MIGRATE_UNKNOWN] = "unknown",
};

static int row_version(const PGresult *rows, size_t i)
{
    return atoi(PQgetvalue(rows, (int)i, 0)); /* an integer column */
}

static struct migrate_line line_of_known(const struct migration *m)
{
    return (struct migrate_line){m->version, MIGRATE_PENDING, m->name, "", m};
}

static struct migrate_line line_of_row(const PGresult *rows, size_t i,
                                       const struct migration *known)
{
    struct migrate_line l = {row_version(rows, i), MIGRATE_UNKNOWN, PQgetvalue(rows, (int)i, 1),
                             PQgetvalue(rows, (int)i, 3), known};

    if (known) {
        bool same = strcmp(PQgetvalue(rows, (int)i, 2), known->checksum) == 0;

        l.state = same ? MIGRATE_APPLIED : MIGRATE_EDITED;
    }
    return l;
}

bool migrate_plan_make(struct migrate_plan *p, const PGresult *rows, const struct migration *known,
                       size_t n_known, struct err *e)
{
    size_t n_rows = rows ? (size_t)PQntuples(rows) : 0, row = 0, own = 0;

    p->n = 0;
    p->lines = mem_try_array(n_rows + n_known + 1, sizeof *p->lines);
    if (!p->lines) {
        return err_set(e, ERR_RETRYABLE, "MemoryError", "out of memory");
    }
    while (row < n_rows || own < n_known) {
        const struct migration *m = own < n_known ? &known[own] : NULL;
        int version = row < n_rows ? row_version(rows, row) : INT32_MAX;

        if (m && m->version < version) {
            p->lines[p->n++] = line_of_known(m);
            own++;
        } else {
            bool same = m && m->version == version;

            p->lines[p->n++] = line_of_row(rows, row++, same ? m : NULL);
            own += same;
        }
    }
    return true;
}

void migrate_plan_fini(struct migrate_plan *p)
{
    free(p->lines);
    *p = (struct migrate_plan){0};
}

static bool check_line(const struct migrate_line *l, const struct migrate_line *pending,
                       struct err *e)
{
    if (l->state == MIGRATE_UNKNOWN) {
        return err_set(e, ERR_PERMANENT, "SchemaError",
                       "the database has migration %s, which this program does not know: it is "
                       "newer; upgrade the program",
                       l->name);
    }
    if (l->state == MIGRATE_EDITED) {
        return err_set(e, ERR_PERMANENT, "SchemaError",
                       "migration %s was edited after it was applied (checksum differs); restore "
                       "it and put the change into a new migration",
                       l->name);
    }
    if (l->state == MIGRATE_APPLIED && pending) {
        return err_set(e, ERR_PERMANENT, "SchemaError",
                       "the database has migration %s but not %s before it; migrations are applied "
                       "in order, so that one was put in later: give it a new number",
                       l->name, pending->name);
    }
    return true;
}

bool migrate_plan_check(const struct migrate_plan *p, struct err *e)
{
    const struct migrate_line *pending = NULL;

    for (size_t i = 0; i < p->n; i++) {
        if (!check_line(&p->lines[i], pending, e)) {
            return false;
        }
        if (p->lines[i].state == MIGRATE_PENDING) {
            pending = &p->lines[i];
        }
    }
    return true;
}

bool migrate_plan_up_to_date(const struct migrate_plan *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->lines[i].state != MIGRATE_APPLIED) {
            return false;
        }
    }
    return true;
}
