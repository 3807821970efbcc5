# SPDX-License-Identifier: MIT
"""
One keeper a journal: a lock on a file beside it, which the system releases when a process ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keeper.errors import ConfigInvalid, Fault


@contextmanager
def exclusive(journal: Path) -> Iterator[None]:
    """
    Hold the journal for this process.

    Raises
    ------
    Fault
        If another process holds it.
    ConfigInvalid
        If the file of the lock cannot be written.
    """
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
