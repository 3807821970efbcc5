# SPDX-License-Identifier: MIT
"""
Looks over the keeper's shoulder: after each tick and job, and once a second in between.

It turns what happened into metrics and what holds into alerts. It never raises and waits for
nobody outside: a tick is not the slower for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from keeper.alarm import Alarm
from keeper.errors import (
    ChainUnavailable,
    CorruptAnswer,
    Fault,
    JournalUnavailable,
    KeeperError,
    NodeBehind,
    WrongChain,
)
from keeper.guard import Spent
from keeper.health import Health, State
from keeper.journal import Journal, Tx, TxState
from keeper.metrics import Metrics, budgets
from keeper.runner import TickReport, Verdict
from keeper.sending import Orders
from keeper.strategy import Rebalance

PULSE_SECS: Final = 1.0
UNDELIVERED_SECS: Final = 300.0  # a target that takes no alert for so long is one itself
TAKEN_OVER_SECS: Final = 60.0  # that it counts as news
CAUSES: Final[tuple[tuple[type[KeeperError], str], ...]] = (  # the narrower class first
    (WrongChain, "wrong_chain"),
    (NodeBehind, "node_behind"),
    (ChainUnavailable, "node_unavailable"),
    (CorruptAnswer, "corrupt_answer"),
    (JournalUnavailable, "journal_unavailable"),
)
ON_TIME: Final = ("ok", "fault", "error", "halt")  # results of a run that took place in time
NOT_RUN: Final = ("missed", "still running", "no turn")
OF_VAULTS: Final = ("price_bad", "drift_urgent", "margin_low", "hedge_withheld")


class Observer:
    """
    Metrics and alerts of one keeper.

    Parameters
    ----------
    low_balance : int
        Wei of the key under which it is told.
    """

    def __init__(
        self,
        *,
        metrics: Metrics,
        alarm: Alarm,
        health: Health,
        journal: Journal,
        orders: Orders,
        low_balance: int,
        log: Any,
    ) -> None:
        self._metrics, self._alarm, self._health = metrics, alarm, health
        self._journal, self._orders, self._low_balance = journal, orders, low_balance
        self._log = log
        self._cause = ""  # the alert that says why ticks fail
        self._killed = False
        self._spent: Spent | None = None  # None: not counted yet
        self._open = False  # whether transactions were open then
        self._leads = True
        self._took_over_at: float | None = None

    # Told by others

    def ended(self, report: TickReport, error: KeeperError | None) -> None:
        """Take note of a tick; called by the runner."""
        with self._careful():
            result = "ok" if error is None else "fault" if isinstance(error, Fault) else "halt"
            self._metrics.tick(report.job, result, report.stages)
            self._health.note(report, error)
            self._note_role(report)
            self._note_end(report, error)
            if report.reading is not None:
                self._metrics.head(report.reading.block)
                self._note_spending(report, report.reading.block.at)
                self._note_key(report, report.reading.block.at, report.reading.balance)
            if error is None or isinstance(error, JournalUnavailable):
                self._note_vaults(report)

    def ran(self, job: str, result: str) -> None:
        """Take note of a run; called by the jobs."""
        with self._careful():
            self._metrics.job(job, result)
            if result in NOT_RUN and not self._cause:  # else the node holds the runs up
                self._alarm.note("job_missed", job, f"job {job}: {result}")
            elif result in (*ON_TIME, *NOT_RUN):
                self._alarm.note("job_missed", job, None)

    def halted(self, words: str) -> None:
        """Take note that the keeper stops itself."""
        with self._careful():
            self._alarm.note("halted", "", words)

    def pulse(self) -> None:
        """Do what time itself calls for; once a second, in no job's thread."""
        with self._careful():
            self._note_time()
            for message in self._alarm.ring():
                self._metrics.told(message.alert, message.stage.value)
            self._metrics.active(self._alarm.active())
            self._metrics.state(ready=self.ready().good, healthy=self.health().good)

    def close(self, patience_secs: float) -> None:
        """Tell what is due and try for some seconds to deliver it."""
        self.pulse()
        with self._careful():
            self._alarm.close(patience_secs)

    # Asked by others

    def health(self) -> State:
        """Return whether each job is within its deadlines."""
        return self._health.health()

    def ready(self) -> State:
        """Return whether the keeper could hedge now, with what holds its sending back."""
        state = self._health.ready()
        more = {
            "mode": "live" if self._orders.live else "dry run",
            "role": "leader" if self._leads else "standby",
            "kill_switch": self._killed,
            "budgets": {name: f"{used} of {limit}" for name, used, limit in self._budgets()},
        }
        return State(good=state.good, said={**state.said, **more})

    # What follows from it

    def _budgets(self) -> Iterator[tuple[str, int, int]]:
        found = budgets(self._spent or Spent(), self._orders.safety)
        yield from ((name, used, limit) for name, (used, limit) in found.items())

    def _note_role(self, report: TickReport) -> None:
        """Tell what is to be told only while this keeper leads, or nobody can say who does."""
        if report.leads and not self._leads:
            self._took_over_at = self._health.monotonic()
            self._log.warning("took over")
        elif self._leads and not report.leads:
            self._took_over_at = None
            self._log.warning("stands by")
        self._leads = report.leads
        if report.leads:
            self._alarm.lead()
        else:
            self._alarm.stand_by()

    def _note_end(self, report: TickReport, error: KeeperError | None) -> None:
        self._cause = next((name for kind, name in CAUSES if isinstance(error, kind)), "")
        for _kind, name in CAUSES:
            words = str(error) if name == self._cause else None
            if name == "journal_unavailable":
                words = words or report.unrecorded or None
            self._alarm.note(name, "", words)
        if error is None:
            self._alarm.note("halted", "", None)

    def _note_spending(self, report: TickReport, at: int) -> None:
        """Count transactions and budgets anew, unless they can only be what they were."""
        moved = bool(report.sent or report.waiting)
        if self._spent == Spent() and not moved and not self._open:
            return
        try:
            self._metrics.transactions(self._journal.counts())
            self._spent = self._journal.spent(at)
        except JournalUnavailable:
            return  # the tick's own writes say so
        self._open = moved
        self._metrics.budgets(self._spent, self._orders.safety)

    def _note_key(self, report: TickReport, at: int, balance: int) -> None:
        stuck = {
            f"nonce {tx.account_nonce}": f"transaction {tx.tx_hash} waits, its plan has expired"
            for tx in report.waiting
            if tx.plan_deadline < at
        }
        self._alarm.note_all("transaction_stuck", stuck)
        self._alarm.note_all("budget_reached", dict(self._reached()))
        reverts = self._spent.reverts_in_row if self._spent is not None else 0
        words = f"{reverts} in a row{_reason(report.sent)}" if reverts else None
        self._alarm.note("transaction_failed", "", words)
        if self._orders.live:
            self._metrics.key(balance)
            low = balance < self._low_balance
            words = f"the key has {balance / 10**18:.6f} ether" if low else None
            self._alarm.note("balance_low", "", words)

    def _reached(self) -> Iterator[tuple[str, str]]:
        for name, used, limit in self._budgets():
            if used >= limit:
                yield name, f"{used} {name}, allowed are {limit}"

    def _note_vaults(self, report: TickReport) -> None:
        holds: dict[str, dict[str, str]] = {name: {} for name in OF_VAULTS}
        told_elsewhere = self._killed or any(self._reached()) or not self._orders.live
        for verdict in report.verdicts:
            vault = verdict.snapshot.vault
            self._metrics.vault(vault, verdict.risk, type(verdict.decision).__name__.lower())
            for name, words in _conditions(verdict, report.sent):
                if name != "hedge_withheld" or not told_elsewhere:
                    holds[name][vault.vault] = words
        for name, found in holds.items():
            self._alarm.note_all(name, found)

    def _note_time(self) -> None:
        late = {job: f"job {job}: {how}" for job, how in self._health.late().items()}
        self._alarm.note_all("job_hung", late)
        self._killed = self._orders.kill_file.exists()
        self._metrics.kill_switch(killed=self._killed)
        words = f"{self._orders.kill_file} exists" if self._killed else None
        self._alarm.note("kill_switch", "", words)
        self._metrics.leads(leads=self._leads)
        since = (
            None if self._took_over_at is None else self._health.monotonic() - self._took_over_at
        )
        fresh = since is not None and since < TAKEN_OVER_SECS
        words = "this keeper leads now" if fresh else None
        self._alarm.note("took_over", "", words)
        age = self._health.without_good_tick_secs()
        failing = age > self._health.good_tick_secs and not self._cause
        words = f"no good tick for {age:.0f} s" if failing else None
        self._alarm.note("tick_failing", "", words)
        undelivered = {
            target.name: f"{target.waiting} messages wait, the oldest for {target.late_secs:.0f} s"
            for target in self._alarm.targets
            if target.late_secs > UNDELIVERED_SECS
        }
        self._alarm.note_all("alert_undelivered", undelivered)

    @contextmanager
    def _careful(self) -> Iterator[None]:
        """Keep a mistake in here from whoever works: it is logged and counted."""
        try:
            yield
        except Exception as mistake:  # noqa: BLE001
            self._metrics.fault()
            self._log.error("observer", error=repr(mistake), exc_info=mistake)


