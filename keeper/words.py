# SPDX-License-Identifier: MIT
"""
The words in which people are told of a vault: one table for terminal, scripts and dashboard.

Pure. Amounts come in raw integer units and leave as text; nothing is decided on them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from keeper.errors import meaning
from keeper.risk import Risk, VenueRisk
from keeper.snapshot import VaultSnapshot, VenueSnapshot
from keeper.units import BPS

SHARE_DIGITS: Final = 3  # decimals of a share over those of the asset
MAX_NAME: Final = 12  # characters of a token's symbol that are shown
NOTHING: Final = "none"


class Level(StrEnum):
    """How much something asks of a person; the worst comes last."""

    GOOD = "good"
    WATCH = "watch"
    ACT = "act"
    UNKNOWN = "unknown"


LEVEL_WORDS: Final = {
    Level.GOOD: "In order",
    Level.WATCH: "Watch",
    Level.ACT: "Act",
    Level.UNKNOWN: "Unknown",
}


URGENCY: Final = (Level.ACT, Level.UNKNOWN, Level.WATCH, Level.GOOD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One sentence about a vault and how much it asks of a person."""

    level: Level
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A named value; `note` says what it means or what it is held against."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """How a vault's tokens are called and counted."""

    asset: str
    quote: str
    asset_decimals: int
    quote_decimals: int

    def assets(self, raw: int, *, signed: bool = False) -> str:
        """Return an amount of assets with its name."""
        return f"{number(raw, self.asset_decimals, signed=signed)} {self.asset}"

    def quotes(self, raw: int, *, signed: bool = False) -> str:
        """Return an amount of quote with its name, to the hundredth."""
        return f"{number(raw, self.quote_decimals, places=2, signed=signed)} {self.quote}"

    def shares(self, raw: int) -> str:
        """Return an amount of shares."""
        return number(raw, self.asset_decimals + SHARE_DIGITS)

    def price(self, price_wad: int) -> str:
        """Return a price with its unit."""
        return f"{number(price_wad, 18)} {self.quote}"


def tokens_of(vault: VaultSnapshot, asset: str = "asset", quote: str = "quote") -> Tokens:
    """Return how to count a vault's tokens; names are shown as `plain` leaves them."""
    return Tokens(
        asset=plain(asset),
        quote=plain(quote),
        asset_decimals=vault.asset_decimals,
        quote_decimals=vault.quote_decimals,
    )


# Single values


def number(raw: int, decimals: int, *, places: int | None = None, signed: bool = False) -> str:
    """
    Return raw units as a number that a person reads.

    >>> number(1_234_567_890, 6), number(-1_500_000, 6, signed=True), number(12, 6)
    ('1,234.57', '-1.5000', '0.000012')
    """
    whole = raw / 10**decimals
    if places is None:
        places = 2 if abs(whole) >= 1_000 else 4 if abs(whole) >= 1 or raw == 0 else 6
    text = f"{whole:+,.{places}f}" if signed else f"{whole:,.{places}f}"
    return text if any(digit in text for digit in "123456789") else text.lstrip("+-")


def percent(bps: int | None, *, signed: bool = False) -> str:
    """
    Return basis points as a percentage.

    >>> percent(125), percent(-3, signed=True), percent(None)
    ('1.25 %', '-0.03 %', 'none')
    """
    if bps is None:
        return NOTHING
    return f"{bps / 100:+,.2f} %" if signed else f"{bps / 100:,.2f} %"


def times(ratio_bps: int | None) -> str:
    """Return a margin ratio in multiples of maintenance."""
    return "no position" if ratio_bps is None else f"{ratio_bps / BPS:,.2f} x"


def moment(at: float) -> str:
    """Return Unix seconds as date and time, UTC."""
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, OSError, ValueError):
        return f"{at:g} s after 1970"


def span(secs: float) -> str:
    """
    Return a duration in its largest unit, rounded down.

    >>> span(0.4), span(59), span(200), span(7_300), span(200_000)
    ('0 s', '59 s', '3 min', '2 h', '2 days')
    """
    for size, name in ((172_800, "days"), (7_200, "h"), (120, "min")):
        if secs >= size:
            unit = {"days": 86_400, "h": 3_600, "min": 60}[name]
            return f"{int(secs // unit)} {name}"
    return f"{max(0, int(secs))} s"


