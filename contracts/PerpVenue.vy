# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
# pragma optimize gas
"""
@title A perpetual market against a pool
@notice Accounts hold asset and quote as margin and trade a perpetual on the curve. Value is
     measured at the index, which no trade can move; ordinary trades pay the curve; forced ones
     never touch it.
@dev With S the index price, K the skew and q an account's signed size:

         profit   q * S - entry
         equity   quote + assets * S * (1 - haircut) + profit, funding and interest paid
         worse    the same with min(q * S, what closing q on the curve now would bring)

     To open, equity at the worse is at least the initial margin; to withdraw, the same without
     unrealised profit or borrowing. A reduction keeps the maintenance margin of what remains,
     and at least as much equity per size as before: otherwise an account could sell low to its
     owner's other one until it has nothing, and leave the rest to be taken at the index.

     Caps bind only what increases |q|: a side stays under its cap and under the share of pool
     equity that a skew may be, because whoever balances it may leave.

     What happens when accounts fail is in `VenueRecovery`, `Deleverager`, `VenueBackstop` and
     `VenueWindUp`: calls that are not here run their code on this storage, under this lock. Profit
     and loss against the pool is booked in `pool_claim`; trades move no tokens
     (`modules/venue_ledger.vy`).
@custom:units Raw asset and quote units, prices and rates WAD, sizes signed, long positive.
@custom:rounding Against the account.
@custom:halt Nobody can stop it. Without a good price nobody trades, is liquidated, or withdraws
     against a position or a loan; deposits and withdrawals of accounts without either work.
     While a substantial loss waits for deleveraging nobody withdraws, for an hour at most;
     while a batch of more than one call runs nothing moves, for ten minutes at most. Wound up,
     everybody withdraws what `VenueWindUp.release` gave him.
"""

from ethereum.ercs import IERC20
from interfaces import IHedgeVenue
from interfaces import ILiquidationRules
from interfaces import IPerpVenue
from interfaces import IPriceOracle
from interfaces import IVenueParts

from modules import backing
from modules import curve
from modules import fixed_point
from modules import funding
from modules import margin_rules
from modules import position
from modules import venue_ledger as ledger
from modules import words

implements: IHedgeVenue
implements: IPerpVenue

uses: curve
uses: funding
uses: margin_rules

initializes: ledger
initializes: backing[ledger := ledger, curve := curve, margin_rules := margin_rules]

exports: (
    ledger.ASSET,
    ledger.QUOTE,
    ledger.ORACLE,
    ledger.POOL,
    ledger.FUND,
    ledger.RULES,
    ledger.parts,
)

WAD: constant(uint256) = 10**18
BPS: constant(uint256) = 10_000
PERPETUAL: constant(uint256) = 0  # the only instrument
INSURANCE_GAS: constant(uint256) = 200_000  # what a fund may burn to say what it has
MAX_ANSWER: constant(uint256) = 1_024  # bytes that a call of `NEXT` returns at most

NEXT: public(immutable(address))
MAX_ASSETS: immutable(uint256)  # margin of one account; keeps its value inside 250 bits
MAX_SIDE: immutable(uint256)
FUND_SHARE_WAD: immutable(uint256)


@deploy
def __init__(next: address):
    """
    @param next `VenueRecovery` of the same venue, which has the calls that are not here; the
        parts are taken from it. It may write all storage.
    """
    parts: IVenueParts.Parts = staticcall IVenueParts(next).parts()
    terms: ILiquidationRules.Terms = staticcall ILiquidationRules(parts.rules).terms()
    ledger.__init__(parts)
    NEXT = next
    MAX_ASSETS = 2**250 // (ledger.MAX_PRICE * WAD)
    MAX_SIDE = terms.max_side
    FUND_SHARE_WAD = terms.fund_share_wad
    ledger.start_clock()
    log IPerpVenue.VenueOpened(
        asset=parts.asset,
        quote=parts.quote,
        oracle=parts.oracle,
        pool=parts.pool,
        fund=parts.fund,
        rules=parts.rules,
        terms=terms,
    )


# Calls open to users


