# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
# pragma optimize codesize
"""
@title A perpetual market against a pool
@notice Accounts hold asset and quote as margin and trade a perpetual on the curve. Value is
     measured at the index, which no trade can move; ordinary trades pay the curve; forced ones
     never touch it.
@dev With S the index price, K the skew and q an account's signed size:

         profit   q * S - entry
         equity   quote + assets * S * (1 - haircut) + profit, funding settled
         worse    the same with min(q * S, what closing q on the curve now would bring)

     To open, equity at the worse is at least the initial margin; to withdraw, the same without
     unrealised profit or borrowing. A reduction keeps the maintenance margin of what remains:
     otherwise an account could sell low to its owner's other one until it has nothing, and
     leave the rest to be taken at the index. Caps bind only what increases |q|.

     A liquidation moves size to the backstop, the pool's own account, at S * (1 -+ penalty).
     Losses are borne by the account's quote, its asset margin (sold to the pool), the insurance
     fund and then the pool, which records them for deleveraging; none of it reverts because a
     layer is short. The penalty is what the account can pay, so the insured loss is that
     measured at the index. `LiquidationRules` does this arithmetic.

     Profit and loss against the pool is booked in `pool_claim`. Trades move no tokens:

         quote tokens here = sum of account quote (signed) + pool_claim + fund_claim
         asset tokens here = sum of account assets + pool_assets
@custom:units Raw asset and quote units, prices and rates WAD, sizes signed, long positive.
@custom:rounding Against the account.
@custom:halt Nobody can stop it. Without a good price nobody trades, is liquidated, or withdraws
     against a position or a loan; deposits and withdrawals of accounts without either work.
"""

from ethereum.ercs import IERC20
from interfaces import IHedgeVenue
from interfaces import IInsuranceFund
from interfaces import ILiquidationRules
from interfaces import ILiquidityPool
from interfaces import IPerpVenue
from interfaces import IPriceOracle

from modules import curve
from modules import fixed_point
from modules import funding
from modules import margin_rules
from modules import position
from modules import words

implements: IHedgeVenue
implements: IPerpVenue

initializes: curve
initializes: funding
initializes: margin_rules[curve := curve]


struct AccountWords:
    position: int256  # size | entry
    margin: int256  # quote | assets
    funding_index_wad: int256  # of the side of the position, at its last settlement


WAD: constant(uint256) = 10**18
BPS: constant(uint256) = 10_000
PERPETUAL: constant(uint256) = 0  # the only instrument
CLOCK: constant(int256) = 2**40 - 1  # seconds, until the year 36,812
COVER_GAS: constant(uint256) = 200_000  # what a fund may burn; an honest one needs 60,000

ASSET: public(immutable(address))
QUOTE: public(immutable(address))
ORACLE: public(immutable(address))
POOL: public(immutable(address))  # also the key of the backstop account
FUND: public(immutable(address))
RULES: public(immutable(address))
MAX_PRICE: immutable(uint256)  # WAD; keeps 8 * L^2 * price inside 254 bits
MAX_ASSETS: immutable(uint256)  # margin of one account; keeps its value inside 250 bits
MAX_SIDE: immutable(uint256)
MIN_SIZE: immutable(uint256)
PREMIUM_CAP_WAD: immutable(int256)
SKEW_SHARE_WAD: immutable(int256)
FUND_SHARE_WAD: immutable(uint256)

_accounts: HashMap[address, AccountWords]
_sizes: int256  # longs | shorts
_indices: int256  # funding of longs | of shorts
_open_cost: int256  # (sum of entries + funding not yet settled) * PRICE_DIVISOR
_clock: int256  # mean premium, accrued at | index price of the interval now running
_claims: int256  # of the pool | of the fund
_loans: int256  # sum of negative quote balances | asset tokens here that are the pool's
_quote_held: uint256  # tokens here, by ledger
_shortfalls: HashMap[bool, IPerpVenue.Shortfall]  # by side of the failed positions


