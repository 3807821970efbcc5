# SPDX-License-Identifier: MIT
"""
What the keeper saw, decided and sent, on disk before it matters.

    planned -> signed -> accepted -> mined -> final
       |          |         |  ^--reorg--'
       '----------'---------'---------> failed

A row is written before the network call that it precedes, so whatever the moment of a crash, the
next start knows what may be under way. Inputs of each decision are kept whole: the lens's words
(compressed), the policy and the memory, so that it can be made again bit for bit.

SQLite in WAL mode with full synchronisation: what is written survives a power cut.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from eth_utils.crypto import keccak
from sqlalchemy.dialects.sqlite import insert as upsert

from keeper import tables
from keeper.deadline import Deadline
from keeper.errors import ConfigInvalid, InvariantBroken, JournalUnavailable
from keeper.guard import Spent
from keeper.plan import Plan, decode_plan, encode_plan
from keeper.policy import Memory, Policy, decode_memory, decode_policy
from keeper.snapshot import Address, Block, Snapshot, decode_vault
from keeper.strategy import Decision, Rebalance
from keeper.units import DAY_SECS

SCHEMA: Final = 1
HOUR_SECS: Final = 3_600


class TxState(StrEnum):
    """How far a transaction got."""

    PLANNED = "planned"
    SIGNED = "signed"
    ACCEPTED = "accepted"
    MINED = "mined"
    FINAL = "final"
    FAILED = "failed"


STEPS: Final[Mapping[TxState, frozenset[TxState]]] = {
    TxState.PLANNED: frozenset({TxState.SIGNED, TxState.FAILED}),
    TxState.SIGNED: frozenset({TxState.ACCEPTED, TxState.MINED, TxState.FAILED}),
    TxState.ACCEPTED: frozenset({TxState.MINED, TxState.FAILED}),
    TxState.MINED: frozenset({TxState.FINAL, TxState.ACCEPTED, TxState.FAILED}),
    TxState.FINAL: frozenset(),
    TxState.FAILED: frozenset(),
}
OPEN: Final = (TxState.PLANNED, TxState.SIGNED, TxState.ACCEPTED, TxState.MINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tx:
    """A row of `transactions`."""

    id: int
    decision_row: int
    decision_id: str
    vault: Address
    book: Address
    sender: Address
    plan_nonce: int
    plan_deadline: int
    calldata: bytes
    state: TxState
    planned_at: int
    account_nonce: int | None
    tx_hash: str | None
    raw: bytes | None
    gas_limit: int | None
    max_fee: int | None
    priority_fee: int | None
    sends: int
    block_number: int | None
    block_hash: str | None
    succeeded: bool | None
    gas_used: int | None
    effective_gas_price: int | None
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A decision to write, with its inputs."""

    snapshot: Snapshot
    memory: Memory
    decision: Decision
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """A decision with all that it rested on."""

    id: int
    tick_id: int
    job: str
    decision_id: str
    kind: str
    reason: str
    snapshot: Snapshot
    policy: Policy
    memory_before: Memory
    memory_after: Memory
    plan: Plan | None
    figures: dict[str, Any]
    objection: str | None


