# SPDX-License-Identifier: MIT
"""Journals of any age and either database: upgraded without loss, or refused in one line."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from keeper import database, postgresql, tables
from keeper.database import Database, database_url, place_of
from keeper.errors import ConfigInvalid, JournalDamaged, JournalUnavailable
from keeper.journal import Failure, Journal, TxState
from keeper.policy import Memory
from tests.keeper_world import VAULT
from tests.postgres_server import PASSWORD, way_to

OLD = Path(__file__).with_name("journals") / "before_versions.sql"


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request, tmp_path):
    """An empty place for a journal."""
    if request.param == "sqlite":
        return tmp_path / "journal.sqlite"
    return request.getfixturevalue("postgres").new()


@pytest.fixture
def old(tmp_path):
    """A journal from before versions were counted."""
    path = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(OLD.read_text())
    return path


def engine_of(where):
    return sa.create_engine(f"sqlite:///{where}" if isinstance(where, Path) else where)


def rows(where):
    """Return every row of every table."""
    engine = engine_of(where)
    with engine.connect() as db:
        found = {}
        for name in sa.inspect(db).get_table_names():
            if name != "alembic_version":
                query = sa.text(f'SELECT * FROM "{name}" ORDER BY 1')
                found[name] = [dict(row) for row in db.execute(query).mappings()]
    engine.dispose()
    return found


# Versions


def test_versions__are_those_that_are_shipped():
    config = Config()
    config.set_main_option("script_location", str(database.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    shipped = [revision.revision for revision in script.walk_revisions()]
    assert tuple(reversed(shipped)) == tables.VERSIONS


def test_open__empty__the_tables_that_the_code_knows(where):
    Database(where).close()
    engine = engine_of(where)
    with engine.connect() as db:
        assert compare_metadata(MigrationContext.configure(db), tables.every) == []
    engine.dispose()


def test_open__again__nothing_to_do(where, monkeypatch):
    Database(where).close()
    monkeypatch.setattr(database, "_run_migrations", lambda db: pytest.fail("upgraded again"))
    Database(where).close()


def test_open__by_several_at_once__upgraded_once(where):
    faults = []

    def start():
        try:
            Database(where).close()
        except Exception as fault:  # noqa: BLE001
            faults.append(fault)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(rows(where)["ticks"]) == 0


def test_open__old_journal__upgraded_without_loss(old):
    before = rows(old)
    journal = Journal(old, 31337)
    journal.claim_genesis("0xaa")
    final, reverted, failed, signed = journal.transactions()
    assert [tx.state for tx in (final, reverted, failed, signed)] == [
        TxState.FINAL, TxState.FAILED, TxState.FAILED, TxState.SIGNED,
    ]  # fmt: skip
    assert [tx.failure for tx in (final, reverted, failed)] == [None, Failure.REVERTED, None]
    assert journal.steps(final) == ["planned", "signed", "accepted", "mined", "final"]
    for row in journal.decisions():  # whole, whatever is decided today
        assert row.plan.decision_id.hex() == row.decision_id
        assert (row.snapshot.vault.vault, row.figures) == (VAULT, {"drift_bps": 200})
    assert journal.memory(VAULT) == Memory(hedging=True)
    journal.advance(signed, TxState.ACCEPTED, 9.0)  # it goes on where it was
    assert journal.absent(signed, 120) == 99
    journal.close()
    after = rows(old)
    assert after["envelopes"] == []
    for name, kept in before.items():
        if name == "meta":
            continue
        for row, now in zip(kept, after[name], strict=False):
            changed = {key for key, value in row.items() if now[key] != value}
            assert changed <= ({"state"} if row == before["transactions"][3] else set()), name
    assert {r["value"] for r in after["meta"] if r["key"] == "schema"} == {tables.VERSIONS[-1]}


def test_open__upgrade_fails_in_the_middle__as_it_was(old, monkeypatch):
    before = rows(old)
    whole = database._run_migrations

    def half(db):
        whole(db)
        raise sa.exc.OperationalError("", None, Exception("disk is full"))

    monkeypatch.setattr(database, "_run_migrations", half)
    with pytest.raises(JournalUnavailable, match=r"disk is full: free disk space$"):
        Journal(old, 31337)
    assert rows(old) == before
    monkeypatch.undo()
    Journal(old, 31337).close()


def test_open__old_journal_with_a_row_that_belongs_to_nothing__refused_and_as_it_was(old):
    with closing(sqlite3.connect(old)) as db:
        db.execute("DELETE FROM decisions WHERE id = 2")
        db.commit()
    before = rows(old)
    with pytest.raises(JournalDamaged, match=r"row 2 of transactions is damaged"):
        Journal(old, 31337)
    assert rows(old) == before


def test_open__of_a_newer_version__refused_with_the_remedy(where):
    Database(where).close()
    engine = engine_of(where)
    with engine.begin() as db:
        db.execute(sa.text("UPDATE alembic_version SET version_num = '0099'"))
    engine.dispose()
    words = r"is of version 0099, this keeper knows \d{4}: install the keeper that wrote it"
    with pytest.raises(ConfigInvalid, match=words) as refused:
        Journal(where, 31337)
    assert "\n" not in str(refused.value)


def test_look_on__old_journal__refused_and_as_it_was(old):
    """A keeper of the older version may be writing it."""
    before = old.read_bytes()
    with pytest.raises(ConfigInvalid, match=r"version 0001, this one reads \d{4}: start a keeper"):
        Journal.existing(old, 31337)
    assert old.read_bytes() == before


def test_look_on__reads_beside_the_keeper_and_cannot_write(where):
    with closing(Journal(where, 31337)) as written, closing(Journal.existing(where, 31337)) as read:
        written.write_fault("tick", 1.0, 2.0, 1, "node_unavailable", "no answer")
        before = rows(where)
        assert read.ticks() == written.ticks() != []
        with pytest.raises((ConfigInvalid, JournalUnavailable), match=r"read-?only"):
            read.write_fault("tick", 3.0, 4.0, 1, "node_unavailable", "no answer")
        assert rows(where) == before


def test_open__locked_by_another__passes_by_itself_and_a_journal_that_is_there_needs_no_lock(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(database, "LOCK_SECS", 0.1)
    path = tmp_path / "j.sqlite"
    Journal(path, 1).close()
    empty = tmp_path / "empty.sqlite"
    for place in (path, empty):
        with closing(sqlite3.connect(place, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            if place is path:
                Journal(place, 1).close()
                continue
            with pytest.raises(JournalUnavailable, match="is locked: end what else holds it"):
                Journal(place, 1)


# Places


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("journal", "is no database URL"),
        ("mysql://host/name", "must be of sqlite or postgresql, not mysql"),
        ("postgresql://host", "names no database"),
        ("sqlite://", "names no database"),
        ("sqlite:///:memory:", "names no database"),
    ],
)
def test_database_url__none_that_keeps_a_journal__says_so(text, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        database_url(text)


def test_database_url__postgresql__by_the_driver_that_is_there():
    for text in ("postgresql://u@h/n", "postgresql+psycopg2://u@h/n"):
        assert database_url(text).drivername == "postgresql+psycopg"


def test_place_of__shows_no_secret():
    url = database_url("postgresql://user:pass@host:77/name?sslpassword=word")
    assert place_of(url) == "host:77/name"


def test_open__no_server__one_line_and_not_of_the_configuration():
    with pytest.raises(JournalUnavailable, match=r"journal 127\.0\.0\.1:9/j: .*: check the") as it:
        Journal(database_url("postgresql://u:s3cr3t@127.0.0.1:9/j"), 1)
    assert not isinstance(it.value, JournalDamaged)
    assert "\n" not in str(it.value)
    assert "s3cr3t" not in str(it.value)


def test_open__wrong_password__one_line_without_it(postgres):
    url = postgres.url("postgres").set(password="wr0ng-one")
    with pytest.raises(JournalUnavailable, match="correct user and password") as it:
        Journal(url, 1)
    assert "wr0ng-one" not in str(it.value)
    assert "\n" not in str(it.value)


def test_open__no_such_database__one_line(postgres):
    with pytest.raises((ConfigInvalid, JournalUnavailable), match="does not exist") as it:
        Journal(postgres.url("nowhere"), 1)
    assert "\n" not in str(it.value)


def test_open__may_not_write__names_the_field(postgres):
    postgres.say("CREATE ROLE reader LOGIN PASSWORD 'x'")
    url = postgres.new().set(username="reader", password="x")
    with pytest.raises(ConfigInvalid, match=r"journal\.url: .*permission denied"):
        Journal(url, 1)


def test_settings__survive_a_power_cut_and_wait_no_longer_than_told(postgres):
    store = Database(postgres.new())
    with store.reading() as db:
        said = [db.exec_driver_sql(f"SHOW {name}").scalar() for name in
                ("synchronous_commit", "lock_timeout", "statement_timeout")]  # fmt: skip
    store.close()
    assert said == ["on", "5s", "10s"]


# A server of its own: these stop it


def test_journal__server_stops_and_comes_back__one_line_and_then_as_before(fragile):
    journal = Journal(fragile.new(), 31337)
    row = journal.write_fault("tick", 1.0, 2.0, 1, "fault", "x")
    fragile.stop()
    for use in (journal.in_flight, lambda: journal.end_tick(row, 3.0, 1, "ok")):
        with pytest.raises(JournalUnavailable, match="check the database server") as fault:
            use()
        assert "\n" not in str(fault.value)
        assert PASSWORD not in str(fault.value)
    fragile.start()
    journal.end_tick(row, 3.0, 1, "ok")
    assert [tick["result"] for tick in journal.ticks()] == ["ok"]
    journal.close()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(database, "ANSWER_SECS", 1)
    monkeypatch.setattr(database, "REST_SECS", 0.8)
    monkeypatch.setattr(postgresql, "MORE_SECS", 0.2)


def took(use):
    began = time.monotonic()
    with pytest.raises(JournalUnavailable, match="check the database server") as fault:
        use()
    assert "\n" not in str(fault.value)
    return time.monotonic() - began, str(fault.value)


def test_journal__server_says_nothing__one_line_in_time_and_then_as_before(postgres, impatient):
    with way_to(postgres.new()) as (way, url), closing(Journal(url, 31337)) as journal:
        row = journal.write_fault("tick", 1.0, 2.0, 1, "fault", "x")
        way.open.clear()
        secs, words = took(lambda: journal.end_tick(row, 3.0, 1, "ok"))
        assert 1.2 <= secs < 4.0
        secs, words = took(journal.in_flight)
        assert secs < 0.3  # nobody waits for what was silent a moment ago
        assert "there was no answer, it is tried again in 1 s" in words
        way.open.set()
        time.sleep(0.9)
        journal.end_tick(row, 3.0, 1, "ok")
        assert [tick["result"] for tick in journal.ticks()] == ["ok"]


def test_journal__server_goes_silent_in_a_transaction__one_line_and_nothing_of_it(
    postgres, impatient
):
    with way_to(postgres.new()) as (way, url), closing(Journal(url, 31337)) as journal:

        def use():
            with journal.at_once():
                journal.write_fault("tick", 1.0, 2.0, 1, "fault", "x")
                way.open.clear()
                journal.write_fault("tick", 2.0, 3.0, 1, "fault", "y")

        secs, words = took(use)
        assert 1.2 <= secs < 2.4  # nothing is taken back by a second wait
        assert "connection: no answer for 1.2 s: check" in words
        way.open.set()
        time.sleep(0.9)
        assert journal.ticks() == []


def test_journal__server_takes_the_connection_and_says_nothing__one_line_in_time(
    postgres, impatient, monkeypatch
):
    monkeypatch.setattr(database, "CONNECT_SECS", 2)  # libpq knows no less
    with way_to(postgres.new()) as (way, url):
        way.open.clear()
        secs, words = took(lambda: Journal(url, 31337))
    assert 1.5 < secs < 5.0
    assert "timeout expired" in words


def test_patient_connection__slow_answer_within_its_time__is_waited_for(postgres):
    opener = postgresql.Opener(answer_secs=2.0, rest_secs=1.0)
    url = postgres.new().set(drivername="postgresql")
    with closing(opener.open(url.render_as_string(hide_password=False))) as db:
        assert db.execute("SELECT pg_sleep(0.4), 7").fetchone()[1] == 7
