#!/bin/bash
# ./run test: builds with every compiler and sanitizer, runs every test, counts in one line.
set -euo pipefail
. "$ROOT/scripts/lib.sh"

JOBS=$(nproc)
passed=0
failed=0

# check NAME LOG COMMAND...: a check without tests of its own counts as one.
check() {
    local name=$1 log=$2 start=$SECONDS
    shift 2
    if "$@" >"$log" 2>&1 </dev/null 9>&-; then
        passed=$((passed + 1))
        say "$name" "ok ($((SECONDS - start)) s)"
    else
        failed=$((failed + 1))
        say "$name" "FAILED"
        tail -n 40 "$log"
    fi
}

build() { make -C "$ROOT" -s -j"$JOBS" WERROR=1 "$@"; }

# clang needs a folder of its own, or it and gcc would rebuild each other's files.
build_clang() {
    local bins=(aion2-worker aion2-beat aion2-api aion2ctl)
    build CC=clang-14 BUILD=release OUT=build/clang "${bins[@]/#/build/clang/bin/}"
}

unit_programs() {
    local source
    for source in "$ROOT"/test/unit/test_*.c; do
        echo "build/$1/test/$(basename "$source" .c)"
    done
}

build_unit() {
    local programs
    mapfile -t programs < <(unit_programs "$1")
    build BUILD="$1" "${programs[@]}" tools
}

# cmocka closes with "[  PASSED  ] 5 test(s)." and, when some failed, "[  FAILED  ] 2 test(s), ...".
cmocka_count() {
    sed -n "s/^\[  $1  \] \([0-9]*\) test(s).*/\1/p" "$2" | tail -n 1
}

# unit_run KIND: every unit test program; one that ends without its closing line counts as failed.
unit_run() {
    local program log good bad sum=0
    for program in $(unit_programs "$1"); do
        log=$LOG_DIR/$1-$(basename "$program").log
        good=0 bad=0
        if (cd "$ROOT" && ASAN_OPTIONS=allocator_may_return_null=1 timeout 300 "$program") >"$log" 2>&1 </dev/null 9>&-; then
            good=$(cmocka_count PASSED "$log")
        else
            good=$(cmocka_count PASSED "$log")
            bad=$(cmocka_count FAILED "$log")
            bad=${bad:-1}
            echo "FAILED: $program"
            tail -n 40 "$log"
        fi
        passed=$((passed + ${good:-0}))
        failed=$((failed + bad))
        sum=$((sum + ${good:-0}))
    done
    say unit "$1: $sum passed"
}

# junit_count FILE: "passed failed" of a pytest run.
junit_count() {
    "$PYTHON" - "$1" <<'PY'
import sys
import xml.etree.ElementTree as ET

suite = ET.parse(sys.argv[1]).getroot().find("testsuite")
tests, bad, skipped = (int(suite.get(k)) for k in ("tests", "failures", "skipped"))
bad += int(suite.get("errors"))
print(max(0, tests - bad - skipped), bad)
PY
}

integration_run() {
    local report=$RUN_DIR/pytest.xml code=0 good bad
    rm -f "$report"
    (cd "$ROOT/test" && AION2_BIN=$ROOT/build/debug/bin PYTHONDONTWRITEBYTECODE=1 \
        "$PYTHON" -m pytest -q -n $((2 * JOBS)) --dist loadgroup -p no:cacheprovider --junitxml="$report" \
        integration browser) 9>&- </dev/null || code=$?
    read -r good bad < <(junit_count "$report") || good=0 bad=1
    # An error outside of the tests (a broken conftest, an interrupt) must not pass either.
    if [ $code != 0 ] && [ "$bad" = 0 ]; then
        bad=1
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
}

run_dir_open
packages_install "${PACKAGES_BUILD[@]}" "${PACKAGES_SERVERS[@]}" "${PACKAGES_TEST[@]}"
check format "$LOG_DIR/format.log" make -C "$ROOT" -s format-check
check build-clang "$LOG_DIR/build-clang.log" build_clang
check build-asan "$LOG_DIR/build-asan.log" build_unit asan
check build "$LOG_DIR/build-debug.log" build BUILD=debug
check build-unit "$LOG_DIR/build-unit.log" build_unit debug
unit_run debug
unit_run asan
integration_run
echo
echo "$passed passed, $failed failed"
[ $failed = 0 ]
