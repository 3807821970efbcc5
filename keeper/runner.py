# SPDX-License-Identifier: MIT
"""
One cycle: read, settle what is in flight, decide, guard, simulate, sign, send, confirm, record.

The only place where reading, deciding, sending and recording meet. Order matters: the journal is
written before each network call that has an effect, a transaction in flight is resolved from the
chain before anything new is decided, and a key has one transaction in flight at a time. So the
first cycle after a start is the recovery, within the deadline of its job like any other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import structlog

from keeper.deadline import Deadline
from keeper.errors import (
    CHAIN_REFUSES,
    ConfigInvalid,
    CorruptAnswer,
    Fault,
    Halt,
    JournalUnavailable,
    KeeperError,
    LeaseLost,
)
from keeper.guard import objection
from keeper.journal import OPEN, Entry, Journal, Tx, TxState
from keeper.plan import calldata
from keeper.policy import Memory
from keeper.reading import Reading
from keeper.refusals import Refusals, parts
from keeper.risk import Risk, assess
from keeper.sending import Edge, Key, Orders, Sending
from keeper.snapshot import Address, Snapshot
from keeper.strategy import Decision, Hold, Rebalance, Refuse, decide


@dataclass(slots=True, kw_only=True)
class Verdict:
    """One vault in one tick."""

    snapshot: Snapshot
    memory: Memory
    decision: Decision
    risk: Risk | None
    row: int = 0  # in the journal
    note: str = ""  # what became of the plan
    withheld: bool = False  # the plan was not sent, and the note says why

    def entry(self) -> Entry:
        """Return what goes into the journal."""
        figures = figures_of(self.risk) if self.risk is not None else {}
        return Entry(
            snapshot=self.snapshot, memory=self.memory, decision=self.decision, figures=figures
        )

    def figures(self) -> dict[str, Any]:
        """Return what goes into the canonical line."""
        kind = type(self.decision).__name__.lower()
        said: dict[str, Any] = {
            "vault": self.snapshot.vault.vault,
            "decision": kind,
            "reason": self.decision.reason,
        }
        if self.note:
            said["note"] = self.note
        if self.memory.refusing:
            venues = enumerate(self.snapshot.vault.venues)
            said["refusing"] = [v.venue for i, v in venues if self.memory.refusing >> i & 1]
        return said | (figures_of(self.risk) if self.risk is not None else {})


@dataclass(slots=True, kw_only=True)
class TickReport:
    """What a tick saw and did."""

    job: str
    started: float  # wall clock
    asked: int  # requests made before it
    tick_id: int | None = None
    reading: Reading | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    sent: list[Tx] = field(default_factory=list)
    waiting: list[Tx] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)  # seconds
    unrecorded: str = ""  # why the journal does not have how it ended
    leads: bool = True  # else it only watches

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a part of the tick."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + time.perf_counter() - began


class Leadership(Protocol):
    """Who may send and write; `keeper.lease.Lease`, or a stand-in."""

    @property
    def holder(self) -> str:
        """Return who leads, in words."""

    def leads(self) -> bool:
        """Return whether this keeper does."""

    def check(self) -> None:
        """Raise `LeaseLost` if another has taken over since."""


class Alone:
    """The lease of a keeper that has none beside it."""

    holder = "this one"

    def leads(self) -> bool:
        """Return whether this keeper does: always."""
        return True

    def check(self) -> None:
        """Do nothing."""


class Witness(Protocol):
    """Who is told of each tick; never raises."""

    def ended(self, report: TickReport, error: KeeperError | None) -> None:
        """Take note of how a tick ended."""


def figures_of(risk: Risk) -> dict[str, Any]:
    """Return the figures of the canonical line and the journal."""
    basis = [venue.basis_bps for venue in risk.venues]
    funding = [venue.funding_year_bps for venue in risk.venues]
    distances = [v.distance_bps for v in risk.venues if v.distance_bps is not None]
    return {
        "nav": str(risk.nav),
        "equity": str(risk.equity),
        "delta": str(risk.delta),
        "gap": str(risk.gap),
        "exposure_bps": risk.exposure_bps,
        "target_bps": risk.target_exposure_bps,
        "drift_bps": risk.drift_bps,
        "margin_ratio_bps": risk.margin_ratio_bps,
        "distance_bps": min(distances, default=None),
        "basis_bps": basis[0] if len(basis) == 1 else basis,
        "funding_year_bps": funding[0] if len(funding) == 1 else funding,
    }


class Keeper:
    """The keeper of some vaults with one key."""

    def __init__(
        self,
        *,
        chain: Edge,
        journal: Journal,
        orders: Orders,
        signer: Key | None,
        lease: Leadership | None = None,
        wall: Callable[[], float] = time.time,
        log: Any = None,
    ) -> None:
        self.witness: Witness | None = None
        self._lease = lease if lease is not None else Alone()
        journal.fence = self._lease.check
        self._chain = chain
        self._journal = journal
        self._orders = orders
        self._signer = signer
        self._wall = wall
        self._log = log if log is not None else structlog.get_logger("keeper")
        self._sending = Sending(
            chain=chain,
            journal=journal,
            orders=orders,
            signer=signer,
            check=self._lease.check,
            wall=wall,
            log=self._log,
        )
        self._memories: dict[Address, Memory] = {}  # of the last decisions; the journal has them
        self._refusals = Refusals()

    @property
    def sender(self) -> Address | None:
        """Return the key's address."""
        return self._signer.address if self._signer is not None else None

    def tick(self, deadline: Deadline, job: str = "tick") -> TickReport:
        """
        Run one cycle and log one line.

        Raises
        ------
        Fault
            If the cycle failed; it is recorded and logged.
        Halt
            If a person must look.
        """
        report = TickReport(job=job, started=self._wall(), asked=self._chain.requests)
        with self._journal.job(deadline):
            try:
                with report.stage("all"):
                    self._cycle(report, deadline)
            except KeeperError as error:
                self._end_badly(report, error)
                self._tell(report, error)
                raise
        self._log_line(report)
        self._tell(report, None)
        return report

    def watch(self, deadline: Deadline) -> TickReport | None:
        """Look at the vaults; run a cycle only when drift or margin of one is urgent."""
        reading = self._chain.read(self._orders.vaults, self.sender, [], deadline)
        for snapshot in reading.snapshots:
            if snapshot.vault.price_ok and assess(snapshot.vault).urgent:
                return self.tick(deadline, job="margin watch")
        return None

    # The cycle

    def _cycle(self, report: TickReport, deadline: Deadline) -> None:
        try:
            report.leads = self._lease.leads()
            if report.leads:
                self._keep(report, deadline)
            else:
                self._memories.clear()  # the journal has those of whoever leads
                self._look(report, f"{self._lease.holder} leads", deadline)
        except JournalUnavailable as fault:
            report.unrecorded = str(fault)
            self._look(report, str(fault), deadline)
            raise

    def _look(self, report: TickReport, why: str, deadline: Deadline) -> None:
        """See what can be seen; nothing is written or sent."""
        if report.reading is None:
            with report.stage("read"):
                report.reading = self._chain.read(self._orders.vaults, self.sender, [], deadline)
        if not report.verdicts:
            with report.stage("decide"):
                report.verdicts = [
                    self._judge(found, self._memory_if_any(found.vault.vault))
                    for found in report.reading.snapshots
                ]
        for verdict in report.verdicts:
            if isinstance(verdict.decision, Rebalance) and not verdict.note:
                verdict.note, verdict.withheld = why, True

    def _keep(self, report: TickReport, deadline: Deadline) -> None:
        with report.stage("read"):
            open_ones = self._journal.in_flight()
            report.reading = reading = self._read(open_ones, deadline)
        with report.stage("resolve"):
            report.waiting = self._sending.resolve(open_ones, reading, deadline)
        with report.stage("decide"):
            self._check_trigger(reading)
            report.verdicts = [
                self._judge(snapshot, self._memory(snapshot.vault.vault))
                for snapshot in reading.snapshots
            ]
        wanted = [v for v in report.verdicts if isinstance(v.decision, Rebalance)]
        wanted.sort(key=lambda v: not (isinstance(v.decision, Rebalance) and v.decision.urgent))
        with report.stage("record"):
            first = self._record(report, reading, wanted)
        if wanted and report.tick_id is not None:
            with report.stage("send"):
                self._act(report, reading, wanted, first, deadline)
            self._journal.end_tick(report.tick_id, *self._spent_on(report), "ok")

    def _read(self, open_ones: list[Tx], deadline: Deadline) -> Reading:
        """Read the chain; the journal must be of the same one."""
        watched = self._journal.hashes(open_ones)
        reading = self._chain.read(self._orders.vaults, self.sender, watched, deadline)
        if reading.genesis is not None:
            self._journal.claim_genesis(reading.genesis)
        return reading

    def _check_trigger(self, reading: Reading) -> None:
        """Refuse, at the start, a trigger over the urgent band; later `decide` takes the lower."""
        trigger = self._orders.policy.trigger_bps
        for snapshot in reading.snapshots:
            vault = snapshot.vault
            urgent = vault.limits.urgent_band_bps
            if vault.vault not in self._memories and trigger > urgent:
                raise ConfigInvalid(
                    f"policy.trigger_bps: {trigger} is over the urgent band of {urgent}, "
                    f"vault {vault.vault}"
                )

    def _record(self, report: TickReport, reading: Reading, wanted: Sequence[Verdict]) -> Tx | None:
        """
        Write the decisions, and the first plan, before anything is done about them; one commit.

        Returns
        -------
        Tx or None
            What is planned for the first of those wanted; None if something speaks against it.
        """
        entries = [verdict.entry() for verdict in report.verdicts]
        what = (report.job, report.started, reading.block, entries, self._orders.policy)
        first: Tx | None = None
        with self._journal.at_once():
            if wanted:
                tick_id, rows = self._journal.open_tick(*what)
            else:
                tick_id, rows = self._journal.write_tick(*what, *self._spent_on(report))
            for verdict, row in zip(report.verdicts, rows, strict=True):
                verdict.row = row
            if wanted:
                first = self._planned(wanted[0], report, reading)
        report.tick_id = tick_id  # not before it is on disk
        for verdict in report.verdicts:
            self._memories[verdict.snapshot.vault.vault] = verdict.decision.memory
        return first

    def _spent_on(self, report: TickReport) -> tuple[float, int]:
        """Return the time now and the requests that a tick has made."""
        return max(self._wall(), report.started), self._chain.requests - report.asked

    def _judge(self, snapshot: Snapshot, memory: Memory) -> Verdict:
        vault = snapshot.vault.vault
        memory = replace(memory, refusing=self._refusals.mask(snapshot.vault, snapshot.block.at))
        try:
            decision = decide(snapshot, self._orders.policy, memory)
            risk = assess(snapshot.vault) if snapshot.vault.price_wad > 0 else None
        except (ArithmeticError, ValueError) as fault:
            raise CorruptAnswer(f"vault {vault} has numbers that cannot be: {fault}") from fault
        return Verdict(snapshot=snapshot, memory=memory, decision=decision, risk=risk)

    def _memory(self, vault: Address) -> Memory:
        """Return what the last decision about a vault left."""
        found = self._memories.get(vault)
        return self._journal.memory(vault) if found is None else found

    def _memory_if_any(self, vault: Address) -> Memory:
        """Return it for who only looks; nothing while the journal cannot say."""
        try:
            return self._memory(vault)
        except JournalUnavailable:
            return Memory()

    def _act(
        self,
        report: TickReport,
        reading: Reading,
        wanted: Sequence[Verdict],
        first: Tx | None,
        deadline: Deadline,
    ) -> None:
        nonce = reading.nonce
        for verdict in wanted:
            tx = first if verdict is wanted[0] else self._planned(verdict, report, reading)
            if tx is None:
                continue
            tx = self._sending.carry_out(tx, reading, nonce, deadline)
            verdict.note = f"{tx.state} {tx.tx_hash}" + (f": {tx.detail}" if tx.detail else "")
            self._learn(verdict, tx)
            if tx.sends == 0:
                self._drop(verdict, tx.detail or "")
                continue
            report.sent.append(tx)
            refused = tx.state is TxState.FAILED and tx.succeeded is None  # the nonce is free
            nonce += 0 if refused else 1
            if tx.state in OPEN:
                report.waiting.append(tx)

    def _learn(self, verdict: Verdict, tx: Tx) -> None:
        """Remember whether the chain lets this vault trade where the plan does."""
        decision, snapshot = verdict.decision, verdict.snapshot
        assert isinstance(decision, Rebalance)  # noqa: S101  # it was sent or refused
        if tx.sends:
            self._refusals.passed(tx.vault, decision.plan)
        elif (tx.detail or "").startswith(CHAIN_REFUSES):
            blamed = [
                each.legs[0].venue
                for each in parts(decision.plan)
                if self._sending.refused_by_venue(tx, calldata(each))
            ]
            self._refusals.refused(tx.vault, blamed, snapshot.block.at)

    def _planned(self, verdict: Verdict, report: TickReport, reading: Reading) -> Tx | None:
        """Write that a plan is to be carried out, or what speaks against it."""
        why_not = self._objection(verdict, report, reading)
        if why_not is not None:
            self._drop(verdict, why_not)
            return None
        decision = verdict.decision
        assert isinstance(decision, Rebalance)  # noqa: S101  # `_objection` has seen to it
        return self._sending.plan(verdict.row, verdict.snapshot, decision.plan)

    def _objection(self, verdict: Verdict, report: TickReport, reading: Reading) -> str | None:
        decision, orders = verdict.decision, self._orders
        if not isinstance(decision, Rebalance):
            return "nothing to send"
        if self._signer is None:
            return "dry run: no key"
        found = objection(
            verdict.snapshot,
            decision.plan,
            policy=orders.policy,
            safety=orders.safety,
            spent=self._journal.spent(
                verdict.snapshot.block.at, vault=verdict.snapshot.vault.vault
            ),
            sender=self._signer.address,
            killed=orders.kill_file.exists(),
        )
        if found is not None:
            return found
        return "dry run" if not orders.live else self._key_objection(report, reading)

    def _key_objection(self, report: TickReport, reading: Reading) -> str | None:
        if report.waiting:
            return f"waiting for transaction {report.waiting[0].tx_hash}"
        if reading.pending_nonce > reading.nonce:
            return (
                "the key has a transaction in the pool that the journal does not know, "
                f"nonce {reading.nonce}"
            )
        return self._sending.fee_objection(reading.block.base_fee)

    def _drop(self, verdict: Verdict, why: str) -> None:
        verdict.note, verdict.withheld = why, True
        self._journal.object_to(verdict.row, why)

    # Records

    def _tell(self, report: TickReport, error: KeeperError | None) -> None:
        if self.witness is not None:
            self.witness.ended(report, error)

    def _end_badly(self, report: TickReport, error: KeeperError) -> None:
        ended, requests = self._spent_on(report)
        result = _result(error)
        if isinstance(error, LeaseLost):
            report.leads = False
        elif not isinstance(error, JournalUnavailable):
            try:
                self._write_end(report, ended, requests, result, str(error))
            except Fault as fault:
                report.unrecorded = str(fault)
                result = f"{result}, not recorded: {fault}"
        self._log.warning(
            report.job,
            tick=report.tick_id,
            result=result,
            kind=type(error).__name__,
            error=str(error),
            requests=requests,
            secs=round(ended - report.started, 3),
            **self._state_of(report),
        )

    def _write_end(
        self, report: TickReport, ended: float, requests: int, result: str, detail: str
    ) -> None:
        if report.tick_id is None:
            report.tick_id = self._journal.write_fault(
                report.job, report.started, ended, requests, result, detail
            )
        else:
            self._journal.end_tick(report.tick_id, ended, requests, result, detail)

    def _state_of(self, report: TickReport) -> dict[str, Any]:
        """Return what the line of every tick says, a good one or not."""
        return {
            "stages": {name: round(secs, 4) for name, secs in report.stages.items()},
            "killed": self._orders.kill_file.exists(),
            **({} if report.leads else {"role": "standby"}),
        }

    def _log_line(self, report: TickReport) -> None:
        said = [verdict.figures() for verdict in report.verdicts]
        ended, requests = self._spent_on(report)
        block = report.reading.block if report.reading is not None else None
        replaced = report.reading.replaced_from if report.reading is not None else None
        self._log.info(
            report.job,
            tick=report.tick_id,
            result="ok",
            block=block.number if block is not None else None,
            block_at=block.at if block is not None else None,
            requests=requests,
            secs=round(ended - report.started, 3),
            **self._state_of(report),
            sent=[f"{tx.state} {tx.tx_hash}" for tx in report.sent],
            waiting=[tx.tx_hash for tx in report.waiting],
            **({} if replaced is None else {"replaced_from": replaced}),  # a reorganisation
            **(said[0] if len(said) == 1 else {"vaults": said}),
        )


def _result(error: KeeperError) -> str:
    return "halt" if isinstance(error, Halt) else "fault"


def outcome_words(verdict: Verdict) -> str:
    """Return a verdict in one line for a person."""
    match verdict.decision:
        case Hold(reason=reason):
            return f"hold: {reason}"
        case Refuse(reason=reason):
            return f"refused: {reason}"
        case Rebalance(reason=reason):
            return f"rebalance: {reason}" + (f" -> {verdict.note}" if verdict.note else "")
