# SPDX-License-Identifier: MIT
"""
The keeper as a service: jobs on a scheduler, each with its own deadline, until a signal.

APScheduler would keep a hung job's place for ever, so a job here runs in a thread of its own and
the scheduler waits for it no longer than its deadline. What hangs is given up: when it wakes it
can neither write nor send, and how it ends changes nothing. Runs that were missed or that met a
job still running are counted. Faults make the next runs rarer, with jitter, and never end the
process.
"""

from __future__ import annotations

import logging
import queue
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something to do again and again."""

    name: str
    every_secs: float
    deadline_secs: float
    run: Callable[[Deadline], Any]
    longest_backoff_secs: float = LONGEST_BACKOFF  # between tries while it keeps failing


class Jobs:
    """
    Runs jobs until `stop` or a signal.

    Parameters
    ----------
    jobs : list[Job]
        They never run at the same time: they share a key. A run that meets another waits its
        turn within its own deadline.
    """

    def __init__(
        self,
        jobs: list[Job],
        *,
        jitter: random.Random | None = None,
        log: Any = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs = jobs
        self._jitter = jitter or random.Random()
        self._log = log if log is not None else structlog.get_logger("keeper")
        self._monotonic = monotonic
        self._stopping = threading.Event()
        self._wakes: queue.SimpleQueue[str] = queue.SimpleQueue()  # why to stop, by whom
        self._turn = threading.Condition()
        self._running: Deadline | None = None
        self._failures: Counter[str] = Counter()
        self._not_before: dict[str, float] = {}
        self._halt: Halt | None = None
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
        scheduler.start()
        try:
            self._log.info("stopping", why=self._wakes.get())
        finally:
            self._stopping.set()
            scheduler.shutdown(wait=True)
        if self._halt is not None:
            raise self._halt

    def stop(self, why: str = "asked to") -> None:
        """End `run` after the job at hand."""
        self._wakes.put(why)

    def stop_on_signals(self) -> None:
        """
        Make SIGTERM and SIGINT end `run`.

        A handler interrupts whatever holds a lock, also of the log, also another handler: it only
        puts into a queue that is made for that.
        """

        def handle(number: int, _frame: FrameType | None) -> None:
            self.stop(signal.Signals(number).name)

        signal.signal(signal.SIGTERM, handle)
        signal.signal(signal.SIGINT, handle)

    def _note(self, event: JobEvent) -> None:
        kind = "missed" if event.code == EVENT_JOB_MISSED else "still running"
        self.counts[f"{event.job_id}: {kind}"] += 1
        self._log.warning("job", job=event.job_id, result=kind, counts=dict(self.counts))

    def _turn_of(self, job: Job) -> None:
        if self._stopping.is_set() or self._monotonic() < self._not_before.get(job.name, 0.0):
            return
        deadline = Deadline(job.deadline_secs, self._monotonic)
        if not self._take_turn(deadline):
            self.counts[f"{job.name}: no turn"] += 1
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
        thread = threading.Thread(
            target=self._guarded, args=(job, deadline), name=job.name, daemon=True
        )
        thread.start()
        thread.join(job.deadline_secs + GRACE)
        if thread.is_alive():
            deadline.give_up()
            self.counts[f"{job.name}: hung"] += 1
            self._log.error("job", job=job.name, result="hung", secs=job.deadline_secs)
            self._failed(job)

    def _guarded(self, job: Job, deadline: Deadline) -> None:
        error: Exception | None = None
        try:
            job.run(deadline)
        except Exception as raised:  # noqa: BLE001
            # Also a mistake of ours: the process lives on, because the next block may be better.
            error = raised
        if deadline.given_up:  # another run has its place, and has counted it
            self.counts[f"{job.name}: ended late"] += 1
            self._log.warning("job", job=job.name, result="ended late", error=str(error or ""))
        else:
            self._ended(job, error)

    def _ended(self, job: Job, error: Exception | None) -> None:
        match error:
            case None:
                self._failures[job.name] = 0
                self._not_before.pop(job.name, None)
            case Fault():
                self._failed(job)
                self.counts[f"{job.name}: fault"] += 1
                wait = round(max(0.0, self._not_before[job.name] - self._monotonic()), 1)
                self._log.warning("retry", job=job.name, error=str(error), again_in_secs=wait)
            case Halt():
                self._halt = error
                self._stopping.set()
                self.stop("a person must look")
            case _:
                self._failed(job)
                self.counts[f"{job.name}: error"] += 1
                said = {"job": job.name, "result": "error", "error": repr(error)}
                self._log.error("job", **said, exc_info=error)

    def _failed(self, job: Job) -> None:
        self._failures[job.name] += 1
        steps = min(self._failures[job.name] - 1, 16)
        longest = min(job.every_secs * 2**steps, max(job.longest_backoff_secs, job.every_secs))
        wait = longest * (0.5 + self._jitter.random() / 2)
        self._not_before[job.name] = self._monotonic() + wait
