# SPDX-License-Identifier: MIT
"""
A run as the report draws it, from the keeper's journal and the chain's events.

The journal gives the vault at each block that the keeper saw and every decision with its reason;
the events give what each change of position cost. Floats from here on: nothing is decided on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from keeper.events import Event
from keeper.evidence import Records
from keeper.journal import DecisionRow as JournalRow
from keeper.journal import Tx
from keeper.plan import Plan, size_total
from keeper.report import Bands, Cost, DecisionRow, History, Sample
from keeper.risk import Risk, assess
from keeper.snapshot import VaultSnapshot
from keeper.units import BPS, WAD, price_divisor

SHARE_OFFSET: Final = 3  # decimals of a share over those of the asset
ETHER: Final = 10**18
FEES: Final = "venue fees"
PREMIUM: Final = "perp fills against index"
SPOT: Final = "spot trades against index"
FUNDING: Final = "funding"
CHARGES: Final = "charges on deposits and exits"
GAS: Final = "gas, at the index price"


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """How raw units of one vault become whole ones."""

    asset_decimals: int
    quote_decimals: int

    def assets(self, raw: int) -> float:
        """Return whole assets."""
        return float(raw / 10**self.asset_decimals)

    def quote(self, raw: int) -> float:
        """Return whole quote tokens."""
        return float(raw / 10**self.quote_decimals)

    def shares(self, raw: int) -> float:
        """Return whole shares."""
        return float(raw / 10 ** (self.asset_decimals + SHARE_OFFSET))

    def value(self, assets: int, price_wad: int) -> float:
        """Return what raw assets are worth, in whole quote."""
        divisor = price_divisor(self.asset_decimals, self.quote_decimals)
        return self.quote(1) * assets * price_wad / divisor


def history_of(records: Records, title: str, asset: str, quote: str) -> History:
    """
    Return the run.

    Raises
    ------
    ValueError
        If no decision rests on a good price and a vault with shares.
    """
    seen = [(row, assess(row.snapshot.vault)) for row in records.decisions if _usable(row)]
    if not seen:
        raise ValueError("nothing to report: the keeper saw no vault with shares and a good price")
    vault = seen[-1][0].snapshot.vault
    units = Units(asset_decimals=vault.asset_decimals, quote_decimals=vault.quote_decimals)
    return History(
        title=title,
        asset=asset,
        quote=quote,
        bands=_bands(vault),
        samples=_samples(seen, units),
        costs=_costs(records, vault, units),
        flows=[
            records.block_times[event.log.block]
            for event in records.events
            if event.name == "FlowPriced"
        ],
        decisions=_decision_rows(records, units),
    )


def _usable(row: JournalRow) -> bool:
    vault = row.snapshot.vault
    return vault.price_ok and vault.price_wad > 0 and vault.total_supply > 0


def _bands(vault: VaultSnapshot) -> Bands:
    limits = vault.limits
    return Bands(
        inner=limits.inner_band_bps / BPS,
        urgent=limits.urgent_band_bps / BPS,
        margin_floor=limits.margin_floor_bps / BPS,
        margin_target=limits.margin_target_bps / BPS,
    )


def _samples(seen: Iterable[tuple[JournalRow, Risk]], units: Units) -> list[Sample]:
    """Return one sample a block, in time; ticks on an old block are dropped."""
    by_block = {row.snapshot.block.number: _sample(row, risk, units) for row, risk in seen}
    return [by_block[block] for block in sorted(by_block)]


def _sample(row: JournalRow, risk: Risk, units: Units) -> Sample:
    vault, block = row.snapshot.vault, row.snapshot.block
    distances = [v.distance_bps for v in risk.venues if v.distance_bps is not None]
    market = vault.venues[0].market if vault.venues else None
    return Sample(
        at=block.at,
        block=block.number,
        price=vault.price_wad / WAD,
        nav_per_share=units.quote(risk.nav) / units.shares(vault.total_supply),
        exposure=risk.delta / risk.equity if risk.equity > 0 else float("nan"),
        target=risk.target_exposure_bps / BPS,
        premium=market.premium_wad / WAD if market else 0.0,
        mean_premium=market.mean_premium_wad / WAD if market else 0.0,
        funding_rate=market.funding_rate_wad / WAD if market else 0.0,
        margin_ratio=None if risk.margin_ratio_bps is None else risk.margin_ratio_bps / BPS,
        liquidation_distance=min(distances) / BPS if distances else None,
    )


# Costs


def _costs(records: Records, vault: VaultSnapshot, units: Units) -> list[Cost]:
    """Return every cost (positive) and gain of the vault, and the gas that its keeper paid."""
    prices = {
        event["decision_id"]: event["record"]["price_wad"]
        for event in records.events
        if event.name == "Rebalanced"
    }
    costs = []
    for event in records.events:
        at = records.block_times[event.log.block]
        for kind, quote in _event_costs(event, vault.book, prices, units):
            costs.append(Cost(at=at, kind=kind, quote=quote))
    return [*costs, *_unsettled_funding(records, vault, units), *_gas(records)]


def _event_costs(
    event: Event, book: str, prices: Mapping[bytes, int], units: Units
) -> list[tuple[str, float]]:
    match event.contract, event.name:
        case "PerpVenue", "Traded" if event["account"] == book:
            lost = units.quote(event["cost"]) - units.value(event["size"], event["price_wad"])
            return [
                (FEES, units.quote(event["fee"])),
                (PREMIUM, lost),
                (FUNDING, units.quote(event["funding"])),
            ]
        case "PerpVenue", "MarginDeposited" | "MarginWithdrawn" if event["account"] == book:
            return [(FUNDING, units.quote(event["funding"]))]
        case "HedgeBook", "SpotTraded" if event["decision_id"] in prices:
            worth = units.value(event["assets"], prices[event["decision_id"]])
            return [(SPOT, -units.quote(event["quote"]) - worth)]
        case "HedgeVault", "FlowPriced":
            kept = event["impact_charge"] + event["base_charge"]
            return [(CHARGES, -units.value(kept, event["price_wad"]))]
        case _:
            return []


def _unsettled_funding(records: Records, vault: VaultSnapshot, units: Units) -> list[Cost]:
    """Return the funding since the last touch of each account, as of the last snapshot."""
    last = records.decisions[-1].snapshot
    costs = []
    for venue in last.vault.venues:
        account = records.ledger.accounts.get((venue.venue, vault.book))
        if account is not None and account.quote != venue.margin.quote:
            owed = units.quote(account.quote - venue.margin.quote)
            costs.append(Cost(at=last.block.at, kind=FUNDING, quote=owed))
    return costs


def _gas(records: Records) -> list[Cost]:
    """Return the keeper's gas as if the asset were ether, which it is in the demo."""
    prices = {row.snapshot.block.number: row.snapshot.vault.price_wad for row in records.decisions}
    by_row: dict[int | None, JournalRow] = {row.id: row for row in records.decisions}
    costs = []
    for tx in records.transactions:
        if tx.gas_used is None or tx.block_number is None:
            continue
        before = by_row[tx.decision_row].snapshot
        price = prices.get(tx.block_number, before.vault.price_wad) / WAD
        paid = tx.gas_used * (tx.effective_gas_price or 0) / ETHER
        at = records.block_times.get(tx.block_number, before.block.at)
        costs.append(Cost(at=at, kind=GAS, quote=paid * price))
    return costs


