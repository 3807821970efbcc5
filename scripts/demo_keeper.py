# SPDX-License-Identifier: MIT
"""
The keeper as its operator runs it: its own process, its own key, its own configuration file.

The demo learns what it did from the journal alone, as an operator would.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keeper.journal import OPEN, TxState
from keeper.local_node import die_with_parent
from scripts.calls import ScriptError

KEY_VARIABLE: Final = "HEDGEVAULT_KEEPER_KEY"
CONFIG_NAME: Final = "hedgevault.toml"
JOURNAL_NAME: Final = "journal.sqlite"
LOG_NAME: Final = "keeper.log"
TICK_SECS: Final = 0.15
QUIET_TIMEOUT: Final = 45.0  # seconds for a block's work; a tick takes a tenth of one
STOP_TIMEOUT: Final = 15.0  # seconds to finish the job at hand
POLL_INTERVAL: Final = 0.01  # seconds
LAST_WORDS: Final = 200  # characters of the keeper's log in an error

CONFIG: Final = """\
# Written by the demo. A keeper of your own starts from `hedgevault init`.

deployment = "{deployment}"

[chain]
rpc_url = "{url}"
chain_id = {chain_id}
confirmations = 1
clock = "head"  # the demo's chain lives in the time of the market file

[signer]
key_env = "{key_variable}"

[journal]
path = "{journal}"

[jobs]
tick_secs = {tick_secs}
tick_deadline_secs = 20.0
margin_watch_secs = 5.0

[safety]
max_sends_an_hour = 60

[log]
format = "json"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Where the keeper runs and what it serves."""

    folder: Path
    deployment: Path  # the manifest
    url: str
    chain_id: int
    private_key: str


class KeeperProcess:
    """
    A `hedgevault run --live` that can be killed and started again.

    Parameters
    ----------
    setup : Setup
        Its configuration file is written at once.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._process: subprocess.Popen[bytes] | None = None
        self.journal_path = setup.folder / JOURNAL_NAME
        self.config_path = setup.folder / CONFIG_NAME
        self._log_path = setup.folder / LOG_NAME
        text = CONFIG.format(
            deployment=os.path.relpath(setup.deployment, setup.folder),
            url=setup.url,
            chain_id=setup.chain_id,
            key_variable=KEY_VARIABLE,
            journal=JOURNAL_NAME,
            tick_secs=TICK_SECS,
        )
        self.config_path.write_text(text, encoding="utf-8")

    def start(self) -> None:
        """
        Start the process; its output goes to a file.

        Raises
        ------
        ScriptError
            If the command is not installed.
        """
        program = Path(sys.executable).with_name("hedgevault")
        if not program.exists():
            raise ScriptError("the command hedgevault is not installed: run `make install`")
        command = [str(program), "run", "--live", "--config", str(self.config_path)]
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C is the demo's; it stops the keeper itself
                preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
            )

    def _environment(self) -> Mapping[str, str]:
        return {**os.environ, KEY_VARIABLE: self._setup.private_key}

    def kill(self) -> None:
        """End the process without warning, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        """
        Ask the process to end and return its exit code; it finishes the job at hand.

        Raises
        ------
        ScriptError
            If it does not end in time.
        """
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            code = self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ScriptError(f"the keeper did not stop within {STOP_TIMEOUT:.0f} s") from None
        self._process = None
        return code

    def wait_until_quiet(self, head: Callable[[], int]) -> None:
        """
        Wait until the keeper has seen the latest block and nothing of its own is under way.

        Raises
        ------
        ScriptError
            If it has ended, or does not get there in time.
        """
        deadline = time.monotonic() + QUIET_TIMEOUT
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise ScriptError(f"the keeper ended by itself: {self._last_words()}")
            if self._seen_block() == head():
                return
            time.sleep(POLL_INTERVAL)
        raise ScriptError(f"the keeper did nothing for {QUIET_TIMEOUT:.0f} s: {self._last_words()}")

    def wait_until_sending(self, timeout_secs: float) -> bool:
        """Wait until a node has a transaction whose end is not known yet; tell if there is one."""
        deadline = time.monotonic() + timeout_secs
        while time.monotonic() < deadline:
            if self._transactions((TxState.ACCEPTED, TxState.MINED)):
                return True
            time.sleep(POLL_INTERVAL / 10)  # it takes the keeper some 30 ms to see it through
        return False

    def under_way(self) -> frozenset[int]:
        """Return the journal's rows of transactions whose end it does not know."""
        return frozenset(self._transactions(OPEN))

    def _seen_block(self) -> int | None:
        """Return the block of the last finished tick, None while anything is under way."""
        query = "SELECT block_number, result FROM ticks ORDER BY id DESC LIMIT 1"
        found = self._ask(query)
        if not found or found[0][1] != "ok" or self._transactions(OPEN):
            return None
        return int(found[0][0])

    def _transactions(self, states: Sequence[TxState]) -> list[int]:
        """Return the rows of transactions in one of these states."""
        listed = ", ".join(f"'{state}'" for state in states)  # constants of ours
        found = self._ask(f"SELECT id, state FROM transactions WHERE state IN ({listed})")  # noqa: S608
        return [int(row[0]) for row in found]

    def _ask(self, query: str) -> list[tuple[int, str]]:
        """Return rows; none while the journal is not there yet."""
        try:
            with closing(sqlite3.connect(f"file:{self.journal_path}?mode=ro", uri=True)) as journal:
                return journal.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []

    def _last_words(self) -> str:
        """Return the end of what it said, short enough for one line, and where the rest is."""
        lines = self._log_path.read_text(errors="replace").strip().splitlines() or ["nothing"]
        said = lines[-1] if len(lines[-1]) <= LAST_WORDS else f"{lines[-1][:LAST_WORDS]} ..."
        return f"it said last: {said} (see {self._log_path})"