@external
def deposit(assets: uint256, quote: uint256):
    self._require_amount(assets, quote)
    ledger.require(ledger.stage_of(ledger.clock) != ledger.CLOSED, "venue: wound up")
    indices: int256 = ledger.accrue(0)
    before: ILiquidationRules.Account = empty(ILiquidationRules.Account)
    owed: int256 = 0
    (before, owed) = ledger.settled(msg.sender, indices)
    after: ILiquidationRules.Account = before
    after.assets += assets
    after.quote += convert(quote, int256)
    ledger.require(after.assets <= MAX_ASSETS, "venue: too many assets")
    ledger.store(msg.sender, after)
    ledger.quote_held += quote
    self._pull(ledger.ASSET, assets)
    self._pull(ledger.QUOTE, quote)
    log IPerpVenue.MarginDeposited(
        account=msg.sender,
        assets=assets,
        quote=quote,
        funding=owed,
        assets_after=after.assets,
        quote_before=before.quote,
        quote_after=after.quote,
    )


@external
def withdraw(assets: uint256, quote: uint256, receiver: address):
    self._require_amount(assets, quote)
    ledger.require(receiver != empty(address), "venue: zero receiver")
    before: ILiquidationRules.Account = ledger.load(msg.sender)
    ledger.require(assets <= before.assets, "venue: not enough assets")
    stage: int256 = ledger.stage_of(ledger.clock)
    if stage == ledger.GATED:
        ledger.require(block.timestamp >= ledger.gated_until, "venue: withdrawals wait")
    elif stage == ledger.CLOSED:
        ledger.require(ledger.released[msg.sender], "venue: not released yet")
    price: IPriceOracle.Price = empty(IPriceOracle.Price)
    # Without position and loan there is nothing to value, and nobody waits for a price.
    if before.size != 0 or before.quote < 0:
        price = ledger.read_price()
    indices: int256 = ledger.accrue(price.price_wad)
    owed: int256 = 0
    (before, owed) = ledger.settled(msg.sender, indices)
    after: ILiquidationRules.Account = before
    after.assets -= assets
    after.quote -= convert(quote, int256)
    # Losses, fees and funding may end in a loan; nobody can ask for one.
    ledger.require(after.quote >= min(before.quote, 0), "venue: not enough quote")
    if price.price_wad > 0:
        backing.require_initial(self._backing(after, price.price_wad), after.size, price.price_wad)
    ledger.store(msg.sender, after)
    pulled: uint256 = self._make_room(quote)
    ledger.quote_held -= quote
    ledger.send(ledger.ASSET, receiver, assets)
    ledger.send(ledger.QUOTE, receiver, quote)
    log IPerpVenue.MarginWithdrawn(
        account=msg.sender,
        receiver=receiver,
        assets=assets,
        quote=quote,
        funding=owed,
        assets_after=after.assets,
        quote_before=before.quote,
        quote_after=after.quote,
        pulled=pulled,
        price_wad=price.price_wad,
        oracle_round_id=price.round_id,
    )


@external
def trade(instrument: uint256, size: int256, limit_price_wad: uint256) -> int256:
    self._require_perpetual(instrument)
    ledger.require(size != 0, "venue: zero size")
    ledger.require(fixed_point.magnitude(size) <= 2 * MAX_SIDE, "venue: size out of range")
    price: IPriceOracle.Price = ledger.read_price()
    indices: int256 = ledger.accrue(price.price_wad)
    before: ILiquidationRules.Account = empty(ILiquidationRules.Account)
    owed: int256 = 0
    (before, owed) = ledger.settled(msg.sender, indices)
    skew: int256 = ledger.skew()
    ledger.require(
        curve.fill_within(skew, size, price.price_wad, limit_price_wad),
        "venue: fill over the limit",
    )

    cost: int256 = curve.cost(skew, size, price.price_wad)
    fee: uint256 = curve.fee(skew, size, price.price_wad)
    fund_fee: uint256 = fixed_point.mul_div_down(fee, FUND_SHARE_WAD, WAD)
    closing_cost: int256 = 0
    if position.flips(before.size, size):
        closing_cost = curve.cost(skew, -before.size, price.price_wad)
    after: ILiquidationRules.Account = before
    realised: int256 = 0
    (after, realised) = position.changed(before, size, cost, closing_cost)
    after.quote += realised - convert(fee, int256)
    ledger.resize(before.size, after.size, after.entry - before.entry)
    # What the account lost is the pool's, but for the part of the fund.
    ledger.claim(before.quote - after.quote - convert(fund_fee, int256), convert(fund_fee, int256))
    after.funding_index_wad = ledger.index_of(after.size, indices)
    ledger.store(msg.sender, after)
    self._require_allowed(before, after, price.price_wad, indices)
    log IPerpVenue.Traded(
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
        price_wad=price.price_wad,
        oracle_round_id=price.round_id,
    )
    return cost + convert(fee, int256)


