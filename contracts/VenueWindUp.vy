# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
# pragma optimize gas
"""
@title The end of a venue at a frozen price
@notice Part of a venue, which runs this code on its own storage (`modules/venue_ledger.vy`); called
     directly it moves nothing, because its own storage stays empty.
@dev When the pool owes more at the index than it has, for an hour, or nobody has seen a price
     for a week, anyone may end the venue: the first call says so, and any priced call, or one of
     `wind_up` with the cause gone, takes it back. The price of its last touch stands for good;
     the pool hands over all it has. Positions are closed at that price: a loss is paid by the account's
     quote, its asset margin and the insurance fund, a profit becomes a claim, once what the
     account owes is taken off.

     When all are closed, with Q and A the tokens here, claims are paid in ranks, each from what
     the one before leaves: balances W, profits P, the insurance fund F, the pool.

         in quote    min(claims, Q left)
         in assets   what is lacking then, at the frozen price, from A left

     Every claim of a rank gets the same share of both, rounded down, so that payouts never
     exceed what is here. The order of calls decides nothing but roundings.
@custom:units Raw asset and quote units, prices WAD, sizes signed, long positive.
@custom:rounding Against the account.
@custom:halt As `PerpVenue`.
"""

from interfaces import IInsuranceFund
from interfaces import ILiquidationRules
from interfaces import ILiquidityPool
from interfaces import IPriceOracle
from interfaces import IVenueParts
from interfaces import IVenueWindUp

from modules import curve
from modules import fixed_point
from modules import insurance
from modules import margin_rules
from modules import venue_ledger as ledger
from modules import words

implements: IVenueWindUp

uses: curve
uses: margin_rules

initializes: ledger
initializes: insurance[ledger := ledger]

exports: ledger.parts

WAD: constant(uint256) = 10**18
NO_CAUSE: constant(uint256) = 0
INSOLVENT: constant(uint256) = 1
NO_PRICE: constant(uint256) = 2
INSOLVENT_SECS: constant(uint256) = 3_600
NO_PRICE_SECS: constant(uint256) = 7 * 86_400
MAX_ACCOUNTS: constant(uint256) = 100


@deploy
def __init__(parts: IVenueParts.Parts):
    """
    @param parts What the venue consists of.
    """
    asset: address = parts.asset
    quote: address = parts.quote
    ledger.__init__(parts)
    assert (
        staticcall ILiquidationRules(parts.rules).ASSET() == asset
    ), "venue: rules of other tokens"
    assert (
        staticcall ILiquidationRules(parts.rules).QUOTE() == quote
    ), "venue: rules of other tokens"
    assert staticcall ILiquidityPool(parts.pool).ASSET() == asset, "venue: pool of other tokens"
    assert staticcall ILiquidityPool(parts.pool).QUOTE() == quote, "venue: pool of other tokens"
    assert staticcall IInsuranceFund(parts.fund).QUOTE() == quote, "venue: fund of another token"


# Calls open to users


@external
def wind_up() -> bool:
    stage: int256 = ledger.stage_of(ledger.clock)
    ledger.require(stage != ledger.CLOSED, "venue: wound up")
    ledger.require(stage != ledger.BATCH, "venue: deleveraging runs")
    marked: bool = ledger.priceless(ledger.clock)
    cause: uint256 = self._cause()
    if not self._has_lasted(cause, marked):
        return False
    self._wind_up(cause)
    return True


@external
def close(accounts: DynArray[address, MAX_ACCOUNTS]):
    ledger.require(self._closing(), "venue: not winding up")
    for account: address in accounts:
        self._close(account)


