# SPDX-License-Identifier: MIT
"""`hedgevault backtest` and `hedgevault sweep`, without the command line."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from keeper.policy import Policy
from keeper.simulation.backtest import defaults
from keeper.simulation.backtest.engine import BLOCK_SECS, Result, Run, Sent, backtest
from keeper.simulation.backtest.figures import aligned, span_of, table
from keeper.simulation.backtest.scenarios import crash_cut, squeeze_outage
from keeper.simulation.market import MarketHour
from keeper.simulation.market_file import read_hours, with_daily_gas
from keeper.units import BPS, DAY_SECS

WORST_HOURS: Final = 24  # span over which the worst moment is sought
CUT_SHARE: Final = 0.5
LEAST_DAYS: Final = 14
MOST_SCALE: Final = 10**9


class BacktestRefused(Exception):
    """The backtest cannot be run; the text says why, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line asks for; the deposit in whole assets."""

    file: Path
    first_day: datetime.date | None = None
    last_day: datetime.date | None = None
    gas: Path | None = None
    gaps: bool = False
    deposit: float = 100.0
    hedge_ratio_bps: int = 10_000
    latency_blocks: int = 1
    moving: bool = False
    max_gas_gwei: float = float("inf")
    squeeze: bool = False
    cut: bool = False
    fast: bool = False
    advised: bool = False
    file_funding: bool = False
    scale: int = 1  # coins for one of the default system's (`defaults.scaled`)
    report: Path | None = None


def run(wanted: Wanted, policy: Policy) -> str:
    """
    Return the table of a backtest.

    Raises
    ------
    BacktestRefused, MarketFileRefused
        If something asked for does not fit, or the file cannot be used.
    """
    hours = _hours(wanted)
    sent: list[Sent] = []
    result = _played(hours, wanted, policy, sent.append)
    text = [table(result), _notes(result)]
    if wanted.report is not None:
        text.append(f"Written: {_report(result, sent, wanted)}")
    return "\n".join(line for line in text if line)


def _report(result: Result, sent: Sequence[Sent], wanted: Wanted) -> Path:
    # matplotlib loads for half a second
    from keeper.report import write_report  # noqa: PLC0415
    from keeper.simulation.backtest.history import history_of_run  # noqa: PLC0415

    setup, title = setup_of(wanted), f"Backtest of {wanted.file.name}"
    run = history_of_run(result, sent, setup, title, "asset", "quote")
    return write_report(run, wanted.report or Path())


def _hours(wanted: Wanted) -> list[MarketHour]:
    hours = read_hours(wanted.file, wanted.first_day, wanted.last_day, gaps=wanted.gaps)
    return hours if wanted.gas is None else with_daily_gas(hours, wanted.gas)


def setup_of(wanted: Wanted) -> defaults.Setup:
    """Return the default system with the deposit and the ratio asked for."""
    if not 1 <= wanted.scale <= MOST_SCALE:
        raise BacktestRefused(f"scale: from 1 to {MOST_SCALE}")
    base = defaults.scaled(defaults.setup(), wanted.scale)
    deposit = round(wanted.deposit * defaults.ASSET_UNIT)
    if deposit <= base.limits.min_equity:
        raise BacktestRefused(f"deposit: must be over {base.limits.min_equity / 1e18} assets")
    if not 0 <= wanted.hedge_ratio_bps <= base.identity.max_hedge_ratio_bps:
        raise BacktestRefused(f"hedge ratio: must be at most {base.identity.max_hedge_ratio_bps}")
    identity = replace(base.identity, hedge_ratio_bps=wanted.hedge_ratio_bps)
    return replace(base, deposit=deposit, identity=identity)


def _played(
    hours: Sequence[MarketHour], wanted: Wanted, policy: Policy, on_sent: Callable[[Sent], None]
) -> Result:
    setup = setup_of(wanted)
    if wanted.fast:
        special = wanted.squeeze or wanted.cut or wanted.moving or wanted.latency_blocks != 1
        if special or wanted.max_gas_gwei != float("inf"):
            raise BacktestRefused("the fast path knows no scenario, latency or cap on gas")
        if wanted.advised or wanted.file_funding or policy.headroom_deviations_bps:
            raise BacktestRefused("the fast path knows no advice, file funding or forecast")
        from keeper.simulation.backtest.fast import bars, play  # noqa: PLC0415 - loads Numba

        return play(bars(hours), setup, policy)
    if wanted.latency_blocks < 0 or wanted.latency_blocks * BLOCK_SECS >= 3_600:
        raise BacktestRefused("latency: from 0 to 299 blocks")
    return backtest(hours, _keeper(hours, wanted, policy), setup, on_sent)


def _keeper(hours: Sequence[MarketHour], wanted: Wanted, policy: Policy) -> Run:
    if (wanted.squeeze or wanted.cut) and len(hours) <= WORST_HOURS:
        raise BacktestRefused(f"a scenario needs more than {WORST_HOURS} hours")
    return Run(
        policy=policy,
        latency_blocks=wanted.latency_blocks,
        moving=wanted.moving,
        max_gas_gwei=wanted.max_gas_gwei,
        outages=(squeeze_outage(hours, WORST_HOURS),) if wanted.squeeze else (),
        cuts=(crash_cut(hours, WORST_HOURS, CUT_SHARE),) if wanted.cut else (),
        advised=wanted.advised,
        file_funding=wanted.file_funding,
    )


def _notes(result: Result) -> str:
    tally = result.tally
    notes = []
    if tally.blind_hours:
        notes.append(f"{tally.blind_hours} hours without a good price")
    if tally.dear_gas:
        notes.append(f"{tally.dear_gas} plans not sent for the price of gas")
    notes += [f"refused {count}: {reason}" for reason, count in sorted(tally.refusals.items())]
    return "\n".join(notes)


def strategies(wanted: Wanted, policy: Policy, folder: Path) -> str:
    """Return the table of the ratio strategies beside the policy as it is; also as a page."""
    from keeper.ratio import Strategy  # noqa: PLC0415
    from keeper.simulation.backtest.compare import (  # noqa: PLC0415 - matplotlib, once more
        compared,
        judged,
        write_comparison,
    )

    hours, plain = _hours(wanted), replace(policy, ratio_strategy=0)
    if hours[-1].closes_at - hours[0].closes_at < LEAST_DAYS * DAY_SECS:
        raise BacktestRefused(f"a comparison needs {LEAST_DAYS} days, its errors are daily")
    wanted_runs = {"as configured": (plain, wanted)} | {
        each.name.lower().replace("_", " "): (
            replace(policy, ratio_strategy=int(each)),
            replace(wanted, advised=True),
        )
        for each in Strategy
        if each is not Strategy.NONE
    }
    results = {
        name: _played(hours, run, own, lambda _: None) for name, (own, run) in wanted_runs.items()
    }
    end = hours[-1].closes_at + 1
    rows = {
        name: next(each for each in judged(result, end) if each.name == "all")
        for name, result in results.items()
    }
    base = results["as configured"]
    aversion = policy.aversion_bps / BPS
    cells = compared(rows, base=base, results=results, aversion=aversion)
    path = write_comparison(rows, cells, f"Strategies on {wanted.file.name}", folder)
    return f"{span_of(base)}\n{aligned(cells)}\nWritten: {path}"


def sweep_rows(
    wanted: Wanted,
    policy: Policy,
    axes: dict[str, list[int]],
    folder: Path,
    *,
    workers: int | None,
    on_done: Callable[[int, int], None],
    cluster: str | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of a sweep, best return first; its files stay in `folder`."""
    from keeper.simulation.backtest.fast import bars  # noqa: PLC0415 - loads Numba
    from keeper.simulation.backtest.sweep import ClusterUnavailable, grid, sweep  # noqa: PLC0415 - the same

    unknown = [name for name in axes if name not in Policy.__slots__]
    if unknown:
        raise BacktestRefused(f"{unknown[0]}: the policy has no such field")
    try:
        policies = grid(policy, axes)
    except ValueError as nonsense:
        raise BacktestRefused(str(nonsense)) from None
    if workers is not None and workers < 1:
        raise BacktestRefused("workers: at least 1")
    if any(policy.headroom_deviations_bps for policy in policies):
        raise BacktestRefused("a sweep takes the fast path, which knows no forecast of margin")
    path, setup = bars(_hours(wanted)), setup_of(wanted)
    try:
        found = sweep(
            path, setup, policies, folder, workers=workers, cluster=cluster, on_done=on_done
        )
    except ClusterUnavailable as nobody:
        raise BacktestRefused(str(nobody)) from nobody
    return sorted(found.to_pylist(), key=lambda row: -float(row["hedged"]))


def axes_of(words: Sequence[str]) -> dict[str, list[int]]:
    """
    Return the axes of a sweep.

    >>> axes_of(["trigger_bps=100,150"])
    {'trigger_bps': [100, 150]}
    """
    axes = {}
    for word in words:
        name, _, values = word.partition("=")
        try:
            axes[name] = [int(value) for value in values.split(",")]
        except ValueError:
            raise BacktestRefused(f"expected name=1,2,3, was {word!r}") from None
    return axes