# Decisions


def _decision_rows(records: Records, units: Units) -> list[DecisionRow]:
    """Return every decision; equal ones in a row become one line that says how many."""
    by_row = {tx.decision_row: tx for tx in records.transactions}
    rows = [_decision_row(row, by_row.get(row.id), units) for row in records.decisions]
    return merged(rows)


def merged(rows: Sequence[DecisionRow]) -> list[DecisionRow]:
    """Return the rows with runs of equal action and reason, sent nowhere, as one."""
    kept: list[DecisionRow] = []
    for row in rows:
        last = kept[-1] if kept else None
        if last is not None and not row.outcome and _alike(last, row):
            kept[-1] = _with_repeats(last, last.repeats + 1)
        else:
            kept.append(row)
    return kept


def _alike(left: DecisionRow, right: DecisionRow) -> bool:
    return (left.action, left.reason, left.outcome) == (right.action, right.reason, right.outcome)


def _with_repeats(row: DecisionRow, repeats: int) -> DecisionRow:
    return DecisionRow(
        at=row.at,
        block=row.block,
        action=row.action,
        reason=row.reason,
        outcome=row.outcome,
        decision_id=row.decision_id,
        repeats=repeats,
    )


def _decision_row(row: JournalRow, tx: Tx | None, units: Units) -> DecisionRow:
    block, plan = row.snapshot.block, row.plan
    return DecisionRow(
        at=block.at,
        block=block.number,
        action=row.kind,
        reason=row.reason,
        size=shown_size(size_total(plan), units) if plan else "",
        margin=shown_margin(plan, units) if plan else "",
        spot=shown_size(plan.spot_assets, units) if plan else "",
        outcome=_outcome(row, tx),
        decision_id=row.decision_id[:12],
    )


