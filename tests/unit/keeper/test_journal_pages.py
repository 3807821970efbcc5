# SPDX-License-Identifier: MIT
"""The journal for those who look on."""

from __future__ import annotations

import pytest

from keeper.journal import TxState
from keeper.journal_pages import JournalPages
from tests.dashboard_world import CHAIN_ID, write_history
from tests.keeper_world import VAULT, address

OTHER = address(55)


@pytest.fixture
def journal(tmp_path):
    journal = JournalPages(tmp_path / "journal.sqlite", CHAIN_ID)
    write_history(journal, 12, vaults=(VAULT, OTHER))
    yield journal
    journal.close()


def test_heads__newest_first_a_page_at_a_time(journal):
    first = journal.heads(limit=5)
    assert [head.id for head in first] == [24, 23, 22, 21, 20]
    assert [head.id for head in journal.heads(limit=2, before=20)] == [19, 18]


def test_heads__by_vault_and_kind(journal):
    assert {head.vault for head in journal.heads(vault=OTHER, limit=99)} == {OTHER}
    plans = journal.heads(kinds=("rebalance",), limit=99)
    assert [(head.id, head.block_number) for head in plans] == [(12, 105), (11, 105)]


def test_last_of_blocks__goes_on_where_it_ended(journal):
    whole = journal.last_of_blocks(VAULT)
    assert whole == {100 + i: 2 * i + 1 for i in range(12)}
    assert journal.last_of_blocks(VAULT, after=21) == {111: 23}
    assert journal.last_of_blocks(VAULT, after=23) == {}


def test_rows__newest__since(journal):
    assert [row.id for row in journal.rows([3, 1])] == [1, 3]
    assert journal.newest(OTHER).id == 24
    assert journal.newest(address(56)) is None
    assert journal.since(VAULT, 106).snapshot.block.number == 106
    assert journal.since(VAULT, 999) is None


def test_transactions__of_a_decision_with_its_steps(journal):
    (tx,) = journal.transactions_of([11])
    assert journal.newest_transactions(9) == [tx]
    assert [step[0] for step in journal.step_times(tx)] == [
        TxState.PLANNED, TxState.SIGNED, TxState.ACCEPTED, TxState.MINED, TxState.FINAL,
    ]  # fmt: skip
    assert journal.transactions_of([]) == []


def test_last_rows__tell_whether_it_grew(journal):
    before = journal.last_rows()
    assert before == (12, 24, 5)
    write_history(journal, 1, first=200)
    assert journal.last_rows() == (13, 25, 5)
    assert [tick["id"] for tick in journal.newest_ticks(2)] == [13, 12]
