# SPDX-License-Identifier: MIT
"""A PostgreSQL server of the tests' own, from Debian's package or whatever is on the PATH."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

PASSWORD = "s3cr3t-of-tests"


def folder_of_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    program = str(found[-1]) if found else shutil.which("initdb")
    return Path(program).parent if program else None


class Server:
    """Runs until `close`; as another user when the tests are root, which it refuses to be."""

    def __init__(self, programs: Path) -> None:
        self._programs, self._databases = programs, count()
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._user = pwd.getpwnam("postgres").pw_uid if os.getuid() == 0 else None
        if self._user is not None:
            os.chown(self.folder, self._user, -1)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run(
            "initdb", "--username=keeper", f"--pwfile={secret}", "--auth=scram-sha-256",
            "--no-sync", "--encoding=UTF8", "--locale=C", f"--pgdata={self.folder / 'data'}",
        )  # fmt: skip
        self.start()

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._control("start", f"--options={options}")

    def stop(self, mode: str = "immediate") -> None:
        self._control("stop", f"--mode={mode}")

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def _control(self, *words: str) -> None:
        log = self.folder / "log"
        self._run("pg_ctl", f"--pgdata={self.folder / 'data'}", "-w", f"--log={log}", *words)

    def _run(self, program: str, *words: str) -> None:
        subprocess.run(
            [str(self._programs / program), *words], check=True, user=self._user,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip

    def url(self, name: str) -> sa.URL:
        text = f"postgresql+psycopg://keeper:{PASSWORD}@127.0.0.1:{self.port}/{name}"
        return sa.make_url(text)

    def new(self) -> sa.URL:
        """Return the URL of an empty database."""
        name = f"journal{next(self._databases)}"
        self.say(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def say(self, sql: str, name: str = "postgres") -> list[tuple]:
        engine = sa.create_engine(self.url(name), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as db:
                found = db.exec_driver_sql(sql)
                return [tuple(row) for row in found] if found.returns_rows else []
        finally:
            engine.dispose()


class Way:
    """A way to a server that may go silent: it takes connections and bytes, and says nothing."""

    def __init__(self, port: int) -> None:
        self.open = threading.Event()
        self.open.set()
        self._to = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listening.accept()
                there = socket.create_connection(self._to)
                for pair in ((here, there), (there, here)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while taken := source.recv(65_536):
                self.open.wait()
                target.sendall(taken)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        self.open.set()
        self._listening.close()


@contextmanager
def way_to(url: sa.URL) -> Iterator[tuple[Way, sa.URL]]:
    """Yield a way to a database, and the database's URL by it."""
    way = Way(url.port)
    try:
        yield way, url.set(port=way.port)
    finally:
        way.close()


def _server() -> Iterator[Server]:
    programs = folder_of_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    server = Server(programs)
    yield server
    server.close()


@pytest.fixture(scope="session")
def postgres():
    """The server that all tests share."""
    yield from _server()


@pytest.fixture
def fragile():
    """One that the test may stop."""
    yield from _server()
