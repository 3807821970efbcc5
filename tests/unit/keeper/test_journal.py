# SPDX-License-Identifier: MIT
"""The journal: every step of a transaction, and decisions that can be made again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import product

import pytest
import sqlalchemy as sa
from eth_utils.crypto import keccak

from keeper import tables
from keeper.errors import ConfigInvalid, InvariantBroken, JournalDamaged, JournalUnavailable
from keeper.journal import STEPS, Entry, Failure, Journal, TxState
from keeper.lifecycle import FAILURES
from keeper.policy import Memory, Policy
from keeper.strategy import decide
from tests.keeper_world import ETHER, KEEPER, NOW, snapshot, venue

POLICY, CALM = Policy(), Memory()
PATHS = {
    TxState.PLANNED: (),
    TxState.SIGNED: (TxState.SIGNED,),
    TxState.ACCEPTED: (TxState.SIGNED, TxState.ACCEPTED),
    TxState.MINED: (TxState.SIGNED, TxState.ACCEPTED, TxState.MINED),
    TxState.FINAL: (TxState.SIGNED, TxState.ACCEPTED, TxState.MINED, TxState.FINAL),
    TxState.FAILED: (TxState.FAILED,),
}


@pytest.fixture(scope="module")
def database(postgres):
    """One database for the module; making one takes longer than a test."""
    return postgres.new()


@pytest.fixture(params=["sqlite", "postgresql"])
def journal(request, tmp_path):
    if request.param == "sqlite":
        journal = Journal(tmp_path / "journal.sqlite", 31337)
    else:
        journal = Journal(request.getfixturevalue("database"), 31337)
        with journal._database.writing() as db:
            names = ", ".join(tables.every.tables)
            db.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")
    yield journal
    journal.close()


@pytest.fixture
def file(tmp_path):
    journal = Journal(tmp_path / "journal.sqlite", 31337)
    yield journal
    journal.close()


@pytest.fixture
def state():
    return snapshot(venue(assets=35 * ETHER, delta=-98 * ETHER), idle_assets=65 * ETHER)


def planned(journal, state, *, sends=0):
    decision = decide(state, POLICY, CALM)
    entry = Entry(snapshot=state, memory=CALM, decision=decision, figures={"drift_bps": 200})
    _, (row,) = journal.open_tick("tick", 1.0, state.block, [entry], POLICY)
    tx = journal.plan(row, state, decision.plan, b"\x01", KEEPER, 2.0)
    for _ in range(sends):
        tx = journal.count_send(tx)
    return tx


def test_at_once__block_fails__nothing_of_it_is_written(journal, state):
    with suppress(ZeroDivisionError), journal.at_once():
        tx = planned(journal, state, sends=1)
        assert journal.in_flight() == [tx]  # what it reads has what it wrote
        raise ZeroDivisionError
    assert (journal.ticks(), journal.transactions()) == ([], [])
    assert planned(journal, state).sends == 0  # and later writes are their own


def test_at_once__several_writes__one_commit_behind_one_check(file, state):
    checks, commits = [], []
    file.fence = lambda: checks.append(None)
    sa.event.listen(file._database._engine, "commit", commits.append)
    with file.at_once():
        with file.at_once():
            planned(file, state)
        planned(file, state, sends=2)
    assert (len(checks), len(commits)) == (1, 1)
    assert [tx.sends for tx in file.transactions()] == [0, 2]


def test_at_once__another_thread__reads_nothing_before_the_commit(file, state):
    with file.at_once(), ThreadPoolExecutor(1) as pool:
        planned(file, state)
        assert pool.submit(file.transactions).result() == []


def brought(journal, state, end):
    """Return a transaction in this state."""
    tx = planned(journal, state)
    for step in PATHS[end]:
        failure = Failure.ABANDONED if step is TxState.FAILED else None
        tx = journal.advance(tx, step, 3.0, failure=failure)
    assert tx.state is end
    return tx


@pytest.mark.parametrize(("before", "after"), list(product(TxState, TxState)))
def test_advance__each_pair_of_states(file, state, before, after):
    tx = brought(file, state, before)
    failure = next(iter(FAILURES[before]), None) if after is TxState.FAILED else None
    if after in STEPS[before]:
        assert file.advance(tx, after, 4.0, failure=failure).state is after
    else:
        with pytest.raises(InvariantBroken, match=f"no step from {before} to {after}"):
            file.advance(tx, after, 4.0)


def test_advance__reverted__only_what_was_on_the_chain_opens_again(file, state):
    tx = brought(file, state, TxState.MINED)
    tx = file.advance(tx, TxState.FAILED, 4.0, failure=Failure.REVERTED)
    opened = file.advance(tx, TxState.ACCEPTED, 5.0, failure=None)
    assert (opened.state, opened.failure) == (TxState.ACCEPTED, None)
    for step in set(TxState) - {TxState.ACCEPTED}:
        with pytest.raises(InvariantBroken, match="no step from failed"):
            file.advance(tx, step, 6.0)


@pytest.mark.parametrize(("before", "failure"), list(product(PATHS, Failure)))
def test_advance__each_failure_from_each_state(file, state, before, failure):
    tx = brought(file, state, before)
    if failure in FAILURES[before]:
        tx = file.advance(tx, TxState.FAILED, 4.0, "why", failure=failure)
        assert (tx.failure, tx.detail) == (failure, "why")
        assert file.transactions() == [tx]
    else:
        with pytest.raises(InvariantBroken, match=r"no step from|cannot end as"):
            file.advance(tx, TxState.FAILED, 4.0, failure=failure)
        assert file.transactions() == [tx]


def test_advance__failure_without_its_kind_or_kind_without_failure__refused(file, state):
    tx = planned(file, state)
    for step, failure in ((TxState.FAILED, None), (TxState.SIGNED, Failure.REFUSED)):
        with pytest.raises(InvariantBroken, match="a failure, and only one, has a kind"):
            file.advance(tx, step, 3.0, failure=failure)


def test_advance__stale_view__refused(journal, state):
    tx = planned(journal, state)
    journal.advance(tx, TxState.SIGNED, 3.0)
    with pytest.raises(InvariantBroken, match="is not planned any more"):
        journal.advance(tx, TxState.FAILED, 3.0, failure=Failure.ABANDONED)


def test_steps__are_kept_in_order(journal, state):
    tx = planned(journal, state)
    for step in PATHS[TxState.FINAL]:
        tx = journal.advance(tx, step, 3.0)
    assert journal.steps(tx) == ["planned", "signed", "accepted", "mined", "final"]


@pytest.mark.parametrize("end", [TxState.FINAL, TxState.FAILED])
def test_in_flight__ends_are_not(journal, state, end):
    tx = planned(journal, state)
    brought(journal, state, end)
    assert [found.id for found in journal.in_flight()] == [tx.id]


def test_decisions__reopened__make_the_same_decision(tmp_path, state):
    first = Journal(tmp_path / "j.sqlite", 31337)
    planned(first, state)
    first.close()
    again = Journal(tmp_path / "j.sqlite", 31337)
    (row,) = again.decisions()
    decision = decide(row.snapshot, row.policy, row.memory_before)
    assert decision.decision_id.hex() == row.decision_id
    assert decision.plan == row.plan
    assert row.figures == {"drift_bps": 200}
    assert again.memory(state.vault.vault) == row.memory_after == decision.memory
    assert decision.memory.hedging
    again.close()


def test_find_decisions__row_prefix_and_last(journal, state):
    planned(journal, state)
    (row,) = journal.decisions()
    for start in ("1", row.decision_id[:12], f"0x{row.decision_id[:12]}", "last"):
        assert [found.id for found in journal.find_decisions(start)] == [1]
    assert journal.find_decisions("99") == []
    assert journal.find_decisions("%") == []


def test_journal__other_chain__refused(tmp_path):
    Journal(tmp_path / "j.sqlite", 31337).close()
    with pytest.raises(ConfigInvalid, match="has chain id 31337, expected 1"):
        Journal(tmp_path / "j.sqlite", 1)


def test_claim_genesis__chain_started_anew__refused_with_the_remedy(tmp_path):
    first = Journal(tmp_path / "j.sqlite", 31337)
    first.claim_genesis("0xaa")
    first.claim_genesis("0xaa")
    first.close()
    again = Journal(tmp_path / "j.sqlite", 31337)
    again.claim_genesis("0xaa")
    with pytest.raises(ConfigInvalid, match=r"earlier chain 31337, which began with block 0xaa"):
        again.claim_genesis("0xbb")
    again.close()
    other = Journal(tmp_path / "j.sqlite", 31337)
    with pytest.raises(ConfigInvalid, match="this one with 0xbb: name a new one"):
        other.claim_genesis("0xbb")
    other.close()


def test_journal__no_database__refused(tmp_path):
    (tmp_path / "j.sqlite").write_text("not a database, but long enough to be looked at" * 40)
    with pytest.raises(ConfigInvalid, match=r"journal.path: .*not a database"):
        Journal(tmp_path / "j.sqlite", 1)


def test_spent__counts_by_chain_time(journal, state):
    for succeeded in (True, False, False):
        tx = planned(journal, state, sends=1)
        for step in PATHS[TxState.ACCEPTED]:
            tx = journal.advance(tx, step, 3.0)
        tx = journal.advance(
            tx, TxState.MINED, 3.0, succeeded=succeeded, gas_used=100, effective_gas_price=7
        )
    planned(journal, state)  # never handed to a node
    spent = journal.spent(NOW + 10)
    assert (spent.reverts_in_row, spent.sends_last_hour) == (2, 3)
    assert (spent.gas_last_day, spent.spend_last_day) == (300, 2_100)
    assert journal.spent(NOW + 3_601).sends_last_hour == 0
    assert journal.spent(NOW + 86_401).gas_last_day == 0


def test_journal__survives_a_crash__wal_and_full_sync(file):
    with file._database.reading() as db:
        assert db.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert db.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_journal__text_that_no_database_takes__kept_readable(journal, state):
    """Reasons come from contracts and nodes: they must not stop the keeper."""
    tx = planned(journal, state)
    tx = journal.advance(tx, TxState.FAILED, 3.0, "vault: \0 \ud800 end", failure=Failure.REFUSED)
    assert tx.detail == "vault: \ufffd ? end"
    journal.object_to(1, "\0")
    assert journal.find_decisions("last")[0].objection == "\ufffd"


def uses(journal, state, tx):
    """Return everything that a cycle asks of its journal."""
    return (
        lambda: journal.advance(tx, TxState.SIGNED, 3.0),
        lambda: journal.count_send(tx),
        journal.in_flight,
        lambda: journal.spent(NOW),
        lambda: journal.memory(state.vault.vault),
        lambda: list(journal.decisions()),
        journal.ticks,
        lambda: journal.object_to(1, "x"),
        lambda: journal.write_fault("tick", 1.0, 2.0, 1, "fault", "x"),
    )


def test_journal__tables_are_gone__one_line_with_the_remedy(file, state):
    tx = planned(file, state)
    with file._database.writing() as db:
        for name in ("steps", "absences", "transactions", "decisions", "ticks"):
            db.exec_driver_sql(f"DROP TABLE {name}")
    for use in uses(file, state, tx):
        with pytest.raises(JournalDamaged, match=r"no such table.*: restore it from a") as fault:
            use()
        assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("table", "column", "value", "words"),
    [
        ("transactions", "state", "'begun'", "transaction 1 is damaged"),
        ("transactions", "failure", "'lost'", "transaction 1 is damaged"),
        ("transactions", "raw", "x'00'", "transaction 1 is damaged (its bytes are not those"),
        ("transactions", "account_nonce", "'seven'", "transaction 1 is damaged (account_nonce"),
        ("transactions", "sends", "x'00'", "transaction 1 is damaged (sends is no number"),
        ("decisions", "words", "x'00'", "decision 1 is damaged"),
        ("decisions", "words", "zeroblob(9)", "decision 1 is damaged"),
        ("decisions", "plan", "x'00'", "decision 1 is damaged"),
        ("decisions", "figures", "'{'", "decision 1 is damaged"),
        ("decisions", "memory_before", "'[]'", "decision 1 is damaged"),
        ("decisions", "memory_after", "'{\"x\": 1}'", "the memory of vault 0x"),
        ("policies", "text", "'{}x'", "decision 1 is damaged"),
    ],
)
def test_journal__damaged_row__one_line_names_it(file, state, table, column, value, words):
    tx = planned(file, state)
    raw = b"bytes"
    file.advance(tx, TxState.SIGNED, 3.0, raw=raw, tx_hash="0x" + keccak(raw).hex())
    with file._database.writing() as db:
        db.exec_driver_sql(f"UPDATE {table} SET {column} = {value}")
    read = {"transactions": file.in_flight, "policies": lambda: list(file.decisions())}
    read["decisions"] = lambda: (list(file.decisions()), file.memory(state.vault.vault))
    if column == "memory_after":
        read["decisions"] = lambda: file.memory(state.vault.vault)
    with pytest.raises(JournalDamaged, match=r"restore it from a backup") as fault:
        read[table]()
    assert words in str(fault.value)
    assert "\n" not in str(fault.value)


def test_journal__number_beyond_sqlite__one_line(journal, state):
    huge = replace(state, block=replace(state.block, at=2**70))
    with pytest.raises(JournalUnavailable):
        journal.open_tick("tick", 1.0, huge.block, [], POLICY)


def test_find_decisions__one_id_twice__oldest_first(journal, state):
    planned(journal, state)
    planned(journal, state)
    (first, _) = journal.decisions()
    assert [row.id for row in journal.find_decisions(first.decision_id)] == [1, 2]
