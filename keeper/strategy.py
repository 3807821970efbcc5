# SPDX-License-Identifier: MIT
"""
The decision: what to do about one vault, from one snapshot. Pure; integers only.

Live, dry run, replay and backtest call `decide`. Order of what it may want:

1. hedge    drift over the trigger, and on until the target is reached (hysteresis); over several
            venues by marginal cost (`placement`), each leg with the margin that it needs. A book
            that unwinds closes positions and then turns quote back into assets
2. top up   margin under its low level, from idle assets and idle quote; always allowed
3. rescue   margin under its low level and nothing idle: settle debt (see `settlement`), else buy
            back hedge as far as the urgent band allows
4. settle   quote profit or debt over its trigger, through the spot pool, delta unchanged
5. take     margin over its high level back to idle

The cooldown holds back what trades, unless drift is over the urgent band or margin under the
floor; a pause lets only top-ups and reductions through. Every size is the largest that the
contracts' limits and the operator's stricter ones let pass, and no plan is proposed that
`outcome` finds broken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from eth_utils.crypto import keccak

from keeper import band
from keeper.curve import scale_of
from keeper.explain import Line, Sheet
from keeper.margins import assets_needed, headroom_bps, levels, ratio_after_bps
from keeper.outlook import Outlook, looked, variance_wad
from keeper.placement import placed
from keeper.plan import Leg, Plan
from keeper.policy import Memory, Policy
from keeper.ratio import advice_bps
from keeper.risk import Risk, VenueRisk, assess
from keeper.settlement import margin_ratio_bps, rescue, settle, square
from keeper.situation import (
    Draft,
    Situation,
    Wish,
    explain_plan,
    quote_in,
    room,
    secured,
    with_quote,
)
from keeper.snapshot import Snapshot, VaultSnapshot, VenueSnapshot
from keeper.units import BPS, Assets, Quote, mul_div_down, positive_part, sign

DECISION_DOMAIN = b"hedgevault decision 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Nothing to do, or not now."""

    decision_id: bytes
    reason: str
    lines: tuple[Line, ...]
    memory: Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebalance:
    """A plan that is worth sending."""

    decision_id: bytes
    reason: str
    lines: tuple[Line, ...]
    memory: Memory
    plan: Plan
    urgent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The snapshot must not be traded on."""

    decision_id: bytes
    reason: str
    lines: tuple[Line, ...]
    memory: Memory


Decision = Hold | Rebalance | Refuse


def decide(snapshot: Snapshot, policy: Policy, memory: Memory) -> Decision:
    """
    Return what to do about a vault.

    Parameters
    ----------
    snapshot : Snapshot
        The vault at one block; time is the block's.
    policy : Policy
        The operator's rules.
    memory : Memory
        What the decision before this one left.

    Returns
    -------
    Decision
        With the sum behind it and the memory for the next.

    Notes
    -----
    The same arguments give the same decision to the bit, its id included.
    """
    identity = decision_id(snapshot, policy, memory)
    sheet = Sheet()
    unusable = _unusable(snapshot, policy, sheet)
    if unusable is not None:
        return Refuse(decision_id=identity, reason=unusable, lines=sheet.lines(), memory=memory)
    vault, at = snapshot.vault, snapshot.block.at
    risk = assess(vault)
    explain_risk(sheet, vault, risk)
    outlook = looked(memory.outlook, vault, at)
    headroom = _forecast(sheet, outlook, policy, vault, at)
    situation = Situation(
        decision_id=identity,
        at=at,
        vault=vault,
        policy=policy,
        risk=risk,
        scale=scale_of(vault),
        levels=levels(policy, vault.limits, headroom),
        sheet=sheet,
        refusing=memory.refusing,
    )
    if memory.refusing:
        sheet.read("refusing", "venues that refuse trades, a bit each", memory.refusing, "")
    hedging = _hedging(situation, memory)
    wish = _wish(situation, hedging)
    return _decision(situation, wish, Memory(hedging=hedging, outlook=outlook))


def decision_id(snapshot: Snapshot, policy: Policy, memory: Memory) -> bytes:
    """Return the hash of everything that a decision rests on."""
    block = snapshot.block
    where = f"{block.number}|{block.hash}|{block.at}".encode()
    parts = (DECISION_DOMAIN, where, snapshot.words, policy.encode(), memory.encode())
    return keccak(b"".join(keccak(part) for part in parts))


def _decision(situation: Situation, wish: Draft | str, memory: Memory) -> Decision:
    common = {
        "decision_id": situation.decision_id,
        "lines": situation.sheet.lines(),
        "memory": memory,
    }
    if isinstance(wish, str):
        return Hold(reason=wish, **common)  # type: ignore[arg-type]
    return Rebalance(
        reason=wish.reason,
        plan=wish.plan,
        urgent=situation.risk.urgent,
        **common,  # type: ignore[arg-type]
    )


def _unusable(snapshot: Snapshot, policy: Policy, sheet: Sheet) -> str | None:
    vault, now = snapshot.vault, snapshot.block.at
    if not vault.price_ok:
        return f"no price: {vault.price_reason or 'the oracle gives none'}"
    if vault.price_wad <= 0:
        return "no price: zero"
    sheet.read("now_at", "block", now, "s")
    sheet.read("price_updated_at", "oracle", vault.price_updated_at, "s")
    age = sheet.derive(
        "price_age_secs", "now_at - price_updated_at", now - vault.price_updated_at, "s"
    )
    if age < 0:
        return f"the price is from {-age} s in the future"
    if age > policy.max_price_age_secs:
        return f"the price is {age} s old, allowed are {policy.max_price_age_secs} s"
    return None


def _forecast(sheet: Sheet, outlook: Outlook, policy: Policy, vault: VaultSnapshot, at: int) -> int:
    """Write down what is expected and advised; return the headroom that margin is kept for."""
    variance = variance_wad(outlook, policy.volatility_bps)
    if variance is not None:
        sheet.read("variance_wad", "forecast, a year", variance, "WAD")
    advice_bps(vault.state, outlook, policy, at, sheet)
    headroom = headroom_bps(outlook, policy)
    if headroom:
        sheet.read("headroom_bps", "largest rise to have margin for", headroom, "bps")
        for i, venue in enumerate(vault.venues):
            lowest = ratio_after_bps(venue.margin, venue.market, scale_of(vault), headroom)
            if lowest is not None:
                sheet.read(f"margin_ratio_low_bps_{i}", "after that rise", lowest, "bps")
    return headroom


def explain_risk(sheet: Sheet, vault: VaultSnapshot, risk: Risk) -> None:
    """Write down how equity, delta, gap and drift come about."""
    sheet.read("price_wad", "oracle", vault.price_wad, "quote per asset, WAD")
    sheet.read("price_divisor", "decimals", scale_of(vault).divisor, "")
    sheet.read("hedge_ratio_bps", "book", vault.state.hedge_ratio_bps, "bps")
    sheet.read("idle_assets", "vault", vault.idle_assets, "assets")
    sheet.read("idle_quote", "book", vault.state.idle_quote, "quote")
    for i, venue in enumerate(vault.venues):
        sheet.read(f"margin_assets_{i}", f"venue {i}", venue.margin.assets, "assets")
        sheet.read(f"margin_quote_{i}", f"venue {i}", venue.margin.quote, "quote")
        sheet.read(f"profit_{i}", f"venue {i}", venue.margin.profit, "quote")
        sheet.read(f"value_{i}", "what the book believes is there", venue.value, "quote")
        sheet.read(f"delta_{i}", f"venue {i}", venue.margin.delta, "assets")
    _explain_totals(sheet, risk, range(len(vault.venues)))
    for i, (venue, figures) in enumerate(zip(vault.venues, risk.venues, strict=True)):
        _explain_venue(sheet, i, venue, figures)


def _explain_totals(sheet: Sheet, risk: Risk, each: range) -> None:
    sheet.derive(
        "assets_held", _sum("idle_assets", "margin_assets_{}", each), risk.assets_held, "assets"
    )
    beside = "max(value_{0}, -1) - div_floor(margin_assets_{0} * price_wad, price_divisor)"
    quote_sum = _sum("idle_quote", beside, each)
    sheet.derive("quote_value", quote_sum, risk.quote_value, "quote")
    sheet.derive(
        "nav",
        "div_floor(assets_held * price_wad, price_divisor) + quote_value",
        risk.nav,
        "quote",
    )
    sheet.derive(
        "equity",
        "assets_held + div_floor(quote_value * price_divisor, price_wad)",
        risk.equity,
        "assets",
    )
    sheet.derive("delta", _sum("assets_held", "delta_{}", each), risk.delta, "assets")
    sheet.derive(
        "target_delta", "div_floor((10000 - hedge_ratio_bps) * equity, 10000)", risk.target_delta,
        "assets",
    )  # fmt: skip
    sheet.derive("gap", "delta - target_delta", risk.gap, "assets, too long positive")
    if risk.drift_bps is not None and risk.exposure_bps is not None:
        sheet.derive("exposure_bps", "div_floor(delta * 10000, equity)", risk.exposure_bps, "bps")
        sheet.derive("drift_bps", "div_ceil(abs(gap) * 10000, equity)", risk.drift_bps, "bps")


def _explain_venue(sheet: Sheet, i: int, venue: VenueSnapshot, figures: VenueRisk) -> None:
    sheet.read(f"basis_bps_{i}", "mark against index", figures.basis_bps, "bps")
    sheet.read(f"funding_year_bps_{i}", "rate x 1,095, longs pay", figures.funding_year_bps, "bps")
    sheet.read(f"margin_equity_{i}", f"venue {i}", venue.margin.equity, "quote")
    sheet.read(f"maintenance_{i}", f"venue {i}", venue.margin.maintenance, "quote")
    if figures.margin_ratio_bps is not None:
        sheet.derive(
            f"margin_ratio_bps_{i}",
            f"div_floor(margin_equity_{i} * 10000, maintenance_{i})",
            figures.margin_ratio_bps,
            "bps",
        )
    if figures.liquidation_price_wad is not None and figures.distance_bps is not None:
        source = "where equity meets maintenance"
        sheet.read(f"liquidation_price_wad_{i}", source, figures.liquidation_price_wad, "WAD")
        sheet.read(f"distance_bps_{i}", "move to that price", figures.distance_bps, "bps")


def _sum(first: str, term: str, each: range) -> str:
    return " + ".join([first, *(term.format(i) for i in each)])


def _hedging(situation: Situation, memory: Memory) -> bool:
    """Return whether drift is being closed: from over the trigger until inside the inner band."""
    drift, sheet = situation.risk.drift_bps, situation.sheet
    if drift is None:
        return False
    inner = situation.vault.limits.inner_band_bps
    sheet.read("inner_band_bps", "book", inner, "bps")
    sheet.read("urgent_band_bps", "book", situation.vault.limits.urgent_band_bps, "bps")
    sheet.read("policy_trigger_bps", "policy", situation.policy.trigger_bps, "bps")
    trigger = sheet.derive(
        "trigger_bps",
        "max(inner_band_bps, min(policy_trigger_bps, urgent_band_bps))",
        _trigger_bps(situation),
        "bps",
    )
    sheet.read("was_hedging", "memory", int(memory.hedging), "")
    ends = max(inner, situation.policy.target_bps)
    return band.hedging(drift, memory.hedging, trigger, ends)


def _trigger_bps(situation: Situation) -> int:
    limits = situation.vault.limits
    return band.trigger_bps(
        situation.policy.trigger_bps, limits.inner_band_bps, limits.urgent_band_bps
    )


def _wish(situation: Situation, hedging: bool) -> Draft | str:
    if situation.risk.equity <= 0:
        risk = situation.risk
        if risk.assets_held == risk.delta == 0 <= risk.quote_value:
            return "the vault is empty"
        return "equity is not positive: a person must look"
    parts: list[Callable[[Situation], Wish]] = [top_up, rescue, settle, take_back]
    if hedging:
        parts.insert(0, hedge)
    whys = []
    for part in parts:
        wish = part(situation)
        if isinstance(wish, Draft):
            return wish
        if wish is not None:
            whys.append(wish)
    return "; ".join(whys) if whys else _calm(situation)


def _calm(situation: Situation) -> str:
    drift = situation.risk.drift_bps
    return f"drift {drift} bps is inside the band of {_trigger_bps(situation)} bps"


def hedge(situation: Situation) -> Wish:
    """Close the gap to the target, as far as one plan may, without those that refuse if it can."""
    wish = _hedge(situation)
    if situation.refusing and not isinstance(wish, Draft):
        return _hedge(replace(situation, refusing=0))
    return wish


def _hedge(situation: Situation) -> Wish:
    risk, policy, sheet = situation.risk, situation.policy, situation.sheet
    wanted = _wanted(situation)
    if situation.vault.state.unwinds:
        closable = _closable(situation, wanted)
        if closable == 0:
            return square(situation, wanted) if not situation.refusing else None
        wanted = closable
    if wanted == 0:
        return None
    direction = sign(wanted)
    sheet.read("max_trade", "book", situation.vault.limits.max_trade, "assets")
    sheet.read("max_trade_bps", "policy", policy.max_trade_bps, "bps")
    legs = sheet.read("venues", "book, those open to trade", len(situation.trading), "")
    cap = sheet.derive(
        "cap",
        "min(abs(wanted), max_trade * venues, max(div_floor(equity * max_trade_bps, 10000), 1))",
        min(
            abs(wanted),
            situation.vault.limits.max_trade * legs,
            max(mul_div_down(risk.equity, policy.max_trade_bps, BPS), 1),
        ),
        "assets",
    )
    if not situation.trading:
        return "the vault has no venue" + " that is not shut" * bool(situation.vault.venues)
    return placed(situation, direction, cap, f"drift {risk.drift_bps} bps")


def _closable(situation: Situation, wanted: int) -> int:
    """Return what of a trade only shrinks positions."""
    side = sign(wanted)
    open_size = sum(positive_part(-side * venue.margin.delta) for _, venue in situation.trading)
    closable = side * min(abs(wanted), open_size)
    return situation.sheet.search("wanted", "what only shrinks positions", closable, "assets")


def _wanted(situation: Situation) -> int:
    risk, sheet = situation.risk, situation.sheet
    if risk.equity <= situation.vault.limits.min_equity:
        return sheet.derive("wanted", "-delta", -risk.delta, "assets, bought positive")
    sheet.read("target_bps", "policy", situation.policy.target_bps, "bps")
    kept = band.edge(risk.gap, risk.equity, situation.policy.target_bps)
    sheet.derive("kept", "sign(gap) * div_floor(equity * target_bps, 10000)", kept, "assets")
    sheet.derive("wanted", "kept - gap", kept - risk.gap, "assets, bought positive")
    return band.trade_wanted(risk.gap, risk.equity, situation.policy.target_bps)


def top_up(situation: Situation) -> Wish:
    """Add margin where a venue has less than its low level; the weakest takes of idle first."""
    low = _low_venues(situation)
    quote_left, assets_left = situation.vault.state.idle_quote, situation.spare_idle
    legs = []
    for venue in sorted(low, key=margin_ratio_bps):
        leg = _top_up_leg(situation, venue, quote_left, assets_left)
        if leg is not None:
            legs.append(leg)
            quote_left = Quote(quote_left - leg.margin_quote)
            assets_left = Assets(assets_left - leg.margin_assets)
    if not legs:
        return "margin is low and nothing idle can be added" if low else None
    plan = situation.plan(*legs)
    broken = situation.fault(plan)
    if broken is not None:
        return f"margin is low, but {broken}"
    explain_plan(situation, plan)
    return Draft(plan=plan, reason="margin is low")


def _low_venues(situation: Situation) -> list[VenueSnapshot]:
    """Return venues under their low level."""
    low = []
    for i, venue in situation.venues:
        need = assets_needed(venue.market, venue.margin, situation.scale, situation.levels.low)
        situation.sheet.search(f"margin_low_{i}", "least assets for the low level", need, "assets")
        if venue.margin.assets < need:
            low.append(venue)
    return low


def _top_up_leg(
    situation: Situation, venue: VenueSnapshot, idle_quote: Quote, spare: Assets
) -> Leg | None:
    """Return what to add at one venue of the idle balances that are left."""
    quote = quote_in(situation, venue.margin, venue, idle_quote)
    margin = with_quote(venue.margin, quote)
    target = assets_needed(venue.market, margin, situation.scale, situation.levels.target)
    lacking = positive_part(target - margin.assets)
    assets = min(lacking, spare, room(situation, margin, venue))
    if quote == 0 and assets < min(situation.least_trade, lacking):
        return None
    return Leg(venue=venue.venue, margin_assets=Assets(assets), margin_quote=quote)


def take_back(situation: Situation) -> Wish:
    """Take margin over the high level back to idle, or over the target when idle is short."""
    short = situation.vault.idle_assets < situation.idle_reserve
    legs = []
    for i, venue in situation.venues:
        margin = secured(venue.margin)
        high = assets_needed(venue.market, margin, situation.scale, situation.levels.high)
        situation.sheet.search(
            f"margin_high_{i}", "least assets for the high level", high, "assets"
        )
        target = assets_needed(venue.market, margin, situation.scale, situation.levels.target)
        surplus = venue.margin.assets - target
        wanted = short or venue.margin.assets > high
        if wanted and surplus >= situation.least_trade:
            legs.append(Leg(venue=venue.venue, margin_assets=Assets(-surplus)))
    if not legs:
        return None
    plan = situation.plan(*legs)
    broken = situation.fault(plan)
    if broken is not None:
        return f"margin is over its target, but {broken}"
    explain_plan(situation, plan)
    return Draft(plan=plan, reason="margin is over its target")