class Pulse:
    """Calls something once a second, in a thread of its own."""

    def __init__(self, beat: Callable[[], None], every_secs: float = PULSE_SECS) -> None:
        self._beat, self._every_secs = beat, every_secs
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        self._thread.start()

    def stop(self, patience_secs: float = 1.0) -> None:
        """Call it no more."""
        self._stopping.set()
        self._thread.join(patience_secs)

    def _run(self) -> None:
        while not self._stopping.wait(self._every_secs):
            self._beat()


def _conditions(verdict: Verdict, sent: list[Tx]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a vault: alert and words."""
    vault, risk = verdict.snapshot.vault, verdict.risk
    if not vault.price_ok:
        yield "price_bad", vault.price_reason
    if risk is not None and risk.drift_urgent:
        limit = vault.limits.urgent_band_bps
        yield "drift_urgent", f"drift {risk.drift_bps} bps, the urgent band is {limit} bps"
    if risk is not None and risk.margin_urgent:
        limit = vault.limits.margin_floor_bps
        yield "margin_low", f"margin ratio {risk.margin_ratio_bps} bps, the floor is {limit} bps"
    refused = [tx for tx in sent if tx.vault == vault.vault and tx.state is TxState.FAILED]
    if verdict.withheld:
        yield "hedge_withheld", f"{verdict.decision.reason}: {verdict.note}"
    elif isinstance(verdict.decision, Rebalance) and refused:
        yield "hedge_withheld", f"{verdict.decision.reason}: {refused[-1].detail}"


def _reason(sent: list[Tx]) -> str:
    reverted = [tx for tx in sent if tx.succeeded is False]
    return f"; {reverted[-1].detail}" if reverted else ""
