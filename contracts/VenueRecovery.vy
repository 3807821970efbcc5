# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
# pragma optimize gas
"""
@title Failing accounts and their debts
@notice Part of a venue, which runs this code on its own storage (`modules/venue_ledger.vy`); called
     directly it moves nothing, because its own storage stays empty.
@dev A liquidation moves size to the backstop, the pool's own account, at S * (1 -+ penalty).
     Losses are borne by the account's quote, its asset margin (sold to the pool), the insurance
     fund and then the pool, which queues them for deleveraging; none of it reverts because a
     layer is short. The penalty is what the account can pay, so the insured loss is that
     measured at the index. `LiquidationRules` does this arithmetic.

     Liquidations of solvent accounts are paced: while the window of `WINDOW` seconds holds more
     than the flow of the terms, none begins; it drains in proportion to time. The size of one
     is not cut by it, so a window holds at most the flow and one account.
@custom:units Raw asset and quote units, prices and rates WAD, sizes signed, long positive.
@custom:rounding Against the account.
@custom:halt As `PerpVenue`.
"""

from interfaces import ILiquidationRules
from interfaces import ILiquidityPool
from interfaces import IPriceOracle
from interfaces import IVenueParts
from interfaces import IVenueRecovery

from modules import curve
from modules import fixed_point
from modules import insurance
from modules import margin_rules
from modules import venue_ledger as ledger
from modules import words

implements: IVenueRecovery

uses: curve
uses: margin_rules

initializes: ledger
initializes: insurance[ledger := ledger]

exports: ledger.parts

MAX_ANSWER: constant(uint256) = 1_024  # bytes that a call of `NEXT` returns at most
WAD: constant(uint256) = 10**18
DAY: constant(int256) = 86_400  # seconds
WINDOW: constant(int256) = 600  # seconds, in which the flow of liquidations drains
GATE_SECS: constant(uint256) = 3_600  # withdrawals wait no longer than this for deleveraging
DUST_BPS: constant(uint256) = 1  # of open interest: a smaller loss makes nobody wait
BPS: constant(uint256) = 10_000

NEXT: public(immutable(address))
FLOW: immutable(int256)  # asset units a window
LOAN_SHARE_WAD: immutable(uint256)  # of the asset margin's value
SOLD_AT_WAD: immutable(uint256)  # 1 - discount
REALISE_SHARE_WAD: immutable(uint256)  # of pool equity, a day


@deploy
def __init__(next: address):
    """
    @param next `Deleverager` of the same venue, which has the calls that are not here; the parts
        are taken from it. It may write all storage of the venue.
    """
    parts: IVenueParts.Parts = staticcall IVenueParts(next).parts()
    terms: ILiquidationRules.Terms = staticcall ILiquidationRules(parts.rules).terms()
    ledger.__init__(parts)
    NEXT = next
    FLOW = convert(terms.liquidation_flow, int256)
    LOAN_SHARE_WAD = terms.loan_share_wad
    SOLD_AT_WAD = WAD - terms.discount_wad
    REALISE_SHARE_WAD = terms.realise_share_wad


# Calls open to users


@external
def liquidate(account: address) -> int256:
    ledger.require(account != ledger.POOL, "venue: backstop account")
    price: IPriceOracle.Price = ledger.read_price()
    indices: int256 = ledger.accrue(price.price_wad)
    failed: ILiquidationRules.Account = empty(ILiquidationRules.Account)
    owed: int256 = 0
    (failed, owed) = ledger.settled(account, indices)
    stop: ILiquidationRules.Account = ledger.settled(ledger.POOL, indices)[0]
    done: ILiquidationRules.Outcome = staticcall ILiquidationRules(ledger.RULES).outcome(
        failed, stop, price.price_wad
    )
    if done.equity_before > 0:
        self._pace(abs(done.size))
    quote_before: int256 = failed.quote
    ledger.resize(failed.size, done.size_after, done.entry_after - failed.entry)
    failed.size = done.size_after
    failed.entry = done.entry_after
    failed.quote = done.quote_after
    failed.assets -= done.assets_sold
    failed.funding_index_wad = ledger.index_of(failed.size, indices)
    ledger.store(account, failed)
    grown: ILiquidationRules.Account = stop
    grown.size = done.backstop_size_after
    grown.entry = done.backstop_entry_after
    ledger.store_backstop(stop, grown, indices)

    # The fund pays the reward first, or nobody would come for a bankrupt account.
    covered: uint256 = insurance.covered(done.loss + done.reward_unpaid)
    bonus: uint256 = min(covered, done.reward_unpaid)
    deficit: uint256 = done.loss - (covered - bonus)
    self._book_failure(done, quote_before, bonus)
    quote_after: int256 = self._credit(msg.sender, done.reward + bonus, indices)
    if deficit > 0:
        self._queue(done.size, deficit, price.price_wad)
    log IVenueRecovery.AccountLiquidated(
        account=account,
        liquidator=msg.sender,
        outcome=done,
        funding=owed,
        covered=covered,
        reward=done.reward + bonus,
        deficit=deficit,
        quote_before=quote_before,
        liquidator_quote_after=quote_after,
        pool_claim_after=words.high_of(ledger.claims),
        fund_claim_after=convert(words.low_of(ledger.claims), uint256),
        price_wad=price.price_wad,
        oracle_round_id=price.round_id,
    )
    return done.size


