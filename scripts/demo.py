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
import contextlib
import datetime
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from keeper.errors import KeeperError
from keeper.local_node import Kind as NodeKind
from keeper.local_node import LocalNode, LocalNodeError
from keeper.simulation.market import HOUR_SECS, MarketHour
from keeper.simulation.market_file import MarketFileRefused, read_hours
from keeper.simulation.paths import MAX_HOURS, MIN_HOURS, jump_diffusion

ROOT: Final = Path(__file__).resolve().parents[1]
RUNS: Final = ROOT / "build" / "demo"
DEFAULT_HOURS: Final = 96
DEFAULT_SEED: Final = 7
PATH_STARTS_AT: Final = 1_736_121_600  # 2025-01-06 00:00 UTC, a Monday
KILL_WINDOW: Final = 1.5  # seconds to catch the keeper with a transaction under way


class DemoError(Exception):
    """The demo cannot go on; the text is one line for the user."""


@dataclass(slots=True, kw_only=True)
class Run:
    """What happens during a demo, for the table at its end."""

    hours: Sequence[MarketHour]
    title: str
    folder: Path
    residuals: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # of the market's own transactions
    flows: list[str] = field(default_factory=list)
    hour_blocks: list[int] = field(default_factory=list)  # last block of each hour
    killed: str = ""
    keeper_exit: int | None = None


def main(words: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code."""
    options = _options(words)
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console()
    try:
        return _demo(options, console)
    except KeyboardInterrupt:
        console.print("interrupted: everything that was started is stopped")
        return 130
    except (DemoError, KeeperError, LocalNodeError, MarketFileRefused, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        if type(error).__module__.startswith("scripts."):  # known only once Brownie is loaded
            print(f"demo: {error}", file=sys.stderr)
            return 1
        raise


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description="Run the hedging vault on a chain.")
    parser.add_argument("--node", choices=("anvil", "ganache"), default="anvil")
    parser.add_argument("--hours", type=_hours, help=f"default {DEFAULT_HOURS}, or the whole file")
    parser.add_argument("--seed", type=_seed, default=DEFAULT_SEED)
    parser.add_argument("--data", type=Path, metavar="FILE", help="CSV of hours, .gz or plain")
    parser.add_argument("--from", dest="first", type=_day, metavar="DAY", help="YYYY-MM-DD, UTC")
    parser.add_argument("--to", dest="last", type=_day, metavar="DAY", help="with all of its hours")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: build/demo/<time>")
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
    if len(hours) < MIN_HOURS:
        raise DemoError(f"{options.data.name}: {len(hours)} hours, at least {MIN_HOURS} are needed")
    days = [f"{_moment(hour.closes_at):%Y-%m-%d %H:%M}" for hour in (hours[0], hours[-1])]
    return hours, f"{len(hours)} hours of {options.data.name}, {days[0]} to {days[1]} UTC"


def _moment(at: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at, datetime.UTC)


def _demo(options: argparse.Namespace, console: Console) -> int:
    started = time.monotonic()
    hours, words = _market_hours(options)
    stamp = datetime.datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    folder = (options.out or RUNS / f"{stamp}-{options.node}").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if any((folder / name).exists() for name in ("journal.sqlite", "report.html")):
        raise DemoError(f"{folder} holds another run: choose an empty folder")
    run = Run(hours=hours, title=f"{words}, on {options.node}", folder=folder)
    console.print(run.title)
    with _chain(options.node, hours[0].closes_at - 2 * HOUR_SECS, folder, console) as node:
        from scripts.demo_audit import conclude  # Brownie's imports take a second

        deployment = _deploy(folder)
        keeper = _play(run, node, deployment, options.seed, console)
        conclusion = conclude(run, node, deployment, keeper)
    facts = [*conclusion.facts, ("wall-clock time", f"{time.monotonic() - started:.0f} s")]
    report = conclusion.write(facts, folder)
    _print(facts, conclusion.failures, report, console)
    return 1 if conclusion.failures else 0


@contextlib.contextmanager
def _chain(kind: NodeKind, starts_at: int, folder: Path, console: Console) -> Iterator[LocalNode]:
    """Start a node at the market's time and connect Brownie to it; its chatter goes to a file."""
    with console.status("starting the node, compiling what has changed"):
        from scripts.connection import connected

        node = LocalNode.start(kind, timestamp=starts_at)
    with (
        node,
        (folder / "brownie.log").open("w") as log,
        contextlib.redirect_stdout(log),
        connected(node.url, node.chain_id),
    ):
        yield node


def _deploy(folder: Path) -> Any:
    """Deploy and verify the deployment."""
    from scripts import deploy, verify_deployment

    deployment = deploy.deploy(folder=folder)
    wrong = [str(f) for f in verify_deployment.verify(deployment) if f.grade == "WRONG"]
    if wrong:
        raise DemoError(f"the deployment is wrong: {'; '.join(wrong)}")
    return deployment


def _play(run: Run, node: LocalNode, deployment: Any, seed: int, console: Console) -> Any:
    """Replay all hours with the keeper at work, and return the stopped keeper."""
    from scripts.accounts import signer
    from scripts.demo_flows import Depositors, plan_flows
    from scripts.demo_keeper import KeeperProcess, Setup
    from scripts.market import Market

    market = Market(deployment, signer("trader"), seed)
    market.prepare()
    flows = plan_flows(len(run.hours), seed, market.one_asset)
    depositors = Depositors(deployment, flows, run.flows.append)
    keeper = KeeperProcess(
        Setup(
            folder=run.folder,
            deployment=run.folder / f"{node.chain_id}.json",
            url=node.url,
            chain_id=node.chain_id,
            private_key=signer("keeper").private_key,
        )
    )
    try:
        keeper.start()
        for i in _progress(len(run.hours), run, console):
            _hour(run, i, market, depositors, keeper, node)
        run.keeper_exit = keeper.stop()
    finally:
        keeper.kill()
    return keeper


def _hour(run: Run, i: int, market: Any, depositors: Any, keeper: Any, node: LocalNode) -> None:
    """Move the market, let the keeper answer, let depositors act, let it answer again."""

    def head() -> int:
        return int(node.request("eth_blockNumber"), 16)

    done = market.advance(run.hours[i])
    run.residuals.append(done.residual)
    run.refused += done.failed
    keeper.wait_until_quiet(head)
    if depositors.act(i):
        if i >= len(run.hours) // 2 and not run.killed:
            _kill_and_restart(run, i, keeper)
        keeper.wait_until_quiet(head)
    run.hour_blocks.append(head())


def _kill_and_restart(run: Run, i: int, keeper: Any) -> None:
    """Kill the keeper, with a transaction under way if there is one, and start it again."""
    busy = keeper.wait_until_sending(KILL_WINDOW)
    keeper.kill()
    keeper.start()
    when = "with a transaction under way" if busy else "between two ticks"
    run.killed = f"killed in hour {i + 1} {when}, restarted"


def _progress(count: int, run: Run, console: Console) -> Iterator[int]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("hours"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("market", total=count)
        for i in range(count):
            spot = run.hours[i].spot
            progress.update(task, completed=i, description=f"{spot:>10,.2f}")
            yield i
        progress.update(task, completed=count)


def _print(
    facts: Sequence[tuple[str, str]], failures: Sequence[str], report: Path, console: Console
) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2))
    for name, value in facts:
        table.add_row(name, value)
    console.print(table)
    console.print(f"report: {report}", soft_wrap=True)
    for failure in failures:
        console.print(f"FAILED: {failure}", style="bold red", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
