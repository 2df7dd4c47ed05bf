# Sourced by the commands of ./run: messages, steps with a log, packages, processes with pid files.
# shellcheck shell=bash disable=SC2034

RUN_DIR=$ROOT/.run
LOG_DIR=$RUN_DIR/log
PYTHON=/usr/bin/python3

# ------------------------------------------------------------------------------------- messages

# say NAME TEXT: one line of progress.
say() { printf '%-12s %s\n' "$1" "$2"; }

fail() {
    printf 'failed: %s\n' "$1" >&2
    exit "${2:-1}"
}

# fail_with_log TEXT LOG: the one line, then the end of the log.
fail_with_log() {
    printf 'failed: %s\n' "$1" >&2
    if [ -s "$2" ]; then
        printf -- '--- the end of %s\n' "$2" >&2
        tail -n 25 "$2" >&2
    fi
    exit 1
}

# step NAME TEXT LOG COMMAND...: runs it with its output in LOG, prints how long it took.
step() {
    local name=$1 text=$2 log=$3 start=$SECONDS
    shift 3
    "$@" >"$log" 2>&1 </dev/null || fail_with_log "$name: $text" "$log"
    say "$name" "$text ($((SECONDS - start)) s)"
}

# shell_quote TEXT: for a file that any POSIX shell sources.
shell_quote() { printf "'%s'" "${1//\'/\'\\\'\'}"; }

# ------------------------------------------------------------------------------------- packages

PACKAGES_BUILD=(gcc libc6-dev make pkg-config libpq-dev libhiredis-dev libcjson-dev libevent-dev
    libcurl4-openssl-dev libsystemd-dev libssl-dev zlib1g-dev libbz2-dev)
PACKAGES_SERVERS=(postgresql-15 redis-server redis-tools tzdata python3)
PACKAGES_TEST=(libcmocka-dev clang-14 clang-format-14 python3-pytest python3-pytest-xdist
    python3-pytest-timeout python3-celery python3-redis python3-psycopg2 python3-sqlalchemy
    python3-hypothesis python3-aiosmtpd python3-jsonschema python3-yaml prometheus valgrind
    openssl python3-selenium chromium chromium-driver fonts-noto-cjk)
# For make bench, which names those that are missing.
PACKAGES_BENCH=(nginx-light wrk ruby-sidekiq python3-rq)

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

packages_missing() {
    local p
    for p in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || echo "$p"
    done
}

# packages_install PACKAGE...: installs those that are missing. Services that come with them are
# neither started nor enabled.
packages_install() {
    local missing log=$LOG_DIR/apt.log
    command -v dpkg-query >/dev/null || {
        say packages "not a Debian system; going on with what is installed"
        return
    }
    mapfile -t missing < <(packages_missing "$@")
    if [ ${#missing[@]} = 0 ]; then
        return
    fi
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        fail "missing packages and no sudo; as root: apt-get install ${missing[*]}"
    fi
    say packages "installing ${missing[*]}"
    as_root bash "$ROOT/scripts/apt-install.sh" "${missing[@]}" >"$log" 2>&1 ||
        fail_with_log "could not install them; as root: apt-get install ${missing[*]}" "$log"
    mapfile -t missing < <(packages_missing "$@")
    [ ${#missing[@]} = 0 ] || fail_with_log "still missing: ${missing[*]}" "$log"
}

# ------------------------------------------------------------------------------------ processes
#
# A pid file holds: pid, start time of the process in clock ticks, boot id of the machine. The three
# name one process for ever, so a reused pid is never mistaken for ours.

process_identity() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) } # the name may hold anything; fields count from after it
    # shellcheck disable=SC2086
    set -- "$1" $stat
    [ "$2" != Z ] || return 1
    echo "$1 ${21} $(cat /proc/sys/kernel/random/boot_id)"
}

# process_pid NAME: prints the pid when what the pid file names is alive.
process_pid() {
    local pid rest
    read -r pid rest 2>/dev/null <"$RUN_DIR/$1.pid" || return 1
    [ "$(process_identity "$pid")" = "$pid $rest" ] || return 1
    echo "$pid"
}

# process_start NAME USER COMMAND...: in the background, in a session of its own, output in
# .run/log/NAME.log. USER "" means ourselves.
process_start() {
    local name=$1 user=$2 pid
    shift 2
    if [ -n "$user" ]; then
        set -- setpriv --reuid "$user" --regid "$user" --init-groups "$@"
    fi
    # 9 is the lock of the command; a server must not keep it.
    (cd "${WORK_DIR:-/}" && exec setsid "$@") >>"$LOG_DIR/$name.log" 2>&1 </dev/null 9>&- &
    pid=$!
    process_identity "$pid" >"$RUN_DIR/$name.pid" ||
        fail_with_log "$name ended at once" "$LOG_DIR/$name.log"
}

# process_stop NAME SIGNAL SECONDS: sends it, waits, and kills what has not ended by then.
process_stop() {
    local name=$1 signal=$2 deadline=$((SECONDS + $3)) pid
    pid=$(process_pid "$name") || {
        rm -f "$RUN_DIR/$name.pid"
        return 0
    }
    kill -s "$signal" "$pid" 2>/dev/null ||
        fail "may not stop $name (pid $pid): it belongs to another user"
    while process_pid "$name" >/dev/null; do
        if [ $SECONDS -ge $deadline ]; then
            say "$name" "did not end in $3 s: killed"
            kill -s KILL "$pid" 2>/dev/null || true
            break
        fi
        sleep 0.1
    done
    rm -f "$RUN_DIR/$name.pid" "$RUN_DIR/$name.stamp"
    say "$name" stopped
}

# wait_until SECONDS COMMAND...: polls the command until it succeeds.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.1
    done
}

# port_free PORT: nobody listens there on 127.0.0.1.
port_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# port_pick FIRST: the first free port from there on.
port_pick() {
    local port
    for ((port = $1; port < $1 + 200; port++)); do
        if port_free "$port"; then
            echo "$port"
            return
        fi
    done
    return 1
}

# run_dir_open: makes .run/ and takes its lock, so that two commands never work on it at once.
run_dir_open() {
    mkdir -p "$LOG_DIR" 2>/dev/null || true
    if [ ! -w "$RUN_DIR" ] || [ ! -w "$LOG_DIR" ]; then
        fail "cannot write $RUN_DIR ($(stat -c 'owner %U' "$RUN_DIR" 2>/dev/null))"
    fi
    exec 9>"$RUN_DIR/lock"
    flock -w 120 9 || fail "another ./run works on $RUN_DIR"
}