class Journal:
    """
    One SQLite file.

    Raises
    ------
    ConfigInvalid
        If the file cannot be used, or belongs to another chain or schema.
    """

    def __init__(self, path: Path, chain_id: int) -> None:
        self.path = path
        self._chain_id = chain_id
        self._genesis: str | None = None
        self._job = threading.local()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 10})
            sa.event.listen(self._engine, "connect", _configure)
            tables.every.create_all(self._engine)
            self._claim(chain_id)
        except (OSError, sa.exc.DatabaseError) as fault:
            words = str(getattr(fault, "orig", None) or fault)
            raise ConfigInvalid(f"journal.path: {path}: {words}") from fault

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    def _claim(self, chain_id: int) -> None:
        wanted = {"schema": str(SCHEMA), "chain_id": str(chain_id)}
        with self._engine.begin() as db:
            for key, value in wanted.items():
                db.execute(
                    upsert(tables.meta).values(key=key, value=value).on_conflict_do_nothing()
                )
            found = {row.key: row.value for row in db.execute(sa.select(tables.meta))}
        for key, value in wanted.items():
            if found[key] != value:
                name = key.replace("_", " ")
                raise ConfigInvalid(
                    f"journal.path: {self.path} has {name} {found[key]}, expected {value}"
                )

    def claim_genesis(self, block_hash: str) -> None:
        """
        Bind the file to the chain that began with this block; chain ids of local nodes repeat.

        Raises
        ------
        ConfigInvalid
            If the file belongs to another.
        """
        if self._genesis is None:
            values = {"key": "genesis", "value": block_hash}
            with self._writing() as db:
                db.execute(upsert(tables.meta).values(**values).on_conflict_do_nothing())
                query = sa.select(tables.meta.c.value).where(tables.meta.c.key == "genesis")
                self._genesis = str(db.execute(query).scalar_one())
        if self._genesis != block_hash:
            raise ConfigInvalid(
                f"journal.path: {self.path} is of an earlier chain {self._chain_id}, which began "
                f"with block {self._genesis}, this one with {block_hash}: name a new file"
            )

    @contextmanager
    def job(self, deadline: Deadline) -> Iterator[None]:
        """Refuse what this thread writes from when its job is given up."""
        before = getattr(self._job, "deadline", None)
        self._job.deadline = deadline
        try:
            yield
        finally:
            self._job.deadline = before

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        deadline: Deadline | None = getattr(self._job, "deadline", None)
        allowed = deadline.effect("writing the journal") if deadline else nullcontext()
        with self._faults(), allowed, self._engine.begin() as db:
            yield db

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._faults(), self._engine.connect() as db:
            yield db

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Say in one line what is wrong with the file: full, locked, damaged."""
        try:
            yield
        except (sa.exc.SQLAlchemyError, OverflowError) as fault:
            words = str(getattr(fault, "orig", None) or fault).splitlines()[0]
            raise JournalUnavailable(f"journal {self.path}: {words}") from fault

    # Ticks and decisions

    def open_tick(
        self, job: str, started: float, block: Block, entries: Sequence[Entry], policy: Policy
    ) -> tuple[int, list[int]]:
        """
        Write a tick with its decisions, and that it is still at work.

        Returns
        -------
        tuple[int, list[int]]
            The row of the tick and those of the decisions, in the order given.
        """
        return self._write_tick(policy, entries, **_seen(job, started, block))

    def write_tick(  # one row, written at once
        self,
        job: str,
        started: float,
        block: Block,
        entries: Sequence[Entry],
        policy: Policy,
        ended: float,
        requests: int,
    ) -> tuple[int, list[int]]:
        """Write a tick that has nothing to send, whole, with one commit."""
        done = {"ended_at": ended, "requests": requests, "result": "ok", "detail": ""}
        return self._write_tick(policy, entries, **_seen(job, started, block), **done)

    def write_fault(  # one row, written at once
        self, job: str, started: float, ended: float, requests: int, result: str, detail: str
    ) -> int:
        """Write a tick that failed before it decided anything."""
        with self._writing() as db:
            row = tables.ticks.insert().values(
                job=job,
                started_at=started,
                ended_at=ended,
                requests=requests,
                result=result,
                detail=detail,
            )
            return _key(db.execute(row))

    def _write_tick(
        self, policy: Policy, entries: Sequence[Entry], **values: Any
    ) -> tuple[int, list[int]]:
        text = policy.encode()
        digest = keccak(text).hex()
        with self._writing() as db:
            tick_id = _key(db.execute(tables.ticks.insert().values(**values)))
            row = {"hash": digest, "text": text.decode()}
            db.execute(upsert(tables.policies).values(**row).on_conflict_do_nothing())
            decided = [_decision_values(tick_id, digest, entry) for entry in entries]
            if not decided:
                return tick_id, []
            insert = tables.decisions.insert().returning(
                tables.decisions.c.id, sort_by_parameter_order=True
            )
            return tick_id, [int(found[0]) for found in db.execute(insert, decided)]

    def end_tick(
        self, tick_id: int, now: float, requests: int, result: str, detail: str = ""
    ) -> None:
        """Write how a tick that was opened ended."""
        with self._writing() as db:
            values = {"ended_at": now, "requests": requests, "result": result, "detail": detail}
            db.execute(tables.ticks.update().where(tables.ticks.c.id == tick_id).values(**values))

    def object_to(self, decision_row: int, objection: str) -> None:
        """Write why a plan was not sent."""
        with self._writing() as db:
            where = tables.decisions.c.id == decision_row
            db.execute(tables.decisions.update().where(where).values(objection=objection))

    def memory(self, vault: Address) -> Memory:
        """Return what the last decision about a vault left."""
        query = (
            sa.select(tables.decisions.c.memory_after)
            .where(tables.decisions.c.vault == vault)
            .order_by(tables.decisions.c.id.desc())
            .limit(1)
        )
        with self._reading() as db:
            text = db.execute(query).scalar()
        return Memory() if text is None else decode_memory(text.encode())

    def decisions(self, vault: Address | None = None) -> Iterator[DecisionRow]:
        """Yield all decisions, oldest first."""
        where = sa.true() if vault is None else tables.decisions.c.vault == vault
        yield from self._decisions(_decision_query().where(where).order_by(tables.decisions.c.id))

    def find_decisions(self, start: str) -> list[DecisionRow]:
        """Return decisions by row number, by the start of the id, or by `last`; oldest first."""
        query = _decision_query()
        if start == "last":
            newest = sa.select(sa.func.max(tables.decisions.c.id)).scalar_subquery()
            query = query.where(tables.decisions.c.id == newest)
        elif start.isdigit() and len(start) < 10:
            query = query.where(tables.decisions.c.id == int(start))
        else:
            digits = start.lower().removeprefix("0x")
            query = query.where(tables.decisions.c.decision_id.startswith(digits, autoescape=True))
        return list(self._decisions(query.order_by(tables.decisions.c.id)))

    def _decisions(self, query: sa.Select[Any]) -> Iterator[DecisionRow]:
        with self._reading() as db:
            for row in db.execute(query).mappings():
                yield _decision_row(row)

    def ticks(self) -> list[dict[str, Any]]:
        """Return all ticks, oldest first."""
        with self._reading() as db:
            rows = db.execute(sa.select(tables.ticks).order_by(tables.ticks.c.id)).mappings()
            return [dict(row) for row in rows]

    # Transactions

    def plan(
        self,
        decision_row: int,
        snapshot: Snapshot,
        plan: Plan,
        calldata: bytes,
        sender: Address,
        now: float,
    ) -> Tx:
        """Write that a plan is about to be simulated and sent."""
        with self._writing() as db:
            row = _key(
                db.execute(
                    tables.transactions.insert().values(
                        decision_row=decision_row,
                        decision_id=plan.decision_id.hex(),
                        vault=snapshot.vault.vault,
                        book=snapshot.vault.book,
                        sender=sender,
                        plan_nonce=plan.nonce,
                        plan_deadline=plan.deadline,
                        calldata=calldata,
                        state=TxState.PLANNED,
                        planned_at=snapshot.block.at,
                    )
                )
            )
            _log_step(db, row, None, TxState.PLANNED, now, "")
        return self.transaction(row)

    def advance(self, tx: Tx, state: TxState, now: float, detail: str = "", **values: Any) -> Tx:
        """
        Move a transaction to another state.

        Raises
        ------
        InvariantBroken
            If there is no such step, or the row is not where `tx` says.
        """
        if state not in STEPS[tx.state]:
            raise InvariantBroken(f"transaction {tx.id}: no step from {tx.state} to {state}")
        if detail:
            values["detail"] = detail
        with self._writing() as db:
            updated = db.execute(
                tables.transactions.update()
                .where(tables.transactions.c.id == tx.id, tables.transactions.c.state == tx.state)
                .values(state=state, **values)
            )
            if updated.rowcount != 1:
                raise InvariantBroken(f"transaction {tx.id} is not {tx.state} any more")
            _log_step(db, tx.id, tx.state, state, now, detail)
        return self.transaction(tx.id)

    def count_send(self, tx: Tx) -> Tx:
        """Write that the bytes are about to be handed to a node."""
        with self._writing() as db:
            where = tables.transactions.c.id == tx.id
            db.execute(tables.transactions.update().where(where).values(sends=tx.sends + 1))
        return self.transaction(tx.id)

    def absent(self, tx: Tx, block_number: int) -> int:
        """Write that a transaction is missed at this head; return since which head it is."""
        values = {"transaction_id": tx.id, "block_number": block_number}
        with self._writing() as db:
            db.execute(upsert(tables.absences).values(**values).on_conflict_do_nothing())
            column = tables.absences.c.block_number
            query = sa.select(column).where(tables.absences.c.transaction_id == tx.id)
            return int(db.execute(query).scalar_one())

    def present(self, tx: Tx) -> None:
        """Write that a transaction is not missed any more."""
        with self._writing() as db:
            db.execute(tables.absences.delete().where(tables.absences.c.transaction_id == tx.id))

    def transaction(self, row: int) -> Tx:
        """Return one transaction."""
        with self._reading() as db:
            query = sa.select(tables.transactions).where(tables.transactions.c.id == row)
            return _tx(db.execute(query).mappings().one())

    def transactions(self) -> list[Tx]:
        """Return all transactions, oldest first."""
        return self._transactions(sa.true())

    def counts(self) -> dict[TxState, int]:
        """Return how many transactions are in each state."""
        state = tables.transactions.c.state
        with self._reading() as db:
            rows = db.execute(sa.select(state, sa.func.count()).group_by(state))
            return {TxState(found): int(count) for found, count in rows}

    def in_flight(self) -> list[Tx]:
        """Return transactions whose end is not known yet, oldest first."""
        return self._transactions(tables.transactions.c.state.in_(OPEN))

    def _transactions(self, where: sa.ColumnElement[bool]) -> list[Tx]:
        query = sa.select(tables.transactions).where(where).order_by(tables.transactions.c.id)
        with self._reading() as db:
            return [_tx(row) for row in db.execute(query).mappings()]

    def steps(self, tx: Tx) -> list[str]:
        """Return the states that a transaction went through."""
        query = sa.select(tables.steps.c.state_after).where(tables.steps.c.transaction_id == tx.id)
        with self._reading() as db:
            return [str(row[0]) for row in db.execute(query.order_by(tables.steps.c.id))]

    def spent(self, at: int) -> Spent:
        """
        Return what was sent and spent lately, by chain time.

        Parameters
        ----------
        at : int
            The head's time.
        """
        sent = self._transactions(
            sa.and_(
                tables.transactions.c.sends > 0, tables.transactions.c.planned_at > at - DAY_SECS
            )
        )
        ended = [tx for tx in reversed(sent) if tx.succeeded is not None]
        reverts = 0
        for tx in ended:
            if tx.succeeded:
                break
            reverts += 1
        return Spent(
            reverts_in_row=reverts,
            sends_last_hour=sum(tx.planned_at > at - HOUR_SECS for tx in sent),
            gas_last_day=sum(tx.gas_used or 0 for tx in sent),
            spend_last_day=sum((tx.gas_used or 0) * (tx.effective_gas_price or 0) for tx in sent),
        )


def _configure(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _seen(job: str, started: float, block: Block) -> dict[str, Any]:
    return {
        "job": job,
        "started_at": started,
        "block_number": block.number,
        "block_hash": block.hash,
        "parent_hash": block.parent_hash,
        "block_at": block.at,
    }


def _decision_values(tick_id: int, policy_hash: str, entry: Entry) -> dict[str, Any]:
    decision = entry.decision
    return {
        "tick_id": tick_id,
        "vault": entry.snapshot.vault.vault,
        "decision_id": decision.decision_id.hex(),
        "kind": type(decision).__name__.lower(),
        "reason": decision.reason,
        "words": zlib.compress(entry.snapshot.words, 1),
        "policy_hash": policy_hash,
        "memory_before": entry.memory.encode().decode(),
        "memory_after": decision.memory.encode().decode(),
        "plan": encode_plan(decision.plan) if isinstance(decision, Rebalance) else None,
        "figures": json.dumps(dict(entry.figures), sort_keys=True),
    }


def _key(result: sa.CursorResult[Any]) -> int:
    key = result.inserted_primary_key
    if key is None:
        raise InvariantBroken("the journal gave no row number")
    return int(key[0])


def _log_step(
    db: sa.Connection, row: int, before: TxState | None, after: TxState, now: float, detail: str
) -> None:
    db.execute(
        tables.steps.insert().values(
            transaction_id=row, state_before=before, state_after=after, at=now, detail=detail
        )
    )


def _tx(row: Mapping[Any, Any]) -> Tx:
    fields = dict(row)
    fields["state"] = TxState(fields["state"])
    return Tx(**fields)


def _decision_query() -> sa.Select[Any]:
    return (
        sa.select(
            tables.decisions,
            tables.policies.c.text.label("policy"),
            tables.ticks.c.job,
            tables.ticks.c.block_number,
            tables.ticks.c.block_hash,
            tables.ticks.c.parent_hash,
            tables.ticks.c.block_at,
        )
        .join(tables.policies, tables.policies.c.hash == tables.decisions.c.policy_hash)
        .join(tables.ticks, tables.ticks.c.id == tables.decisions.c.tick_id)
    )


def _decision_row(row: Mapping[Any, Any]) -> DecisionRow:
    words = zlib.decompress(row["words"])
    block = Block(
        number=row["block_number"],
        hash=row["block_hash"],
        parent_hash=row["parent_hash"],
        at=row["block_at"],
        base_fee=0,  # no part of a decision
    )
    plan = row["plan"]
    return DecisionRow(
        id=row["id"],
        tick_id=row["tick_id"],
        job=row["job"],
        decision_id=row["decision_id"],
        kind=row["kind"],
        reason=row["reason"],
        snapshot=Snapshot(block=block, vault=decode_vault(words), words=words),
        policy=decode_policy(row["policy"].encode()),
        memory_before=decode_memory(row["memory_before"].encode()),
        memory_after=decode_memory(row["memory_after"].encode()),
        plan=None if plan is None else decode_plan(plan),
        figures=json.loads(row["figures"]),
        objection=row["objection"],
    )
