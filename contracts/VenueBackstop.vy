# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
# pragma optimize gas
"""
@title How the backstop gets rid of what it took
@notice Part of a venue, which runs this code on its own storage (`modules/venue_ledger.vy`); called
     directly it moves nothing, because its own storage stays empty.
@dev Everybody sees the backstop's size and knows its side. If it sold on the curve, whoever goes
     ahead would gain its whole move of the premium, for nothing but the price risk until then.
     So it sells to takers at a price that no size moves, with K unchanged (`modules/auction.vy`):

         p = max(0, K / L, its 30-minute mean, min(p when the position came, side / L))

     K pushed for a moment is outweighed by the mean, and pushed for long by what p was; that
     binds until the position's side itself is smaller, because who opens the other side may be
     the taker's partner: without it, with 20 long beside 20 of the backstop's at L = 1,000, a
     short of 40 held for a day gained 914 quote on a notional of 40,000. A taker pays the taker
     fee: without it, who knows a move of 5 bp gains 7 quote on 70,000.

     What is left when selling all of it moves the premium by no more than two maker fees is
     closed on the curve, in steps, one a minute: who goes ahead pays as much as he gains.
@custom:units Raw asset and quote units, prices and rates WAD, sizes signed, long positive.
@custom:rounding Against the account.
@custom:halt As `PerpVenue`.
"""

from interfaces import ILiquidationRules
from interfaces import IPriceOracle
from interfaces import IVenueBackstop
from interfaces import IVenueParts

from modules import auction
from modules import backing
from modules import curve
from modules import fixed_point
from modules import margin_rules
from modules import position
from modules import venue_ledger as ledger
from modules import words

implements: IVenueBackstop

uses: curve
uses: margin_rules

initializes: ledger
initializes: backing[ledger := ledger, curve := curve, margin_rules := margin_rules]

exports: ledger.parts

MAX_ANSWER: constant(uint256) = 1_024  # bytes that a call of `NEXT` returns at most
WAD: constant(uint256) = 10**18
UNWIND_PERIOD: constant(uint256) = 60  # seconds between two steps of the backstop

NEXT: public(immutable(address))
UNWIND_STEP: immutable(int256)  # asset units
MAX_UNWOUND: immutable(int256)  # asset units; all of it moves the premium by two maker fees
PREMIUM_CAP_WAD: immutable(int256)
FUND_SHARE_WAD: immutable(uint256)
MAX_DISCOUNT_WAD: immutable(uint256)  # half of the pool's part of a penalty


@deploy
def __init__(next: address):
    """
    @param next `VenueWindUp` of the same venue, which has the calls that are not here; the parts
        are taken from it. It may write all storage of the venue.
    """
    parts: IVenueParts.Parts = staticcall IVenueParts(next).parts()
    terms: ILiquidationRules.Terms = staticcall ILiquidationRules(parts.rules).terms()
    ledger.__init__(parts)
    NEXT = next
    UNWIND_STEP = convert(terms.unwind_step, int256)
    MAX_UNWOUND = convert(
        fixed_point.mul_div_down(2 * terms.maker_fee_wad, terms.skew_scale, WAD), int256
    )
    PREMIUM_CAP_WAD = convert(terms.premium_cap_wad, int256)
    FUND_SHARE_WAD = terms.fund_share_wad
    MAX_DISCOUNT_WAD = fixed_point.mul_div_down(
        terms.penalty_wad, WAD - terms.fund_share_wad, 2 * WAD
    )


# Calls open to users


@external
def take_over(size: int256, limit_price_wad: uint256) -> int256:
    price: IPriceOracle.Price = ledger.read_price()
    indices: int256 = ledger.accrue(price.price_wad)
    ledger.require(not ledger.gated(), "venue: deleveraging first")
    before: ILiquidationRules.Account = empty(ILiquidationRules.Account)
    owed: int256 = 0
    (before, owed) = ledger.settled(msg.sender, indices)
    stop: ILiquidationRules.Account = ledger.settled(ledger.POOL, indices)[0]
    ledger.require(
        min(size, 0) >= min(stop.size, 0) and max(size, 0) <= max(stop.size, 0) and size != 0,
        "venue: not the backstop's",
    )
    offer: IVenueBackstop.Offer = self._offer(stop.size)
    self._require_within(size, offer.rate_wad, price.price_wad, limit_price_wad)

    cost: int256 = self._cost(size, offer.rate_wad, price.price_wad)
    fee: uint256 = margin_rules.share_up(
        fixed_point.magnitude(size), price.price_wad, curve.TAKER_FEE_WAD
    )
    fund_fee: uint256 = fixed_point.mul_div_down(fee, FUND_SHARE_WAD, WAD)
    closing_cost: int256 = 0
    if position.flips(before.size, size):
        closing_cost = self._cost(-before.size, offer.rate_wad, price.price_wad)
    after: ILiquidationRules.Account = before
    realised: int256 = 0
    (after, realised) = position.changed(before, size, cost, closing_cost)
    after.quote += realised - convert(fee, int256)
    after.funding_index_wad = ledger.index_of(after.size, indices)
    equity: int256 = margin_rules.equity(after, price.price_wad)
    if not backing.is_covered_rest(before, after.size, equity, price.price_wad):
        equity += min(backing.closing_gain(after.size, price.price_wad), 0)
        backing.require_initial(equity, after.size, price.price_wad)
    ledger.resize(before.size, after.size, after.entry - before.entry)
    ledger.claim(before.quote - after.quote - convert(fund_fee, int256), convert(fund_fee, int256))
    ledger.store(msg.sender, after)
    left: ILiquidationRules.Account = position.changed(stop, -size, -cost, 0)[0]
    ledger.store_backstop(stop, left, indices)
    log IVenueBackstop.BackstopTaken(
        account=msg.sender,
        size=size,
        cost=cost,
        fee=fee,
        fund_fee=fund_fee,
        funding=owed,
        size_before=before.size,
        size_after=after.size,
        entry_before=before.entry,
        entry_after=after.entry,
        quote_before=before.quote,
        quote_after=after.quote,
        backstop_size_before=stop.size,
        backstop_size_after=left.size,
        backstop_entry_before=stop.entry,
        backstop_entry_after=left.entry,
        premium_wad=offer.premium_wad,
        discount_wad=offer.discount_wad,
        price_wad=price.price_wad,
        oracle_round_id=price.round_id,
    )
    return cost + convert(fee, int256)