@external
def accrue():
    done: int256 = ledger.accrue(ledger.read_price().price_wad)


# Reentrant: the code that runs takes the lock, in the same word of storage.
@external
@reentrant
@raw_return
def __default__() -> Bytes[MAX_ANSWER]:
    return raw_call(NEXT, msg.data, max_outsize=MAX_ANSWER, is_delegate_call=True)


# Views


@external
@view
def margin(account: address, price_wad: uint256) -> IHedgeVenue.Margin:
    held: ILiquidationRules.Account = ledger.account_at(account, ledger.indices_now())
    initial: uint256 = 0
    maintenance: uint256 = 0
    (initial, maintenance) = margin_rules.required(fixed_point.magnitude(held.size), price_wad)
    return IHedgeVenue.Margin(
        assets=held.assets,
        quote=held.quote,
        delta=held.size,
        profit=margin_rules.value_down(held.size, price_wad) - held.entry,
        equity=margin_rules.equity(held, price_wad),
        initial=initial,
        maintenance=maintenance,
    )


@external
@view
def market(price_wad: uint256) -> IHedgeVenue.Market:
    skew: int256 = ledger.skew()
    terms: ILiquidationRules.Terms = staticcall ILiquidationRules(ledger.RULES).terms()
    return IHedgeVenue.Market(
        skew=skew,
        skew_scale=terms.skew_scale,
        long_size=convert(words.high_of(ledger.sizes), uint256),
        short_size=convert(words.low_of(ledger.sizes), uint256),
        max_side=MAX_SIDE,
        premium_wad=curve.premium(skew),
        mean_premium_wad=ledger.mean_premium(),
        premium_cap_wad=terms.premium_cap_wad,
        funding_rate_wad=funding.rate(curve.premium(skew)),
        taker_fee_wad=terms.taker_fee_wad,
        maker_fee_wad=terms.maker_fee_wad,
        initial_base_wad=terms.initial_base_wad,
        initial_slope_wad=terms.initial_slope_wad,
        maintenance_share_wad=terms.maintenance_share_wad,
        maintenance_floor_wad=(
            terms.penalty_wad + terms.reward_share_wad + terms.maintenance_buffer_wad
        ),
        haircut_wad=terms.haircut_wad,
        pool_equity=ledger.pool_equity(price_wad, ledger.indices_now()),
        insurance=self._insurance(),
    )


@external
@view
def free_assets(account: address, price_wad: uint256, ratio_bps: uint256) -> uint256:
    held: ILiquidationRules.Account = ledger.account_at(account, ledger.indices_now())
    initial: uint256 = 0
    maintenance: uint256 = 0
    (initial, maintenance) = margin_rules.required(fixed_point.magnitude(held.size), price_wad)
    wanted: uint256 = max(initial, fixed_point.mul_div_up(maintenance, ratio_bps, BPS))
    assets: uint256 = held.assets
    held.assets = 0
    lacking: uint256 = fixed_point.positive_part(
        convert(wanted, int256) - self._backing(held, price_wad)
    )
    if lacking == 0:
        return assets
    return assets - min(assets, margin_rules.kept_for(lacking, price_wad))


@external
@view
def quote_trade(instrument: uint256, size: int256, price_wad: uint256) -> (int256, uint256):
    self._require_perpetual(instrument)
    skew: int256 = ledger.skew()
    return curve.cost(skew, size, price_wad), curve.fee(skew, size, price_wad)


@external
@view
def hedge_costs(instrument: uint256, sizes: int256[2], price_wad: uint256) -> uint256[2]:
    self._require_perpetual(instrument)
    skew: int256 = ledger.skew()
    scaled: int256 = ledger.mean_premium() * curve.SKEW_SCALE
    costs: uint256[2] = empty(uint256[2])
    for i: uint256 in range(2):
        size: int256 = sizes[i]
        if size == 0:
            continue
        # The skew whose premium is the mean, rounded against the trade.
        spare: int256 = convert(WAD, int256) - 1 if size > 0 else 0
        mean: int256 = fixed_point.div_floor(scaled + spare, convert(WAD, int256))
        costs[i] = fixed_point.positive_part(
            max(
                curve.cost_over_index(skew, size, price_wad),
                curve.cost_over_index(mean, size, price_wad),
            )
        )
    return costs


@external
@view
def account(owner: address) -> ILiquidationRules.Account:
    return ledger.load(owner)


