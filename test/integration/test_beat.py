"""aion2-beat: each slot is sent once, whatever happens to beats and to Redis."""

import base64
import itertools
import json
import os
import random
import signal
import threading
import time
import uuid

import pytest
from celery import Celery

from harness import run_program, wait_for

TASK = "app.worker.calculate_power_and_rank_batch"
LAST, LEDGER, BEATS = "aion2:beat:last", "aion2:beat:ledger:batch", "aion2:beats"


@pytest.fixture
def redis_kept(make_redis):
    """A Redis whose data survives its restart."""
    return make_redis(appendonly=True)


def beat_env(server, interval, **more):
    """Without a worker nothing ever ends, so the batch may overlap here: every slot is sent."""
    if server.running() and "requirepass" not in server.options:
        server.client().hset("aion2:schedules", "batch", '{"overlap":"queue"}')
    return {"REDIS_URL": server.url, "BATCH_INTERVAL": interval, **more}


def settled(beat):
    """How often it found nothing to do for the batch."""
    return beat.log().count("event=beat.nothing_to_do schedule=batch ")


def messages(server, queue="celery"):
    """Everything sent so far, oldest first."""
    return [json.loads(m) for m in reversed(server.client().lrange(queue, 0, -1))]


def slots(server):
    return [m["headers"]["aion2_slot"] for m in messages(server)]


def ledger(server):
    """Oldest first."""
    return [json.loads(e) for e in reversed(server.client().lrange(LEDGER, 0, -1))]


def entries(server):
    """What the beats say of themselves."""
    return {k.decode(): json.loads(v) for k, v in server.client().hgetall(BEATS).items()}


def pids(server):
    return [e["pid"] for e in entries(server).values()]


def last_slot(server):
    return int(server.client().hget(LAST, "batch") or -1)


def set_last(server, slot):
    server.client().hset(LAST, "batch", slot)


