# SPDX-License-Identifier: MIT
"""
The whole system at work: `make demo`, or `python -m scripts.demo --help`.

Starts a local node, deploys, lets depositors come and go, replays market hours, and runs the keeper
as it would in production: its own process and key, over RPC, killed once on the way. In the end it
audits the chain against the events and writes a report. Exit code 0 means that the vault ended
inside its band, nothing failed, no limit was crossed and the replay proved every event.
"""

from __future__ import annotations

import argparse
import datetime
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from rich.console import Console

from keeper.simulation.market import MarketHour
from keeper.simulation.market_file import MarketFileRefused, read_hours
from keeper.simulation.paths import MAX_HOURS, MIN_HOURS, jump_diffusion

ROOT: Final = Path(__file__).resolve().parents[1]
RUNS: Final = ROOT / "build" / "demo"
DEFAULT_HOURS: Final = 96
DEFAULT_SEED: Final = 7
PATH_STARTS_AT: Final = 1_736_121_600  # 2025-01-06 00:00 UTC, a Monday
LEFT_BY_A_RUN: Final = ("journal.sqlite", "report.html", "hedgevault.toml")
INTERRUPTED: Final = 130


class DemoError(Exception):
    """The demo cannot start; the text is one line for the user."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code."""
    options = _options(words)
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(file=sys.stdout)  # fixed: standard output goes to a file for a while
    try:
        hours, title = _market_hours(options)
        folder = _folder(options)
    except (DemoError, MarketFileRefused, OSError) as error:
        return _fail(str(error))
    try:
        return _run(hours, f"{title}, on {options.node}", folder, options, console)
    except KeyboardInterrupt:
        console.print("interrupted: everything that was started is stopped")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  # a mistake of ours: one line, and all of it on file
        log = folder / "error.log"
        log.write_text(traceback.format_exc(), encoding="utf-8")
        return _fail(f"{type(error).__name__}: {error} (see {log})")


def _run(
    hours: Sequence[MarketHour],
    title: str,
    folder: Path,
    options: argparse.Namespace,
    console: Console,
) -> int:
    # Importing Brownie takes a second, and bad options have been refused by now.
    from scripts.demo_record import Run  # noqa: PLC0415
    from scripts.demo_run import FAULTS, run_demo  # noqa: PLC0415

    console.print(title, soft_wrap=True)
    try:
        run = Run(
            hours=hours,
            title=title,
            folder=folder,
            node=options.node,
            seed=options.seed,
            live=options.live,
        )
        return run_demo(run, console)
    except FAULTS as error:
        return _fail(str(error))


def _fail(words: str) -> int:
    print(f"demo: {words}", file=sys.stderr)
    return 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _folder(options: argparse.Namespace) -> Path:
    """Return an empty folder for the run."""
    stamp = datetime.datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    folder: Path = (options.out or RUNS / f"{stamp}-{options.node}").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if any((folder / name).exists() for name in LEFT_BY_A_RUN):
        raise DemoError(f"{folder} holds another run: choose an empty folder")
    return folder


def _market_hours(options: argparse.Namespace) -> tuple[list[MarketHour], str]:
    """Return the hours to replay and what they are called."""
    if options.data is None:
        if options.first or options.last:
            raise DemoError("--from and --to choose from a file: name it with --data")
        count = options.hours or DEFAULT_HOURS
        hours = jump_diffusion(count, options.seed, PATH_STARTS_AT)
        return hours, f"{count} hours of a seeded path, seed {options.seed}"
    hours = read_hours(options.data, options.first, options.last)
    if options.hours is not None:
        hours = hours[: options.hours]
    if not MIN_HOURS <= len(hours) <= MAX_HOURS:
        fact = f"{len(hours)} hours chosen, {MIN_HOURS} to {MAX_HOURS} can be replayed"
        raise DemoError(f"{options.data.name}: {fact}; see --from, --to and --hours")
    first, last = (_moment(hour.closes_at) for hour in (hours[0], hours[-1]))
    days = f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
    return hours, f"{len(hours)} hours of {options.data.name}, {days}"


def _moment(at: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at, datetime.UTC)


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description="Run the hedging vault on a chain.")
    parser.add_argument("--node", choices=("anvil", "ganache"), default="anvil")
    parser.add_argument("--hours", type=_hours, help=f"default {DEFAULT_HOURS}, or the whole file")
    parser.add_argument("--seed", type=_seed, default=DEFAULT_SEED)
    parser.add_argument("--data", type=Path, metavar="FILE", help="CSV of hours, .gz or plain")
    parser.add_argument("--from", dest="first", type=_day, metavar="DAY", help="YYYY-MM-DD, UTC")
    parser.add_argument("--to", dest="last", type=_day, metavar="DAY", help="with all of its hours")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: build/demo/<time>")
    parser.add_argument("--live", action="store_true", help="show it in a browser while it runs")
    return parser.parse_args(words)


def _hours(text: str) -> int:
    if not text.isdigit() or not MIN_HOURS <= int(text) <= MAX_HOURS:
        raise argparse.ArgumentTypeError(f"{MIN_HOURS} to {MAX_HOURS}, not {text!r}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"a whole number from 0, not {text!r}")
    return int(text)


def _day(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a day as 2024-08-01, not {text!r}") from None


if __name__ == "__main__":
    sys.exit(main())
