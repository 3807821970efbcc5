# SPDX-License-Identifier: MIT
"""
One keeper a journal: a lock on a file beside it, or one of PostgreSQL's on a connection of its own.

Either is released by whoever keeps it, the system or the server, when the process ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import URL

from keeper.database import Database, lock_number
from keeper.errors import ConfigInvalid, Fault


@contextmanager
def exclusive(journal: Path | URL) -> Iterator[None]:
    """
    Hold the journal for this process.

    Raises
    ------
    Fault
        If another process holds it.
    ConfigInvalid
        If the file of the lock cannot be written.
    """
    if not isinstance(journal, Path):
        with _on_server(journal):
            yield
        return
    path = journal.with_name(f"{journal.name}-lock")  # never removed: that would let two in
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as fault:
        raise ConfigInvalid(f"journal.path: {path}: {fault.strerror}") from fault
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read(20).strip() or "unknown"
            raise Fault(f"another keeper works on {journal} (process {holder})") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


@contextmanager
def _on_server(url: URL) -> Iterator[None]:
    database = Database(url)
    try:
        with database.reading() as db:
            taken = sa.func.pg_try_advisory_lock(lock_number("keeper"))
            if not db.execute(sa.select(taken)).scalar_one():
                raise Fault(f"another keeper works on {database.place}")
            db.commit()  # the lock is the session's; an open transaction would hold old rows
            yield
    finally:
        database.close()
