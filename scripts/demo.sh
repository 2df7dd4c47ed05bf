#!/bin/bash
# ./run demo: everything on this machine, with sample data. Every step can be repeated.
set -euo pipefail
. "$ROOT/scripts/lib.sh"
. "$ROOT/scripts/servers.sh"

BIN=$ROOT/build/release/bin
TASK=app.worker.calculate_power_and_rank_batch
POPULATION=5000
SERVERS=3
SEED=12

build() {
    local start=$SECONDS
    make -C "$ROOT" -s -j"$(nproc)" BUILD=release >"$LOG_DIR/build.log" 2>&1 </dev/null 9>&- ||
        fail_with_log "the build" "$LOG_DIR/build.log"
    say build "release, $((SECONDS - start)) s"
}

# Private servers unless the caller named others. What a shell has from .run/env names ours.
servers_up() {
    if url_is_private "${DATABASE_URL:-}"; then unset DATABASE_URL; fi
    if url_is_private "${REDIS_URL:-}"; then unset REDIS_URL; fi
    if [ -z "${DATABASE_URL:-}" ] || [ -z "${REDIS_URL:-}" ]; then
        DATA_ROOT=$(data_root) || fail "no folder for data that the servers can reach"
    fi
    if [ -n "${DATABASE_URL:-}" ]; then
        say PostgreSQL "from DATABASE_URL"
    else
        postgresql_up
    fi
    if [ -n "${REDIS_URL:-}" ]; then
        say Redis "from REDIS_URL"
    else
        redis_up
    fi
    export DATABASE_URL REDIS_URL
}

schema_up() {
    step schema "up to date" "$LOG_DIR/migrate.log" "$BIN/aion2ctl" migrate
    # Both servers answer, or it says which does not.
    "$BIN/aion2ctl" status >"$LOG_DIR/status.log" 2>&1 ||
        fail_with_log "the servers are not ready" "$LOG_DIR/status.log"
}

api_address() {
    local port
    if process_pid api >/dev/null; then
        cat "$RUN_DIR/api.port"
        return
    fi
    port=8000
    port_free $port || port=$(port_pick 8010) || fail "no free port for the api"
    echo "$port" | tee "$RUN_DIR/api.port"
}

# Open once there is a token, so nothing listens there at first.
admin_address() {
    local port
    if process_pid api >/dev/null && [ -s "$RUN_DIR/admin" ]; then
        cat "$RUN_DIR/admin"
        return
    fi
    port=8001
    port_free $port || port=$(port_pick 8110) || fail "no free port for the admin side"
    echo "$port" | tee "$RUN_DIR/admin"
}

# For the shell of whoever wants to look further: . .run/env
env_write() {
    (
        umask 077
        {
            echo "# Made by ./run demo; to be read by a shell."
            printf 'export %s\n' "DATABASE_URL=$(shell_quote "$DATABASE_URL")" \
                "REDIS_URL=$(shell_quote "$REDIS_URL")" \
                "API_URL=$(shell_quote "$API_URL")"
            echo "PATH=$(shell_quote "$BIN"):\$PATH"
        } >"$RUN_DIR/env"
    )
}

data_import() {
    if [ "$(psql "$DATABASE_URL" -qAtc 'SELECT EXISTS (SELECT FROM characters)')" = t ]; then
        say characters "kept: $(psql "$DATABASE_URL" -qAtc 'SELECT count(*) FROM characters')"
        return
    fi
    step characters "the sample" "$LOG_DIR/import.log" \
        "$BIN/aion2ctl" import "$ROOT/test/data/characters.csv" --quiet
    step characters "$POPULATION made-up ones on $SERVERS servers" "$LOG_DIR/import.log" \
        population_import
}

population_import() {
    "$BIN/aion2ctl" generate --count $POPULATION --servers $SERVERS --seed $SEED |
        "$BIN/aion2ctl" import - --quiet
}

# metrics_address NAME FIRST: where the program shows its figures; as before while it runs.
metrics_address() {
    local port
    port=$(cat "$RUN_DIR/$1.metrics" 2>/dev/null || true)
    if [ -z "$port" ] || { ! process_pid "$1" >/dev/null && ! port_free "$port"; }; then
        port=$(port_pick "$2") || fail "no free port for the metrics of $1"
    fi
    echo "$port" >"$RUN_DIR/$1.metrics"
    echo "127.0.0.1:$port"
}