def current_slot(server, interval):
    """By Redis' clock; far enough from the next boundary for a test that needs the same slot."""
    now = server.client().time()[0]
    if interval - now % interval <= 5:
        wait_for(lambda: server.client().time()[0] // interval != now // interval, interval + 5)
        now = server.client().time()[0]
    return now - now % interval


def assert_each_once(server, interval=1, stood_still_s=0.0):
    """Each slot once, each with an id of its own; ledger and counter tell the same.

    No slot is left out, unless the machine itself stood still for as long as that takes.
    """
    got = messages(server)
    sent = [m["headers"]["aion2_slot"] for m in got]
    assert sent == sorted(set(sent)) and all(slot % interval == 0 for slot in sent)
    assert len({m["headers"]["id"] for m in got}) == len(got)
    assert [e["slot"] for e in ledger(server)] == sent
    assert [e["id"] for e in ledger(server)] == [m["headers"]["id"] for m in got]
    assert int(server.client().hget("aion2:counters", "sent:batch")) == len(got)
    gaps = [(b - a) // interval - 1 for a, b in zip(sent, sent[1:])]
    assert [e["missed"] for e in ledger(server)][1:] == gaps
    if stood_still_s < interval / 2:
        assert set(gaps) <= {0}


class Stopwatch:
    """The longest time for which this machine, or Redis on it, stood still."""

    def __init__(self, server):
        self.longest_s = 0.0
        self._client = server.client()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self):
        last = time.monotonic()
        while not self._over.wait(0.02):
            self._client.ping()
            now = time.monotonic()
            self.longest_s = max(self.longest_s, now - last)
            last = now

    def stop(self):
        self._over.set()
        self._thread.join()
        return self.longest_s


# ------------------------------------------------------------------------------------ the message


def test_message_is_what_a_celery_client_sends(redis_server, spawn):
    """The same members with the same types as a real client's message for the same task."""
    set_last(redis_server, 0)
    spawn("aion2-beat", beat_env(redis_server, 600))
    ours = wait_for(lambda: messages(redis_server), what="a message")[0]
    slot, task_id = ours["headers"].pop("aion2_slot"), ours["headers"]["id"]

    app = Celery(broker=redis_server.url)
    app.send_task(TASK, task_id=task_id)
    app.close()
    theirs = messages(redis_server)[-1]

    def shape(v):
        return {k: shape(x) for k, x in v.items()} if isinstance(v, dict) else type(v)

    assert shape(ours) == shape(theirs)
    same = set(theirs["headers"]) - {"origin", "lang", "argsrepr"}
    assert {k: ours["headers"][k] for k in same} == {k: theirs["headers"][k] for k in same}
    assert ours["properties"]["correlation_id"] == task_id
    assert ours["properties"]["delivery_info"] == theirs["properties"]["delivery_info"]
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    assert json.loads(base64.b64decode(ours["body"])) == [[], {}, embed]
    assert slot % 600 == 0 and str(uuid.UUID(task_id)) == task_id


def test_task_queue_names_the_list(redis_server, spawn):
    set_last(redis_server, 0)
    spawn("aion2-beat", beat_env(redis_server, 600, TASK_QUEUE="other"))
    sent = wait_for(lambda: messages(redis_server, "other"), what="a message")
    assert sent[0]["properties"]["delivery_info"]["routing_key"] == "other"
    assert not redis_server.client().exists("celery")


# -------------------------------------------------------------------------------- once, and always


def test_three_beats_send_each_slot_once(redis_server, spawn):
    watch = Stopwatch(redis_server)
    beats = [spawn("aion2-beat", beat_env(redis_server, 1)) for _ in range(3)]
    wait_for(lambda: len(messages(redis_server)) >= 5, 30, "five slots")
    assert [b.stop() for b in beats] == [0, 0, 0]
    assert_each_once(redis_server, 1, watch.stop())


def test_killing_and_restarting_beats_loses_and_doubles_nothing(redis_server, spawn):
    watch = Stopwatch(redis_server)
    beats = [spawn("aion2-beat", beat_env(redis_server, 1)) for _ in range(3)]
    first = wait_for(lambda: max(last_slot(redis_server), 0))
    for turn in itertools.count():
        beat = beats[turn % 3]
        beat.kill()
        beat.start()
        wait_for(lambda b=beat: b.pid in pids(redis_server), what="the beat's return")
        time.sleep(0.3)  # the rhythm of the storm, not a wait for anything
        if last_slot(redis_server) >= first + 6:
            break
    assert_each_once(redis_server, 1, watch.stop())
    assert slots(redis_server)[0] == first + 1 + ledger(redis_server)[0]["missed"]


def test_restarting_within_a_slot_sends_nothing(redis_server, spawn):
    interval = 86400
    current_slot(redis_server, interval)
    set_last(redis_server, 0)
    beat = spawn("aion2-beat", beat_env(redis_server, interval, LOG_LEVEL="debug"))
    beat.wait_log("event=beat.sent schedule=batch")
    for n in range(1, 6):
        beat.kill()
        beat.start()
        wait_for(lambda n=n: settled(beat) == n)
    assert len(messages(redis_server)) == 1


@pytest.mark.parametrize("interval", [2, 3])
def test_slots_are_multiples_of_the_interval(redis_server, spawn, interval):
    watch = Stopwatch(redis_server)
    spawn("aion2-beat", beat_env(redis_server, interval))
    wait_for(lambda: len(messages(redis_server)) >= 3, 30, "three slots")
    assert_each_once(redis_server, interval, watch.stop())
    for entry in ledger(redis_server):
        assert entry["slot"] <= entry["sent_at"] < entry["slot"] + interval


# ------------------------------------------------------------------------------- first and after


def test_the_very_first_start_only_notes_the_slot(redis_server, spawn):
    slot = current_slot(redis_server, 600)
    beat = spawn("aion2-beat", beat_env(redis_server, 600))
    beat.wait_log("event=beat.first_start schedule=batch")
    assert last_slot(redis_server) == slot
    assert messages(redis_server) == [] and ledger(redis_server) == []


@pytest.mark.parametrize("away", [1, 2, 5, 2000])
def test_after_downtime_one_message_catches_up(redis_server, spawn, away):
    slot = current_slot(redis_server, 600)
    set_last(redis_server, slot - away * 600)
    beats = [spawn("aion2-beat", beat_env(redis_server, 600, LOG_LEVEL="debug")) for _ in range(2)]
    wait_for(lambda: any("event=beat.sent schedule=batch" in b.log() for b in beats))
    wait_for(lambda: any(settled(b) for b in beats))
    assert slots(redis_server) == [slot]
    assert [e["missed"] for e in ledger(redis_server)] == [away - 1]


def test_a_changed_interval_neither_doubles_nor_stalls(redis_server, spawn):
    """What was sent with an interval of 2 s goes on with 1 s and then 3 s."""
    for interval in (2, 1, 3):
        beat = spawn("aion2-beat", beat_env(redis_server, interval))
        seen = len(messages(redis_server))
        wait_for(lambda n=seen: len(messages(redis_server)) >= n + 2, 30, "two more slots")
        assert beat.stop() == 0
    sent = slots(redis_server)
    assert sent == sorted(set(sent))
    for entry in ledger(redis_server):
        assert entry["slot"] in sent


def test_a_last_slot_between_two_slots_waits_for_the_next(redis_server, spawn):
    """The interval was 300 s before: 300 s into this slot, this slot is not sent again."""
    slot = current_slot(redis_server, 86400)
    set_last(redis_server, slot + 300)
    redis_now = redis_server.client().time()[0]
    if slot + 300 > redis_now:
        pytest.skip("within five minutes of midnight UTC")
    beat = spawn("aion2-beat", beat_env(redis_server, 86400, LOG_LEVEL="debug"))
    wait_for(lambda: settled(beat))
    assert messages(redis_server) == [] and last_slot(redis_server) == slot + 300


# ------------------------------------------------------------------------------ a clock that jumps


def test_a_clock_that_went_back_a_little_is_waited_for(redis_server, spawn):
    ahead = current_slot(redis_server, 600) + 1200
    set_last(redis_server, ahead)
    beat = spawn("aion2-beat", beat_env(redis_server, 600, LOG_LEVEL="debug"))
    beat.wait_log(f"last={ahead}")
    assert messages(redis_server) == [] and last_slot(redis_server) == ahead


def test_a_last_slot_far_in_the_future_is_forgotten(redis_server, spawn):
    set_last(redis_server, redis_server.client().time()[0] + 10 * 365 * 86400)
    watch = Stopwatch(redis_server)
    beat = spawn("aion2-beat", beat_env(redis_server, 1))
    wait_for(lambda: len(messages(redis_server)) >= 2, what="two slots")
    assert "level=warn program=beat" in beat.log()
    assert beat.log().count("event=beat.clock_was_wrong schedule=batch") == 1
    assert_each_once(redis_server, 1, watch.stop())


def test_a_last_slot_that_is_no_number_counts_as_none(redis_server, spawn):
    redis_server.client().hset(LAST, "batch", "soon")
    spawn("aion2-beat", beat_env(redis_server, 1))
    wait_for(lambda: messages(redis_server), what="a slot")
    assert_each_once(redis_server)


# ------------------------------------------------------------------------------ Redis goes away


def test_redis_away_at_start_is_waited_for(redis_kept, spawn):
    env = beat_env(redis_kept, 1)
    redis_kept.stop()
    beat = spawn("aion2-beat", env)
    beat.wait_log("event=redis.down")
    redis_kept.start()
    wait_for(lambda: len(messages(redis_kept)) >= 2, 30, "two slots")
    assert beat.log().count("event=redis.down") <= 2  # refused, perhaps then LOADING
    assert beat.log().count("event=redis.up") == 1


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_redis_outage_is_caught_up_with_one_message(redis_kept, spawn, how):
    beats = [spawn("aion2-beat", beat_env(redis_kept, 1)) for _ in range(2)]
    wait_for(lambda: len(messages(redis_kept)) >= 2, 30, "two slots")
    getattr(redis_kept, how)()
    down_since = time.time()
    for beat in beats:
        beat.wait_log("event=redis.down")
    wait_for(lambda: time.time() > down_since + 3.2, what="three slots going by")
    redis_kept.start()
    wait_for(lambda: any(e["missed"] for e in ledger(redis_kept)), 30, "the catch-up")
    caught_up = len(messages(redis_kept))
    wait_for(lambda: len(messages(redis_kept)) >= caught_up + 2, 30, "two more slots")
    assert [b.stop() for b in beats] == [0, 0]
    sent, gaps = slots(redis_kept), [e["missed"] for e in ledger(redis_kept)]
    assert sent == sorted(set(sent))
    assert [b - a - 1 for a, b in zip(sent, sent[1:])] == gaps[1:]
    assert max(gaps) >= 2


def test_a_redis_that_lost_its_data_does_not_cost_a_slot(redis_server, spawn):
    """The beat remembers what it knows; nobody takes this for a very first start."""
    beat = spawn("aion2-beat", beat_env(redis_server, 2))
    wait_for(lambda: messages(redis_server), what="a slot")
    known = last_slot(redis_server)
    redis_server.kill()
    redis_server.start()
    wait_for(lambda: messages(redis_server), 30, "a slot after the loss")
    first = ledger(redis_server)[0]
    assert first["slot"] == known + 2 * (first["missed"] + 1)
    assert beat.log().count("event=beat.first_start schedule=batch") == 1


def test_an_older_last_slot_in_redis_does_not_send_again(redis_server, spawn):
    """As after a failover to a replica that lags behind."""
    slot = current_slot(redis_server, 86400)
    set_last(redis_server, slot - 86400)
    beat = spawn("aion2-beat", beat_env(redis_server, 86400, LOG_LEVEL="debug"))
    beat.wait_log("event=beat.sent schedule=batch")
    set_last(redis_server, slot - 86400)
    assert redis_server.client().client_kill_filter(_type="normal", skipme=True) >= 1
    wait_for(lambda: last_slot(redis_server) == slot, what="the last slot put right")
    assert slots(redis_server) == [slot]


def test_a_redis_that_hangs_is_survived(redis_server, spawn):
    beat = spawn("aion2-beat", beat_env(redis_server, 1))
    wait_for(lambda: messages(redis_server), what="a slot")
    redis_server.pause()
    beat.wait_log("event=redis.down")
    redis_server.resume()
    beat.wait_log("event=redis.up")
    sent = len(messages(redis_server))
    wait_for(lambda: len(messages(redis_server)) > sent, what="another slot")
    got = slots(redis_server)
    assert got == sorted(set(got))


def test_the_scripts_are_loaded_again_after_script_flush(redis_server, spawn):
    watch = Stopwatch(redis_server)
    spawn("aion2-beat", beat_env(redis_server, 1))
    wait_for(lambda: messages(redis_server), what="a slot")
    redis_server.client().script_flush()
    sent = len(messages(redis_server))
    wait_for(lambda: len(messages(redis_server)) >= sent + 2, what="two more slots")
    assert_each_once(redis_server, 1, watch.stop())


def test_a_wrong_password_is_said_once_and_waited_out(make_redis, spawn):
    server = make_redis(options={"requirepass": "secret"})
    beat = spawn("aion2-beat", beat_env(server, 1))
    beat.wait_log("NOAUTH")
    server.client(password="secret").config_set("requirepass", "")
    beat.wait_log("event=redis.up")
    assert beat.log().count("NOAUTH") == 1


def fill_memory(server):
    server.client().config_set("maxmemory", 1)
    return lambda: server.client().config_set("maxmemory", 0)


def spoil_queue(server):
    server.client().set("celery", "no list")
    return lambda: server.client().delete("celery")


@pytest.mark.parametrize("spoil, says", [(fill_memory, "OOM"), (spoil_queue, "WRONGTYPE")])
def test_a_slot_that_cannot_be_sent_is_not_claimed(redis_server, spawn, spoil, says):
    slot = current_slot(redis_server, 86400)
    set_last(redis_server, slot - 86400)
    env = beat_env(redis_server, 86400)
    repair = spoil(redis_server)
    beat = spawn("aion2-beat", env)
    beat.wait_log(says)
    assert last_slot(redis_server) == slot - 86400
    repair()
    beat.wait_log("event=beat.sent schedule=batch")
    assert slots(redis_server) == [slot]


def test_a_broken_list_of_beats_does_not_stop_the_slots(redis_server, spawn):
    redis_server.client().set(BEATS, "no hash")
    beat = spawn("aion2-beat", beat_env(redis_server, 1))
    wait_for(lambda: len(messages(redis_server)) >= 3, 30, "three slots")
    assert "event=beat.not_shown" in beat.log()


@pytest.mark.soak
def test_storm(redis_kept, spawn):
    """Beats and Redis are killed, stopped and hung at random; what was sent stays right."""
    seed = int(os.environ.get("AION2_SEED", time.time_ns() % 10**9))
    print(f"AION2_SEED={seed}")
    rng = random.Random(seed)
    beats = [spawn("aion2-beat", beat_env(redis_kept, rng.choice([1, 1, 2]))) for _ in range(4)]
    until = time.monotonic() + float(os.environ.get("AION2_SOAK_SECONDS", "60"))
    while time.monotonic() < until:
        what = rng.random()
        if what < 0.7:
            beat = rng.choice(beats)
            beat.kill() if rng.random() < 0.5 else beat.stop()
            beat.start()
        elif what < 0.85:
            redis_kept.kill()
            time.sleep(rng.uniform(0, 1.5))
            redis_kept.start()
        else:
            redis_kept.pause()
            time.sleep(rng.uniform(0, 3))
            redis_kept.resume()
        time.sleep(rng.uniform(0, 0.4))
    settled = len(messages(redis_kept))
    wait_for(lambda: len(messages(redis_kept)) >= settled + 2, 60, "two slots after the storm")
    assert [b.stop() for b in beats] == [0] * 4
    sent, told = slots(redis_kept), ledger(redis_kept)
    assert sent == sorted(set(sent))
    assert [e["slot"] for e in told] == sent
    assert len({e["id"] for e in told}) == len(told)
    assert int(redis_kept.client().hget("aion2:counters", "sent:batch")) == len(sent)


# ------------------------------------------------------------------------- coming, going, health


def test_a_beat_shows_itself_and_says_goodbye(redis_server, spawn):
    beat = spawn("aion2-beat", beat_env(redis_server, 600))
    entry = wait_for(lambda: list(entries(redis_server).values()), what="the entry")[0]
    assert entry["pid"] == beat.pid and entry["interval"] == 600 and entry["host"]
    assert abs(redis_server.client().time()[0] - entry["seen"]) < 10
    assert 0 < redis_server.client().ttl(BEATS) <= 60
    assert beat.stop() == 0
    assert entries(redis_server) == {}


def test_entries_of_the_gone_are_removed(redis_server, spawn):
    now = redis_server.client().time()[0]
    for boot, text in {
        "gone": '{"host":"h","pid":1,"seen":%d}' % (now - 100),
        "fresh": '{"host":"h","pid":1,"seen":%d}' % now,
        "strange": "not JSON",
        "tricky": '{"host":"\\"seen\\":%d}","pid":1,"seen":5}' % now,
    }.items():
        redis_server.client().hset(BEATS, boot, text)
    beat = spawn("aion2-beat", beat_env(redis_server, 600))
    wait_for(lambda: len(entries(redis_server)) == 2, what="the clean-up")
    assert beat.pid in pids(redis_server)
    assert "fresh" in entries(redis_server)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_although_redis_hangs(redis_server, spawn, sig):
    beat = spawn("aion2-beat", beat_env(redis_server, 1))
    wait_for(lambda: messages(redis_server), what="a slot")
    redis_server.pause()
    beat.signal(sig)
    assert beat.wait(10) == 0


def test_a_signal_ends_it_while_redis_is_away(redis_kept, spawn):
    redis_kept.stop()
    beat = spawn("aion2-beat", beat_env(redis_kept, 1))
    beat.wait_log("event=redis.down")
    assert beat.stop(10) == 0


def healthcheck(server, interval):
    return run_program("aion2-beat", "--healthcheck", env=beat_env(server, interval))


def test_healthcheck(redis_server, spawn):
    nobody = healthcheck(redis_server, 600)
    assert nobody.returncode == 1 and "no beat" in nobody.stderr
    beat = spawn("aion2-beat", beat_env(redis_server, 600))
    beat.wait_log("event=beat.first_start")
    assert healthcheck(redis_server, 600).returncode == 0
    set_last(redis_server, last_slot(redis_server) - 1800)
    late = healthcheck(redis_server, 600)
    assert late.returncode == 1 and "600 s" in late.stderr
    redis_server.stop()
    assert healthcheck(redis_server, 600).returncode == 69


@pytest.mark.parametrize(
    "env, names",
    [
        ({"BATCH_INTERVAL": "0"}, "BATCH_INTERVAL"),
        ({"BATCH_INTERVAL": "86401"}, "BATCH_INTERVAL"),
        ({"BATCH_INTERVAL": "ten"}, "BATCH_INTERVAL"),
        ({"REDIS_URL": "http://localhost"}, "REDIS_URL"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL"),
        ({"TASK_QUEUE": "q" * 201}, "TASK_QUEUE"),
    ],
)
def test_wrong_settings_are_named(env, names):
    done = run_program("aion2-beat", env=env)
    assert done.returncode == 64 and names in done.stderr
    assert run_program("aion2-beat", "--check-config", env=env).returncode == 64


def test_words_on_the_command_line():
    helped = run_program("aion2-beat", "--help")
    assert helped.returncode == 0 and "BATCH_INTERVAL" in helped.stdout
    assert run_program("aion2-beat", "--version").stdout.startswith("aion2-beat ")
    secret = {"REDIS_URL": "redis://:hidden@localhost:1/0"}
    config = run_program("aion2-beat", "--check-config", env=secret)
    assert config.returncode == 0 and "hidden" not in config.stdout
    assert run_program("aion2-beat", "--no-such-thing").returncode == 64
