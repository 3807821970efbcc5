# SPDX-License-Identifier: MIT
"""
Turning quote profit into assets and paying quote debt from assets, with delta unchanged.

Debt: sell a of the asset at the spot pool, buy a of the hedge back, put the proceeds into the
venue. Profit: take quote from idle and from what the venue releases, buy a of the asset, sell a
more of the hedge. Unrealised profit stays where it is: a venue does not pay it out.

Assets to sell come from idle. What is missing there is taken out of the venue after the
buy-back, before the spot trade; the proceeds then go in with a second leg.

A book that unwinds and has closed its positions does the same without a trade of the hedge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from keeper.curve import after_trade, spot_buy_cost_up, spot_sell_proceeds_down
from keeper.margins import assets_needed
from keeper.outcome import Impossible, slippage_bound_bps
from keeper.plan import Leg, Plan
from keeper.situation import (
    Draft,
    Situation,
    Wish,
    limit_price_wad,
    margin_in,
    quote_in,
    quote_released,
    secured,
    sized,
    with_quote,
    worst_price_wad,
)
from keeper.snapshot import Address, Margin, Market, VenueSnapshot
from keeper.units import (
    BPS,
    Assets,
    Quote,
    Wad,
    div_ceil,
    div_floor,
    mul_div_down,
    positive_part,
)

TOO_DEAR: Final = "the quote does not buy more"


def settle(situation: Situation) -> Wish:
    """Settle quote profit or debt when it is over its trigger; all debt while the book unwinds."""
    sheet, policy, nav = situation.sheet, situation.policy, situation.risk.nav
    unwinds = situation.vault.state.unwinds
    sheet.read("settle_trigger_bps", "policy", policy.settle_trigger_bps, "bps of NAV")
    trigger = sheet.derive(
        "settle_trigger",
        "div_floor(nav * settle_trigger_bps, 10000)",
        div_floor(nav * policy.settle_trigger_bps, BPS),
        "quote",
    )
    kept = 0 if unwinds else div_floor(nav * policy.settle_target_bps, BPS)
    if -situation.risk.quote_value > (0 if unwinds else trigger):
        return _pay_debt(situation, -situation.risk.quote_value - kept, "quote debt")
    most, venue = _most_released(situation, situation.trading)
    if venue is None:
        return None
    available = situation.vault.state.idle_quote + most
    sheet.search("quote_available", "idle and what a venue releases", available, "quote")
    if available > trigger and not unwinds:
        return _spend_profit(situation, venue, available - kept, "quote profit")
    return None


def rescue(situation: Situation) -> Wish:
    """When margin is low and nothing idle is left: pay debt, else buy back some hedge."""
    weak = _weakest(situation)
    if weak is None:
        return None
    if situation.risk.quote_value < 0:
        wish = _pay_debt(situation, -situation.risk.quote_value, "margin is low")
        if isinstance(wish, Draft) or not situation.risk.margin_urgent:
            return wish
    if situation.risk.margin_urgent:
        return _reduce(situation, weak)
    return None


def _most_released(
    situation: Situation, places: Iterable[tuple[int, VenueSnapshot]]
) -> tuple[Quote, VenueSnapshot | None]:
    """Return the venue that would pay out most quote, and how much; none of them is nothing."""
    released = [
        (quote_released(situation, venue.market, venue.margin), venue) for _, venue in places
    ]
    return max(released, key=lambda pair: pair[0], default=(Quote(0), None))


def square(situation: Situation, wanted: int) -> Wish:
    """
    Buy `wanted` assets (negative: sell) for quote that no position is behind.

    For a book that unwinds: what it made goes back into assets, what it owes is paid from them.
    """
    cap = min(abs(wanted), situation.vault.limits.max_trade)
    if wanted < 0:
        return _repay(situation, cap)
    most, venue = _most_released(situation, situation.venues)
    quote = situation.vault.state.idle_quote + most
    cap = min(cap, situation.scale.assets_down(quote))
    return _drafted(
        situation, cap, "quote without a position", lambda a: _purchase(situation, venue, a, quote)
    )


def _repay(situation: Situation, cap: int) -> Wish:
    owed = {venue.venue: -venue.margin.quote - venue.margin.profit for _, venue in situation.venues}
    debtor = max(owed, key=lambda venue: owed[venue], default=None)
    if debtor is None or owed[debtor] <= 0:
        return None
    cap = min(cap, situation.scale.assets_up(owed[debtor]))
    return _drafted(
        situation,
        cap,
        "debt without a position",
        lambda a: _repayment(situation, debtor, a, owed[debtor]),
    )


def _weakest(situation: Situation) -> VenueSnapshot | None:
    low = [
        venue
        for _, venue in situation.venues
        if venue.margin.delta
        and venue.margin.assets
        < assets_needed(venue.market, venue.margin, situation.scale, situation.levels.low)
    ]
    return min(low, key=margin_ratio_bps, default=None)


def margin_ratio_bps(venue: VenueSnapshot) -> int:
    """Return equity for margin over maintenance, to find the weakest venue."""
    return div_floor(venue.margin.equity * BPS, max(venue.margin.maintenance, 1))


def _reduce(situation: Situation, venue: VenueSnapshot) -> Wish:
    """Buy hedge back until half of what is missing to the urgent band is used."""
    limits, risk = situation.vault.limits, situation.risk
    side = -1 if venue.margin.delta > 0 else 1
    spare = mul_div_down(positive_part(risk.equity), limits.urgent_band_bps, BPS)
    cap = min(abs(venue.margin.delta), limits.max_trade, spare - side * risk.gap)

    def plan_of(size: int) -> Plan:
        limit = limit_price_wad(situation, venue.market, side * size)
        return situation.plan(
            Leg(venue=venue.venue, size=Assets(side * size), limit_price_wad=limit)
        )

    if cap <= 0:
        return "margin is low and the hedge cannot be reduced within the urgent band"
    return sized(situation, mul_div_down(cap, 9_900, BPS), plan_of, "margin is under its floor")


def _pay_debt(situation: Situation, debt: int, reason: str) -> Wish:
    shorts = [venue for _, venue in situation.trading if venue.margin.delta < 0]
    if not shorts:
        return None
    venue = min(shorts, key=lambda v: v.margin.quote + v.margin.profit)
    cap = min(
        _closed(situation, venue, situation.scale.assets_up(debt)),
        situation.vault.limits.max_trade,
    )
    situation.sheet.search("debt_assets", "assets that the debt is worth", cap, "assets")
    return _drafted(situation, cap, reason, lambda a: _debt_plan(situation, venue, a))


def _closed(situation: Situation, venue: VenueSnapshot, size: int) -> int:
    """Return what to close of a position: all, if the rest would be no trade worth making."""
    whole = abs(venue.margin.delta)
    return whole if whole - size < situation.least_trade else size


def _spend_profit(situation: Situation, venue: VenueSnapshot, quote: int, reason: str) -> Wish:
    bought = min(situation.scale.assets_down(quote), situation.vault.limits.max_trade)
    situation.sheet.search("profit_assets", "assets that the quote buys", bought, "assets")
    return _drafted(situation, bought, reason, lambda a: _profit_plan(situation, venue, a, quote))


def _drafted(
    situation: Situation, cap: int, reason: str, plan_of: Callable[[int], Plan | str]
) -> Wish:
    if cap < situation.least_trade:
        return None

    def checked(size: int) -> Plan | str:
        if size == 0:
            return "nothing"
        try:
            return plan_of(size)
        except (Impossible, ValueError) as impossible:
            return str(impossible)

    return sized(situation, cap, checked, reason)


def _debt_plan(situation: Situation, venue: VenueSnapshot, sold: int) -> Plan:
    vault, scale = situation.vault, situation.scale
    limit = _spot_limit(situation, -sold, spot_sell_proceeds_down(vault, sold))
    proceeds = div_floor(sold * limit, scale.divisor)  # at least
    market, account = after_trade(venue.market, venue.margin, sold, scale)
    missing = Assets(positive_part(sold - vault.idle_assets))
    account = replace(account, assets=Assets(account.assets - missing))
    paid, released = _swapped(situation, market, account, venue, vault.state.idle_quote + proceeds)
    bought = Leg(
        venue=venue.venue,
        size=Assets(sold),
        limit_price_wad=limit_price_wad(situation, venue.market, sold),
    )
    if missing == 0:
        return situation.plan(
            replace(bought, margin_quote=paid, margin_assets=Assets(-released)),
            spot_assets=-sold,
            spot_limit_price_wad=limit,
        )
    swap = Leg(venue=venue.venue, margin_quote=paid, margin_assets=Assets(-released))
    return situation.plan(
        replace(bought, margin_assets=Assets(-missing)),
        *([swap] if paid or released else []),
        spot_after=1,
        spot_assets=-sold,
        spot_limit_price_wad=limit,
    )


def _swapped(
    situation: Situation, market: Market, account: Margin, venue: VenueSnapshot, available: int
) -> tuple[Quote, Assets]:
    """
    Return quote to put in and assets to take out in exchange, down to the target margin.

    What does not fit the allotment after that stays idle.
    """
    paid = min(positive_part(-account.quote - account.profit), available)
    after = secured(with_quote(account, paid))
    need = assets_needed(market, after, situation.scale, situation.levels.target)
    released = positive_part(account.assets - need)
    left = replace(account, assets=Assets(account.assets - released))
    return quote_in(situation, left, venue, paid), Assets(released)


def _profit_plan(situation: Situation, venue: VenueSnapshot, bought: int, quote: int) -> Plan | str:
    vault, scale = situation.vault, situation.scale
    limit, price = _spot_price(situation, bought)
    if price > quote:
        return TOO_DEAR
    taken = positive_part(price - vault.state.idle_quote)
    market, account = after_trade(venue.market, venue.margin, -bought, scale)
    account = with_quote(account, -taken)
    grown = replace(situation, vault=replace(vault, idle_assets=Assets(vault.idle_assets + bought)))
    added = margin_in(grown, market, account, venue, must=True)
    if isinstance(added, str):
        return added
    sold = Leg(
        venue=venue.venue,
        size=Assets(-bought),
        margin_assets=added,
        limit_price_wad=limit_price_wad(situation, venue.market, -bought),
    )
    if taken == 0:
        return situation.plan(sold, spot_assets=bought, spot_limit_price_wad=limit)
    return situation.plan(
        Leg(venue=venue.venue, margin_quote=Quote(-taken)),
        sold,
        spot_after=1,
        spot_assets=bought,
        spot_limit_price_wad=limit,
    )


def _purchase(
    situation: Situation, venue: VenueSnapshot | None, bought: int, quote: int
) -> Plan | str:
    limit, price = _spot_price(situation, bought)
    if price > quote:
        return TOO_DEAR
    taken = positive_part(price - situation.vault.state.idle_quote)
    legs = [Leg(venue=venue.venue, margin_quote=Quote(-taken))] if venue and taken else []
    return situation.plan(
        *legs, spot_after=len(legs), spot_assets=bought, spot_limit_price_wad=limit
    )


def _repayment(situation: Situation, debtor: Address, sold: int, owed: int) -> Plan:
    vault = situation.vault
    limit = _spot_limit(situation, -sold, spot_sell_proceeds_down(vault, sold))
    proceeds = div_floor(sold * limit, situation.scale.divisor)  # at least
    missing = positive_part(sold - vault.idle_assets)
    taken = [Leg(venue=debtor, margin_assets=Assets(-missing))] if missing else []
    paid = Leg(venue=debtor, margin_quote=Quote(min(proceeds, owed)))
    return situation.plan(
        *taken, paid, spot_after=len(taken), spot_assets=-sold, spot_limit_price_wad=limit
    )


def _spot_price(situation: Situation, bought: int) -> tuple[Wad, int]:
    """Return the worst price of a purchase and the quote that it takes at most."""
    limit = _spot_limit(situation, bought, spot_buy_cost_up(situation.vault, bought))
    return limit, div_ceil(bought * limit, situation.scale.divisor)


def _spot_limit(situation: Situation, assets: int, quote: int) -> Wad:
    """Return the worst price of the spot trade, fee included."""
    vault, policy, scale = situation.vault, situation.policy, situation.scale
    rounding = div_ceil if assets > 0 else div_floor
    expected = rounding(quote * scale.divisor, abs(assets))
    bound = slippage_bound_bps(vault, policy, urgent=situation.risk.urgent)
    return worst_price_wad(
        expected, scale.price_wad, bound, policy.limit_tolerance_bps, 1 if assets > 0 else -1
    )
