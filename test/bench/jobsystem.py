"""The job system: draining a full queue, waking up, idling; beside Celery, Sidekiq and RQ."""
import json
import pathlib
import statistics
import time
from dataclasses import dataclass

from harness import wait_for
from batch import memory_of
from figures import Figure, Goal, Row
from jobpeers import (CeleryPrefork, META, Messages, Ours, PROCESSES, Rq, Sidekiq, running,
                      store_messages)

PART = f"The job system, {PROCESSES} processes each"
DRAIN_TIMEOUT_S = 300
POLL_S = 0.002
# Between two messages for an idle worker, so that it is idle.
PAUSE_S = 0.02

GOAL_CELERY = Goal(at_least=20, text=">= 20")
GOAL_RATE = Goal(at_least=30_000, text=">= 30,000 /s", of_ours=True)
GOAL_P50 = Goal(at_most=0.001, text="< 1 ms", of_ours=True)
GOAL_P99 = Goal(at_most=0.005, text="< 5 ms", of_ours=True)
GOAL_IDLE = Goal(at_most=0.2, text="< 0.2 %", of_ours=True)
GOAL_MEMORY = Goal(at_most=1 / 8, text="<= 1/8")


@dataclass
class Plan:
    """How much of everything."""
    tasks: int
    samples: int  # messages for an idle worker, in each run
    idle_s: float
    runs: int

    @staticmethod
    def of(options):
        if options.quick:
            return Plan(tasks=6_000, samples=50, idle_s=5, runs=options.runs)
        return Plan(tasks=options.tasks, samples=200, idle_s=60, runs=options.runs)


# -- a full queue -------------------------------------------------------------------------------

def drain(peer, tasks):
    """Tasks a second, from the moment that the full queue appears to the last task's end."""
    count = peer.count(tasks)
    peer.fill(count)
    if not peer.always_on:
        peer.start()
    start = time.perf_counter()
    peer.release()
    wait_for(lambda: peer.ended(count), DRAIN_TIMEOUT_S, f"{count} tasks of {peer.name}", POLL_S)
    seconds = time.perf_counter() - start
    peer.check(count)
    return count / seconds


def measure_rates(ours, celery, others, plan, say):
    drain(ours, plan.tasks / 10)
    drain(celery, plan.tasks / 10)
    mine, theirs = [], []
    for _ in range(plan.runs):
        mine.append(drain(ours, plan.tasks))
        theirs.append(drain(celery, plan.tasks))
        say(f"  ours {mine[-1]:,.0f} a second, Celery {theirs[-1]:,.0f}")
    rate = Figure(mine, "/s")
    what = "no-op tasks a second from a full queue"
    rows = [Row(PART, what, rate, "Celery prefork", Figure(theirs, "/s"), GOAL_CELERY,
                of_pairs=True,
                note=f"{plan.tasks:,} messages of a Celery client, Celery drains the first "
                     f"{celery.count(plan.tasks):,}; results are stored")]
    for peer in others:
        figure = Figure([drain(peer, plan.tasks) for _ in range(plan.runs)], "/s")
        say(f"  {peer.name} {figure.median:,.0f}")
        rows.append(Row(PART, what, rate, peer.name, figure,
                        GOAL_RATE if peer is others[0] else None))
    rows[1].note = "Sidekiq stores no results and runs 10 threads in each process"
    return rows


# -- an idle worker -----------------------------------------------------------------------------

def wake_once(peer, messages):
    """Seconds from just before LPUSH to the task's first line."""
    message, task_id = messages.make()
    pushed = time.time()
    peer.client.lpush(peer.queue, message)
    document = wait_for(lambda: peer.client.get(META + task_id), 30, f"a task of {peer.name}",
                        PAUSE_S)
    peer.client.unlink(META + task_id)
    return json.loads(document)["result"] - pushed


def percentiles(seconds):
    ordered = sorted(seconds)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def measure_latency(bench, ours, celery, plan):
    messages = Messages(bench, "test.clock")
    sides = {peer: [percentiles([wake_once(peer, messages) for _ in range(plan.samples)])
                    for _ in range(plan.runs)] for peer in (ours, celery)}
    rows = []
    for index, (what, goal) in enumerate([("median", GOAL_P50), ("99th percentile", GOAL_P99)]):
        mine, theirs = ([run[index] for run in sides[peer]] for peer in (ours, celery))
        rows.append(Row(PART, f"from LPUSH to the start on an idle worker, {what}",
                        Figure(mine, "s"), "Celery prefork", Figure(theirs, "s"), goal))
    return rows


def cpu_ns(pids):
    """Processor time of all threads of the processes."""
    total = 0
    for pid in pids:
        for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            total += int(stat.read_text(encoding="ascii").split()[0])
    return total


def measure_idle(ours, celery, seconds):
    """Both sleep through the same minute."""
    before = {peer: cpu_ns(peer.pids()) for peer in (ours, celery)}
    start = time.perf_counter()
    time.sleep(seconds)
    wall_ns = (time.perf_counter() - start) * 1e9
    mine, theirs = ((cpu_ns(peer.pids()) - before[peer]) / wall_ns * 100
                    for peer in (ours, celery))
    return Row(PART, "processor time of an idle worker, of a core", Figure([mine], "%"),
               "Celery prefork", Figure([theirs], "%"), GOAL_IDLE,
               note=f"worker and children, over {seconds:g} s")


def memory_row(ours, celery):
    mine, theirs = (memory_of(peer.pids(), "smaps_rollup", "Pss") for peer in (ours, celery))
    return Row(PART, "memory of a worker and its children", Figure([mine], "MB"),
               "Celery prefork", Figure([theirs], "MB"), GOAL_MEMORY,
               note="PSS, after all the tasks")


def measure(bench, options, say):
    """All rows of the job system."""
    plan = Plan.of(options)
    say(f"job system, {plan.tasks:,} tasks")
    store_messages(bench, Messages(bench, "test.noop"), plan.tasks)
    ours, celery = Ours(bench), CeleryPrefork(bench)
    with running(ours, celery):
        say("  a full queue")
        rows = measure_rates(ours, celery, [Sidekiq(bench), Rq(bench)], plan, say)
        say("  idle workers")
        rows += measure_latency(bench, ours, celery, plan)
        rows.append(measure_idle(ours, celery, plan.idle_s))
        rows.append(memory_row(ours, celery))
    return rows