def short(address: str) -> str:
    """Return an address or hash in a form that fits a line."""
    return address if len(address) <= 14 else f"{address[:8]}…{address[-4:]}"


def plain(text: str, longest: int = MAX_NAME) -> str:
    r"""
    Return a text from the chain without what could mislead: controls, marks, directions.

    >>> plain("WETH"), plain("US\u202eDC<b>"), plain(" \n")
    ('WETH', 'USDC<b>', 'token')
    """
    kept = "".join(char for char in text if unicodedata.category(char)[0] in "LNPS" or char == " ")
    kept = " ".join(kept.split())
    return (kept if len(kept) <= longest else f"{kept[: longest - 1]}…") or "token"


# A vault


def remarks(
    vault: VaultSnapshot, risk: Risk | None, now: int, *, unsettled: bool = False
) -> list[Remark]:
    """
    Return what there is to say about a vault, the most pressing first.

    Parameters
    ----------
    unsettled : bool
        Whether exits in kind wait to be settled: until then nobody can hedge.
    """
    if risk is None:
        return [Remark(level=Level.UNKNOWN, words="There has been no price yet, so nothing is.")]
    said = [*_price_remarks(vault), *_value_remarks(vault, risk)]
    said += [] if unsettled else _hedge_remarks(vault, risk)
    return by_urgency([*said, *_pause_remarks(vault, now)])


def by_urgency(said: Sequence[Remark]) -> list[Remark]:
    """Return the remarks, the most pressing first."""
    return sorted(said, key=lambda remark: URGENCY.index(remark.level))


def worst(said: Sequence[Remark]) -> Level:
    """Return the level of the most pressing remark."""
    return said[0].level if said else Level.UNKNOWN


def _price_remarks(vault: VaultSnapshot) -> list[Remark]:
    if vault.price_ok:
        return []
    why = meaning(plain(vault.price_reason, 64)) if vault.price_reason else "no reason is given"
    words = f"No usable price: {why}. Deposits and exits at once wait for it."
    return [Remark(level=Level.ACT, words=words)]


def _value_remarks(vault: VaultSnapshot, risk: Risk) -> list[Remark]:
    if vault.total_supply == 0:
        return [Remark(level=Level.GOOD, words="Empty: nobody has deposited yet.")]
    if risk.equity <= 0:
        return [Remark(level=Level.ACT, words="All that the vault held is lost.")]
    return []


def _hedge_remarks(vault: VaultSnapshot, risk: Risk) -> list[Remark]:
    if vault.total_supply == 0 or risk.drift_bps is None:
        return []
    return [_drift_remark(vault, risk), *_margin_remarks(vault, risk)]


def _drift_remark(vault: VaultSnapshot, risk: Risk) -> Remark:
    limits, drift = vault.limits, percent(risk.drift_bps)
    if risk.drift_urgent:
        words = f"Exposure is {drift} off its target, over the urgent band of "
        words += f"{percent(limits.urgent_band_bps)}. The keeper must hedge at once."
        return Remark(level=Level.ACT, words=words)
    if (risk.drift_bps or 0) > limits.inner_band_bps:
        words = f"Exposure is {drift} off its target, outside the inner band of "
        words += f"{percent(limits.inner_band_bps)}. The keeper hedges when that pays."
        return Remark(level=Level.WATCH, words=words)
    words = f"Hedged: exposure is {drift} off its target, inside the band of "
    return Remark(level=Level.GOOD, words=f"{words}{percent(limits.inner_band_bps)}.")


def _margin_remarks(vault: VaultSnapshot, risk: Risk) -> list[Remark]:
    ratio, limits = risk.margin_ratio_bps, vault.limits
    if ratio is None or ratio >= limits.margin_target_bps:
        return []
    held = f"Margin is {times(ratio)} maintenance"
    if risk.margin_urgent:
        words = f"{held}, under the floor of {times(limits.margin_floor_bps)}. Liquidation is near."
        return [Remark(level=Level.ACT, words=words)]
    words = f"{held}, under the target of {times(limits.margin_target_bps)}."
    return [Remark(level=Level.WATCH, words=words)]


