# SPDX-License-Identifier: MIT
"""
A venue as those see it who hedge there: depth, premium, open interest, what stands behind it,
and who is close to liquidation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.curve import Scale, scale_of, trade_cost_up
from keeper.risk import margin_ratio_bps
from keeper.snapshot import Address, Market, VaultSnapshot, VenueSnapshot
from keeper.units import BPS, FUNDING_PERIODS_A_YEAR, WAD, Wad, div_ceil, div_floor
from keeper.upkeep import Account, Stage, Venue, needs_takers
from keeper.web.seen import Held, Seen
from keeper.web.view.vault import Meter
from keeper.words import Fact, Level, Remark, Tokens, funding_note, percent, short, times

DEPTH_SHARES: Final = (10, 50, 100, 500)  # of the skew scale, ten-thousandths
RISKY_BPS: Final = 12_500  # of maintenance, under which an account is close to liquidation
MOST_ACCOUNTS: Final = 200
STAGE_WORDS: Final = {
    Stage.OPEN: (Level.GOOD, "Open: trading, withdrawals and liquidations all work."),
    Stage.GATED: (Level.WATCH, "A loss waits for deleveraging; withdrawals wait with it."),
    Stage.BATCH: (Level.WATCH, "A batch of deleveraging runs; nothing else is possible."),
    Stage.CLOSED: (Level.ACT, "Wound up: accounts are closed, released and paid out."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """What a trade of one size would cost over the index, fee included."""

    size: str
    buy: str
    sell: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLine:
    """An account with a position."""

    owner: str
    owner_short: str
    who: str
    size: str
    equity: str
    ratio: str
    level: Level
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueLine:
    """A venue in a list."""

    address: str
    address_short: str
    premium: str
    funding: str
    open_interest: str
    insurance: str
    used_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenuePage:
    """One venue."""

    address: str
    remarks: tuple[Remark, ...]
    headline: tuple[Fact, ...]
    depth: tuple[Depth, ...]
    sides: tuple[Meter, ...]
    behind: tuple[Fact, ...]
    terms: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsPart:
    """Who trades at a venue; the riskiest first."""

    lines: tuple[AccountLine, ...]
    count: int
    risky: int
    notes: tuple[Remark, ...]


def venues(seen: Seen) -> list[VenueLine]:
    """Return every venue that a vault may use."""
    found: dict[Address, list[Held]] = {}
    for held in seen.vaults.values():
        for venue in held.snapshot.vault.venues:
            found.setdefault(venue.venue, []).append(held)
    return [_venue_line(seen, address, users) for address, users in found.items()]


def using(seen: Seen, address: Address) -> tuple[Held, VenueSnapshot] | None:
    """Return a vault that uses the venue, with the venue as it saw it."""
    for held in seen.vaults.values():
        for venue in held.snapshot.vault.venues:
            if venue.venue == address:
                return held, venue
    return None


def _venue_line(seen: Seen, address: Address, users: Sequence[Held]) -> VenueLine:
    held, tokens = users[0], seen.tokens(users[0])
    market = next(v.market for v in held.snapshot.vault.venues if v.venue == address)
    return VenueLine(
        address=address,
        address_short=short(address),
        premium=_wad_percent(market.premium_wad),
        funding=f"{_year(market)} a year",
        open_interest=tokens.assets(market.long_size + market.short_size),
        insurance=tokens.quotes(market.insurance),
        used_by="1 vault" if len(users) == 1 else f"{len(users)} vaults",
    )


def venue_page(held: Held, venue: VenueSnapshot, tokens: Tokens) -> VenuePage:
    """Return what the last snapshot says of a venue."""
    vault, market = held.snapshot.vault, venue.market
    year = div_floor(market.funding_rate_wad * FUNDING_PERIODS_A_YEAR * BPS, WAD)
    mark = Wad(div_floor(vault.price_wad * (WAD + market.premium_wad), WAD))
    return VenuePage(
        address=venue.venue,
        remarks=tuple(_remarks(market)),
        headline=(
            Fact(name="Mark price", value=tokens.price(mark), note="what a small trade pays"),
            Fact(
                name="Premium",
                value=_wad_percent(market.premium_wad),
                note=f"30-minute mean {_wad_percent(market.mean_premium_wad)}, "
                f"cap {_wad_percent(market.premium_cap_wad)}",
            ),
            Fact(name="Funding", value=f"{_year(market)} a year", note=funding_note(year)),
            Fact(
                name="Skew",
                value=tokens.assets(market.skew, signed=True),
                note="longs less shorts; the pool is the other side",
            ),
        ),
        depth=tuple(_depth(vault, market, tokens)),
        sides=(
            _side("Long", market.long_size, market.max_side, tokens),
            _side("Short", market.short_size, market.max_side, tokens),
        ),
        behind=(
            Fact(
                name="Pool equity",
                value=tokens.quotes(market.pool_equity),
                note="pays the winners",
            ),
            Fact(
                name="Insurance fund",
                value=tokens.quotes(market.insurance),
                note="for this venue, before anybody is deleveraged",
            ),
        ),
        terms=tuple(_terms(market)),
    )


def accounts_part(read: Venue, books: Mapping[str, str], tokens: Tokens) -> AccountsPart:
    """Return who trades at the venue; `books` names the vaults' own accounts."""
    held = [account for account in read.accounts if account.margin.delta or account.liquidatable]
    held.sort(key=_ratio)
    lines = tuple(_account(each, books, tokens) for each in held[:MOST_ACCOUNTS])
    risky = sum(_ratio(each) < RISKY_BPS for each in held)
    level, stage = STAGE_WORDS[read.stage]
    notes = [Remark(level=level, words=stage)]
    for side, failures in (("Shorts", read.failed_shorts), ("Longs", read.failed_longs)):
        if failures.loss or failures.size:
            words = f"{side} that failed left {tokens.quotes(failures.loss)} to deleverage."
            notes.append(Remark(level=Level.ACT, words=words))
    if read.backstop_size:
        words = f"The backstop holds {tokens.assets(read.backstop_size, signed=True)} from "
        way = "waits for takers" if needs_takers(read) else "unwinds it"
        notes.append(Remark(level=Level.WATCH, words=f"{words}liquidations and {way}."))
    return AccountsPart(lines=lines, count=len(held), risky=risky, notes=tuple(notes))


