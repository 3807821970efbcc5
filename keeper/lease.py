# SPDX-License-Identifier: MIT
"""
One keeper sends, others stand by: who leads holds the lease of the journal.

Of a file it is a lock on another file beside it, of PostgreSQL an advisory lock of one session;
system and server release them when a process ends. A process that has stopped without ending
keeps its lock: whoever leads shows a sign of life again and again, and one that shows none for
`patience_secs` loses the lease. The file is then replaced, so that the old lock is on a file that
nobody looks at; the session is ended by the server. Whoever wakes finds that out at the next
`check`, which stands before every write and every send. Between that and the send nothing stops
it but the nonces of the account and of the vault, which let one of two transactions through.

No clocks are compared: a standby sees by its own whether a sign of life is a new one.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol, TextIO

import sqlalchemy as sa

from keeper import database
from keeper.database import connected_alone, lock_number, place_of
from keeper.errors import ConfigInvalid, Fault, JournalUnavailable, LeaseLost

LEAST_PATIENCE_SECS: Final = 1.0
ANSWER_SECS: Final = 3.0  # that the server of a lease may take: who waits for it watches nothing
FAREWELL_SECS: Final = 1.0  # for giving it back: the end of the process does that, too
SIGNS: Final = 4  # of life, in the time of the patience
Sign = str  # of life, with who gave it


class Place(Protocol):
    """Where a lease is kept."""

    name: str

    def take(self) -> Sign | None:
        """Take the lease if nobody has it; return None, or whoever has it with a sign of life."""

    def seize(self, sign: Sign) -> None:
        """Take the lease from one that has shown no other sign than this one."""

    def show(self) -> None:
        """Show a sign of life."""

    def mine(self) -> bool:
        """Return whether the lease is still ours."""

    def release(self) -> None:
        """Give the lease back."""


class FileLease:
    """A lock on a file; the file at the path is the one that counts."""

    def __init__(self, journal: Path) -> None:
        self.name = str(journal)
        self._path = journal.with_name(f"{journal.name}-lock")  # never removed, only replaced
        self._file: TextIO | None = None
        self._shown = 0
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._opened().close()
        except OSError as fault:
            raise ConfigInvalid(f"journal.path: {self._path}: {fault.strerror}") from fault

    def take(self) -> Sign | None:
        """Lock the file, or read what its holder has written into it."""
        file = self._opened()
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            with file:
                return file.read(60).strip() or "unknown"
        self.release()
        self._file = file
        if not self.mine():  # replaced between opening and locking
            self.release()
            return "unknown"
        self.show()
        return None

    def _opened(self) -> TextIO:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        return os.fdopen(descriptor, "r+", encoding="utf-8")

    def seize(self, sign: Sign) -> None:
        """Put a locked file in the place of the holder's."""
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=f"{self._path.name}-")
        file = os.fdopen(descriptor, "r+", encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX)
        with self._path.open(encoding="utf-8") as holder:
            same = holder.read(60).strip() == sign
        if not same:
            file.close()
            Path(name).unlink()
            return
        Path(name).replace(self._path)
        self.release()
        self._file = file
        self.show()

    def show(self) -> None:
        """Write process and count."""
        if self._file is not None:
            self._shown += 1
            text = f"{os.getpid()} {self._shown}\n".encode()
            os.pwrite(self._file.fileno(), text, 0)
            os.ftruncate(self._file.fileno(), len(text))

    def mine(self) -> bool:
        """Return whether the locked file is the one at the path."""
        if self._file is None:
            return False
        with suppress(OSError):
            return os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        return False

    def release(self) -> None:
        """Unlock."""
        if self._file is not None:
            self._file.close()
            self._file = None


HOLDER: Final = sa.text(
    "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a "
    "USING (pid) WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND (l.classid::bigint << 32) + l.objid::bigint = :number"
)
END: Final = sa.text(  # all sessions of that process: one may hold rows that it was writing
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE split_part(application_name, ' ', 1) = :process AND pid <> pg_backend_pid()"
)


