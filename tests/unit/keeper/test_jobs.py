# SPDX-License-Identifier: MIT
"""Jobs: deadlines, faults, turns, stopping."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from apscheduler.events import EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.executors import base as executors
from apscheduler.schedulers import base as schedulers

from keeper import jobs as keeper_jobs
from keeper.errors import (
    ChainUnavailable,
    DeadlineExceeded,
    InvariantBroken,
    JournalUnavailable,
)
from keeper.jobs import Job, Jobs


class Log:
    def __init__(self):
        self.lines = []

    def _line(self, event, **fields):
        self.lines.append({"event": event} | fields)

    info = warning = error = exception = _line


def make(*jobs, **options):
    return Jobs(list(jobs), jitter=random.Random(1), log=Log(), **options)


def job(run, *, name="tick", every=0.05, deadline=0.2):
    return Job(name=name, every_secs=every, deadline_secs=deadline, run=run)


def run_for(jobs, secs):
    timer = threading.Timer(secs, jobs.stop)
    timer.start()
    jobs.run()
    timer.join()


def test_run__starts_at_once_and_repeats():
    seen = []
    started = time.monotonic()
    run_for(make(job(lambda deadline: seen.append(time.monotonic()))), 0.4)
    assert seen[0] - started < 0.2
    assert len(seen) >= 4


def test_run__journal_is_ill__is_watched_as_often_as_before():
    seen = []

    def fail(deadline):
        seen.append(1)
        raise JournalUnavailable("journal j: database is locked")

    jobs = make(job(fail))
    run_for(jobs, 0.5)
    assert len(seen) >= 5
    assert jobs.counts["tick: fault"] == len(seen)


@pytest.mark.parametrize("leap", [-7_200.0, 7_200.0])
def test_run__clock_of_the_host_leaps__runs_on(monkeypatch, leap):
    ahead = [0.0]

    class Set(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(seconds=ahead[0])

    for module in (schedulers, executors, keeper_jobs):
        monkeypatch.setattr(module, "datetime", Set)
    at = []

    def run(_deadline):
        at.append(time.monotonic())
        if len(at) == 3:
            ahead[0] = leap
        elif len(at) == 20:
            jobs.stop()

    log = Log()
    jobs = Jobs([job(run, every=0.1)], log=log, wall=lambda: time.time() + ahead[0])
    ends = threading.Timer(8.0, jobs.stop)
    ends.start()
    jobs.run()
    ends.cancel()
    assert len(at) == 20
    assert at[-1] - at[2] < 4.0
    leaps = [line["leapt_secs"] for line in log.lines if line["event"] == "clock"]
    assert leaps == [pytest.approx(leap, abs=0.5)]


def test_run__fault__is_tried_again_more_rarely():
    seen = []

    def fail(deadline):
        seen.append(1)
        raise ChainUnavailable("the node at h cannot be reached")

    jobs = make(job(fail))
    run_for(jobs, 1.0)
    # without back-off there would be twenty
    assert 3 <= len(seen) <= 10
    retry = next(line for line in jobs._log.lines if line["event"] == "retry")
    assert retry["error"] == "the node at h cannot be reached"
    assert retry["again_in_secs"] >= 0


def test_run__fault__the_watch_waits_no_longer_than_its_own_interval():
    """After an outage of any length margin is looked at within seconds."""

    def fail(deadline):
        raise ChainUnavailable("down")

    watch = replace(job(fail, name="margin watch"), longest_backoff_secs=0.05)
    jobs = make(watch)
    run_for(jobs, 1.0)
    retries = [line for line in jobs._log.lines if line["event"] == "retry"]
    assert len(retries) >= 8  # 20 without faults; doubling would leave 5
    assert all(line["again_in_secs"] <= 0.1 for line in retries)


def test_run__fault_then_good__back_to_the_interval():
    seen = []

    def flaky(deadline):
        seen.append(1)
        if len(seen) < 3:
            raise ChainUnavailable("x")

    run_for(make(job(flaky)), 0.9)
    assert len(seen) >= 8


def test_run__halt__ends_and_raises():
    def halt(deadline):
        raise InvariantBroken("state that cannot be")

    with pytest.raises(InvariantBroken):
        make(job(halt)).run()


def test_run__own_mistake__is_logged_and_survived():
    jobs = make(job(lambda deadline: 1 // 0))
    run_for(jobs, 0.2)
    assert any("ZeroDivisionError" in line.get("error", "") for line in jobs._log.lines)


def test_run__hung_job__frees_its_place_and_can_do_nothing_more(monkeypatch):
    monkeypatch.setattr("keeper.jobs.GRACE", 0.05)
    release, effects, runs = threading.Event(), [], []

    def hang(deadline):
        runs.append(1)
        if len(runs) == 1:
            release.wait(5.0)
            try:
                deadline.check("sending")
                effects.append("sent")
            except DeadlineExceeded:
                effects.append("too late")

    jobs = make(job(hang, deadline=0.1))
    run_for(jobs, 0.8)
    release.set()
    time.sleep(0.05)
    assert len(runs) >= 2
    assert effects == ["too late"]
    assert jobs.counts["tick: hung"] == 1


@pytest.mark.parametrize("error", [None, InvariantBroken("a row moved"), ChainUnavailable("late")])
def test_run__hung_job_ends_late__changes_nothing(monkeypatch, error):
    monkeypatch.setattr("keeper.jobs.GRACE", 0.05)
    release, runs = threading.Event(), []

    def hang(deadline):
        runs.append(1)
        if len(runs) == 1:
            release.wait(5.0)
            if error is not None:
                raise error

    jobs = make(job(hang, deadline=0.1))
    threading.Timer(0.5, release.set).start()
    run_for(jobs, 0.9)
    assert len(runs) >= 2
    assert jobs.counts["tick: hung"] == 1
    assert jobs.counts["tick: ended late"] == 1
    assert "tick: fault" not in jobs.counts


def test_run__two_jobs__never_at_the_same_time():
    inside, most = [], []

    def work(deadline):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.02)
        inside.pop()

    run_for(make(job(work, name="tick"), job(work, name="margin watch", every=0.03)), 0.6)
    assert max(most) == 1
    assert len(most) > 8


def test_run__slow_job__overlaps_are_counted():
    jobs = make(job(lambda deadline: time.sleep(0.3), deadline=1.0))
    run_for(jobs, 0.8)
    assert jobs.counts["tick: still running"] >= 1


def test_stop__waits_for_the_job_at_hand():
    ended = []

    def work(deadline):
        time.sleep(0.2)
        ended.append(1)

    jobs = make(job(work, deadline=1.0))
    run_for(jobs, 0.1)
    assert ended == [1]


class SignalledLog(Log):
    """A log with a lock of its own, as real ones have; a signal comes while it writes."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def _line(self, event, **fields):
        assert self.lock.acquire(timeout=1), "a signal handler logs: it would wait for ever"
        try:
            super()._line(event, **fields)
            if threading.current_thread() is threading.main_thread():
                signal.raise_signal(signal.SIGTERM)
        finally:
            self.lock.release()

    info = warning = error = exception = _line


