# SPDX-License-Identifier: MIT
"""
The dashboard beside a demo, for people who look on while it runs: `make demo LIVE=1`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from rich.console import Console

from keeper.local_node import die_with_parent
from scripts.calls import ScriptError

PACE_SECS: Final = 0.4  # for each hour, or nobody could follow
STOP_SECS: Final = 5.0
LOG_NAME: Final = "dashboard.log"


class Spectators:
    """
    Whoever looks on; nobody unless `live`.

    Used as a context manager: the dashboard ends with the block.
    """

    def __init__(self, console: Console, *, live: bool) -> None:
        self._console, self._live = console, live
        self._process: subprocess.Popen[str] | None = None
        self.where = ""

    def __enter__(self) -> Self:
        """Start nothing yet: the configuration is still to be written."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End the dashboard."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.communicate(timeout=STOP_SECS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def invite(self, config_path: Path) -> None:
        """
        Serve the dashboard over a configuration and say where.

        Raises
        ------
        ScriptError
            If it does not start.
        """
        if not self._live:
            return
        with (config_path.parent / LOG_NAME).open("wb") as log:
            self._process = subprocess.Popen(
                [*command(config_path), "--port", "0", "--every", "0.5"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is the demo's
                preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
            )
        said = self._process.stdout.readline() if self._process.stdout else ""
        self.where = said.removeprefix("Dashboard: ").partition(" ")[0].strip()
        if not self.where:
            raise ScriptError(f"the dashboard did not start (see {config_path.parent / LOG_NAME})")
        self._console.print(f"dashboard: {self.where}", soft_wrap=True)

    def pace(self) -> None:
        """Leave them time to see an hour."""
        if self._process is not None:
            time.sleep(PACE_SECS)

    def dismiss(self) -> None:
        """Let them look at the end until somebody presses Ctrl-C."""
        if self._process is None:
            return
        self._console.print(f"the dashboard stays at {self.where} until Ctrl-C", soft_wrap=True)
        with contextlib.suppress(KeyboardInterrupt):
            self._process.wait()


def command(config_path: Path) -> list[str]:
    """Return the command that shows a configuration."""
    program = Path(sys.executable).with_name("hedgevault")
    return [str(program), "dashboard", "--config", str(config_path)]


def offer(config_path: Path) -> str:
    """Return what to type to look at a demo that is over."""
    program, *words, config = command(config_path)
    here = [os.path.relpath(path) for path in (program, config)]
    shortest = [min(pair, key=len) for pair in zip(here, (program, config), strict=True)]
    return " ".join([shortest[0], *words, shortest[1]])