@external
def settle_debt(account: address) -> uint256:
    price: IPriceOracle.Price = ledger.read_price()
    indices: int256 = ledger.accrue(price.price_wad)
    before: ILiquidationRules.Account = empty(ILiquidationRules.Account)
    owed: int256 = 0
    (before, owed) = ledger.settled(account, indices)
    debt: uint256 = fixed_point.positive_part(-before.quote)
    ledger.require(debt > 0 and before.assets > 0, "venue: nothing to settle")
    backed: uint256 = margin_rules.share_down(before.assets, price.price_wad, LOAN_SHARE_WAD)
    ledger.require(msg.sender == account or debt > backed, "venue: debt is backed")
    after: ILiquidationRules.Account = before
    sold: uint256 = min(before.assets, margin_rules.assets_for(debt, price.price_wad, SOLD_AT_WAD))
    brought: int256 = convert(margin_rules.share_down(sold, price.price_wad, SOLD_AT_WAD), int256)
    after.assets -= sold
    after.quote += brought
    ledger.lend(0, convert(sold, int256))
    ledger.claim(-brought, 0)
    ledger.store(account, after)
    log IVenueRecovery.DebtSettled(
        account=account,
        caller=msg.sender,
        funding=owed,
        assets_sold=sold,
        assets_after=after.assets,
        quote_before=before.quote,
        quote_after=after.quote,
        price_wad=price.price_wad,
        oracle_round_id=price.round_id,
    )
    return sold


@external
def realise() -> uint256:
    price: IPriceOracle.Price = ledger.read_price()
    indices: int256 = ledger.accrue(price.price_wad)
    before: ILiquidationRules.Account = empty(ILiquidationRules.Account)
    owed: int256 = 0
    (before, owed) = ledger.settled(msg.sender, indices)
    index_value: int256 = margin_rules.value_down(before.size, price.price_wad)
    closing_value: int256 = -curve.cost(ledger.skew(), -before.size, price.price_wad)
    profit: uint256 = fixed_point.positive_part(min(index_value, closing_value) - before.entry)
    ledger.require(profit > 0, "venue: no profit")
    quote: uint256 = self._within_rate(min(profit, self._payable()), price.price_wad, indices)
    ledger.require(quote > 0, "venue: no profit payable now")
    after: ILiquidationRules.Account = before
    after.quote += convert(quote, int256)
    after.entry += convert(quote, int256)
    ledger.resize(before.size, after.size, after.entry - before.entry)
    ledger.claim(-convert(quote, int256), 0)
    ledger.store(msg.sender, after)
    log IVenueRecovery.ProfitRealised(
        account=msg.sender,
        quote=quote,
        funding=owed,
        entry_before=before.entry,
        entry_after=after.entry,
        quote_before=before.quote,
        quote_after=after.quote,
        price_wad=price.price_wad,
        oracle_round_id=price.round_id,
    )
    return quote


@external
def settle():
    if ledger.stage_of(ledger.clock) == ledger.CLOSED:
        # What claims left was sent when they were fixed; what is here is paid by then.
        ledger.require(ledger.claims_fixed, "venue: wound up")
        return
    loans: int256 = ledger.loans
    assets: uint256 = convert(words.low_of(loans), uint256)
    # Tokens here beyond positive balances and the fund's; what accounts borrowed, the pool lent.
    surplus: int256 = words.high_of(ledger.claims) - words.high_of(loans)
    sent: uint256 = fixed_point.positive_part(surplus)
    if surplus < 0:
        surplus = -convert(ledger.draw(convert(-surplus, uint256)), int256)
    ledger.claim(-convert(sent, int256), 0)
    ledger.quote_held -= sent
    ledger.lend(0, -words.low_of(loans))
    ledger.send(ledger.QUOTE, ledger.POOL, sent)
    ledger.send(ledger.ASSET, ledger.POOL, assets)
    extcall ILiquidityPool(ledger.POOL).book(sent, assets)
    log IVenueRecovery.PoolSettled(
        quote=surplus,
        assets=assets,
        pool_claim_after=words.high_of(ledger.claims),
        quote_held_after=ledger.quote_held,
    )


@external
def pay_fund() -> uint256:
    ledger.require(msg.sender == ledger.FUND, "venue: not the fund")
    if ledger.stage_of(ledger.clock) == ledger.CLOSED:
        ledger.require(ledger.claims_fixed, "venue: wound up")
    claim: uint256 = convert(words.low_of(ledger.claims), uint256)
    if claim > ledger.quote_held:  # lent out: the pool sends what it can
        ledger.draw(claim - ledger.quote_held)
    paid: uint256 = min(claim, ledger.quote_held)
    ledger.claim(0, -convert(paid, int256))
    ledger.quote_held -= paid
    ledger.send(ledger.QUOTE, ledger.FUND, paid)
    log IVenueRecovery.FundPaid(
        quote=paid,
        pool_claim_after=words.high_of(ledger.claims),
        fund_claim_after=claim - paid,
        quote_held_after=ledger.quote_held,
    )
    return paid