class ServerLease:
    """
    An advisory lock of PostgreSQL, held by a session that does nothing else.

    It needs a connection of its own to the server: behind a pooler that lends sessions by the
    transaction, a lock is nobody's.
    """

    def __init__(self, url: sa.URL) -> None:
        self.name = place_of(url)
        self._connect = connected_alone(url, ANSWER_SECS)
        self._db: sa.Connection | None = None
        self._number: int | None = None
        self._holds = False
        self._shown = 0
        self._turn = threading.Lock()

    def take(self) -> Sign | None:
        """Lock, or tell what its holder calls his session."""
        with self._session() as db:
            key = self._key(db)
            if db.execute(sa.select(sa.func.pg_try_advisory_lock(key))).scalar_one():
                self._holds = True
                return None
            return db.execute(HOLDER, {"number": key}).scalar() or "unknown"

    def seize(self, sign: Sign) -> None:
        """Let the server end the holder's sessions; the next `take` finds the lock free."""
        with self._session() as db:
            if db.execute(HOLDER, {"number": self._key(db)}).scalar() == sign:
                db.execute(END, {"process": sign.partition(" ")[0]})

    def show(self) -> None:
        """Give the session another name: process and count."""
        self._shown += 1
        with self._session() as db:
            name = f"{database.PROCESS} {self._shown}"
            db.execute(sa.select(sa.func.set_config("application_name", name, False)))

    def mine(self) -> bool:
        """Return whether the session that holds the lock is still there."""
        if not self._holds:
            return False
        with suppress(JournalUnavailable), self._session() as db:
            db.execute(sa.select(1))
        return self._holds

    def release(self) -> None:
        """End the session, and with it the lock."""
        self._holds = False
        if self._db is not None:
            with suppress(sa.exc.SQLAlchemyError):
                session: Any = self._db.connection.driver_connection
                session.patience_secs = FAREWELL_SECS
                self._db.execute(sa.select(sa.func.pg_advisory_unlock_all()))  # now, not soon
            with suppress(sa.exc.SQLAlchemyError):
                self._db.close()
            self._db = None

    def _key(self, db: sa.Connection) -> int:
        """Return the number of this journal's lock: journals of one database differ by schema."""
        if self._number is None:
            schema = db.execute(sa.select(sa.func.current_schema())).scalar_one()
            self._number = lock_number(f"keeper of {schema}") % 2**63
        return self._number

    @contextmanager
    def _session(self) -> Iterator[sa.Connection]:
        """Use the session; one that fails is gone, and the lock with it."""
        with self._turn:
            try:
                if self._db is None:
                    self._db = self._connect()
                yield self._db
            except (sa.exc.SQLAlchemyError, OSError) as fault:
                self.release()
                raise JournalUnavailable(
                    f"journal {self.name}: the lease is out of reach: check the database server"
                ) from fault


def place_for(journal: Path | sa.URL) -> Place:
    """Return where the lease of a journal is kept."""
    if isinstance(journal, Path):
        return FileLease(journal)
    if journal.get_backend_name() == "sqlite":
        return FileLease(Path(str(journal.database)))
    return ServerLease(journal)


class Lease:
    """
    Who leads, kept up to date by a thread of its own.

    Parameters
    ----------
    patience_secs : float
        How long a leader may show no sign of life.
    healthy : Callable[[], bool]
        A leader that is not shows no sign of life, so that another takes over.
    """

    def __init__(
        self,
        place: Place,
        patience_secs: float,
        *,
        healthy: Callable[[], bool] = lambda: True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.healthy = healthy
        self.name = place.name
        self._place, self._monotonic = place, monotonic
        self._patience_secs = max(patience_secs, LEAST_PATIENCE_SECS)
        self._lock = threading.RLock()
        self._leads = False
        self._term = self._acting = 0  # how often it has led, and in which of them it acts
        self._sign: Sign = ""
        self._seen_at = 0.0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def holder(self) -> str:
        """Return who leads, in words."""
        return "this one" if self._leads else f"process {self._sign.partition(' ')[0]}"

    def leads(self) -> bool:
        """
        Return whether this keeper leads from now on; takes the lease when it is free.

        Raises
        ------
        JournalUnavailable
            If nobody can say.
        """
        with self._lock:
            self._renew()
            self._acting = self._term
            return self._leads

    def check(self, _stage: str = "") -> None:
        """
        Do nothing while this keeper leads.

        Raises
        ------
        LeaseLost
            If another has taken over since `leads` was asked, or may have.
        """
        with self._lock:
            self._leads = self._leads and self._place.mine()
            if self._leads and self._acting == self._term:
                return
        raise LeaseLost(f"the lease of {self.name} is lost: another keeper may lead")

    def require(self) -> None:
        """Refuse to go on unless this keeper leads."""
        if not self.leads():
            raise Fault(f"another keeper works on {self.name} ({self.holder})")

    def _renew(self) -> None:
        if self._leads and self._place.mine():
            return
        self._leads = False
        self._leads = self._taken()
        self._term += self._leads

    def _taken(self) -> bool:
        sign, now = self._place.take(), self._monotonic()
        if sign is None:
            return True
        if sign != self._sign:
            self._sign, self._seen_at = sign, now
            return False
        if sign == "unknown" or now - self._seen_at < self._patience_secs:
            return False
        self._place.seize(sign)
        return self._place.mine() or self._place.take() is None

    # A sign of life, or a look for one

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep it while the block runs, then give it back."""
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._thread.join(FAREWELL_SECS)
            if not self._thread.is_alive():  # else it waits for a server that says nothing
                self._place.release()

    def _keep(self) -> None:
        while not self._stopping.wait(self._patience_secs / SIGNS):
            with suppress(Exception):  # the next turn may be better; `check` sees what is true
                self._turn()

    def _turn(self) -> None:
        with self._lock:
            self._renew()
            if self._leads and self.healthy():
                self._place.show()


@contextmanager
def held(
    journal: Path | sa.URL, patience_secs: float = LEAST_PATIENCE_SECS, *, standby: bool = False
) -> Iterator[Lease]:
    """
    Work on a journal, alone, or as one of several of which one leads.

    Parameters
    ----------
    standby : bool
        Whether to go on while another leads.

    Raises
    ------
    Fault
        If another leads and this one is not to stand by.
    ConfigInvalid
        If the file of the lock cannot be written.
    """
    lease = Lease(place_for(journal), patience_secs)
    if not standby:
        lease.require()
    with lease.kept():
        yield lease
