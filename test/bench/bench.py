#!/usr/bin/python3
"""The benchmark: each figure beside that of a peer measured in the same run."""
import argparse
import datetime
import pathlib
import sys

import machine
import report

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
SIZES = [10_000, 100_000, 1_000_000]
QUICK_SIZES = [2_000]
# Every server has to have ten characters: below that other rules hold, which the peers lack.
SIZE_MIN = 2_000
PARTS = ["batch", "api", "jobs"]
TASKS = 100_000
TASKS_MIN = 1_000


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, epilog="docs/benchmarks.md says more.")
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    parser.add_argument("--sizes", type=lambda text: [int(n) for n in text.split(",")],
                        metavar="N,...", help="populations (default 10000,100000,1000000)")
    parser.add_argument("--runs", type=int, help="runs of each measurement (default 5)")
    parser.add_argument("--seconds", type=int, help="length of a run of wrk (default 10)")
    parser.add_argument("--tasks", type=int, default=TASKS,
                        help="messages in the full queue (default 100000)")
    parser.add_argument("--quick", action="store_true",
                        help="2,000 characters, 6,000 tasks, 2 runs, 2 seconds: does it work?")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path, help="also write JSON")
    parser.add_argument("--write-docs", action="store_true",
                        help="replace the results in docs/benchmarks.md")
    options = parser.parse_args()
    options.sizes = sorted(options.sizes or (QUICK_SIZES if options.quick else SIZES))
    options.runs = options.runs or (2 if options.quick else 5)
    options.seconds = options.seconds or (2 if options.quick else 10)
    options.parts = [options.only] if options.only else PARTS
    if options.sizes[0] < SIZE_MIN or options.runs < 1 or options.seconds < 1:
        parser.error(f"populations of at least {SIZE_MIN} characters, at least one run and one second")
    if options.tasks < TASKS_MIN:
        parser.error(f"at least {TASKS_MIN} tasks")
    return options


def say(text):
    """Progress; the table alone goes to standard output."""
    print(text, file=sys.stderr, flush=True)


def measure_batch(bench, options, about):
    """Rows of every size; the largest population stays, for the api."""
    # pylint: disable=import-outside-toplevel
    import batch
    import population
    rows, database = [], None
    for count in options.sizes:
        if database:
            database.drop()
        say(f"batch, {count:,} characters")
        database = population.create(bench, count)
        about["populations"].append(population.describe(database))
        rows += batch.measure_size(bench, database, count, options.runs, say)
    growth = batch.growth_row(rows)
    return rows + ([growth] if growth else []), database


def publish_board(bench, count, about):
    """A database whose board a batch has published."""
    # pylint: disable=import-outside-toplevel
    import batch
    import population
    database = population.create(bench, count)
    about["populations"].append(population.describe(database))
    with bench.worker(database):
        batch.run_batch(bench.redis.client())
    return database


def measure(bench, options, about):
    # pylint: disable=import-outside-toplevel
    rows, database = [], None
    if "batch" in options.parts:
        rows, database = measure_batch(bench, options, about)
    if "api" in options.parts:
        import serve
        say(f"api, {options.sizes[-1]:,} characters")
        database = database or publish_board(bench, options.sizes[-1], about)
        rows += serve.measure(bench, database, options.runs, options.seconds, say)
    if "jobs" in options.parts:
        import jobsystem
        rows += jobsystem.measure(bench, options, say)
    return rows


def write_results(options, rows, about):
    print(", ".join(f"{key} {value}" for key, value in about["machine"].items()), end="\n\n")
    report.print_table(rows, sys.stdout)
    judged = [row for row in rows if row.reached is not None]
    print(f"\n{sum(row.reached for row in judged)} of {len(judged)} goals reached")
    if options.json:
        options.json.write_text(report.as_json(rows, about), encoding="utf-8")
    if options.write_docs:
        report.write_docs(DOCS, rows, about)


def main():
    options = parse_arguments()
    missing = machine.missing_packages(options.parts)
    if missing:
        sys.exit("the benchmark needs: apt install " + " ".join(missing))
    import rig  # pylint: disable=import-outside-toplevel
    about = {"date": datetime.date.today().isoformat(), "machine": machine.describe(),
             "runs": options.runs, "seconds": options.seconds, "populations": []}
    rig.build_release()
    bench = rig.Rig(with_postgres=options.parts != ["jobs"])
    try:
        rows = measure(bench, options, about)
    except (rig.BenchError, AssertionError) as error:
        sys.exit(f"bench: {error}\n{bench.log_tails()}")
    finally:
        bench.close()
    write_results(options, rows, about)


if __name__ == "__main__":
    main()
