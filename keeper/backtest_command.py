# SPDX-License-Identifier: MIT
"""`hedgevault backtest`, `strategies` and `sweep`: what the command line asks for."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from keeper.config import load_config
from keeper.errors import ConfigInvalid
from keeper.policy import Policy

USAGE: Final = 2

File = Annotated[Path, typer.Argument(help="CSV, plain or gzip: timestamp_utc, spot, perp.")]
First = Annotated[
    datetime.datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day, UTC.")
]
Last = Annotated[
    datetime.datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, UTC.")
]
Rules = Annotated[
    Path | None, typer.Option("--config", "-c", help="Take [policy] from this configuration file.")
]
Deposit = Annotated[float, typer.Option(help="Whole assets.")]
Ratio = Annotated[int, typer.Option(help="Hedge ratio, bps.")]
Scale = Annotated[
    int, typer.Option(help="Coins for one of the default system's: 1 for ETH, 10000 for ADA.")
]
Gas = Annotated[Path | None, typer.Option(help="CSV of daily gas: date_utc, avg_gas_price_gwei.")]
Gaps = Annotated[bool, typer.Option("--gaps", help="Take a file with missing hours.")]
FileFunding = Annotated[
    bool, typer.Option("--file-funding", help="Settle the file's funding rates, not the venue's.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("backtest")(backtest)
    app.command("strategies")(strategies)
    app.command("sweep")(sweep)


def backtest(  # noqa: PLR0913, PLR0917 - each is an option
    file: File,
    first: First = None,
    last: Last = None,
    config: Rules = None,
    deposit: Deposit = 100.0,
    ratio: Ratio = 10_000,
    scale: Scale = 1,
    latency: Annotated[int, typer.Option(help="Blocks from decision to execution.")] = 1,
    moving: Annotated[bool, typer.Option("--moving", help="Prices move during latency.")] = False,
    gas: Gas = None,
    gas_cap: Annotated[float | None, typer.Option(help="gwei; over it only urgent plans.")] = None,
    gaps: Gaps = False,
    squeeze: Annotated[
        bool, typer.Option("--squeeze", help="Keeper down in the fastest 24 hours up.")
    ] = False,
    cut: Annotated[
        bool, typer.Option("--cut", help="Half the hedge deleveraged before the worst 24 hours.")
    ] = False,
    advised: Annotated[
        bool, typer.Option("--advised", help="The owner sets the ratio that the policy advises.")
    ] = False,
    file_funding: FileFunding = False,
    fast: Annotated[bool, typer.Option("--fast", help="Floats, compiled, for long files.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="Folder for an HTML report with plots.")
    ] = None,
) -> None:
    """Play the keeper on a file of hourly prices and print what came of it, by year."""
    from keeper.simulation.backtest import command  # noqa: PLC0415 - no part of the keeper's run

    wanted = command.Wanted(
        file=file, first_day=_day_of(first), last_day=_day_of(last), gas=gas, gaps=gaps,
        deposit=deposit, hedge_ratio_bps=ratio, scale=scale, latency_blocks=latency,
        moving=moving, squeeze=squeeze, cut=cut, advised=advised, file_funding=file_funding,
        max_gas_gwei=float("inf") if gas_cap is None else gas_cap, fast=fast, report=report,
    )  # fmt: skip
    with _one_line():
        typer.echo(command.run(wanted, _policy(config)))


def strategies(  # noqa: PLR0913, PLR0917 - each is an option
    file: File,
    folder: Annotated[Path, typer.Option("--out", help="Where to write table and chart.")],
    first: First = None,
    last: Last = None,
    config: Rules = None,
    deposit: Deposit = 100.0,
    scale: Scale = 1,
    gas: Gas = None,
    gaps: Gaps = False,
    file_funding: FileFunding = False,
) -> None:
    """Compare the ratio strategies on a file: one table, one chart of cost against risk."""
    from keeper.simulation.backtest import command  # noqa: PLC0415 - no part of the keeper's run

    wanted = command.Wanted(
        file=file, first_day=_day_of(first), last_day=_day_of(last), gas=gas, gaps=gaps,
        deposit=deposit, scale=scale, file_funding=file_funding,
    )  # fmt: skip
    with _one_line():
        typer.echo(command.strategies(wanted, _policy(config), folder))


def sweep(  # noqa: PLR0913, PLR0917 - each is an option
    file: File,
    axis: Annotated[list[str], typer.Option(help="A field of the policy: name=1,2,3.")],
    folder: Annotated[Path, typer.Option("--out", help="Where results stay and resume.")],
    first: First = None,
    last: Last = None,
    config: Rules = None,
    deposit: Deposit = 100.0,
    scale: Scale = 1,
    workers: Annotated[int | None, typer.Option(help="Processes; all cores if left out.")] = None,
    cluster: Annotated[
        str | None,
        typer.Option(help="Address of a Dask scheduler, or `local` for one of `workers` here."),
    ] = None,
) -> None:
    """Play many policies on a file, on all cores; an interrupted sweep goes on where it was."""
    from keeper.simulation.backtest import command  # noqa: PLC0415 - no part of the keeper's run

    wanted = command.Wanted(
        file=file, first_day=_day_of(first), last_day=_day_of(last), deposit=deposit, scale=scale
    )
    with _one_line(), _progress() as progress:
        task = progress.add_task("policies", total=None)
        axes = command.axes_of(axis)
        rows = command.sweep_rows(
            wanted, _policy(config), axes, folder, workers=workers, cluster=cluster,
            on_done=lambda done, of: progress.update(task, completed=done, total=of),
        )  # fmt: skip
    shown = Table(*axes, "hedged", "drawdown", "effectiveness", "rebalances", "liquidations")
    for row in rows:
        plain = [str(row[name]) for name in axes]
        shares = [f"{row['hedged']:+.2%}", f"{row['drawdown']:.2%}", f"{row['effectiveness']:.5f}"]
        shown.add_row(*plain, *shares, str(row["rebalances"]), str(row["liquidations"]))
    Console().print(shown)


def _progress() -> Progress:
    """Return a bar on stderr, which keeps stdout for the table."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True),
    )  # fmt: skip


def _policy(config: Path | None) -> Policy:
    return Policy() if config is None else load_config(config).policy


def _day_of(moment: datetime.datetime | None) -> datetime.date | None:
    return None if moment is None else moment.date()


@contextmanager
def _one_line() -> Iterator[None]:
    """Say in one line why a backtest cannot be run."""
    from keeper.simulation.backtest.command import BacktestRefused  # noqa: PLC0415 - the same
    from keeper.simulation.market_file import MarketFileRefused  # noqa: PLC0415 - the same

    try:
        yield
    except (BacktestRefused, MarketFileRefused, ConfigInvalid) as fault:
        typer.echo(str(fault), err=True)
        raise typer.Exit(USAGE) from None