@deploy
def __init__(
    asset: address, quote: address, oracle: address, pool: address, fund: address, rules: address
):
    """
    @param asset The token that is traded and may be margin.
    @param quote The token of balances and profit.
    @param oracle The index price.
    @param pool The other side; it has to name this venue before it pays.
    @param fund First-loss capital; it has to register this venue before it pays.
    @param rules The terms, checked there and fixed for good.
    """
    for part: address in [asset, quote, oracle, pool, fund, rules]:
        assert part != empty(address), "venue: zero address"
    assert staticcall ILiquidationRules(rules).ASSET() == asset, "venue: rules of other tokens"
    assert staticcall ILiquidationRules(rules).QUOTE() == quote, "venue: rules of other tokens"
    assert staticcall ILiquidityPool(pool).ASSET() == asset, "venue: pool of other tokens"
    assert staticcall ILiquidityPool(pool).QUOTE() == quote, "venue: pool of other tokens"
    assert staticcall IInsuranceFund(fund).QUOTE() == quote, "venue: fund of another token"
    terms: ILiquidationRules.Terms = staticcall ILiquidationRules(rules).terms()
    ASSET = asset
    QUOTE = quote
    ORACLE = oracle
    POOL = pool
    FUND = fund
    RULES = rules
    price_divisor: uint256 = staticcall ILiquidationRules(rules).PRICE_DIVISOR()
    MAX_PRICE = min(2**120, 2**251 // (terms.skew_scale * terms.skew_scale))
    MAX_ASSETS = 2**250 // (MAX_PRICE * WAD)
    MAX_SIDE = terms.max_side
    MIN_SIZE = terms.min_size
    PREMIUM_CAP_WAD = convert(terms.premium_cap_wad, int256)
    SKEW_SHARE_WAD = convert(terms.skew_share_wad, int256)
    FUND_SHARE_WAD = terms.fund_share_wad
    curve.__init__(terms.skew_scale, price_divisor, terms.taker_fee_wad, terms.maker_fee_wad)
    funding.__init__(terms.interest_wad, terms.interest_band_wad, terms.funding_cap_wad)
    margin_rules.__init__(terms)
    self._store_clock(0, block.timestamp, 0)
    log IPerpVenue.VenueOpened(
        asset=asset, quote=quote, oracle=oracle, pool=pool, fund=fund, rules=rules, terms=terms
    )


# Calls open to users


@external
def deposit(assets: uint256, quote: uint256):
    self._require_amount(assets, quote)
    indices: int256 = self._accrue(0)
    before: ILiquidationRules.Account = empty(ILiquidationRules.Account)
    owed: int256 = 0
    (before, owed) = self._settled(msg.sender, indices)
    after: ILiquidationRules.Account = before
    after.assets += assets
    after.quote += convert(quote, int256)
    self._require(after.assets <= MAX_ASSETS, "venue: too many assets")
    self._store(msg.sender, after)
    self._quote_held += quote
    self._pull(ASSET, assets)
    self._pull(QUOTE, quote)
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
    self._require(receiver != empty(address), "venue: zero receiver")
    before: ILiquidationRules.Account = self._load(msg.sender)
    self._require(assets <= before.assets, "venue: not enough assets")
    price: IPriceOracle.Price = empty(IPriceOracle.Price)
    # Without position and loan there is nothing to value, and nobody waits for a price.
    if before.size != 0 or before.quote < 0:
        price = self._read_price()
    indices: int256 = self._accrue(price.price_wad)
    owed: int256 = 0
    (before, owed) = self._settled(msg.sender, indices)
    after: ILiquidationRules.Account = before
    after.assets -= assets
    after.quote -= convert(quote, int256)
    # Losses, fees and funding may end in a loan; nobody can ask for one.
    self._require(after.quote >= min(before.quote, 0), "venue: not enough quote")
    if price.price_wad > 0:
        self._require_initial(self._backing(after, price.price_wad), after.size, price.price_wad)
    self._store(msg.sender, after)
    pulled: uint256 = self._make_room(quote)
    self._quote_held -= quote
    self._send(ASSET, receiver, assets)
    self._send(QUOTE, receiver, quote)
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
    self._require(size != 0, "venue: zero size")
    self._require(fixed_point.magnitude(size) <= 2 * MAX_SIDE, "venue: size out of range")
    price: IPriceOracle.Price = self._read_price()
    indices: int256 = self._accrue(price.price_wad)
    before: ILiquidationRules.Account = empty(ILiquidationRules.Account)
    owed: int256 = 0
    (before, owed) = self._settled(msg.sender, indices)
    skew: int256 = self._skew()
    self._require(
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
    self._resize(before.size, after.size, after.entry - before.entry)
    # What the account lost is the pool's, but for the part of the fund.
    self._claim(before.quote - after.quote - convert(fund_fee, int256), convert(fund_fee, int256))
    after.funding_index_wad = self._index(after.size, indices)
    self._store(msg.sender, after)
    self._require_allowed(before.size, after, skew, price.price_wad, indices)
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
def liquidate(account: address) -> int256:
    self._require(account != POOL, "venue: backstop account")
    price: IPriceOracle.Price = self._read_price()
    indices: int256 = self._accrue(price.price_wad)
    failed: ILiquidationRules.Account = empty(ILiquidationRules.Account)
    owed: int256 = 0
    (failed, owed) = self._settled(account, indices)
    stop: ILiquidationRules.Account = self._settled(POOL, indices)[0]
    done: ILiquidationRules.Outcome = staticcall ILiquidationRules(RULES).outcome(
        failed, stop, price.price_wad
    )
    quote_before: int256 = failed.quote
    self._resize(failed.size, done.size_after, done.entry_after - failed.entry)
    self._resize(stop.size, done.backstop_size_after, done.backstop_entry_after - stop.entry)
    failed.size = done.size_after
    failed.entry = done.entry_after
    failed.quote = done.quote_after
    failed.assets -= done.assets_sold
    failed.funding_index_wad = self._index(failed.size, indices)
    self._store(account, failed)
    stop.size = done.backstop_size_after
    stop.entry = done.backstop_entry_after
    stop.funding_index_wad = self._index(stop.size, indices)
    self._store(POOL, stop)

    # The fund pays the reward first, or nobody would come for a bankrupt account.
    covered: uint256 = self._covered(done.loss + done.reward_unpaid)
    bonus: uint256 = min(covered, done.reward_unpaid)
    deficit: uint256 = done.loss - (covered - bonus)
    self._book_failure(done, quote_before, bonus, deficit)
    liquidator: ILiquidationRules.Account = self._load(msg.sender)
    liquidator.quote += convert(done.reward + bonus, int256)
    self._store_margin(msg.sender, liquidator)
    log IPerpVenue.AccountLiquidated(
        account=account,
        liquidator=msg.sender,
        outcome=done,
        funding=owed,
        covered=covered,
        reward=done.reward + bonus,
        deficit=deficit,
        quote_before=quote_before,
        liquidator_quote_after=liquidator.quote,
        pool_claim_after=words.high_of(self._claims),
        fund_claim_after=words.low_of(self._claims),
        price_wad=price.price_wad,
        oracle_round_id=price.round_id,
    )
    return done.size


@external
def accrue():
    done: int256 = self._accrue(self._read_price().price_wad)


@external
def settle():
    loans: int256 = self._loans
    assets: uint256 = convert(words.low_of(loans), uint256)
    # Tokens here beyond positive balances and the fund's; what accounts borrowed, the pool lent.
    surplus: int256 = words.high_of(self._claims) - words.high_of(loans)
    sent: uint256 = fixed_point.positive_part(surplus)
    if surplus < 0:
        surplus = -convert(self._draw(convert(-surplus, uint256)), int256)
    self._claim(-convert(sent, int256), 0)
    self._quote_held -= sent
    self._lend(0, -words.low_of(loans))
    self._send(QUOTE, POOL, sent)
    self._send(ASSET, POOL, assets)
    extcall ILiquidityPool(POOL).book(sent, assets)
    log IPerpVenue.PoolSettled(
        quote=surplus,
        assets=assets,
        pool_claim_after=words.high_of(self._claims),
        quote_held_after=self._quote_held,
    )


@external
def pay_fund() -> uint256:
    self._require(msg.sender == FUND, "venue: not the fund")
    claim: uint256 = convert(words.low_of(self._claims), uint256)
    if claim > self._quote_held:  # lent out: the pool sends what it can
        self._draw(claim - self._quote_held)
    paid: uint256 = min(claim, self._quote_held)
    self._claim(0, -convert(paid, int256))
    self._quote_held -= paid
    self._send(QUOTE, FUND, paid)
    log IPerpVenue.FundPaid(
        quote=paid,
        pool_claim_after=words.high_of(self._claims),
        fund_claim_after=claim - paid,
        quote_held_after=self._quote_held,
    )
    return paid


# Views


@external
@view
def margin(account: address, price_wad: uint256) -> IHedgeVenue.Margin:
    held: ILiquidationRules.Account = self._account_now(account)
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
    skew: int256 = self._skew()
    terms: ILiquidationRules.Terms = staticcall ILiquidationRules(RULES).terms()
    return IHedgeVenue.Market(
        skew=skew,
        skew_scale=terms.skew_scale,
        long_size=convert(words.high_of(self._sizes), uint256),
        short_size=convert(words.low_of(self._sizes), uint256),
        max_side=MAX_SIDE,
        premium_wad=curve.premium(skew),
        mean_premium_wad=self._mean_premium(),
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
        pool_equity=self._pool_equity(price_wad, self._indices_now()),
        insurance=self._insurance(),
    )


@external
@view
def free_assets(account: address, price_wad: uint256, ratio_bps: uint256) -> uint256:
    held: ILiquidationRules.Account = self._account_now(account)
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
    skew: int256 = self._skew()
    return curve.cost(skew, size, price_wad), curve.fee(skew, size, price_wad)


@external
@view
def hedge_cost(instrument: uint256, size: int256, price_wad: uint256) -> uint256:
    self._require_perpetual(instrument)
    # The skew whose premium is the mean, rounded against the trade.
    spare: int256 = convert(WAD, int256) - 1 if size > 0 else 0
    mean: int256 = fixed_point.div_floor(
        self._mean_premium() * curve.SKEW_SCALE + spare, convert(WAD, int256)
    )
    return fixed_point.positive_part(
        max(
            curve.cost_over_index(self._skew(), size, price_wad),
            curve.cost_over_index(mean, size, price_wad),
        )
    )


@external
@view
def liquidation(account: address, price_wad: uint256) -> (bool, uint256, uint256):
    if account == POOL:
        return False, 0, 0
    return staticcall ILiquidationRules(RULES).assess(self._account_now(account), price_wad)


@external
@view
def account(owner: address) -> ILiquidationRules.Account:
    return self._load(owner)


@external
@view
def state() -> IPerpVenue.MarketState:
    return IPerpVenue.MarketState(
        long_size=convert(words.high_of(self._sizes), uint256),
        short_size=convert(words.low_of(self._sizes), uint256),
        long_index_wad=words.high_of(self._indices),
        short_index_wad=words.low_of(self._indices),
        open_cost=self._open_cost,
        price_wad=convert(words.low_of(self._clock), uint256),
        accrued_at=convert(words.high_of(self._clock) & CLOCK, uint256),
        mean_premium_wad=words.high_of(self._clock) >> 40,
        pool_claim=words.high_of(self._claims),
        fund_claim=convert(words.low_of(self._claims), uint256),
    )


@external
@view
def reserves() -> IPerpVenue.Reserves:
    loans: int256 = self._loans
    return IPerpVenue.Reserves(
        quote_held=self._quote_held,
        debt=convert(words.high_of(loans), uint256),
        pool_assets=convert(words.low_of(loans), uint256),
    )


@external
@view
def shortfall(long: bool) -> IPerpVenue.Shortfall:
    return self._shortfalls[long]


@external
@view
def pool_value(price_wad: uint256) -> int256:
    return self._pool_value(price_wad, self._indices_now())


@external
@view
def pool_equity_required(price_wad: uint256) -> int256:
    return self._pool_equity_required(price_wad)


# Internals: what a trade and a withdrawal must satisfy


@internal
@view
def _require_allowed(
    size_before: int256,
    account: ILiquidationRules.Account,
    skew_before: int256,
    price_wad: uint256,
    indices: int256,
):
    """
    @dev Caps and initial margin bind what increases |q| or turns it around; caps on the skew
         only when it grows. A reduction keeps the maintenance of what remains, or an account
         could be emptied into another one and leave its rest to be taken at the index.
    """
    size: uint256 = fixed_point.magnitude(account.size)
    self._require(size == 0 or size >= MIN_SIZE, "venue: under minimum size")
    equity: int256 = margin_rules.equity(account, price_wad)
    if min(size_before, 0) <= account.size and account.size <= max(size_before, 0):
        kept: uint256 = margin_rules.required(size, price_wad)[1]
        self._require(equity >= convert(kept, int256), "venue: rest under maintenance")
        return
    sizes: int256 = self._sizes
    largest: int256 = max(words.high_of(sizes), words.low_of(sizes))
    self._require(largest <= convert(MAX_SIDE, int256), "venue: side is full")
    skew: int256 = self._skew()
    if abs(skew) > abs(skew_before):
        self._require(
            abs(skew) * convert(WAD, int256) <= PREMIUM_CAP_WAD * curve.SKEW_SCALE,
            "venue: premium cap",
        )
        self._require(
            self._pool_equity(price_wad, indices) >= self._pool_equity_required(price_wad),
            "venue: pool too small",
        )
    equity += min(self._closing_gain(account.size, price_wad), 0)
    self._require_initial(equity, account.size, price_wad)


@internal
@view
def _require_initial(equity: int256, size: int256, price_wad: uint256):
    initial: uint256 = margin_rules.required(fixed_point.magnitude(size), price_wad)[0]
    self._require(equity >= convert(initial, int256), "venue: under initial margin")


@internal
@view
def _backing(account: ILiquidationRules.Account, price_wad: uint256) -> int256:
    """
    @dev Equity at the worse of index and closing fill, without unrealised profit.
    """
    profit: int256 = margin_rules.value_down(account.size, price_wad) - account.entry
    worse: int256 = profit + min(self._closing_gain(account.size, price_wad), 0)
    return margin_rules.equity(account, price_wad) - profit + min(worse, 0)


@internal
@view
def _closing_gain(size: int256, price_wad: uint256) -> int256:
    """
    @dev What closing `size` on the curve now brings over its value at the index.
    """
    return -curve.cost(self._skew(), -size, price_wad) - margin_rules.value_down(size, price_wad)


# Internals: liquidation


@internal
def _book_failure(
    done: ILiquidationRules.Outcome, quote_before: int256, bonus: uint256, deficit: uint256
):
    """
    @dev Tokens here = accounts + pool + fund: what the others did not get is the pool's.
    """
    self._lend(0, convert(done.assets_sold, int256))
    self._claim(
        quote_before - done.quote_after - convert(done.reward + bonus + done.fund_penalty, int256),
        convert(done.fund_penalty, int256),
    )
    if deficit > 0:
        total: IPerpVenue.Shortfall = self._shortfalls[done.size > 0]
        self._shortfalls[done.size > 0] = IPerpVenue.Shortfall(
            quote=total.quote + deficit, size=total.size + fixed_point.magnitude(done.size)
        )


@internal
def _covered(wanted: uint256) -> uint256:
    """
    @dev What insurance pays: first its own claim here, then what `cover` really moves.
    """
    if wanted == 0:
        return 0
    own: uint256 = min(wanted, convert(words.low_of(self._claims), uint256))
    drawn: uint256 = 0
    if wanted > own:
        drawn = self._drawn(wanted - own)
        self._quote_held += drawn
    self._claim(convert(own + drawn, int256), -convert(own, int256))
    return own + drawn


@internal
def _drawn(wanted: uint256) -> uint256:
    """
    @dev The change of our own balance, whatever the fund answers; a fund that reverts, lies
         or burns its gas has paid nothing.
    """
    before: uint256 = staticcall IERC20(QUOTE).balanceOf(self)
    called: bool = raw_call(
        FUND,
        abi_encode(wanted, method_id=method_id("cover(uint256)")),
        gas=COVER_GAS,
        revert_on_failure=False,
    )
    after: uint256 = staticcall IERC20(QUOTE).balanceOf(self)
    return min(wanted, after - min(before, after))


# Internals: the pool's side


@internal
@view
def _pool_value(price_wad: uint256, indices: int256) -> int256:
    """
    @dev Claim + asset tokens here - what everybody but the backstop would get if all closed
         together, each at the mean S * (1 + K/2L) of the curve from K to zero.
    """
    stop: ILiquidationRules.Account = self._load(POOL)
    others_cost: int256 = self._open_cost_now(indices) - stop.entry * curve.PRICE_DIVISOR
    others_cost -= self._owed(stop, indices)
    return (
        words.high_of(self._claims)
        + margin_rules.value_down(words.low_of(self._loans), price_wad)
        - curve.closing_value(self._skew(), stop.size, price_wad)
        + fixed_point.div_floor(others_cost, curve.PRICE_DIVISOR)
    )


@internal
@view
def _pool_equity(price_wad: uint256, indices: int256) -> int256:
    quote: uint256 = 0
    assets: uint256 = 0
    (quote, assets) = staticcall ILiquidityPool(POOL).holdings()
    return (
        convert(quote, int256)
        + margin_rules.value_down(convert(assets, int256), price_wad)
        + self._pool_value(price_wad, indices)
    )


@internal
@view
def _pool_equity_required(price_wad: uint256) -> int256:
    """
    @dev |K| * S / skew share, up.
    """
    return fixed_point.div_ceil(
        abs(self._skew()) * convert(price_wad * WAD, int256), curve.PRICE_DIVISOR * SKEW_SHARE_WAD
    )


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
        FUND,
        abi_encode(self, method_id=method_id("available(address)")),
        max_outsize=32,
        gas=COVER_GAS,
        is_static_call=True,
        revert_on_failure=False,
    )
    available: uint256 = convert(words.low_of(self._claims), uint256)
    if called and len(answer) == 32:
        available += min(convert(answer, uint256), 2**128)
    return available


# Internals: price and tokens


@internal
@view
def _read_price() -> IPriceOracle.Price:
    price: IPriceOracle.Price = staticcall IPriceOracle(ORACLE).read()
    self._require(price.price_wad <= MAX_PRICE, "venue: price out of range")
    return price


@internal
def _make_room(quote: uint256) -> uint256:
    """
    @dev Quote that the pool had to send so that `quote` can be paid.
    """
    held: uint256 = self._quote_held
    if quote <= held:
        return 0
    pulled: uint256 = self._draw(quote - held)
    self._require(held + pulled >= quote, "venue: pool cannot pay")
    return pulled


@internal
def _draw(wanted: uint256) -> uint256:
    """
    @dev Quote that the pool sends, as much of `wanted` as it has.
    """
    pulled: uint256 = extcall ILiquidityPool(POOL).pay(wanted)
    self._quote_held += pulled
    self._claim(convert(pulled, int256), 0)
    return pulled


@internal
def _pull(token: address, amount: uint256):
    if amount == 0:
        return
    moved: bool = extcall IERC20(token).transferFrom(
        msg.sender, self, amount, default_return_value=True
    )
    self._require(moved, "venue: transfer failed")


@internal
def _send(token: address, receiver: address, amount: uint256):
    if amount == 0:
        return
    moved: bool = extcall IERC20(token).transfer(receiver, amount, default_return_value=True)
    self._require(moved, "venue: transfer failed")


# Internals: funding


@internal
def _accrue(price_wad: uint256) -> int256:
    """
    @dev Brings funding and mean premium to now, with this price for the next interval; zero
         keeps the price.
    """
    clock: int256 = self._clock
    indices: int256 = self._indices_now()
    price_before: int256 = words.low_of(clock)
    price_after: int256 = price_before if price_wad == 0 else convert(price_wad, int256)
    if self._elapsed(clock) == 0 and price_after == price_before:
        return indices
    mean_wad: int256 = self._mean_premium()
    self._open_cost = self._open_cost_now(indices)
    self._indices = indices
    self._store_clock(mean_wad, block.timestamp, price_after)
    log IPerpVenue.FundingAccrued(
        rate_wad=funding.rate(curve.premium(self._skew())),
        price_before_wad=convert(price_before, uint256),
        price_after_wad=convert(price_after, uint256),
        long_index_after_wad=words.high_of(indices),
        short_index_after_wad=words.low_of(indices),
        mean_premium_after_wad=mean_wad,
        accrued_at=block.timestamp,
    )
    return indices


@internal
@view
def _elapsed(clock: int256) -> int256:
    return convert(block.timestamp, int256) - (words.high_of(clock) & CLOCK)


@internal
@view
def _indices_now() -> int256:
    """
    @dev Funding indices of longs | shorts, accrued to this second.
    """
    stored: int256 = self._indices
    clock: int256 = self._clock
    elapsed: int256 = self._elapsed(clock)
    if elapsed == 0:
        return stored
    sizes: int256 = self._sizes
    longs: int256 = 0
    shorts: int256 = 0
    (longs, shorts) = funding.owed(
        curve.premium(self._skew()),
        words.high_of(sizes),
        words.low_of(sizes),
        words.low_of(clock),
        elapsed,
    )
    return words.pack(words.high_of(stored) + longs, words.low_of(stored) + shorts)


@internal
@pure
def _index(size: int256, indices: int256) -> int256:
    """
    @dev Funding index of the side, zero without a position.
    """
    if size == 0:
        return 0
    return words.high_of(indices) if size > 0 else words.low_of(indices)


@internal
@view
def _open_cost_now(indices: int256) -> int256:
    stored: int256 = self._indices
    sizes: int256 = self._sizes
    return (
        self._open_cost
        + words.high_of(sizes) * (words.high_of(indices) - words.high_of(stored))
        + words.low_of(sizes) * (words.low_of(indices) - words.low_of(stored))
    )


@internal
@view
def _mean_premium() -> int256:
    clock: int256 = self._clock
    return funding.mean(
        words.high_of(clock) >> 40, curve.premium(self._skew()), self._elapsed(clock)
    )


@internal
@view
def _owed(account: ILiquidationRules.Account, indices: int256) -> int256:
    """
    @dev Funding that the account has not paid yet, times PRICE_DIVISOR.
    """
    return abs(account.size) * (self._index(account.size, indices) - account.funding_index_wad)


@internal
@view
def _account_now(owner: address) -> ILiquidationRules.Account:
    """
    @dev The account with its funding paid to this second, as a settlement would leave it.
    """
    account: ILiquidationRules.Account = self._load(owner)
    account.quote -= fixed_point.div_ceil(
        self._owed(account, self._indices_now()), curve.PRICE_DIVISOR
    )
    return account


@internal
def _settled(owner: address, indices: int256) -> (ILiquidationRules.Account, int256):
    """
    @dev The account with its funding paid, and what it paid. The sums are stored, the account
         is left to the caller. The backstop is the pool's: it pays itself.
    """
    account: ILiquidationRules.Account = self._load(owner)
    exact: int256 = self._owed(account, indices)
    account.funding_index_wad = self._index(account.size, indices)
    if exact == 0:
        return account, 0
    self._open_cost -= exact
    if owner == POOL:
        return account, 0
    owed: int256 = fixed_point.div_ceil(exact, curve.PRICE_DIVISOR)
    account.quote -= owed
    self._claim(owed, 0)
    return account, owed


# Internals: storage


@internal
@view
def _skew() -> int256:
    sizes: int256 = self._sizes
    return words.high_of(sizes) - words.low_of(sizes)


@internal
def _resize(size_before: int256, size_after: int256, entry_change: int256):
    """
    @dev Open interest and open cost follow an account's size and entry.
    """
    sizes: int256 = self._sizes
    self._sizes = words.pack(
        words.high_of(sizes) + max(size_after, 0) - max(size_before, 0),
        words.low_of(sizes) + max(-size_after, 0) - max(-size_before, 0),
    )
    self._open_cost += entry_change * curve.PRICE_DIVISOR


@internal
def _claim(pool_change: int256, fund_change: int256):
    claims: int256 = self._claims
    self._claims = words.pack(
        words.high_of(claims) + pool_change, words.low_of(claims) + fund_change
    )


@internal
def _lend(debt_change: int256, pool_assets_change: int256):
    if debt_change == 0 and pool_assets_change == 0:
        return
    loans: int256 = self._loans
    self._loans = words.pack(
        words.high_of(loans) + debt_change, words.low_of(loans) + pool_assets_change
    )


@internal
def _store_clock(mean_wad: int256, at: uint256, price_wad: int256):
    self._clock = words.pack((mean_wad << 40) | convert(at, int256), price_wad)


@internal
@view
def _load(owner: address) -> ILiquidationRules.Account:
    stored: AccountWords = self._accounts[owner]
    return ILiquidationRules.Account(
        assets=convert(words.low_of(stored.margin), uint256),
        quote=words.high_of(stored.margin),
        size=words.high_of(stored.position),
        entry=words.low_of(stored.position),
        funding_index_wad=stored.funding_index_wad,
    )


@internal
def _store(owner: address, account: ILiquidationRules.Account):
    self._accounts[owner].position = words.pack(account.size, account.entry)
    self._accounts[owner].funding_index_wad = account.funding_index_wad
    self._store_margin(owner, account)


@internal
def _store_margin(owner: address, account: ILiquidationRules.Account):
    """
    @dev The sum of loans follows the account's quote.
    """
    quote_before: int256 = words.high_of(self._accounts[owner].margin)
    self._lend(min(quote_before, 0) - min(account.quote, 0), 0)
    self._accounts[owner].margin = words.pack(account.quote, convert(account.assets, int256))


@internal
@pure
def _require(condition: bool, reason: String[32]):
    """
    @dev One place for all reasons: each `assert` of its own costs 100 bytes of code.
    """
    assert condition, reason


@internal
@pure
def _require_perpetual(instrument: uint256):
    self._require(instrument == PERPETUAL, "venue: unknown instrument")


@internal
@pure
def _require_amount(assets: uint256, quote: uint256):
    self._require(assets > 0 or quote > 0, "venue: zero amount")