@external
def unwind() -> int256:
    price: IPriceOracle.Price = ledger.read_price()
    indices: int256 = ledger.accrue(price.price_wad)
    ledger.require(not ledger.gated(), "venue: deleveraging first")
    ledger.require(
        block.timestamp >= ledger.unwound_at + UNWIND_PERIOD, "venue: unwound a moment ago"
    )
    stop: ILiquidationRules.Account = ledger.settled(ledger.POOL, indices)[0]
    step: int256 = min(abs(stop.size), UNWIND_STEP)
    ledger.require(step != 0, "venue: nothing to unwind")
    # What moves the premium by more is worth the fees of whoever goes ahead.
    ledger.require(abs(stop.size) <= MAX_UNWOUND, "venue: takers first")
    size: int256 = -step if stop.size > 0 else step
    skew: int256 = ledger.skew()
    ledger.require(self._premium_within(skew, skew + size), "venue: premium cap")
    cost: int256 = curve.cost(skew, size, price.price_wad)
    after: ILiquidationRules.Account = position.changed(stop, size, cost, 0)[0]
    ledger.store_backstop(stop, after, indices)
    ledger.unwound_at = block.timestamp
    log IVenueBackstop.BackstopUnwound(
        size=size,
        cost=cost,
        size_before=stop.size,
        size_after=after.size,
        entry_before=stop.entry,
        entry_after=after.entry,
        price_wad=price.price_wad,
        oracle_round_id=price.round_id,
    )
    return size


# Reentrant: the code that runs takes the lock, in the same word of storage.
@external
@reentrant
@raw_return
def __default__() -> Bytes[MAX_ANSWER]:
    return raw_call(NEXT, msg.data, max_outsize=MAX_ANSWER, is_delegate_call=True)


# Views


@external
@view
def offer() -> IVenueBackstop.Offer:
    return self._offer(ledger.load(ledger.POOL).size)


# Internals


@internal
@view
def _offer(size: int256) -> IVenueBackstop.Offer:
    sizes: int256 = ledger.sizes
    side: int256 = words.high_of(sizes) if size > 0 else words.low_of(sizes)
    came_wad: int256 = 0
    waited: int256 = 0
    (came_wad, waited) = ledger.sale()
    premium_wad: int256 = max(min(came_wad, curve.premium(side)), ledger.premium_towards(size))
    discount_wad: int256 = auction.discount(MAX_DISCOUNT_WAD, waited)
    return IVenueBackstop.Offer(
        size=size,
        premium_wad=premium_wad,
        discount_wad=discount_wad,
        rate_wad=auction.rate(size > 0, premium_wad, discount_wad),
    )


@internal
@pure
def _require_within(size: int256, rate_wad: int256, price_wad: uint256, limit_price_wad: uint256):
    """
    @dev Compared before any division; a limit above any fill keeps the product inside its type.
    """
    fill: uint256 = price_wad * convert(rate_wad, uint256)
    limit: uint256 = min(limit_price_wad, 8 * price_wad) * WAD
    ledger.require(fill <= limit if size > 0 else fill >= limit, "venue: fill over the limit")


@internal
@view
def _cost(size: int256, rate_wad: int256, price_wad: uint256) -> int256:
    """
    @dev size * S * rate, quote, up.
    """
    return fixed_point.div_ceil(
        size * convert(price_wad, int256) * rate_wad, convert(curve.WAD_DIVISOR, int256)
    )


@internal
@view
def _premium_within(skew_before: int256, skew_after: int256) -> bool:
    """
    @dev Whether |K| / L stays under its cap or does not grow.
    """
    return abs(skew_after) <= abs(skew_before) or (
        abs(skew_after) * convert(WAD, int256) <= PREMIUM_CAP_WAD * curve.SKEW_SCALE
    )
