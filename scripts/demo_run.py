# SPDX-License-Identifier: MIT
"""
The course of a demo: node, deployment, hour after hour with the keeper at work, conclusion.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from keeper.errors import KeeperError
from keeper.local_node import LocalNode, LocalNodeError
from keeper.simulation.market import HOUR_SECS
from scripts import deploy, verify_deployment
from scripts.accounts import SignerError, signer
from scripts.amounts import AmountError
from scripts.calls import RefusedError, ScriptError
from scripts.connection import connected
from scripts.demo_audit import Conclusion, conclude
from scripts.demo_dashboard import Spectators, offer
from scripts.demo_flows import Depositors, plan_flows
from scripts.demo_keeper import KeeperProcess, Setup
from scripts.demo_record import Run
from scripts.deployments import Deployment, DeploymentError
from scripts.market import Market

# What a user can understand in one line.
FAULTS: Final = (
    AmountError,
    DeploymentError,
    KeeperError,
    LocalNodeError,
    OSError,
    RefusedError,
    ScriptError,
    SignerError,
)
KILL_WINDOW: Final = 4.0  # seconds to catch the keeper with a transaction under way


def run_demo(run: Run, console: Console) -> int:
    """Run it, print the table, write the report and return the exit code."""
    started = time.monotonic()
    with _node(run, console) as node, Spectators(console, live=run.live) as spectators:
        deployment = _deploy(run.folder)
        ready = time.monotonic()
        keeper = _play(run, node, deployment, console, spectators)
        conclusion = conclude(run, node, deployment, keeper)
        took = time.monotonic() - started
        words = f"{took:.0f} s, {ready - started:.0f} s of it to compile and deploy"
        _tell(run, conclusion, words, console)
        if not run.live:
            console.print(f"dashboard: {offer(keeper.config_path)}", soft_wrap=True)
        spectators.dismiss()
    return 1 if conclusion.failures else 0


def _tell(run: Run, conclusion: Conclusion, took: str, console: Console) -> None:
    """Print the table and write the report."""
    facts = [*conclusion.facts, ("wall-clock time", took)]
    report = conclusion.write(facts, run.folder)
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, value)
    console.print(table)
    console.print(f"report: {report}", soft_wrap=True)
    for failure in conclusion.failures:
        console.print(f"FAILED: {failure}", style="bold red", markup=False, soft_wrap=True)


@contextlib.contextmanager
def _node(run: Run, console: Console) -> Iterator[LocalNode]:
    """Start a node at the market's time and connect Brownie to it; its chatter goes to a file."""
    starts_at = run.hours[0].closes_at - 2 * HOUR_SECS
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((run.folder / "brownie.log").open("w", encoding="utf-8"))
        stack.enter_context(contextlib.redirect_stdout(log))
        with console.status("starting the node, compiling what has changed"):
            node = stack.enter_context(LocalNode.start(run.node, timestamp=starts_at))
            stack.enter_context(connected(node.url, node.chain_id))
        yield node


def _deploy(folder: Path) -> Deployment:
    """Deploy, and check the deployment as its owner would."""
    deployment = deploy.deploy(folder=folder)
    wrong = [str(found) for found in verify_deployment.verify(deployment) if found.grade == "WRONG"]
    if wrong:
        raise ScriptError(f"the deployment is wrong: {'; '.join(wrong)}")
    return deployment


def _play(
    run: Run, node: LocalNode, deployment: Deployment, console: Console, spectators: Spectators
) -> KeeperProcess:
    """Replay all hours with the keeper at work, and return the keeper, stopped."""
    market = Market(deployment, signer("trader"), run.seed)
    market.prepare()
    flows = plan_flows(len(run.hours), run.seed, market.one_asset)
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
        spectators.invite(keeper.config_path)
        for i in _progress(run, console):
            _hour(run, i, market, depositors, keeper, lambda: _head(node))
            spectators.pace()
        run.unserved = [str(flow) for flow in depositors.pending]
        run.keeper_exit = keeper.stop()
    finally:
        keeper.kill()
    return keeper


def _head(node: LocalNode) -> int:
    return int(node.request("eth_blockNumber"), 16)


def _hour(
    run: Run,
    i: int,
    market: Market,
    depositors: Depositors,
    keeper: KeeperProcess,
    head: Callable[[], int],
) -> None:
    """Move the market, let the keeper answer, let depositors act, let it answer again."""
    done = market.advance(run.hours[i])
    run.residuals.append(done.residual)
    run.refused += done.failed
    keeper.wait_until_quiet(head)
    if depositors.act(i):
        if i >= len(run.hours) // 2 and not run.killed:
            _kill_and_restart(run, i, keeper)
        keeper.wait_until_quiet(head)
    run.hour_blocks.append(head())


def _kill_and_restart(run: Run, i: int, keeper: KeeperProcess) -> None:
    """Kill the keeper, with a transaction under way if there is one, and start it again."""
    busy = keeper.wait_until_sending(KILL_WINDOW)
    keeper.kill()
    run.cut_off = keeper.under_way()
    keeper.start()
    when = "with a transaction under way" if busy else "between two ticks"
    run.killed = f"killed in hour {i + 1} {when}, restarted"


def _progress(run: Run, console: Console) -> Iterator[int]:
    """Yield the number of each hour and show how far it is."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("hours"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(run.hours))
        for i, hour in enumerate(run.hours):
            progress.update(task, completed=i, description=f"spot {hour.spot:>10,.2f}")
            yield i
        progress.update(task, completed=len(run.hours))
