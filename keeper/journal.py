# SPDX-License-Identifier: MIT
"""
What the keeper saw, decided and sent, on disk before it matters.

A row is written before the network call that it precedes, so whatever the moment of a crash, the
next start knows what may be under way; how far a transaction got, and may get, is in
`keeper.lifecycle`. Inputs of each decision are kept whole: the lens's words (compressed), the
policy and the memory, so that it can be made again bit for bit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, Self

import sqlalchemy as sa
from eth_utils.crypto import keccak
from sqlalchemy.engine import URL

from keeper import tables
from keeper.chain import Envelope, Signed
from keeper.database import Database
from keeper.deadline import Deadline
from keeper.errors import ConfigInvalid, InvariantBroken, KeeperError
from keeper.guard import Spent
from keeper.lifecycle import (
    ENDED,
    OPEN,
    REBALANCE,
    STEPS,
    Failure,
    Signature,
    Tx,
    TxState,
    check_step,
)
from keeper.plan import Plan
from keeper.policy import Memory, Policy, decode_memory
from keeper.rows import (
    UNREADABLE,
    CallEntry,
    DecisionRow,
    Entry,
    decision_query,
    decision_row,
    decision_values,
    seen,
    traded,
    transaction_row,
)
from keeper.snapshot import Address, Block, Snapshot
from keeper.units import DAY_SECS

__all__ = ["OPEN", "STEPS", "DecisionRow", "Entry", "Failure", "Journal", "Tx", "TxState"]

HOUR_SECS: Final = 3_600
ROWS_AT_ONCE: Final = 200  # of decisions, each of some kilobytes


class Journal:
    """
    The journal in one database.

    Parameters
    ----------
    where : Path | URL
        A SQLite file, or a database by `keeper.database.database_url`.
    looks_on : bool
        Only read it, see `keeper.database.Database`.

    Raises
    ------
    ConfigInvalid
        If it cannot be used, belongs to another chain, or a newer keeper has written it.
    JournalUnavailable
        If it cannot be used now.
    """

    def __init__(self, where: Path | sa.URL, chain_id: int, *, looks_on: bool = False) -> None:
        self._chain_id = chain_id
        self._genesis: str | None = None
        self._job = threading.local()
        self.fence: Callable[[], None] = lambda: None  # raises when another keeper may write
        self._database = Database(where, looks_on=looks_on)
        self._field, self.place = self._database.field, self._database.place
        try:
            self._claim(chain_id)
        except KeeperError:
            self.close()
            raise

    @classmethod
    def existing(cls, place: Path | URL, chain_id: int) -> Self:
        """
        Open a journal that a keeper has written, to read it.

        Raises
        ------
        ConfigInvalid
            If there is no such file, or it is of another version.
        """
        if isinstance(place, Path) and not place.exists():
            raise ConfigInvalid(
                f"journal.path: there is no journal at {place}: no keeper has run yet"
            )
        return cls(place, chain_id, looks_on=True)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _claim(self, chain_id: int) -> None:
        found = self._fixed("chain_id", str(chain_id))
        if found != str(chain_id):
            raise ConfigInvalid(
                f"{self._field}: {self.place} has chain id {found}, expected {chain_id}: "
                "name a new one"
            )

    def _fixed(self, key: str, value: str) -> str:
        """Return what a key has, which is the first value that was given to it."""
        query = sa.select(tables.meta.c.value).where(tables.meta.c.key == key)
        with self._reading() as db:
            found = db.execute(query).scalar()
        if found is not None:
            return str(found)
        with self._writing() as db:
            db.execute(self._database.insert_once(tables.meta, key=key, value=value))
            return str(db.execute(query).scalar_one())

    def claim_genesis(self, block_hash: str) -> None:
        """
        Bind the journal to the chain that began with this block; chain ids of local nodes repeat.

        Raises
        ------
        ConfigInvalid
            If it belongs to another.
        """
        if self._genesis is None:
            self._genesis = self._fixed("genesis", block_hash)
        if self._genesis != block_hash:
            raise ConfigInvalid(
                f"{self._field}: {self.place} is of an earlier chain {self._chain_id}, which began "
                f"with block {self._genesis}, this one with {block_hash}: name a new one"
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
        joined = self._joined
        if joined is not None:
            yield joined
            return
        deadline: Deadline | None = getattr(self._job, "deadline", None)
        allowed = deadline.effect("writing the journal") if deadline else nullcontext()
        with allowed:
            self.fence()
            with self._database.writing() as db:
                yield db

    def _reading(self) -> AbstractContextManager[sa.Connection]:
        joined = self._joined
        return self._database.reading() if joined is None else nullcontext(joined)

    @property
    def _joined(self) -> sa.Connection | None:
        """Return what this thread writes with, inside `at_once`."""
        found: sa.Connection | None = getattr(self._job, "joined", None)
        return found

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """
        Write what the block writes with one commit at its end, or nothing of it.

        A commit waits for the disk, so writes before one network call share it. The block must
        ask the network nothing: whoever gives a job up waits for its end.
        """
        with self._writing() as db:
            before, self._job.joined = self._joined, db
            try:
                yield
            finally:
                self._job.joined = before

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
        return self._write_tick(policy, entries, **seen(job, started, block))

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
        return self._write_tick(policy, entries, **seen(job, started, block), **done)

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
            db.execute(self._database.insert_once(tables.policies, **row))
            decided = [decision_values(tick_id, digest, entry) for entry in entries]
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
        with self._sound(f"the memory of vault {vault}"):
            return Memory() if text is None else decode_memory(text.encode())

    def decisions(self, vault: Address | None = None, first: int = 0) -> Iterator[DecisionRow]:
        """Yield all decisions, or one vault's, from a row on, oldest first."""
        of, query = tables.decisions.c, decision_query()
        query = query if vault is None else query.where(of.vault == vault)
        yield from self._decisions(query.where(of.id >= first).order_by(of.id))

    def find_decisions(self, start: str) -> list[DecisionRow]:
        """Return decisions by row number, by the start of the id, or by `last`; oldest first."""
        query = decision_query()
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
        query = query.execution_options(yield_per=ROWS_AT_ONCE)
        with self._reading() as db:
            for row in db.execute(query).mappings():
                with self._sound(f"decision {row['id']}"):
                    found = decision_row(row)
                yield found

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
        return self._begin(
            now,
            purpose=REBALANCE,
            decision_row=decision_row,
            decision_id=plan.decision_id.hex(),
            vault=snapshot.vault.vault,
            book=snapshot.vault.book,
            sender=sender,
            plan_nonce=plan.nonce,
            plan_deadline=plan.deadline,
            calldata=calldata,
            planned_at=snapshot.block.at,
        )

    def plan_call(self, call: CallEntry, now: float) -> Tx:
        """Write that a call is about to be simulated and sent."""
        return self._begin(
            now,
            purpose=call.purpose,
            decision_id=keccak(bytes.fromhex(call.to[2:]) + call.calldata).hex(),
            vault=call.about,
            book=call.to,
            sender=call.sender,
            plan_deadline=call.deadline,
            calldata=call.calldata,
            planned_at=call.at,
        )

    def _begin(self, now: float, **values: Any) -> Tx:
        with self._writing() as db:
            insert = tables.transactions.insert().values(state=TxState.PLANNED, **values)
            row = _key(db.execute(insert))
            _log_step(db, row, None, TxState.PLANNED, now, "")
        return self.transaction(row)

    def advance(
        self,
        tx: Tx,
        state: TxState,
        now: float,
        detail: str = "",
        *,
        failure: Failure | None = None,
        **values: Any,
    ) -> Tx:
        """
        Move a transaction to another state.

        Raises
        ------
        InvariantBroken
            If there is no such step, or the row is not where `tx` says.
        """
        check_step(tx, state, failure)
        if detail:
            values["detail"] = detail
        with self._writing() as db:
            self._move(db, tx, state, now, detail, failure=failure, **values)
        return self.transaction(tx.id)

    def _move(  # one step with all that it writes
        self, db: sa.Connection, tx: Tx, state: TxState, now: float, why: str, **values: Any
    ) -> None:
        rows = tables.transactions
        where = (rows.c.id == tx.id, rows.c.state == tx.state)
        updated = db.execute(rows.update().where(*where).values(state=state, **values))
        if updated.rowcount != 1:
            self.fence()  # else it was the other one's step
            raise InvariantBroken(f"transaction {tx.id} is not {tx.state} any more")
        if state is not tx.state:
            _log_step(db, tx.id, tx.state, state, now, why)

    def sign(  # a row of each table, written at once
        self,
        tx: Tx,
        signed: Signed,
        envelope: Envelope,
        now: float,
        *,
        cancels: bool = False,
        sending: bool = False,
    ) -> Tx:
        """
        Write what was signed, for the first time or in the place of what was signed before.

        Parameters
        ----------
        cancels : bool
            Whether the bytes only free the nonce.
        sending : bool
            Whether they are about to be handed to a node, see `count_send`.
        """
        values = {
            "tx_hash": signed.tx_hash,
            "raw": signed.raw,
            "max_fee": envelope.max_fee,
            "priority_fee": envelope.priority_fee,
        }
        more = {"account_nonce": envelope.nonce, "gas_limit": envelope.gas}
        more |= {"sends": tx.sends + 1} if sending else {}
        if tx.state is TxState.PLANNED:
            check_step(tx, TxState.SIGNED)
        after = TxState.SIGNED if tx.state is TxState.PLANNED else tx.state
        with self._writing() as db:
            mark = {"transaction_id": tx.id, "cancels": cancels, "signed_at": now}
            db.execute(self._database.insert_once(tables.envelopes, **values, **mark))
            self._move(db, tx, after, now, "", **values, **more)
        return self.transaction(tx.id)

    def signatures(self, transactions: Sequence[Tx]) -> dict[int, list[Signature]]:
        """Return what was signed for each transaction, by its row, the worst paid first."""
        found: dict[int, list[Signature]] = {tx.id: [] for tx in transactions}
        columns = tables.envelopes.c
        query = sa.select(
            columns.transaction_id, columns.tx_hash, columns.cancels, columns.signed_at
        ).where(columns.transaction_id.in_(found))
        if not found:
            return found
        with self._reading() as db, self._sound("an envelope"):
            for row in db.execute(query.order_by(columns.max_fee)):  # clocks are set back
                found[row[0]].append(
                    Signature(tx_hash=row[1], cancels=row[2], signed_at=float(row[3]))
                )
        return found

    def bytes_of(self, tx_hash: str, tx: Tx) -> bytes | None:
        """Return the bytes of one hash of a transaction."""
        if tx_hash == tx.tx_hash:
            return tx.raw
        query = sa.select(tables.envelopes.c.raw).where(tables.envelopes.c.tx_hash == tx_hash)
        with self._reading() as db:
            return db.execute(query).scalar()

    def hashes(self, transactions: Sequence[Tx]) -> list[str]:
        """Return every hash by which the chain may know one of these."""
        signed = self.signatures(transactions)
        found = [each.tx_hash for rows in signed.values() for each in rows]
        found += [tx.tx_hash for tx in transactions if tx.tx_hash is not None]
        return list(dict.fromkeys(found))

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
            db.execute(self._database.insert_once(tables.absences, **values))
            column = tables.absences.c.block_number
            query = sa.select(column).where(tables.absences.c.transaction_id == tx.id)
            return int(db.execute(query).scalar_one())

    def present(self, tx: Tx) -> None:
        """Write that a transaction is not missed any more."""
        with self._writing() as db:
            db.execute(tables.absences.delete().where(tables.absences.c.transaction_id == tx.id))

    def transaction(self, row: int) -> Tx:
        """Return one transaction."""
        (found,) = self._transactions(tables.transactions.c.id == row)
        return found

    def transactions(self) -> list[Tx]:
        """Return all transactions, oldest first."""
        return self._transactions(sa.true())

    def counts(self) -> dict[TxState, int]:
        """Return how many transactions are in each state."""
        state = tables.transactions.c.state
        with self._reading() as db:
            rows = db.execute(sa.select(state, sa.func.count()).group_by(state))
            with self._sound("a transaction"):
                return {TxState(found): int(count) for found, count in rows}

    def in_flight(self) -> list[Tx]:
        """Return transactions whose end is not known yet, oldest first; also one of no state."""
        return self._transactions(tables.transactions.c.state.not_in(ENDED))

    def mined_from(self, sender: Address, nonce: int, block_number: int) -> list[Tx]:
        """Return what ended on the chain up to a block, with this nonce of a key or a later one."""
        of = tables.transactions.c
        ended = sa.and_(of.sender == sender, of.state.in_(ENDED), of.succeeded.is_not(None))
        later = sa.and_(of.account_nonce >= nonce, of.block_number <= block_number)
        return self._transactions(sa.and_(ended, later))

    def next_nonce(self, sender: Address) -> int:
        """Return the nonce after the highest of a key that ended on the chain; 0 without any."""
        of = tables.transactions.c
        ended = sa.and_(of.sender == sender, of.state.in_(ENDED), of.succeeded.is_not(None))
        with self._reading() as db:
            highest = db.execute(sa.select(sa.func.max(of.account_nonce)).where(ended)).scalar()
        return 0 if highest is None else int(highest) + 1

    def _transactions(self, where: sa.ColumnElement[bool]) -> list[Tx]:
        query = sa.select(tables.transactions).where(where).order_by(tables.transactions.c.id)
        with self._reading() as db:
            with self._sound("a transaction"):
                rows = list(db.execute(query).mappings())
            return [self._transaction(row) for row in rows]

    def _transaction(self, row: Mapping[Any, Any]) -> Tx:
        with self._sound(f"transaction {row['id']}"):
            return transaction_row(row)

    @contextmanager
    def _sound(self, row: str) -> Iterator[None]:
        """Say which row cannot be, and what to do."""
        try:
            yield
        except UNREADABLE as fault:
            raise self._database.damaged(row, fault) from fault

    def steps(self, tx: Tx) -> list[str]:
        """Return the states that a transaction went through."""
        query = sa.select(tables.steps.c.state_after).where(tables.steps.c.transaction_id == tx.id)
        with self._reading() as db:
            return [str(row[0]) for row in db.execute(query.order_by(tables.steps.c.id))]

    def spent(self, at: int, *, upkeep: bool = False, vault: Address | None = None) -> Spent:
        """
        Return what was sent and spent lately, by chain time.

        Parameters
        ----------
        at : int
            The head's time.
        upkeep : bool
            For calls that anybody may make; else for rebalances.
        vault : Address | None
            Of which to say what it traded.
        """
        columns = tables.transactions.c
        rebalances = columns.purpose == REBALANCE
        sent = self._transactions(
            sa.and_(
                columns.sends > 0,
                columns.planned_at > at - DAY_SECS,
                sa.not_(rebalances) if upkeep else rebalances,
            )
        )
        lately = [tx for tx in sent if tx.planned_at > at - HOUR_SECS]
        ended = [tx for tx in reversed(sent) if tx.succeeded is not None]
        reverts = 0
        for tx in ended:
            if tx.succeeded:
                break
            reverts += 1
        return Spent(
            reverts_in_row=reverts,
            sends_last_hour=len(lately),
            gas_last_day=sum(tx.gas_used or 0 for tx in sent),
            spend_last_day=sum((tx.gas_used or 0) * (tx.effective_gas_price or 0) for tx in sent),
            turnover_last_hour=sum(map(traded, (tx for tx in lately if tx.vault == vault))),
        )


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