def _ratio(account: Account) -> int:
    ratio = margin_ratio_bps(account.margin.equity, account.margin.maintenance)
    return 10**12 if ratio is None else ratio


def _account(account: Account, books: Mapping[str, str], tokens: Tokens) -> AccountLine:
    ratio = margin_ratio_bps(account.margin.equity, account.margin.maintenance)
    level, state = Level.GOOD, "healthy"
    if account.liquidatable:
        level, state = Level.ACT, "may be liquidated now"
    elif ratio is not None and ratio < RISKY_BPS:
        level, state = Level.WATCH, "close to liquidation"
    return AccountLine(
        owner=account.owner,
        owner_short=short(account.owner),
        who=books.get(account.owner, ""),
        size=tokens.assets(account.margin.delta, signed=True),
        equity=tokens.quotes(account.margin.equity),
        ratio=times(ratio),
        level=level,
        state=state,
    )


def _remarks(market: Market) -> list[Remark]:
    if market.pool_equity <= 0:
        return [Remark(level=Level.ACT, words="The pool owes more than it holds.")]
    if abs(market.premium_wad) >= market.premium_cap_wad:
        words = "The premium is at its cap: positions can only be reduced on that side."
        return [Remark(level=Level.WATCH, words=words)]
    return []


def _depth(vault: VaultSnapshot, market: Market, tokens: Tokens) -> list[Depth]:
    scale = scale_of(vault)
    sizes = [max(1, market.skew_scale * share // BPS) for share in DEPTH_SHARES]
    return [
        Depth(
            size=tokens.assets(size),
            buy=_cost(market, size, scale),
            sell=_cost(market, -size, scale),
        )
        for size in sizes
    ]


def _cost(market: Market, size: int, scale: Scale) -> str:
    worth = scale.value_up(abs(size))
    if worth <= 0:
        return "none"
    return percent(div_ceil(trade_cost_up(market, size, scale) * BPS, worth), signed=True)


def _side(name: str, size: int, most: int, tokens: Tokens) -> Meter:
    share = min(100.0, round(100 * size / most, 1)) if most else 100.0
    return Meter(
        name=name, share=share, words=f"{tokens.assets(size)} open, {tokens.assets(most)} allowed"
    )


def _terms(market: Market) -> list[Fact]:
    both = f"{_wad_percent(market.taker_fee_wad)} / {_wad_percent(market.maker_fee_wad)}"
    floor = f"at least {_wad_percent(market.maintenance_floor_wad)} of the position"
    initial = _wad_percent(market.initial_base_wad)
    share = _wad_percent(market.maintenance_share_wad)
    return [
        Fact(name="Taker / maker fee", value=both),
        Fact(name="Initial margin", value=initial, note="and more with size"),
        Fact(name="Maintenance", value=share, note=f"of it, {floor}"),
        Fact(name="Haircut", value=_wad_percent(market.haircut_wad), note="on coins as margin"),
    ]


def _wad_percent(value_wad: int) -> str:
    return percent(div_floor(value_wad * BPS + WAD // 2, WAD))


def _year(market: Market) -> str:
    return percent(
        div_floor(market.funding_rate_wad * FUNDING_PERIODS_A_YEAR * BPS, WAD), signed=True
    )