@pytest.fixture
def handlers():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_stop_on_signals__second_signal_while_logging__ends(handlers):
    """`timeout` and service managers signal the process and its group."""
    log = SignalledLog()
    jobs = Jobs([job(lambda deadline: None)], jitter=random.Random(1), log=log)
    jobs.stop_on_signals()
    threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGTERM]).start()
    jobs.run()
    assert log.lines[-1] == {"event": "stopping", "why": "SIGTERM"}


# Stopping in any state


@pytest.fixture
def short_stop(monkeypatch):
    monkeypatch.setattr("keeper.jobs.HURRY_SECS", 0.1)
    monkeypatch.setattr("keeper.jobs.DRAIN_SECS", 0.3)


def seconds_to_stop(jobs, began):
    """Stop when the job is under way; return how long that takes."""
    stopped = []

    def stop():
        began.wait(5)
        stopped.append(time.monotonic())
        jobs.stop()

    threading.Thread(target=stop).start()
    jobs.run()
    return time.monotonic() - stopped[0]


def test_stop__job_waits_for_a_receipt__its_deadline_shrinks(short_stop):
    began, ended = threading.Event(), []

    def wait(deadline):
        began.set()
        while deadline.remaining() > 0:
            deadline.sleep(0.01)
        with deadline.effect("writing"):
            ended.append("written")

    assert seconds_to_stop(make(job(wait, deadline=60.0)), began) < 0.25
    assert ended == ["written"]


