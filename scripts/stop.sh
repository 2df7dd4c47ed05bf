#!/bin/bash
# ./run stop [--wipe]: ends the processes that ./run demo started, and nothing else.
set -euo pipefail
. "$ROOT/scripts/lib.sh"

wipe=false
case ${1:-} in
"") ;;
--wipe) wipe=true ;;
*)
    echo "./run stop: unknown option: $1; the only one is --wipe" >&2
    exit 64
    ;;
esac

if [ ! -d "$RUN_DIR" ]; then
    say stop "nothing was started here"
    exit 0
fi
run_dir_open
process_stop beat TERM 10
process_stop api TERM 20
process_stop worker TERM 45
process_stop redis TERM 30
process_stop postgresql INT 60

if $wipe; then
    # .run/data may point to a folder under /var/tmp (see data_root in servers.sh).
    aside=$(readlink "$RUN_DIR/data" || true)
    case $aside in
    /var/tmp/aion2rank-*) [ ! -O "$aside" ] || rm -rf "$aside" ;;
    esac
    rm -rf "$RUN_DIR"
    say stop ".run/ deleted"
else
    say stop "data kept in .run/ (./run stop --wipe deletes them)"
fi