# Reentrant: the fund counts what it is owed by it, and one that is not told sells its shares too
# cheaply. The fund's claim is written before tokens move.
@external
@view
@reentrant
def state() -> IPerpVenue.MarketState:
    return IPerpVenue.MarketState(
        long_size=convert(words.high_of(ledger.sizes), uint256),
        short_size=convert(words.low_of(ledger.sizes), uint256),
        long_index_wad=words.high_of(ledger.indices),
        short_index_wad=words.low_of(ledger.indices),
        open_cost=ledger.open_cost,
        price_wad=convert(ledger.price_of(ledger.clock), uint256),
        accrued_at=convert(words.high_of(ledger.clock) & ledger.CLOCK, uint256),
        mean_premium_wad=words.high_of(ledger.clock) >> 40,
        pool_claim=words.high_of(ledger.claims),
        fund_claim=convert(words.low_of(ledger.claims), uint256),
    )


@external
@view
def reserves() -> IPerpVenue.Reserves:
    loans: int256 = ledger.loans
    return IPerpVenue.Reserves(
        quote_held=ledger.quote_held,
        debt=convert(words.high_of(loans), uint256),
        pool_assets=convert(words.low_of(loans), uint256),
    )


@external
@view
def pool_value(price_wad: uint256) -> int256:
    return ledger.pool_value(price_wad, ledger.indices_now())


@external
@view
def pool_equity_required(price_wad: uint256) -> int256:
    return ledger.equity_required(abs(ledger.exposure()), price_wad)


# Internals: what a trade and a withdrawal must satisfy


@internal
@view
def _require_allowed(
    before: ILiquidationRules.Account,
    after: ILiquidationRules.Account,
    price_wad: uint256,
    indices: int256,
):
    """
    @dev Caps bind only what increases |q| or turns it around.
    """
    equity: int256 = margin_rules.equity(after, price_wad)
    if backing.is_covered_rest(before, after.size, equity, price_wad):
        return
    sizes: int256 = ledger.sizes
    side: int256 = words.high_of(sizes) if after.size > 0 else words.low_of(sizes)
    ledger.require(side <= convert(MAX_SIDE, int256), "venue: side is full")
    ledger.require(
        ledger.pool_equity(price_wad, indices) >= ledger.equity_required(side, price_wad),
        "venue: pool too small",
    )
    equity += min(backing.closing_gain(after.size, price_wad), 0)
    backing.require_initial(equity, after.size, price_wad)


@internal
@view
def _backing(account: ILiquidationRules.Account, price_wad: uint256) -> int256:
    """
    @dev Equity at the worse of index and closing fill, without unrealised profit.
    """
    profit: int256 = margin_rules.value_down(account.size, price_wad) - account.entry
    worse: int256 = profit + min(backing.closing_gain(account.size, price_wad), 0)
    return margin_rules.equity(account, price_wad) - profit + min(worse, 0)


@internal
@view
def _insurance() -> uint256:
    """
    @dev The fund's claim here and what it says it could pay; one that does not answer has
         nothing.
    """
    called: bool = False
    answer: Bytes[32] = b""
    called, answer = raw_call(
        ledger.FUND,
        abi_encode(self, method_id=method_id("available(address)")),
        max_outsize=32,
        gas=INSURANCE_GAS,
        is_static_call=True,
        revert_on_failure=False,
    )
    available: uint256 = convert(words.low_of(ledger.claims), uint256)
    if called and len(answer) == 32:
        available += min(convert(answer, uint256), 2**128)
    return available


@internal
def _make_room(quote: uint256) -> uint256:
    """
    @dev Quote that the pool had to send so that `quote` can be paid.
    """
    held: uint256 = ledger.quote_held
    if quote <= held:
        return 0
    pulled: uint256 = ledger.draw(quote - held)
    ledger.require(held + pulled >= quote, "venue: pool cannot pay")
    return pulled


@internal
def _pull(token: address, amount: uint256):
    if amount == 0:
        return
    moved: bool = extcall IERC20(token).transferFrom(
        msg.sender, self, amount, default_return_value=True
    )
    ledger.require(moved, "venue: transfer failed")


@internal
@pure
def _require_perpetual(instrument: uint256):
    ledger.require(instrument == PERPETUAL, "venue: unknown instrument")


@internal
@pure
def _require_amount(assets: uint256, quote: uint256):
    ledger.require(assets > 0 or quote > 0, "venue: zero amount")
