# SPDX-License-Identifier: MIT
"""
All vaults on one page, those that ask most of a person first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from keeper.snapshot import VaultSnapshot
from keeper.units import BPS
from keeper.web.seen import Held, Seen
from keeper.web.view.noticed import settled, vault_remarks
from keeper.words import (
    LEVEL_WORDS,
    NOTHING,
    URGENCY,
    Fact,
    Level,
    percent,
    share_value,
    short,
    times,
    worst,
)

GAUGE_REACH: Final = 1.5  # urgent bands from the target to the end of the gauge


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """Exposure against its band, in hundredths of the gauge's width."""

    inner_from: float
    inner_width: float
    urgent_from: float
    urgent_width: float
    target: float
    exposure: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultRow:
    """A vault in one row."""

    address: str
    address_short: str
    name: str
    level: Level
    level_word: str
    remark: str
    nav: str = NOTHING
    share: str = NOTHING
    exposure: str = NOTHING
    gauge: Gauge | None = None
    margin: str = NOTHING
    distance: str = ""
    funding: str = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What the first page shows."""

    facts: tuple[Fact, ...]
    vaults: tuple[VaultRow, ...]


def overview(seen: Seen) -> Overview:
    """Return the first page."""
    rows = [vault_row(seen, held) for held in seen.vaults.values()]
    rows.sort(key=lambda row: URGENCY.index(row.level))
    return Overview(facts=tuple(_facts(seen, rows)), vaults=tuple(rows))


def vault_row(seen: Seen, held: Held) -> VaultRow:
    """Return a vault in one row."""
    vault, risk, tokens = held.snapshot.vault, held.risk, seen.tokens(held)
    said = vault_remarks(seen, held)
    level = worst(said)
    row = VaultRow(
        address=vault.vault,
        address_short=short(vault.vault),
        name=f"{tokens.asset} / {tokens.quote}",
        level=level,
        level_word=LEVEL_WORDS[level],
        remark=said[0].words,
    )
    if risk is None:
        return row
    distances = [v.distance_bps for v in risk.venues if v.distance_bps is not None]
    return replace(
        row,
        nav=tokens.quotes(risk.nav),
        share=share_value(settled(seen, held), risk, tokens),
        exposure=percent(risk.exposure_bps),
        gauge=gauge(vault, risk.exposure_bps, risk.target_exposure_bps),
        margin=times(risk.margin_ratio_bps),
        distance=f"{percent(min(distances))} to liquidation" if distances else "",
        funding=_funding(held),
    )


def gauge(vault: VaultSnapshot, exposure_bps: int | None, target_bps: int) -> Gauge | None:
    """Return the exposure on a scale around its target; what is beyond stands at the end."""
    if exposure_bps is None:
        return None
    inner, urgent = vault.limits.inner_band_bps, vault.limits.urgent_band_bps
    reach = GAUGE_REACH * max(urgent, 1)

    def place(bps: float) -> float:
        return round(50 + 50 * max(-1.0, min(1.0, (bps - target_bps) / reach)), 2)

    words = f"exposure {percent(exposure_bps)}, target {percent(target_bps)}, "
    return Gauge(
        inner_from=place(target_bps - inner),
        inner_width=round(place(target_bps + inner) - place(target_bps - inner), 2),
        urgent_from=place(target_bps - urgent),
        urgent_width=round(place(target_bps + urgent) - place(target_bps - urgent), 2),
        target=place(target_bps),
        exposure=place(exposure_bps),
        words=f"{words}band ±{percent(inner)}, urgent ±{percent(urgent)}",
    )


def _funding(held: Held) -> str:
    """Return what funding brings the vault a year, as a share of its equity."""
    risk = held.risk
    if risk is None or risk.equity <= 0:
        return NOTHING
    earned = sum(-venue.delta * venue.funding_year_bps for venue in risk.venues)
    return f"{percent(int(earned / risk.equity), signed=True)} a year"


def _facts(seen: Seen, rows: Sequence[VaultRow]) -> list[Fact]:
    calm = sum(row.level is Level.GOOD for row in rows)
    count = Fact(name="Vaults in order", value=f"{calm} of {len(rows)}", note=_loudest(rows))
    return [*_total(seen), count]


def _loudest(rows: Sequence[VaultRow]) -> str:
    acts = sum(row.level is Level.ACT for row in rows)
    if acts:
        return f"{acts} ask for a person" if acts > 1 else "one asks for a person"
    return "nothing asks for a person"


def _total(seen: Seen) -> list[Fact]:
    """Return the sum of what is counted in one token; nothing is added across tokens."""
    counted = [held for held in seen.vaults.values() if held.risk is not None]
    by_quote: dict[str, list[Held]] = {}
    for held in counted:
        by_quote.setdefault(held.snapshot.vault.quote, []).append(held)
    return [fact for group in list(by_quote.values())[:2] for fact in _sums(seen, group)]


def _sums(seen: Seen, group: Sequence[Held]) -> Iterator[Fact]:
    tokens = seen.tokens(group[0])
    risks = [held.risk for held in group if held.risk is not None]
    moving = sum(risk.nav * min(BPS, abs(risk.exposure_bps or 0)) // BPS for risk in risks)
    nav = tokens.quotes(sum(risk.nav for risk in risks))
    yield Fact(name="Net asset value", value=nav, note="of all vaults")
    yield Fact(name="Moves with the price", value=tokens.quotes(moving), note="not hedged")