def test_stop__job_hangs__is_given_up_and_can_do_nothing_more(short_stop):
    began, release, effects = threading.Event(), threading.Event(), []

    def hang(deadline):
        began.set()
        release.wait(5.0)
        with deadline.effect("writing"):
            effects.append("written")

    jobs = make(job(hang, deadline=60.0))
    assert seconds_to_stop(jobs, began) < 1.0
    release.set()
    time.sleep(0.05)
    assert effects == []
    assert jobs.counts["tick: hung"] == 1


def test_stop__write_hangs__does_not_hold_the_stop(short_stop):
    began, release = threading.Event(), threading.Event()

    def hang(deadline):
        with deadline.effect("writing"):
            began.set()
            release.wait(5.0)

    assert seconds_to_stop(make(job(hang, deadline=60.0)), began) < 1.5
    release.set()


def test_stop__another_job_waits_for_its_turn__is_not_waited_for(short_stop):
    began, release = threading.Event(), threading.Event()

    def hang(deadline):
        began.set()
        release.wait(5.0)

    jobs = make(job(hang, deadline=60.0), job(hang, name="margin watch", deadline=60.0))
    assert seconds_to_stop(jobs, began) < 1.0
    release.set()


HANGS = """
import os, signal, threading, time
from keeper import jobs as module
module.LAST_RESORT_SECS = 0.3
jobs = module.Jobs([])
jobs.stop_on_signals()
jobs.end_process_in_time()
threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGTERM]).start()
while True:
    time.sleep(60)  # nobody looks whether to stop
"""


CAUGHT_ELSEWHERE = """
import signal, threading, time
from keeper.jobs import Job, Jobs

def catch():
    time.sleep(1)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

jobs = Jobs([Job(name="tick", every_secs=60, deadline_secs=1, run=lambda _: None)])
jobs.stop_on_signals()
threading.Thread(target=catch, daemon=True).start()
jobs.run()
"""


def test_stop_on_signals__another_thread_catches_it__run_ends():
    """The handler runs in the main thread, which nobody has woken."""
    ended = subprocess.run([sys.executable, "-c", CAUGHT_ELSEWHERE], timeout=20, check=False)
    assert ended.returncode == 0


def test_end_process_in_time__process_hangs__ends_all_the_same():
    ended = subprocess.run([sys.executable, "-c", HANGS], timeout=30, check=False)
    assert ended.returncode == 1


# What others see


def test_on_result__hears_of_every_run():
    heard = []
    jobs = make(job(lambda deadline: None), on_result=lambda name, result: heard.append(result))
    run_for(jobs, 0.3)
    assert heard.count("ok") >= 1
    assert Counter(f"tick: {result}" for result in heard) == jobs.counts


def test_counts__fault__the_runs_put_off_are_counted():
    def fail(deadline):
        raise ChainUnavailable("x")

    jobs = make(job(fail))
    run_for(jobs, 0.6)
    assert jobs.counts["tick: put off"] >= 1
    assert jobs.late() == {}


def test_counts__run_missed__is_seen_and_logged():
    jobs = make(job(lambda deadline: None))
    jobs._note(JobExecutionEvent(EVENT_JOB_MISSED, "tick", "default", None))
    assert jobs.counts == {"tick: missed": 1}
    assert jobs._log.lines[0]["result"] == "missed"


def test_late__hung_job__until_it_ends(monkeypatch):
    monkeypatch.setattr("keeper.jobs.GRACE", 0.05)
    release, late, runs = threading.Event(), [], []

    def hang(deadline):
        runs.append(1)
        if len(runs) == 1:
            release.wait(5.0)
        else:
            late.append(jobs.late())

    jobs = make(job(hang, deadline=0.1))
    threading.Timer(0.3, lambda: late.append(jobs.late())).start()
    threading.Timer(0.4, release.set).start()
    run_for(jobs, 0.9)
    assert late[0]["tick"].startswith("given up ")
    assert late[-1] == jobs.late() == {}


def test_late__scheduler_died__no_turn():
    now = [0.0]
    jobs = make(job(lambda deadline: None, every=5.0, deadline=10.0), monotonic=lambda: now[0])
    jobs._turned["tick"] = 0.0
    now[0] = 28.0
    assert jobs.late() == {}
    now[0] = 29.1  # every 5 s, a deadline to wait and one to run, with grace: 5 + 2 * 12
    assert jobs.late() == {"tick": "no turn for 29 s"}
