# SPDX-License-Identifier: MIT
"""
Where the journal is kept: a SQLite file or a PostgreSQL database, brought to the newest version.

SQLite in WAL mode with full synchronisation, PostgreSQL with synchronous commits: what is written
survives a power cut. No wait is endless: for a lock, for an answer, for a connection.

Every fault ends here as one line with the place, what is wrong, and what to do about it.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from keeper.errors import ConfigInvalid, JournalDamaged, JournalUnavailable, KeeperError
from keeper.tables import VERSIONS

PROCESS: Final = f"hedgevault-{socket.gethostname()[:20]}-{os.getpid()}-{secrets.token_hex(4)}"
LOCK_SECS: Final = 5  # that a write waits for another's
ANSWER_SECS: Final = 10  # that PostgreSQL may take for one statement
CONNECT_SECS: Final = 5  # and for a connection
REST_SECS: Final = 10  # without a try, after it has said nothing
PARTS: Final = ("sqlite", "postgresql")
FIRST, NEWEST = VERSIONS[0], VERSIONS[-1]
MIGRATIONS: Final = Path(__file__).with_name("migrations")
DAMAGED: Final = "restore it from a backup, or name a new one: what is in flight is then left alone"
REMEDIES: Final[tuple[tuple[str, str], ...]] = (  # the first whose words the database says
    (r"is locked|lock timeout|deadlock", "end what else holds it"),
    (r"disk is full|no space left|disk i/o|could not extend|quota", "free disk space"),
    (r"readonly|read-only|permission denied|unable to open", "let the keeper write there"),
    (r"malformed|not a database|no such (table|column)|does not exist|invalid page", DAMAGED),
    (r"password|authentication|role ", "correct user and password of the URL"),
    (
        r"connection|could not (connect|translate)|terminat|starting up|shutting down|timeout",
        "check the database server and the way to it",
    ),
)


def database_url(text: str) -> sa.URL:
    """
    Return a journal's URL with the driver that serves it; it may hold a password.

    Raises
    ------
    ValueError
        If it is none, or of a database that keeps no journal.
    """
    try:
        url = sa.make_url(text)
    except sa.exc.ArgumentError:
        raise ValueError("is no database URL: postgresql://user@host/name") from None
    kind = url.get_backend_name()
    if kind not in PARTS:
        raise ValueError(f"must be of {' or '.join(PARTS)}, not {kind}")
    if not url.database or url.database == ":memory:":
        raise ValueError("names no database")
    return url.set(drivername="postgresql+psycopg") if kind == "postgresql" else url


class Database:
    """
    The database of one journal, opened and of the newest version.

    Parameters
    ----------
    where : Path or sqlalchemy.URL
        A SQLite file, or a database.
    looks_on : bool
        Write nothing, not even a newer version of the tables, which a keeper may be using.

    Raises
    ------
    ConfigInvalid
        If it cannot be used, or a newer keeper has written it.
    JournalUnavailable
        If it cannot be used now.
    """

    def __init__(self, where: Path | sa.URL, *, looks_on: bool = False) -> None:
        url = sa.URL.create("sqlite", database=str(where)) if isinstance(where, Path) else where
        self.kind = url.get_backend_name()
        self.field = "journal.path" if isinstance(where, Path) else "journal.url"
        self.place = place_of(url)
        self._engine = _engine(url, looks_on=looks_on)
        try:
            if self.kind == "sqlite" and not looks_on:
                Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
            self._upgrade(looks_on)
        except (OSError, sa.exc.SQLAlchemyError) as fault:
            self.close()
            raise self._unusable(fault) from fault
        except KeeperError:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Write what the block does in one transaction."""
        with self._faults(), self._engine.begin() as db:
            yield db

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Read."""
        with self._faults(), self._engine.connect() as db:
            yield db

    def insert_once(self, table: sa.Table, **values: Any) -> Any:
        """Return an insert that leaves a row that is there as it is."""
        dialect: Any = postgresql if self.kind == "postgresql" else sqlite
        return dialect.insert(table).values(**values).on_conflict_do_nothing()

    def damaged(self, row: str, fault: Exception) -> JournalDamaged:
        """Return what to raise for a row that cannot be."""
        words = str(fault).splitlines()[0][:120] if str(fault) else type(fault).__name__
        return JournalDamaged(f"journal {self.place}: {row} is damaged ({words}): {DAMAGED}")

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.SQLAlchemyError, OverflowError) as fault:
            raise _unavailable(self.place, fault) from fault

    def _unusable(self, fault: Exception) -> KeeperError:
        """Return what is wrong at the start: what passes, or what a person must change."""
        found = _unavailable(self.place, fault)
        passes = isinstance(fault, sa.exc.OperationalError) and not isinstance(
            found, JournalDamaged
        )
        if passes and not re.search(REMEDIES[2][0], str(found)):
            return found
        return ConfigInvalid(f"{self.field}: {str(found).removeprefix('journal ')}")

    # Versions

    def _upgrade(self, looks_on: bool) -> None:
        with self._engine.connect() as db:
            found = _version(db)
        if found == NEWEST:
            return
        if found not in (None, *VERSIONS):
            raise ConfigInvalid(
                f"{self.field}: {self.place} is of version {found}, this keeper knows {NEWEST}: "
                "install the keeper that wrote it, or name a new one"
            )
        if looks_on:
            raise ConfigInvalid(
                f"{self.field}: {self.place} is of version {found or 'none'}, this one reads "
                f"{NEWEST}: start a keeper of this version, which brings the journal up to it"
            )
        self._migrate()

    def _migrate(self) -> None:
        """Upgrade in one transaction; another that comes meanwhile waits and finds it done."""
        engine = _engine(self._engine.url, migrating=True)
        try:
            with engine.begin() as db:
                if self.kind == "postgresql":
                    db.execute(sa.select(sa.func.pg_advisory_xact_lock(lock_number("migrations"))))
                if _version(db) != NEWEST:
                    _run_migrations(db)
                broken = _broken_references(db) if self.kind == "sqlite" else None
                if broken:
                    raise self.damaged(broken, ValueError("it belongs to nothing"))
        finally:
            engine.dispose()


def place_of(url: sa.URL) -> str:
    """Return what to call a database in messages: no user, no password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    port = f":{url.port}" if url.port else ""
    return f"{url.host or 'local'}{port}/{url.database}"


