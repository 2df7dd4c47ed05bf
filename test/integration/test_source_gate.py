"""The gate before the source: the one in Redis, and the one of a process, against a model.

The model is a log of what happened; what is allowed is worked out from the log each time. The scripts run in a
real Redis, with the time given to them instead of its clock.
"""

import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import harness

REST, REST_MAX, RETRY_MAX, OPEN, POLL, PATIENCE_MAX = 60_000, 960_000, 86_400_000, 5, 50, 300_000
GO, CROWDED, RESTING, WAIT = range(4)
START = 1_700_000_000_000


class Model:
    """Everything follows from the list of events."""

    def __init__(self):
        self.moments = []  # reserved, by ask
        self.starts = []  # (when, id, lease)
        self.told = set()
        self.rests = []  # ends
        self.failures = 0
        self.in_a_row = 0

    def rest(self, now):
        return max([0, *(end - now for end in self.rests)])

    def ask(self, now, interval, patience):
        if self.rest(now):
            return RESTING, self.rest(now)
        moment = max([now, *(m + i for m, i in self.moments)])
        if moment - now > patience:
            return CROWDED, moment - now
        self.moments.append((moment, interval))
        return GO, moment - now

    def start(self, now, interval, lease, name):
        if self.rest(now):
            return RESTING, self.rest(now)
        if self.starts:
            when, last, held = self.starts[-1]
            if last not in self.told and when + held > now:
                return WAIT, POLL
            if when + interval > now:
                return WAIT, when + interval - now
        self.starts.append((now, name, lease))
        self.moments.append((now, interval))
        return GO, 0

    def tell(self, now, result, retry_after, name):
        if self.starts and self.starts[-1][1] == name:
            self.told.add(name)
        if result == "ok":
            self.failures = self.in_a_row = 0
        elif result != "given_up":
            self.failures += 1
            if result == "busy" or self.failures >= OPEN:
                self.in_a_row += 1
                rest = min(REST * 2 ** (self.in_a_row - 1), REST_MAX)
                self.rests.append(now + min(max(rest, retry_after), RETRY_MAX))
        return 0, self.rest(now)


class Lua:
    """The scripts, by a clock of our own."""

    def __init__(self, client):
        self.client = client
        self.scripts = {}
        for name in ("ask", "start", "tell"):
            lua = harness.run_program("source_probe", "script", f"source.{name}", check=True).stdout
            clock = "local ms = tonumber(redis.call('GET', 'test:now'))\nlocal t = {math.floor(ms / 1000), ms % 1000 * 1000}\n"
            assert lua.count("local t = redis.call('TIME')\n") == 1
            lua = lua.replace("local t = redis.call('TIME')\n", clock)
            self.scripts[name] = client.register_script(lua)

    def run(self, verb, now, *args):
        self.client.set("test:now", now)
        if verb == "ask":
            interval, patience = args
            argv = [RETRY_MAX, interval, patience, PATIENCE_MAX]
        elif verb == "start":
            interval, lease, name = args
            argv = [RETRY_MAX, interval, name, lease, POLL, PATIENCE_MAX]
        else:
            result, retry_after, name = args
            argv = [RETRY_MAX, name, result, retry_after, REST, REST_MAX, OPEN]
        reply = self.scripts[verb](keys=["aion2:source"], args=argv)
        return tuple(reply) if isinstance(reply, list) else (0, reply)

    def reset(self):
        self.client.delete("aion2:source")


