# Sourced by demo.sh: the private PostgreSQL and Redis. Needs lib.sh.
# shellcheck shell=bash disable=SC2034

# PostgreSQL refuses to run as root, and Redis had better not: as root they run as the users that
# their packages made.
server_user() {
    if [ "$(id -u)" = 0 ]; then
        echo "$1"
    fi
}

# as_user USER COMMAND...: USER "" means ourselves.
as_user() {
    local user=$1
    shift
    if [ -n "$user" ]; then
        setpriv --reuid "$user" --regid "$user" --init-groups "$@"
    else
        "$@"
    fi
}

# data_root: prints the folder for the servers' data: .run/data, or, when the user postgres cannot
# get there (a checkout in root's home), one under /var/tmp that .run/data then points to.
data_root() {
    local link=$RUN_DIR/data aside
    chmod 755 "$RUN_DIR"
    if [ ! -L "$link" ]; then
        mkdir -p "$link"
        if as_user "$(server_user postgres)" test -x "$link"; then
            echo "$link"
            return
        fi
        rmdir "$link" || return 1
        aside=/var/tmp/aion2rank-$(printf %s "$ROOT" | sha256sum | cut -c1-16)
        mkdir -p "$aside"
        ln -s "$aside" "$link"
    fi
    aside=$(readlink "$link")
    mkdir -p "$aside" || return 1
    # Anybody can write /var/tmp: go on only with a real folder that is ours.
    [ ! -L "$aside" ] && [ -O "$aside" ] || return 1
    chmod 755 "$aside"
    echo "$aside"
}

# data_folder NAME USER: a folder for one server, private to its user.
data_folder() {
    mkdir -p "$DATA_ROOT/$1"
    chmod 700 "$DATA_ROOT/$1"
    [ -z "$2" ] || chown "$2" "$DATA_ROOT/$1"
    echo "$DATA_ROOT/$1"
}

# port_of NAME FIRST: the port of the last start while it is free, else the next free one.
port_of() {
    local kept
    kept=$(cat "$RUN_DIR/$1.port" 2>/dev/null || true)
    if [ -z "$kept" ] || ! port_free "$kept"; then
        kept=$(port_pick "$2") || fail "no free port for $1"
    fi
    echo "$kept" | tee "$RUN_DIR/$1.port"
}

# Every URL that a private server ever had, so that they are known again when they come back in the
# environment.
url_note_private() {
    url_is_private "$1" || (umask 077 && echo "$1" >>"$RUN_DIR/private-urls")
}
url_is_private() { [ -n "$1" ] && grep -qxF -- "$1" "$RUN_DIR/private-urls" 2>/dev/null; }

# ------------------------------------------------------------------------------------ PostgreSQL

PG_ROLE=aion2
PG_DATABASE=aion2rank

pg_bin() {
    local found
    found=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    [ -x "$found/postgres" ] || fail "PostgreSQL is not installed (package postgresql-15)"
    echo "$found"
}

# Makes the cluster aside and moves it in place, so that a broken attempt leaves nothing.
pg_create() {
    local folder=$1 user=$2 bin=$3 password
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    (umask 077 && printf %s "$password" >"$RUN_DIR/postgresql.password")
    (umask 077 && printf %s "$password" >"$folder/password")
    [ -z "$user" ] || chown "$user" "$folder/password"
    rm -rf "$folder/new"
    (cd / && as_user "$user" "$bin/initdb" -D "$folder/new" -U $PG_ROLE -A scram-sha-256 \
        --pwfile "$folder/password" -E UTF8 --locale=C.UTF-8 --data-checksums --no-instructions) ||
        return 1
    rm -f "$folder/password"
    cat >>"$folder/new/postgresql.conf" <<'CONF'

# Private server of ./run demo: this machine only, TCP only, so that no socket path is too long.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = 128MB
max_wal_size = 1GB
log_line_prefix = '%m [%p] %a '
CONF
    mv "$folder/new" "$folder/cluster"
}

pg_password() { cat "$RUN_DIR/postgresql.password"; }
pg_url() { echo "postgresql://$PG_ROLE:$(pg_password)@127.0.0.1:$1/$PG_DATABASE"; }

# pg_admin PORT SQL: in the database postgres; the password stays out of the list of processes.
pg_admin() {
    PGPASSWORD=$(pg_password) psql -X -h 127.0.0.1 -p "$1" -U $PG_ROLE -d postgres -qAtc "$2"
}

pg_launch() {
    local folder=$1 user=$2 bin=$3 port
    port=$(port_of postgresql 15432)
    WORK_DIR=$folder process_start postgresql "$user" "$bin/postgres" -D "$folder/cluster" -p "$port"
    wait_until 60 pg_admin "$port" 'SELECT 1' ||
        fail_with_log "PostgreSQL does not answer on port $port" "$LOG_DIR/postgresql.log"
    if [ -z "$(pg_admin "$port" "SELECT 1 FROM pg_database WHERE datname = '$PG_DATABASE'")" ]; then
        pg_admin "$port" "CREATE DATABASE $PG_DATABASE"
    fi
}

# Sets DATABASE_URL.
postgresql_up() {
    local user folder bin how=running
    bin=$(pg_bin)
    if ! process_pid postgresql >/dev/null; then
        how=started
        user=$(server_user postgres)
        folder=$(data_folder postgresql "$user")
        [ -d "$folder/cluster" ] || pg_create "$folder" "$user" "$bin" \
            >"$LOG_DIR/initdb.log" 2>&1 || fail_with_log "initdb" "$LOG_DIR/initdb.log"
        pg_launch "$folder" "$user" "$bin"
    fi
    DATABASE_URL=$(pg_url "$(cat "$RUN_DIR/postgresql.port")")
    url_note_private "$DATABASE_URL"
    say PostgreSQL "$how, 127.0.0.1:$(cat "$RUN_DIR/postgresql.port")"
}

# ----------------------------------------------------------------------------------------- Redis

redis_answers() { [ "$(redis-cli -p "$1" ping)" = PONG ]; }

# Sets REDIS_URL.
redis_up() {
    local user folder port how=running
    if ! process_pid redis >/dev/null; then
        how=started
        user=$(server_user redis)
        folder=$(data_folder redis "$user")
        port=$(port_of redis 16379)
        # It keeps its files in the folder it is started in.
        WORK_DIR=$folder process_start redis "$user" redis-server --port "$port" \
            --bind 127.0.0.1 --daemonize no --appendonly yes --appendfsync always --save "" \
            --maxmemory-policy noeviction
        wait_until 30 redis_answers "$port" ||
            fail_with_log "Redis does not answer on port $port" "$LOG_DIR/redis.log"
    fi
    REDIS_URL=redis://127.0.0.1:$(cat "$RUN_DIR/redis.port")/0
    url_note_private "$REDIS_URL"
    say Redis "$how, 127.0.0.1:$(cat "$RUN_DIR/redis.port")"
}