def lock_number(name: str) -> int:
    """Return a number for PostgreSQL's advisory locks, which the whole server shares."""
    digest = hashlib.sha256(f"hedgevault {name}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


def connected_alone(url: sa.URL, answer_secs: float) -> Callable[[], sa.Connection]:
    """Return what opens a session of its own, outside any transaction."""
    options: dict[str, Any] = {"poolclass": sa.NullPool, "isolation_level": "AUTOCOMMIT"}
    return _engine(url, answer_secs=answer_secs, **options).connect


def _engine(
    url: sa.URL, *, migrating: bool = False, looks_on: bool = False, **options: Any
) -> sa.Engine:
    if url.get_backend_name() == "postgresql":
        return _postgresql(url, looks_on=looks_on, **options)
    engine = sa.create_engine(url, connect_args={"timeout": LOCK_SECS})
    sa.event.listen(engine, "connect", _only_reading if looks_on else _configure_sqlite)
    if migrating:
        sa.event.listen(engine, "connect", _hold_references)
        sa.event.listen(engine, "begin", _begin)
    return engine


def _postgresql(
    url: sa.URL, *, looks_on: bool, answer_secs: float | None = None, **options: Any
) -> sa.Engine:
    from keeper.postgresql import Opener  # noqa: PLC0415  # its driver is not for everybody

    opener = Opener(answer_secs or ANSWER_SECS, REST_SECS)
    engine = sa.create_engine(url, pool_pre_ping=True, connect_args=_patience(), **options)
    sa.event.listen(
        engine, "do_connect", lambda _dialect, _record, args, kw: opener.open(*args, **kw)
    )
    sa.event.listen(engine, "connect", _configure_postgresql)
    return engine.execution_options(postgresql_readonly=True) if looks_on else engine


def _patience() -> dict[str, Any]:
    """Return how long the driver waits for a server that says nothing."""
    return {
        "application_name": PROCESS,
        "connect_timeout": CONNECT_SECS,
        "keepalives_idle": ANSWER_SECS,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": ANSWER_SECS * 1_000,  # milliseconds
    }


def _configure_postgresql(connection: Any, _record: Any) -> None:
    before, connection.autocommit = connection.autocommit, True
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit TO on")
        cursor.execute(f"SET lock_timeout TO '{LOCK_SECS}s'")
        cursor.execute(f"SET statement_timeout TO '{ANSWER_SECS}s'")
    connection.autocommit = before


def _configure_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _only_reading(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA query_only=ON")


def _hold_references(connection: Any, _record: Any) -> None:
    """Let a table be made anew under those that refer to it; and begin when told, also for DDL."""
    connection.execute("PRAGMA foreign_keys=OFF")
    connection.isolation_level = None


def _begin(db: sa.Connection) -> None:
    db.exec_driver_sql("BEGIN IMMEDIATE")


def _version(db: sa.Connection) -> str | None:
    """Return a journal's version; None when there are no tables yet."""
    names = set(sa.inspect(db).get_table_names())
    if "alembic_version" in names:
        return str(db.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())
    return FIRST if "meta" in names else None  # written before versions were counted


_one_at_a_time: Final = threading.Lock()  # Alembic keeps what it works on in one place


def _run_migrations(db: sa.Connection) -> None:
    from alembic import command  # noqa: PLC0415  # most starts have nothing to upgrade
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = db
    with _one_at_a_time:
        if _version(db) == FIRST and "alembic_version" not in sa.inspect(db).get_table_names():
            command.stamp(config, FIRST)
        command.upgrade(config, "head")


def _broken_references(db: sa.Connection) -> str | None:
    found = db.exec_driver_sql("PRAGMA foreign_key_check").first()
    return None if found is None else f"row {found[1]} of {found[0]}"


def _unavailable(place: str, fault: Exception) -> JournalUnavailable:
    said = str(getattr(fault, "orig", None) or fault).strip() or type(fault).__name__
    words = said.splitlines()[0]
    remedy = next((cure for sign, cure in REMEDIES if re.search(sign, words.lower())), None)
    kind = JournalDamaged if remedy is DAMAGED else JournalUnavailable
    return kind(f"journal {place}: {words}" + (f": {remedy}" if remedy else ""))
