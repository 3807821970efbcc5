# SPDX-License-Identifier: MIT
"""
The journal for those who look on: pages and lists, cheap however long the history is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from keeper import tables
from keeper.journal import DecisionRow, Journal, Tx
from keeper.rows import decision_query
from keeper.snapshot import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionHead:
    """A decision without its inputs, for lists."""

    id: int
    job: str
    vault: Address
    decision_id: str
    kind: str
    reason: str
    objection: str | None
    block_number: int
    block_at: int


class JournalPages(Journal):
    """A journal that can be leafed through."""

    def heads(
        self,
        *,
        vault: Address | None = None,
        kinds: Sequence[str] = (),
        before: int | None = None,
        limit: int,
    ) -> list[DecisionHead]:
        """Return the newest decisions before a row, newest first; empty `kinds` stands for all."""
        columns = tables.decisions.c
        wanted: list[sa.ColumnElement[bool]] = [sa.true()]
        if vault is not None:
            wanted.append(columns.vault == vault)
        if kinds:
            wanted.append(columns.kind.in_(kinds))
        if before is not None:
            wanted.append(columns.id < before)
        query = _head_query().where(*wanted).order_by(columns.id.desc()).limit(limit)
        with self._reading() as db:
            return [DecisionHead(**row) for row in db.execute(query).mappings()]

    def last_of_blocks(self, vault: Address, after: int = 0) -> dict[int, int]:
        """Return by block the last decision about a vault on it, of those after a row."""
        last, block = sa.func.max(tables.decisions.c.id), tables.ticks.c.block_number
        query = (
            sa.select(block, last)
            .join(tables.ticks, tables.ticks.c.id == tables.decisions.c.tick_id)
            .where(tables.decisions.c.vault == vault, tables.decisions.c.id > after)
            .group_by(block)
            .order_by(block)
        )
        with self._reading() as db:
            return {int(row[0]): int(row[1]) for row in db.execute(query)}

    def rows(self, numbers: Sequence[int]) -> list[DecisionRow]:
        """Return decisions by row number, oldest first."""
        column = tables.decisions.c.id
        return list(self._decisions(decision_query().where(column.in_(numbers)).order_by(column)))

    def newest(self, vault: Address) -> DecisionRow | None:
        """Return the last decision about a vault."""
        heads = self.heads(vault=vault, limit=1)
        return self.rows([heads[0].id])[0] if heads else None

    def since(self, vault: Address, block_number: int) -> DecisionRow | None:
        """Return the first decision about a vault at or after a block."""
        columns = tables.decisions.c
        query = (
            sa.select(columns.id)
            .join(tables.ticks, tables.ticks.c.id == columns.tick_id)
            .where(columns.vault == vault, tables.ticks.c.block_number >= block_number)
            .order_by(columns.id)
            .limit(1)
        )
        with self._reading() as db:
            found = db.execute(query).scalar()
        return None if found is None else self.rows([int(found)])[0]

    def last_rows(self) -> tuple[int, int, int]:
        """Return the highest numbers of ticks, decisions and steps: they tell whether it grew."""
        named = (tables.ticks.c.id, tables.decisions.c.id, tables.steps.c.id)
        with self._reading() as db:
            found = [db.execute(sa.select(sa.func.max(column))).scalar() for column in named]
        return int(found[0] or 0), int(found[1] or 0), int(found[2] or 0)

    def transactions_of(self, decision_rows: Sequence[int]) -> list[Tx]:
        """Return the transactions of some decisions, oldest first."""
        return self._transactions(tables.transactions.c.decision_row.in_(decision_rows))

    def newest_transactions(self, count: int) -> list[Tx]:
        """Return the last transactions, newest first."""
        newest = tables.transactions.c.id.desc()
        query = sa.select(tables.transactions).order_by(newest).limit(count)
        with self._reading() as db:
            return [self._transaction(row) for row in db.execute(query).mappings()]

    def step_times(self, tx: Tx) -> list[tuple[str, float, str]]:
        """Return state, wall-clock seconds and detail of each step of a transaction."""
        columns = tables.steps.c
        query = sa.select(columns.state_after, columns.at, columns.detail)
        query = query.where(columns.transaction_id == tx.id).order_by(columns.id)
        with self._reading() as db:
            return [(str(row[0]), float(row[1]), str(row[2] or "")) for row in db.execute(query)]

    def newest_ticks(self, count: int) -> list[dict[str, Any]]:
        """Return the last ticks, newest first."""
        query = sa.select(tables.ticks).order_by(tables.ticks.c.id.desc()).limit(count)
        with self._reading() as db:
            return [dict(row) for row in db.execute(query).mappings()]


def _head_query() -> sa.Select[Any]:
    decisions, ticks = tables.decisions.c, tables.ticks.c
    return sa.select(
        decisions.id,
        ticks.job,
        decisions.vault,
        decisions.decision_id,
        decisions.kind,
        decisions.reason,
        decisions.objection,
        ticks.block_number,
        ticks.block_at,
    ).join(tables.ticks, ticks.id == decisions.tick_id)