@external
def fix_claims():
    ledger.require(self._closing(), "venue: not winding up")
    stop: ILiquidationRules.Account = ledger.load(ledger.POOL)
    sizes: int256 = ledger.sizes
    ledger.require(
        words.high_of(sizes) + words.low_of(sizes) == abs(stop.size)
        and words.high_of(ledger.loans) == 0,
        "venue: accounts are open",
    )
    self._close_backstop(stop)
    claims: int256 = ledger.claims
    fund_claim: uint256 = convert(words.low_of(claims), uint256)
    # Conservation: what is neither the pool's nor the fund's is the accounts'.
    balances: int256 = (
        convert(ledger.quote_held, int256) - words.high_of(claims) - words.low_of(claims)
    )
    quote: uint256 = ledger.quote_held
    assets: uint256 = convert(words.low_of(ledger.loans), uint256)
    ranks: IVenueWindUp.Payout[2] = empty(IVenueWindUp.Payout[2])
    ranks[0] = self._paid(convert(balances, uint256), quote, assets)
    quote -= ranks[0].quote
    assets -= ranks[0].assets
    ranks[1] = self._paid(ledger.profits_of_all, quote, assets)
    quote -= ranks[1].quote
    assets -= ranks[1].assets
    fund_after: uint256 = min(fund_claim, quote)
    quote -= fund_after
    ledger.payouts = ranks
    ledger.claims_fixed = True
    ledger.claim(
        convert(fund_claim, int256) - convert(fund_after + quote, int256),
        convert(fund_after, int256) - convert(fund_claim, int256),
    )
    ledger.quote_held -= quote
    ledger.lend(0, -convert(assets, int256))
    ledger.send(ledger.QUOTE, ledger.POOL, quote)
    ledger.send(ledger.ASSET, ledger.POOL, assets)
    extcall ILiquidityPool(ledger.POOL).book(quote, assets)
    log IVenueWindUp.ClaimsFixed(
        balances=ranks[0],
        profits=ranks[1],
        fund_claim_before=fund_claim,
        fund_claim_after=fund_after,
        quote=quote,
        assets=assets,
    )


@external
def release(account: address):
    ledger.require(ledger.claims_fixed, "venue: claims are not fixed")
    ledger.require(not ledger.released[account], "venue: released already")
    ledger.released[account] = True
    before: ILiquidationRules.Account = ledger.load(account)
    claims: uint256[2] = [convert(before.quote, uint256), ledger.profits[account]]
    ledger.profits[account] = 0
    quote: uint256 = 0
    assets: uint256 = 0
    for rank: uint256 in range(2):
        if claims[rank] == 0:
            continue
        paid: IVenueWindUp.Payout = ledger.payouts[rank]
        quote += fixed_point.mul_div_down(claims[rank], paid.quote, paid.claims)
        assets += fixed_point.mul_div_down(claims[rank], paid.assets, paid.claims)
    after: ILiquidationRules.Account = before
    after.quote = convert(quote, int256)
    after.assets += assets
    ledger.claim(before.quote - after.quote, 0)
    ledger.lend(0, -convert(assets, int256))
    ledger.store(account, after)
    log IVenueWindUp.AccountReleased(
        account=account,
        claim=claims[1],
        assets_before=before.assets,
        assets_after=after.assets,
        quote_before=before.quote,
        quote_after=after.quote,
    )


# Views


@external
@view
def wind_up_flag() -> (uint256, uint256):
    flagged: int256 = ledger.flagged
    return convert(words.high_of(flagged), uint256), convert(words.low_of(flagged), uint256)


@external
@view
def payout(rank: uint256) -> IVenueWindUp.Payout:
    return ledger.payouts[rank]


@external
@view
def profit_claim(account: address) -> uint256:
    return ledger.profits[account]


# Internals


@internal
def _has_lasted(cause: uint256, marked: bool) -> bool:
    """
    @dev Whether the cause was flagged long enough ago, and holds since: no priced call came
         since the price was missed; insolvency was seen within twice its time. Otherwise the
         flag is set anew, or taken down.
    """
    flagged: int256 = ledger.flagged
    before: uint256 = convert(words.high_of(flagged), uint256)
    waited: uint256 = block.timestamp - convert(words.low_of(flagged), uint256)
    holds: bool = marked if cause == NO_PRICE else waited <= 2 * INSOLVENT_SECS
    if cause == before and (holds or cause == NO_CAUSE):
        return cause != NO_CAUSE and waited >= (
            NO_PRICE_SECS if cause == NO_PRICE else INSOLVENT_SECS
        )
    ledger.flagged = words.pack(convert(cause, int256), convert(block.timestamp, int256))
    if cause == NO_PRICE:
        ledger.enter(ledger.stage_of(ledger.clock) | ledger.PRICELESS)
    log IVenueWindUp.WindUpFlagged(cause_before=before, cause_after=cause)
    return False


@internal
def _cause() -> uint256:
    """
    @dev Why the venue may be wound up now, funding accrued.
    """
    good: bool = False
    price: IPriceOracle.Price = empty(IPriceOracle.Price)
    reason: String[32] = ""
    (good, price, reason) = staticcall IPriceOracle(ledger.ORACLE).try_read()
    if not good or price.price_wad > ledger.MAX_PRICE:
        indices: int256 = ledger.accrue(0)
        return NO_PRICE
    indices: int256 = ledger.accrue(price.price_wad)
    return INSOLVENT if self._index_equity(price.price_wad, indices) < 0 else NO_CAUSE


