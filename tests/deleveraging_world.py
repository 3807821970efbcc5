# SPDX-License-Identifier: MIT
"""Batches and positions for the tests of deleveraging, and the recorded event of 2025-10-10."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from keeper.deleveraging import Batch, Deleveraging, Position, check, deleverage
from keeper.snapshot import Address
from keeper.units import WAD, Assets, Quote, Wad, div_ceil

DATA = Path(__file__).parents[2] / "shared/data"  # beside the project, not part of it
WAVES = DATA / "hyperliquid_adl_2025-10-10_waves.csv"
SHOCKS = DATA / "hyperliquid_adl_2025-10-10_shocks.csv"
CENT = 10**4  # quote units of 6 decimals


def address(number: int) -> Address:
    return Address(f"0x{number:040x}")


def position(number: int, size: int, equity: int) -> Position:
    return Position(owner=address(number), size=Assets(size), equity=Quote(equity))


def shorts(*accounts: tuple[int, int]) -> list[Position]:
    """Return short positions of (unsigned size, equity), owners from 1."""
    return [position(i, -size, equity) for i, (size, equity) in enumerate(accounts, 1)]


def failed_longs(failed_size: int, deficit: int, skew: int = 0) -> Batch:
    """Return a batch at a price of one quote unit per asset unit."""
    return Batch(
        deficit=Quote(deficit), failed_size=Assets(failed_size), price_wad=Wad(WAD), divisor=WAD,
        skew=Assets(skew),
    )  # fmt: skip


def maintenance_of(bps: int):
    """Return maintenance as a share of the size, at a price of one."""
    return lambda size: Quote(div_ceil(size * bps, 10_000))


def checked(batch: Batch, positions, maintenance) -> Deleveraging:
    """Return the deleveraging after `check` has accepted it."""
    done = deleverage(batch, positions, maintenance)
    assert check(batch, positions, maintenance, done.cuts, done.leverage) == done.pool
    return done


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """A wave of the recorded event; quote units of 6 decimals, haircut a fraction."""

    number: int
    needed: int  # sum over fills of (mark - execution) * size
    production: int  # winner equity removed by the venue's own engine
    production_haircut: float
    rows: tuple[tuple[int, int], ...]  # winner capacity and queue budget of coin x cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """What the rule takes in a wave."""

    taken: int
    borne_by_pool: int
    cut: int  # rows
    haircut: float  # the largest loss / capacity


def read_waves() -> list[Wave]:
    """Return the waves with the rows whose cluster starts inside them, by time."""
    with SHOCKS.open(encoding="utf-8") as file:
        shocks = list(csv.DictReader(file))
    with WAVES.open(encoding="utf-8") as file:
        return [_wave(row, shocks) for row in csv.DictReader(file)]


def rule_on(wave: Wave, *, by_queue: bool) -> Ours:
    """
    Return the rule's cuts on a wave.

    The files have capacity (profit that can be cut) for coin x cluster, and no sizes. A row is
    taken as one account with its capacity as equity. The unit of size is a dollar of haircut:
    Q = R = the need, so r = 100 %, a cut is a loss, maintenance is zero, the pool has no skew.
    `by_queue` takes what a profit-ranked queue would cut of the row as its size, so that rows
    differ in size / equity; otherwise size = equity, and the rule is pro rata.
    """
    batch = failed_longs(wave.needed, wave.needed)
    accounts = [(queue if by_queue else capacity, capacity) for capacity, queue in wave.rows]
    done = checked(batch, shorts(*accounts), maintenance_of(0))
    capacities = {each.owner: each.equity for each in shorts(*accounts)}
    losses = [cut for cut in done.cuts if cut.loss]
    return Ours(
        taken=sum(cut.loss for cut in losses),
        borne_by_pool=done.pool.loss,
        cut=len(losses),
        haircut=max((cut.loss / capacities[cut.owner] for cut in losses), default=0.0),
    )


def table(waves: list[Wave]) -> str:
    """Return need and takings of every wave, production beside the rule, in dollars."""
    head = f"{'wave':>5} {'rows':>5} {'needed':>12} {'production':>12} {'over':>12} {'ours':>12} "
    head += f"{'over':>5} {'pool':>5} | largest haircut: production, pro rata, by queue size (rows)"
    lines = [head]
    for wave in waves:
        flat, by_queue = rule_on(wave, by_queue=False), rule_on(wave, by_queue=True)
        lines.append(
            f"{wave.number:>5} {len(wave.rows):>5} {_dollars(wave.needed)} "
            f"{_dollars(wave.production)} {_dollars(wave.production - wave.needed)} "
            f"{_dollars(flat.taken)} {flat.taken + flat.borne_by_pool - wave.needed:>5} "
            f"{flat.borne_by_pool:>5} | {wave.production_haircut:>8.2%} {flat.haircut:>8.2%} "
            f"{by_queue.haircut:>8.2%} ({by_queue.cut})"
        )
    needed, production = (sum(getattr(w, n) for w in waves) for n in ("needed", "production"))
    taken = sum(rule_on(wave, by_queue=True).taken for wave in waves)
    lines.append(
        f"{'all':>5} {sum(len(wave.rows) for wave in waves):>5} {_dollars(needed)} "
        f"{_dollars(production)} {_dollars(production - needed)} {_dollars(taken)}"
    )
    return "\n".join(lines)


def _wave(row: dict[str, str], shocks: list[dict[str, str]]) -> Wave:
    inside = [each for each in shocks if row["t_start"] <= each["t_start"] <= row["t_end"]]
    rows = [
        (_units(each["total_capacity_usd"]), _units(each["budget_queue_usd"])) for each in inside
    ]
    return Wave(
        number=int(row["wave"]),
        needed=_units(row["budget_needed"]),
        production=_units(row["budget_prod"]),
        production_haircut=float(row["max_pct_prod"]),
        rows=tuple((capacity, queue) for capacity, queue in rows if capacity > 0 and queue > 0),
    )


def _units(dollars: str) -> int:
    return int(Decimal(dollars) * 100) * CENT


def _dollars(units: int) -> str:
    return f"{units / 10**6:>12,.0f}"
