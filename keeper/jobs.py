# SPDX-License-Identifier: MIT
"""
The keeper as a service: jobs on a scheduler, each with its own deadline, until a signal.

APScheduler would keep a hung job's place for ever, so a job here runs in a thread of its own and
the scheduler waits for it no longer than its deadline. What hangs is given up: when it wakes it
can neither write nor send, and how it ends changes nothing. Runs that were missed or that met a
job still running are counted. Faults make the next runs rarer, with jitter, and never end the
process. A stop lets the job at hand end, but waits only so long; a signal ends the process within
ten seconds, whatever holds it.
"""

from __future__ import annotations

import logging
import os
import queue
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType
from typing import Any, Final

import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from keeper.deadline import Deadline
from keeper.errors import Fault, Halt

LONGEST_BACKOFF: Final = 300.0  # seconds
GRACE: Final = 2.0  # seconds after its deadline until a job counts as hung
HURRY_SECS: Final = 2.0  # at a stop, what is left of the deadline of the job at hand
DRAIN_SECS: Final = 4.0  # and how long a stop waits for it
LEAP_SECS: Final = 1.0  # by which the host's clock is set, until jobs are scheduled anew
LAST_RESORT_SECS: Final = 9.0  # after a signal, until the process ends without more ado
FORCED: Final = 1  # its exit code then: what the journal says is found again at the next start


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something to do again and again."""

    name: str
    every_secs: float
    deadline_secs: float
    run: Callable[[Deadline], Any]
    longest_backoff_secs: float = LONGEST_BACKOFF  # between tries while it keeps failing


@dataclass(slots=True, kw_only=True)
class _Run:
    """A run of a job in its thread."""

    job: Job
    deadline: Deadline
    ended: bool = False


def _nobody_counts(_job: str, _result: str) -> None:
    pass


class Jobs:
    """
    Runs jobs until `stop` or a signal.

    Parameters
    ----------
    jobs : list[Job]
        They never run at the same time: they share a key. A run that meets another waits its
        turn within its own deadline.
    on_result : Callable[[str, str], None]
        Hears of each run: the job's name and `ok`, `fault`, `error`, `halt`, `hung`,
        `ended late`, `missed`, `still running`, `no turn` or `put off` (it waits after a fault).
    """

    def __init__(
        self,
        jobs: list[Job],
        *,
        jitter: random.Random | None = None,
        log: Any = None,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        on_result: Callable[[str, str], None] = _nobody_counts,
    ) -> None:
        self._jobs = jobs
        self._on_result = on_result
        self._jitter = jitter or random.Random()
        self._log = log if log is not None else structlog.get_logger("keeper")
        self._monotonic = monotonic
        self._ahead: Callable[[], float] = lambda: (
            wall() - time.monotonic()
        )  # changes when the host's clock is set
        self._stopping = threading.Event()
        self._wakes: queue.SimpleQueue[str] = queue.SimpleQueue()  # why to stop, by whom
        self._alarms: queue.SimpleQueue[str] = queue.SimpleQueue()  # the same, for the last resort
        self._turn = threading.Condition()
        self._running: Deadline | None = None
        self._failures: Counter[str] = Counter()
        self._not_before: dict[str, float] = {}
        self._halt: Halt | None = None
        self._hung: dict[str, float] = {}  # jobs given up that have not ended, and since when
        self._turned: dict[str, float] = {}  # when each job last had its turn
        self.counts: Counter[str] = Counter()

    def run(self) -> None:
        """
        Run until stopped; finishes the job at hand first.

        Raises
        ------
        Halt
            If a job says that a person must look.
        """
        logging.getLogger("apscheduler").setLevel(logging.CRITICAL)  # counted here instead
        scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(len(self._jobs))},
            job_defaults={"coalesce": True, "max_instances": 1},
        )
        scheduler.add_listener(self._note, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)
        for job in self._jobs:
            scheduler.add_job(
                self._turn_of,
                "interval",
                args=[job],
                id=job.name,
                seconds=job.every_secs,
                misfire_grace_time=max(1, int(job.every_secs)),
                next_run_time=datetime.now(UTC),
            )
            self._turned[job.name] = self._monotonic()
        scheduler.start()
        try:
            self._log.info("stopping", why=self._woken(scheduler))
        finally:
            self._hurry()
            scheduler.shutdown(wait=True)
        if self._halt is not None:
            raise self._halt

    def _woken(self, scheduler: BackgroundScheduler) -> str:
        """
        Wait for a reason to stop, and return it.

        In turns of a second: the handler of a signal runs in this thread only, and one that
        another thread caught, or that came just before the wait began, does not end the wait.
        The scheduler goes by the host's clock: one that is set back by hours would stop it so long.
        """
        before = self._ahead()
        while True:
            with suppress(queue.Empty):
                return self._wakes.get(timeout=1.0)
            now = self._ahead()
            if abs(now - before) > LEAP_SECS:
                self._log.warning("clock", leapt_secs=round(now - before, 1))
                for job in scheduler.get_jobs():
                    job.modify(next_run_time=datetime.now(UTC))
            before = now

    def stop(self, why: str = "asked to") -> None:
        """End `run` after the job at hand, or when it has had time enough to end."""
        self._wakes.put(why)
        self._alarms.put(why)

    def late(self) -> dict[str, str]:
        """Return the jobs that are not within their deadlines, and in words how."""
        now = self._monotonic()
        late = {name: f"given up {now - at:.0f} s ago" for name, at in list(self._hung.items())}
        for job in self._jobs:
            silent = now - self._turned.get(job.name, now)
            # It may wait for a whole deadline for its turn and then take another.
            if silent > job.every_secs + 2 * (job.deadline_secs + GRACE):
                late.setdefault(job.name, f"no turn for {silent:.0f} s")
        return late

    def stop_on_signals(self) -> None:
        """
        Make SIGTERM and SIGINT end `run`.

        A handler interrupts whatever holds a lock, also of the log, also another handler: it only
        puts into queues that are made for that.
        """

        def handle(number: int, _frame: FrameType | None) -> None:
            self.stop(signal.Signals(number).name)

        signal.signal(signal.SIGTERM, handle)
        signal.signal(signal.SIGINT, handle)

    def end_process_in_time(self) -> None:
        """
        Make sure that the process ends once it is asked to stop.

        Should it hang, in a disk or in a log that nobody reads, it ends without more ado: the
        journal survives that, too.
        """

        def last_resort() -> None:
            self._alarms.get()
            time.sleep(LAST_RESORT_SECS)
            os._exit(FORCED)

        threading.Thread(target=last_resort, name="last resort", daemon=True).start()

    def _note(self, event: JobEvent) -> None:
        kind = "missed" if event.code == EVENT_JOB_MISSED else "still running"
        self._count(str(event.job_id), kind)
        self._log.warning("job", job=event.job_id, result=kind, counts=dict(self.counts))

    def _count(self, job: str, result: str) -> None:
        self.counts[f"{job}: {result}"] += 1
        self._on_result(job, result)

    def _hurry(self) -> None:
        """Stop: nothing begins, and what runs has little time left."""
        self._stopping.set()
        with self._turn:
            if self._running is not None:
                self._running.hurry(HURRY_SECS)
            self._turn.notify_all()

    def _turn_of(self, job: Job) -> None:
        try:
            self._try_turn(job)
        finally:
            self._turned[job.name] = self._monotonic()

    def _try_turn(self, job: Job) -> None:
        if self._stopping.is_set():
            return
        if self._monotonic() < self._not_before.get(job.name, 0.0):
            self._count(job.name, "put off")
            return
        deadline = Deadline(job.deadline_secs, self._monotonic)
        if not self._take_turn(deadline):
            self._count(job.name, "no turn")
            return
        try:
            self._bounded(job, deadline)
        finally:
            self._end_turn(deadline)

    def _take_turn(self, deadline: Deadline) -> bool:
        with self._turn:
            free = self._turn.wait_for(
                lambda: self._running is None or self._stopping.is_set(),
                timeout=deadline.remaining(),
            )
            if not free or self._stopping.is_set():
                return False
            self._running = deadline
            return True

    def _end_turn(self, deadline: Deadline) -> None:
        with self._turn:
            if self._running is deadline:
                self._running = None
            self._turn.notify_all()

    def _bounded(self, job: Job, deadline: Deadline) -> None:
        run = _Run(job=job, deadline=deadline)
        thread = threading.Thread(target=self._guarded, args=(run,), name=job.name, daemon=True)
        thread.start()
        if self._wait_for(run):
            return
        while not deadline.give_up(0.5) and not self._stopping.is_set():
            pass  # it writes: what comes next must not begin before
        self._hung[job.name] = self._monotonic()
        self._count(job.name, "hung")
        self._log.error("job", job=job.name, result="hung", secs=job.deadline_secs)
        self._failed(job)

    def _wait_for(self, run: _Run) -> bool:
        """Wait for a run's end as long as it has, or as a stop waits; return whether it ended."""
        with self._turn:
            self._turn.wait_for(
                lambda: run.ended or self._stopping.is_set(), run.job.deadline_secs + GRACE
            )
            if self._stopping.is_set():
                self._turn.wait_for(lambda: run.ended, DRAIN_SECS)
            return run.ended

    def _guarded(self, run: _Run) -> None:
        error: Exception | None = None
        try:
            run.job.run(run.deadline)
        except Exception as raised:  # noqa: BLE001
            # Also a mistake of ours: the process lives on, because the next block may be better.
            error = raised
        try:
            self._hung.pop(run.job.name, None)
            if run.deadline.given_up:  # another run has its place, and has counted it
                self._ended_late(run.job, error)
            else:
                self._ended(run.job, error)
        finally:
            with self._turn:
                run.ended = True
                self._turn.notify_all()

    def _ended_late(self, job: Job, error: Exception | None) -> None:
        self._count(job.name, "ended late")
        self._log.warning("job", job=job.name, result="ended late", error=str(error or ""))

    def _ended(self, job: Job, error: Exception | None) -> None:
        match error:
            case None:
                self._count(job.name, "ok")
                self._failures[job.name] = 0
                self._not_before.pop(job.name, None)
            case Fault():
                if error.rarer:
                    self._failed(job)
                self._count(job.name, "fault")
                until = self._not_before.get(job.name, 0.0)
                wait = round(max(0.0, until - self._monotonic()), 1)
                self._log.warning("retry", job=job.name, error=str(error), again_in_secs=wait)
            case Halt():
                self._count(job.name, "halt")
                self._halt = error
                self._stopping.set()
                self.stop("a person must look")
            case _:
                self._failed(job)
                self._count(job.name, "error")
                said = {"job": job.name, "result": "error", "error": repr(error)}
                self._log.error("job", **said, exc_info=error)

    def _failed(self, job: Job) -> None:
        self._failures[job.name] += 1
        steps = min(self._failures[job.name] - 1, 16)
        longest = min(job.every_secs * 2**steps, max(job.longest_backoff_secs, job.every_secs))
        wait = longest * (0.5 + self._jitter.random() / 2)
        self._not_before[job.name] = self._monotonic() + wait
