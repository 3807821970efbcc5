# SPDX-License-Identifier: MIT
"""A PostgreSQL server of the tests' own, from Debian's package or whatever is on the PATH."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
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