# Reentrant: the code that runs takes the lock, in the same word of storage.
@external
@reentrant
@raw_return
def __default__() -> Bytes[MAX_ANSWER]:
    return raw_call(NEXT, msg.data, max_outsize=MAX_ANSWER, is_delegate_call=True)


# Views


@external
@view
def liquidation(account: address, price_wad: uint256) -> (bool, uint256, uint256):
    if account == ledger.POOL:
        return False, 0, 0
    return staticcall ILiquidationRules(ledger.RULES).assess(
        ledger.account_at(account, ledger.indices_now()), price_wad
    )


@external
@view
def queue(long: bool) -> (uint256, uint256):
    waiting: int256 = ledger.queued[long]
    return convert(words.high_of(waiting), uint256), convert(words.low_of(waiting), uint256)


@external
@view
def stage() -> uint256:
    stage: int256 = ledger.stage_of(ledger.clock)
    if stage == ledger.GATED and not ledger.gated():
        stage = ledger.OPEN
    return convert(stage, uint256)


# Internals


@internal
def _pace(size: int256):
    level: int256 = self._drained(ledger.liquidated, FLOW, WINDOW)
    ledger.require(level < FLOW, "venue: liquidations are paced")
    ledger.liquidated = words.pack(level + size, convert(block.timestamp, int256))


@internal
@view
def _drained(window: int256, flow: int256, period: int256) -> int256:
    """
    @dev What is left in a window that drains by `flow` in `period` seconds, up.
    """
    secs: int256 = min(convert(block.timestamp, int256) - words.low_of(window), period)
    return max(0, words.high_of(window) - fixed_point.div_floor(flow * secs, period))


@internal
def _book_failure(done: ILiquidationRules.Outcome, quote_before: int256, bonus: uint256):
    """
    @dev Tokens here = accounts + pool + fund: what the others did not get is the pool's.
    """
    ledger.lend(0, convert(done.assets_sold, int256))
    ledger.claim(
        quote_before - done.quote_after - convert(done.reward + bonus + done.fund_penalty, int256),
        convert(done.fund_penalty, int256),
    )


@internal
def _credit(owner: address, quote: uint256, indices: int256) -> int256:
    """
    @dev Adds to a balance, which is returned. Only one in debt has to be settled for it.
    """
    margin: int256 = ledger.accounts[owner].margin
    after: int256 = words.high_of(margin) + convert(quote, int256)
    if words.high_of(margin) >= 0:
        ledger.accounts[owner].margin = words.pack(after, words.low_of(margin))
        return after
    account: ILiquidationRules.Account = ledger.settled(owner, indices)[0]
    account.quote += convert(quote, int256)
    ledger.store(owner, account)
    return account.quote


@internal
def _queue(size: int256, deficit: uint256, price_wad: uint256):
    """
    @dev A loss that is no dust beside open interest also makes withdrawals wait, and so does the
         dust with which all that waits becomes that much; more dust then does not prolong it.
    """
    waiting: int256 = ledger.queued[size > 0]
    before: uint256 = convert(words.high_of(waiting), uint256)
    ledger.queued[size > 0] = words.pack(
        words.high_of(waiting) + convert(deficit, int256), words.low_of(waiting) + abs(size)
    )
    sizes: int256 = ledger.sizes
    open_interest: int256 = words.high_of(sizes) + words.low_of(sizes)
    notional: int256 = margin_rules.value_up(open_interest, price_wad)
    least: uint256 = fixed_point.mul_div_up(convert(notional, uint256), DUST_BPS, BPS)
    if deficit >= least or (before < least and before + deficit >= least):
        ledger.gated_until = block.timestamp + GATE_SECS
        ledger.enter(ledger.GATED)
        log IVenueRecovery.WithdrawalsGated(until=ledger.gated_until)


@internal
@view
def _payable() -> uint256:
    """
    @dev Quote that the pool has here and there beyond what it lent.
    """
    here: int256 = words.high_of(ledger.claims) - words.high_of(ledger.loans)
    held: uint256 = (staticcall ILiquidityPool(ledger.POOL).holdings())[0]
    return fixed_point.positive_part(here + convert(held, int256))


@internal
def _within_rate(quote: uint256, price_wad: uint256, indices: int256) -> uint256:
    """
    @dev As much of `quote` as a window of a day, the share of pool equity wide, has room for.
    """
    equity: uint256 = fixed_point.positive_part(ledger.pool_equity(price_wad, indices))
    width: int256 = convert(fixed_point.mul_div_down(equity, REALISE_SHARE_WAD, WAD), int256)
    level: int256 = self._drained(ledger.realised, width, DAY)
    room: uint256 = fixed_point.positive_part(width - level)
    taken: uint256 = min(quote, room)
    ledger.realised = words.pack(level + convert(taken, int256), convert(block.timestamp, int256))
    return taken