# program_up NAME PROGRAM: starts it unless it runs with today's binary and settings.
program_up() {
    local name=$1 program=$BIN/$2 stamp how=started
    stamp=$(printf '%s\n' "$DATABASE_URL" "$REDIS_URL" "$API_LISTEN" "$ADMIN_LISTEN" \
        "$METRICS_LISTEN" | cat - "$program" | cksum)
    if process_pid "$name" >/dev/null; then
        if [ "$(cat "$RUN_DIR/$name.stamp" 2>/dev/null)" = "$stamp" ]; then
            say "$name" running
            return
        fi
        process_stop "$name" TERM 40
        how="started anew (program or settings changed)"
    fi
    process_start "$name" "" "$program"
    echo "$stamp" >"$RUN_DIR/$name.stamp"
    say "$name" "$how, log in .run/log/$name.log"
}

program_check() {
    process_pid "$1" >/dev/null || fail_with_log "$1 has ended" "$LOG_DIR/$1.log"
}

programs_up() {
    # The stored ranking belongs to one database.
    STATE_DIR=$RUN_DIR/state/$(printf %s "$DATABASE_URL" | cksum | cut -d' ' -f1)
    export API_LISTEN ADMIN_LISTEN STATE_DIR
    mkdir -p "$STATE_DIR"
    METRICS_LISTEN=$(metrics_address worker 9101) program_up worker aion2-worker
    METRICS_LISTEN=$(metrics_address beat 9102) program_up beat aion2-beat
    METRICS_LISTEN=$(metrics_address api 9103) program_up api aion2-api
    wait_until 30 "$PYTHON" "$ROOT/scripts/ranking.py" health "$API_URL" ||
        fail_with_log "the api does not answer on $API_URL" "$LOG_DIR/api.log"
    for name in beat worker api; do
        program_check $name
    done
}

batch_run() {
    local start=$SECONDS
    "$BIN/aion2ctl" call $TASK --wait 60 >"$RUN_DIR/batch.json" 2>"$LOG_DIR/batch.log" ||
        fail_with_log "the batch (see also .run/log/worker.log)" "$LOG_DIR/batch.log"
    say batch "$(cat "$RUN_DIR/batch.json") ($((SECONDS - start)) s)"
}

look_further() {
    local redis_cli="redis-cli -u \"\$REDIS_URL\""
    if url_is_private "$REDIS_URL"; then
        redis_cli="redis-cli -p $(cat "$RUN_DIR/redis.port")"
    fi
    cat <<TEXT

Open in a browser:
  $API_URL/ : the ranking, characters, servers, how the score is made
  http://$ADMIN_LISTEN/ : operations, once there is a token: aion2ctl token create me --scope admin

With curl:
  $API_URL/api/ranking/top?limit=10
  $API_URL/api/ranking?page=2&page_size=50
  $API_URL/api/servers
  curl -d '{"server":"시엘","name":"달그림자"}' -H 'Content-Type: application/json' $API_URL/api/search

Look further:
  . $(shell_quote "$RUN_DIR/env")
  aion2ctl status
  aion2ctl call $TASK --wait 60
  $redis_cli LPUSH celery '{"task":"$TASK"}'
  curl http://127.0.0.1:$(cat "$RUN_DIR/api.metrics")/metrics
  tail -f $(shell_quote "$LOG_DIR/worker.log")

The admin side (docs/admin.md):
  curl --unix-socket $(shell_quote "$STATE_DIR/admin.sock") http://admin/admin/overview

A batch runs every ten minutes. ./run stop ends it all and keeps the data.
TEXT
}

run_dir_open
packages_install "${PACKAGES_BUILD[@]}" "${PACKAGES_SERVERS[@]}"
build
servers_up
schema_up
data_import
API_LISTEN=127.0.0.1:$(api_address)
ADMIN_LISTEN=127.0.0.1:$(admin_address)
API_URL=http://$API_LISTEN
env_write
programs_up
batch_run
echo
"$PYTHON" "$ROOT/scripts/ranking.py" top "$API_URL" "$RUN_DIR/batch.json" ||
    fail_with_log "no ranking from $API_URL" "$LOG_DIR/api.log"
look_further