class Process:
    """The gate of a process, over a pipe."""

    def __init__(self):
        self.pipe = subprocess.Popen(
            [str(harness.bin_dir() / "source_probe"), "gate"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=harness.clean_env(),
        )

    def run(self, verb, now, *args):
        self.pipe.stdin.write(" ".join(map(str, (verb, now, *args))) + "\n")
        self.pipe.stdin.flush()
        return tuple(map(int, self.pipe.stdout.readline().split()))

    def close(self):
        self.pipe.stdin.close()
        assert self.pipe.wait(10) == 0


STEPS = st.lists(
    st.tuples(
        st.one_of(
            st.tuples(st.just("ask"), st.sampled_from([0, 3000, 60_000])),
            st.tuples(st.just("start")),
            st.tuples(
                st.just("tell"),
                st.sampled_from(["ok", "busy", "failed", "failed", "failed", "given_up"]),
                st.sampled_from([-1, -1, 0, 30_000, 200_000, 100_000_000]),
                st.sampled_from([0, 0, 0, 1]),  # how many starts ago
            ),
        ),
        st.sampled_from([0, 1, 49, 200, 1000, 1000, 5000, 61_000, 1_000_000]),  # time goes by
    ),
    max_size=40,
)


def play(steps, interval, lease, *gates):
    """Runs the steps on all gates; the answers of each."""
    now, started, out = START, ["none"], [[] for _ in gates]
    for step, later in steps:
        verb = step[0]
        if verb == "ask":
            args = (interval, step[1])
        elif verb == "start":
            args = (interval, lease, f"r{len(started)}")
        else:
            args = (step[1], step[2] if step[1] == "busy" else -1, started[max(0, len(started) - 1 - step[3])])
        for gate, answers in zip(gates, out):
            answers.append((now - START, verb, args, gate(verb, now, *args)))
        if verb == "start" and out[0][-1][3][0] == GO:
            started.append(args[2])
        now += later
    return out


@pytest.fixture
def lua(redis_server):
    return Lua(redis_server.client())


def test_both_gates_do_as_the_model(lua):
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(STEPS, st.sampled_from([1000, 250]), st.sampled_from([13_000, 300]))
    def run(steps, interval, lease):
        model, process = Model(), Process()
        lua.reset()
        try:
            want, got, own = play(
                steps, interval, lease,
                lambda verb, *args: getattr(model, verb)(*args), lua.run, process.run,
            )
        finally:
            process.close()
        assert got == want
        assert own == want

    run()


def test_requests_keep_their_distance_and_go_one_by_one(lua):
    """What the model is for, seen from the site: gaps, and never two at once."""

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(STEPS)
    def run(steps):
        lua.reset()
        (answers,) = play(steps, 1000, 13_000, lua.run)
        last, busy = None, None
        for now, verb, args, (verdict, wait) in answers:
            if verb == "start" and verdict == GO:
                assert last is None or now - last >= 1000
                assert busy is None or now - last >= 13_000
                last, busy = now, args[2]
            elif verb == "tell" and args[2] == busy:
                busy = None
            assert 0 <= wait <= RETRY_MAX

    run()


def test_a_rest_doubles_and_one_good_answer_forgets_it(lua):
    now = START
    for rest in (60, 120, 240, 480, 960, 960):
        assert lua.run("tell", now, "busy", -1, "x") == (0, rest * 1000)
        assert lua.run("ask", now + 5, 1000, 60_000) == (RESTING, rest * 1000 - 5)
        now += rest * 1000
    assert lua.run("tell", now, "ok", -1, "x") == (0, 0)
    assert lua.run("tell", now, "busy", 7000, "x") == (0, 60_000)
    now += 60_000
    assert lua.run("tell", now, "busy", 200_000, "x") == (0, 200_000)
    assert lua.run("tell", now + 200_000, "busy", 10**9, "x") == (0, RETRY_MAX)


def test_five_failures_open_the_circuit(lua):
    for _ in range(4):
        assert lua.run("tell", START, "failed", -1, "x") == (0, 0)
    assert lua.run("tell", START, "failed", -1, "x") == (0, 60_000)
    assert lua.run("tell", START + 60_000, "failed", -1, "x") == (0, 120_000)
    assert lua.run("tell", START + 180_000, "ok", -1, "x") == (0, 0)
    assert lua.run("tell", START + 180_000, "failed", -1, "x") == (0, 0)


def test_a_clock_that_is_set_back_does_not_lock_the_gate(lua):
    assert lua.run("ask", START, 1000, 0)[0] == GO
    assert lua.run("start", START, 1000, 13_000, "a")[0] == GO
    day_before = START - 2 * RETRY_MAX
    assert lua.run("ask", day_before, 1000, 0) == (GO, 0)
    assert lua.run("start", day_before, 1000, 13_000, "b") == (GO, 0)