@internal
@view
def _index_equity(price_wad: uint256, indices: int256) -> int256:
    """
    @dev Pool equity with everybody but the backstop closed at the index, which no trade moves.
    """
    others: int256 = ledger.skew() - ledger.load(ledger.POOL).size
    return (
        ledger.pool_equity(price_wad, indices)
        + curve.closing_value(ledger.skew(), ledger.load(ledger.POOL).size, price_wad)
        - margin_rules.value_up(others, price_wad)
    )


@internal
def _wind_up(cause: uint256):
    ledger.enter(ledger.CLOSED)
    quote: uint256 = 0
    assets: uint256 = 0
    (quote, assets) = extcall ILiquidityPool(ledger.POOL).hand_over()
    ledger.quote_held += quote
    ledger.claim(convert(quote, int256), 0)
    ledger.lend(0, convert(assets, int256))
    log IVenueWindUp.WoundUp(
        cause=cause,
        price_wad=convert(ledger.price_of(ledger.clock), uint256),
        quote=quote,
        assets=assets,
    )


@internal
@view
def _closing() -> bool:
    return ledger.stage_of(ledger.clock) == ledger.CLOSED and not ledger.claims_fixed


@internal
def _close(owner: address):
    before: ILiquidationRules.Account = empty(ILiquidationRules.Account)
    owed: int256 = 0
    if owner == ledger.POOL:
        return
    (before, owed) = ledger.settled(owner, ledger.indices)
    if before.size == 0 and before.quote >= 0:
        return
    price_wad: uint256 = convert(ledger.price_of(ledger.clock), uint256)
    profit: int256 = margin_rules.value_down(before.size, price_wad) - before.entry
    total: int256 = before.quote + profit
    # A profit pays what the account owes first; the rest of it is the claim.
    claim: int256 = max(0, min(profit, total))
    has: int256 = total - claim
    sold: uint256 = 0
    if has < 0:
        lacking: uint256 = convert(-has, uint256)
        sold = min(before.assets, margin_rules.assets_for(lacking, price_wad, WAD))
        has += convert(margin_rules.share_down(sold, price_wad, WAD), int256)
    loss: uint256 = fixed_point.positive_part(-has)
    after: ILiquidationRules.Account = before
    after.size = 0
    after.entry = 0
    after.funding_index_wad = 0
    after.assets -= sold
    after.quote = max(has, 0)
    ledger.resize(before.size, 0, -before.entry)
    ledger.lend(0, convert(sold, int256))
    ledger.claim(before.quote - after.quote, 0)
    ledger.store(owner, after)
    ledger.profits[owner] = convert(claim, uint256)
    ledger.profits_of_all += convert(claim, uint256)
    covered: uint256 = insurance.covered(loss)
    log IVenueWindUp.AccountClosed(
        account=owner,
        size=before.size,
        profit=profit,
        funding=owed,
        assets_sold=sold,
        covered=covered,
        deficit=loss - covered,
        claim=convert(claim, uint256),
        quote_before=before.quote,
        quote_after=after.quote,
    )


@internal
def _close_backstop(stop: ILiquidationRules.Account):
    """
    @dev The pool closes against itself: sizes and sums forget it.
    """
    closed: ILiquidationRules.Account = ledger.settled(ledger.POOL, ledger.indices)[0]
    ledger.resize(stop.size, 0, -stop.entry)
    closed.size = 0
    closed.entry = 0
    closed.funding_index_wad = 0
    ledger.store(ledger.POOL, closed)


@internal
@view
def _paid(claims: uint256, quote: uint256, assets: uint256) -> IVenueWindUp.Payout:
    """
    @dev A rank's part of the quote and assets that are left.
    """
    price_wad: uint256 = convert(ledger.price_of(ledger.clock), uint256)
    in_quote: uint256 = min(claims, quote)
    lacking: uint256 = claims - in_quote
    in_assets: uint256 = 0
    if lacking > 0:
        in_assets = min(
            assets,
            fixed_point.mul_div_down(lacking, convert(curve.PRICE_DIVISOR, uint256), price_wad),
        )
    return IVenueWindUp.Payout(claims=claims, quote=in_quote, assets=in_assets)
