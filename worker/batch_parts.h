#ifndef WORKER_BATCH_PARTS_H
#define WORKER_BATCH_PARTS_H

#include "common/pg.h"
#include "common/uuid.h"
#include "worker/batch.h"
#include "worker/copy.h"
#include "worker/failures.h"
#include "worker/pg_keep.h"
#include "worker/progress.h"
#include "worker/score.h"

/*
 * The steps of the batch and what they hand on; batch.c runs them in order. Only for batch*.c.
 */
#define BATCH_READERS_MAX 32
#define BATCH_PHASES_MAX  12
#define BATCH_SERVER_GUC  "aion2rank.server"
#define BATCH_UNLOCK_SQL  "SELECT pg_advisory_unlock_all()"
#define BATCH_IDS_GUC     "aion2rank.ids"

struct batch_phase {
    const char *name;
    double seconds;
};

struct batch {
    const struct task_request *req;
    PGconn *main; /* the session that has the lock and publishes */
    bool claimed; /* the run's row says that we are at it */
    bool published;
    bool unlocked; /* main has let the lock go */
    char owner[UUID_SIZE];
    int64_t run_id;
    int attempt;
    int earlier_backend; /* pid of the session of this run's attempt before, 0: none */
    char snapshot[64];   /* what readers import */
    int64_t now_us;      /* the run's instant, Unix epoch */
    int64_t live_run_id; /* 0: nothing has been published yet */
    uint32_t blocks;     /* of the table of characters */
    struct population people;
    struct failures failures;
    uint64_t failed;
    uint32_t servers; /* with an entry that this run has read */
    struct server_average *averages;
    struct order order;
    struct walk walk;
    struct placement *places; /* by entry number; rank 0: a repeated id, on no board */
    struct batch_phase phases[BATCH_PHASES_MAX];
    int phase_count;
    cJSON *result; /* set: the run ends here */
};

/* batch_run.c: sessions and the run's row; batch_lock.c */
bool batch_connect(struct batch *b, struct err *e);
bool batch_claim(struct batch *b, struct err *e);
bool batch_lock(struct batch *b, struct err *e);
bool batch_snapshot(struct batch *b, struct err *e);
/* Notes that the attempt failed, when the run is still ours; on a new connection if needed. */
void batch_note_failure(struct batch *b, const struct err *why);
/* A new session with our settings; name: how it shows in pg_stat_activity. */
#define BATCH_SESSION "aion2-worker batch"
#define AFTER_SESSION "aion2-worker after"
PGconn *batch_open_session(const struct settings *s, const char *name, struct err *e) MUST_CHECK;
/* {"status":...,"processed":n,...,"timestamp":...}; NULL when memory is out. */
cJSON *batch_make_result(const struct batch *b, const char *status) MUST_CHECK;
/* Writes state, counts, phases and result into the run's row; fails when it is not ours any more.
 */
bool batch_finish_row(struct batch *b, const char *state, const cJSON *result, struct err *e);
/* The same for one that has succeeded, and makes its generation the live one, of which it tells. */
bool batch_finish_and_switch(struct batch *b, struct err *e);

/* Fills in *e and returns false. */
bool batch_no_memory(struct err *e);
/* A number of a one-row answer, 0 for NULL. */
int64_t batch_cell_i64(const PGresult *r, int column);
/* A setting of our own until the transaction ends: COPY takes no parameters but can read these. */
bool batch_set_parameter(PGconn *c, const char *name, const char *value, struct err *e);

/* batch_read.c, batch_rows.c, batch_salvage.c: characters into people and failures */
bool batch_read(struct batch *b, struct err *e);
#define BATCH_ROW_FIELDS 8
#define BATCH_SQL_MAX    1024 /* a COPY of these columns */
/* SELECT list that batch_take_row understands. */
extern const char BATCH_ROW_COLUMNS[];
bool batch_take_row(void *batch, const struct pgcopy_field *fields, struct err *e);
/* The data cannot be read, and trying again would not help; other servers' data may be fine. */
bool batch_is_data_error(const char *sqlstate);
/* Makes a session see the run's snapshot. */
bool batch_begin_reader(const struct batch *b, PGconn *c, struct err *e) MUST_CHECK;
/* Reads everything again, server by server. */
bool batch_salvage(struct batch *b, struct err *e);

/* batch_keep.c: what stays of the previous board */
bool batch_keep(struct batch *b, struct err *e);

/* batch.c */
bool batch_score(struct batch *b, struct err *e);

/*
 * batch_write.c: the generation; batch_publish.c, batch_servers.c: all that goes with it, and
 * COMMIT. The server makes the table from batch_begin_write() on, and main is asked nothing until
 * batch_write().
 */
bool batch_begin_write(const struct batch *b, struct err *e);
bool batch_write(struct batch *b, struct err *e);
bool batch_attach(struct batch *b, struct err *e);
bool batch_publish(struct batch *b, struct err *e);
bool batch_publish_groups(struct batch *b, struct err *e);
bool batch_publish_servers(struct batch *b, struct err *e);

/* batch_history.c: the day's point of everybody, unless it is there; a failure is only logged. */
void batch_write_history(PGconn *c, const char *zone);

#endif