def _pause_remarks(vault: VaultSnapshot, now: int) -> list[Remark]:
    pauses = (
        ("Deposits are", vault.entry_paused_until, "Exits go on."),
        ("Rebalancing is", vault.state.paused_until, "Top-ups and reductions go on."),
    )
    return [
        Remark(level=Level.WATCH, words=f"{what} paused until {moment(until)}. {still}")
        for what, until, still in pauses
        if until > now
    ]


def price_fact(vault: VaultSnapshot, tokens: Tokens, now: int) -> Fact:
    """Return the index price with its age."""
    if vault.price_wad == 0:
        return Fact(name="Index price", value=NOTHING, note="the oracle has had no price yet")
    age = f"{span(now - vault.price_updated_at)} old"
    note = age if vault.price_ok else "not usable: the last good one"
    return Fact(name="Index price", value=tokens.price(vault.price_wad), note=note)


def vault_facts(vault: VaultSnapshot, risk: Risk, tokens: Tokens) -> list[Fact]:
    """Return what a person wants to know of a vault as a whole."""
    limits = vault.limits
    ratio = f"hedge ratio {percent(vault.state.hedge_ratio_bps)}"
    band = f"left alone up to {percent(limits.inner_band_bps)}"
    return [
        Fact(
            name="Net asset value", value=tokens.quotes(risk.nav), note=tokens.assets(risk.equity)
        ),
        Fact(name="Share value", value=share_value(vault, risk, tokens), note="of one share"),
        Fact(name="Idle", value=tokens.assets(vault.idle_assets), note="pays exits at once"),
        Fact(name="Idle quote", value=tokens.quotes(vault.state.idle_quote), note="in the book"),
        Fact(name="Delta", value=tokens.assets(risk.delta, signed=True), note="coins at risk"),
        Fact(
            name="Exposure",
            value=percent(risk.exposure_bps),
            note=f"target {percent(risk.target_exposure_bps)} ({ratio})",
        ),
        Fact(
            name="Drift",
            value=percent(risk.drift_bps),
            note=f"{band}, urgent over {percent(limits.urgent_band_bps)}",
        ),
    ]


def share_value(vault: VaultSnapshot, risk: Risk, tokens: Tokens) -> str:
    """Return what one whole share is worth, in quote; one asset's price before the first."""
    if vault.total_supply == 0:
        return tokens.price(vault.price_wad)
    unit = 10 ** (vault.asset_decimals + SHARE_DIGITS)
    return tokens.quotes(risk.nav * unit // vault.total_supply)


def venue_facts(
    vault: VaultSnapshot, venue: VenueSnapshot, risk: VenueRisk, tokens: Tokens
) -> list[Fact]:
    """Return what a person wants to know of a vault's account at one venue."""
    limits, margin = vault.limits, venue.margin
    floor = f"floor {times(limits.margin_floor_bps)}, target {times(limits.margin_target_bps)}"
    price = "at no price"
    if risk.liquidation_price_wad is not None and margin.delta:
        price = tokens.price(risk.liquidation_price_wad)
    away = "" if risk.distance_bps is None else f"{percent(risk.distance_bps)} away"
    posted = f"{tokens.assets(margin.assets)} and {tokens.quotes(margin.quote)}"
    return [
        Fact(name="Position", value=tokens.assets(margin.delta, signed=True), note="the hedge"),
        Fact(name="Margin posted", value=posted, note=f"profit {tokens.quotes(margin.profit)}"),
        Fact(
            name="Margin ratio", value=times(risk.margin_ratio_bps), note=f"of maintenance; {floor}"
        ),
        Fact(name="Liquidation price", value=price, note=away),
        Fact(
            name="Basis",
            value=percent(risk.basis_bps, signed=True),
            note=f"mark {tokens.price(risk.mark_wad)} against the index",
        ),
        Fact(
            name="Funding",
            value=f"{percent(risk.funding_year_bps, signed=True)} a year",
            note=funding_note(risk.funding_year_bps),
        ),
    ]


def funding_note(year_bps: int) -> str:
    """Return who pays whom."""
    return (
        "shorts earn, longs pay"
        if year_bps > 0
        else "shorts pay"
        if year_bps < 0
        else "nobody pays"
    )