def _outcome(row: JournalRow, tx: Tx | None) -> str:
    if tx is None:
        return row.objection or ""
    gas = f", gas {tx.gas_used:,}" if tx.gas_used else ""
    return f"{tx.state}{gas}" + (f": {tx.detail}" if tx.detail else "")


def shown_margin(plan: Plan, units: Units) -> str:
    """Return the margin that a plan moves, in words; in is positive."""
    parts = [
        _signed(units.assets(sum(leg.margin_assets for leg in plan.legs)), " asset"),
        _signed(units.quote(sum(leg.margin_quote for leg in plan.legs)), " quote"),
    ]
    return " ".join(part for part in parts if part)


def shown_size(raw: int, units: Units) -> str:
    """Return a size in whole assets with its sign, nothing for none."""
    return _signed(units.assets(raw))


def _signed(amount: float, unit: str = "") -> str:
    return f"{amount:+,.4f}{unit}" if amount else ""


# Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Extremes:
    """The worst of a run; None where there was no position."""

    exposure_end: float
    worst_drift: float  # |D / E - (1 - h)| once the vault was first inside its inner band
    worst_unhedged_secs: int  # longest time outside the urgent band after that
    least_margin_ratio: float | None
    least_distance: float | None


def extremes(history: History) -> Extremes:
    """Return the worst figures; the first hedge is not counted as drift."""
    samples = history.samples
    drifts = [abs(sample.exposure - sample.target) for sample in samples]
    first = next((i for i, drift in enumerate(drifts) if drift <= history.bands.inner), None)
    hedged = [] if first is None else list(zip(samples, drifts, strict=True))[first:]
    ratios = [s.margin_ratio for s in samples if s.margin_ratio is not None]
    distances = [s.liquidation_distance for s in samples if s.liquidation_distance is not None]
    return Extremes(
        exposure_end=samples[-1].exposure,
        worst_drift=max((drift for _, drift in hedged), default=max(drifts)),
        worst_unhedged_secs=_longest_outside(hedged, history.bands.urgent),
        least_margin_ratio=min(ratios, default=None),
        least_distance=min(distances, default=None),
    )


def _longest_outside(hedged: Sequence[tuple[Sample, float]], band: float) -> int:
    longest = since = 0
    for (sample, drift), (after, _) in pairwise(hedged):
        since = since + after.at - sample.at if drift > band else 0
        longest = max(longest, since)
    return longest
