# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
"""
@title What one venue stores, and every way in which it changes
@dev A venue exceeds the size of a contract, so its code is in five: `PerpVenue` holds this
     storage and runs the code of the next one on it, by delegatecall, for every call that it
     does not have; so does that one in its turn:

         PerpVenue -> VenueRecovery -> Deleverager -> VenueBackstop -> VenueWindUp

     All take their parts from the next, and none has storage of its own: slots agree (a test
     compares them), and one reentrancy lock covers all.

         quote tokens here = sum of account quote (signed) + pool_claim + fund_claim
         asset tokens here = sum of account assets + pool_assets

     A negative balance is a loan of the pool's. It bears interest at a fixed rate, simple from
     touch to touch, so that what all owe is known from two sums, whoever is touched when:

         interest = debt * rate * (now - settled) / year
         of all   = rate * (sum of debts * now - sum of debt * settled) / year

@custom:units Raw asset and quote units, prices and rates WAD, sizes signed, long positive.
@custom:rounding Against the account.
"""

from ethereum.ercs import IERC20
from interfaces import IDeleverager
from interfaces import ILiquidationRules
from interfaces import ILiquidityPool
from interfaces import IPerpVenue
from interfaces import IPriceOracle
from interfaces import IVenueParts
from interfaces import IVenueWindUp

from modules import auction
from modules import curve
from modules import fixed_point
from modules import funding
from modules import margin_rules
from modules import words

initializes: curve
initializes: funding
initializes: margin_rules[curve := curve]


struct AccountWords:
    position: int256  # size | entry
    margin: int256  # quote | assets
    touched: int256  # funding index of its side | Unix seconds, of its last settlement if in debt,
    #   of the backstop: premium at which its position came, WAD, and 40 bits of since when


WAD: constant(uint256) = 10**18
YEAR: constant(int256) = 365 * 86_400  # seconds
CLOCK: constant(int256) = 2**40 - 1  # seconds, until the year 36,812
PRICE: constant(int256) = 2**120 - 1  # prices are at most this; above it stand stage and mark

OPEN: constant(int256) = 0
GATED: constant(int256) = 1  # a loss waits for deleveraging: nobody withdraws
BATCH: constant(int256) = 2  # a batch of deleveraging is being listed or carried out
CLOSED: constant(int256) = 3  # wound up at the price in the clock
PRICELESS: constant(int256) = 4  # mark beside the stage: no price since it was set

ASSET: public(immutable(address))
QUOTE: public(immutable(address))
ORACLE: public(immutable(address))
POOL: public(immutable(address))  # also the key of the backstop account
FUND: public(immutable(address))
RULES: public(immutable(address))
MIN_SIZE: immutable(uint256)
MAX_PRICE: immutable(uint256)  # WAD; keeps 8 * L^2 * price inside 254 bits
SKEW_SHARE_WAD: immutable(int256)
LOAN_RATE_WAD: immutable(int256)  # per year

accounts: HashMap[address, AccountWords]
sizes: int256  # longs | shorts
indices: int256  # funding of longs | of shorts
open_cost: int256  # (sum of entries + funding not yet settled) * PRICE_DIVISOR
clock: int256  # mean premium, accrued at | stage, index price of the interval now running
claims: int256  # of the pool | of the fund
loans: int256  # sum of negative quote balances | asset tokens here that are the pool's
loan_times: int256  # sum of debt * Unix seconds of its last settlement
quote_held: uint256  # tokens here, by ledger
queued: HashMap[bool, int256]  # losses | sizes that failed, by their side, for deleveraging
gated_until: uint256  # Unix seconds, of the stage GATED
liquidated: int256  # asset units in the window that is draining | Unix seconds
realised: int256  # quote units in the window that is draining | Unix seconds
unwound_at: uint256  # Unix seconds, of the backstop's last step
batch: IDeleverager.Batch  # of deleveraging, in the stage BATCH
chunks: HashMap[uint256, bytes32]  # its list: hash of each chunk of owners
batch_after: uint256  # Unix seconds; no batch of several calls begins before
flagged: int256  # why the venue may be wound up | Unix seconds since when
profits: HashMap[address, uint256]  # quote claims of accounts closed after the end
profits_of_all: uint256
payouts: IVenueWindUp.Payout[2]  # what balances and profits are paid, once that is fixed
claims_fixed: bool
released: HashMap[address, bool]  # its claims are paid into its account


@deploy
def __init__(parts: IVenueParts.Parts):
    for part: address in [
        parts.asset, parts.quote, parts.oracle, parts.pool, parts.fund, parts.rules
    ]:
        assert part != empty(address), "venue: zero address"
    terms: ILiquidationRules.Terms = staticcall ILiquidationRules(parts.rules).terms()
    price_divisor: uint256 = staticcall ILiquidationRules(parts.rules).PRICE_DIVISOR()
    curve.__init__(terms.skew_scale, price_divisor, terms.taker_fee_wad, terms.maker_fee_wad)
    funding.__init__(terms.interest_wad, terms.interest_band_wad, terms.funding_cap_wad)
    margin_rules.__init__(terms)
    ASSET = parts.asset
    QUOTE = parts.quote
    ORACLE = parts.oracle
    POOL = parts.pool
    FUND = parts.fund
    RULES = parts.rules
    MIN_SIZE = terms.min_size
    MAX_PRICE = min(2**119, 2**251 // (terms.skew_scale * terms.skew_scale))
    SKEW_SHARE_WAD = convert(terms.skew_share_wad, int256)
    LOAN_RATE_WAD = convert(terms.loan_rate_wad, int256)


@external
@view
def parts() -> IVenueParts.Parts:
    return IVenueParts.Parts(
        asset=ASSET, quote=QUOTE, oracle=ORACLE, pool=POOL, fund=FUND, rules=RULES
    )


# Funding and price


@internal
@view
def read_price() -> IPriceOracle.Price:
    price: IPriceOracle.Price = staticcall IPriceOracle(ORACLE).read()
    self.require(price.price_wad <= MAX_PRICE, "venue: price out of range")
    return price


@internal
def accrue(price_wad: uint256) -> int256:
    """
    @dev Brings funding and mean premium to now, with this price for the next interval; zero
         keeps the price. Nothing moves while a batch runs, nor after the end.
    """
    clock: int256 = self.clock
    stage: int256 = self.stage_of(clock)
    self.require(stage != BATCH, "venue: deleveraging runs")
    if stage == CLOSED:
        self.require(price_wad == 0, "venue: wound up")
        return self.indices
    indices: int256 = self.indices_now()
    price_before: int256 = self.price_of(clock)
    after: int256 = convert(price_wad, int256) | (stage << 120)
    if price_wad == 0:
        after = words.low_of(clock)  # price and mark stay
    if self.elapsed() == 0 and after == words.low_of(clock):
        return indices
    mean_wad: int256 = self.mean_premium()
    self.open_cost = self.open_cost_now(indices)
    self.indices = indices
    self.clock = words.pack((mean_wad << 40) | convert(block.timestamp, int256), after)
    log IPerpVenue.FundingAccrued(
        rate_wad=funding.rate(curve.premium(self.skew())),
        price_before_wad=convert(price_before, uint256),
        price_after_wad=convert(after & PRICE, uint256),
        long_index_after_wad=words.high_of(indices),
        short_index_after_wad=words.low_of(indices),
        mean_premium_after_wad=mean_wad,
        accrued_at=block.timestamp,
    )
    return indices


@internal
@view
def now() -> int256:
    """
    @dev Unix seconds; they stand still while a batch runs and after the end.
    """
    clock: int256 = self.clock
    if self.stage_of(clock) >= BATCH:
        return words.high_of(clock) & CLOCK
    return convert(block.timestamp, int256)


@internal
@view
def elapsed() -> int256:
    """
    @dev Seconds since funding was accrued.
    """
    return self.now() - (words.high_of(self.clock) & CLOCK)


@internal
@pure
def price_of(clock: int256) -> int256:
    return clock & PRICE


@internal
@pure
def stage_of(clock: int256) -> int256:
    return (words.low_of(clock) >> 120) & CLOSED


@internal
@pure
def priceless(clock: int256) -> bool:
    """
    @dev Whether no priced call came since the mark was set.
    """
    return (words.low_of(clock) >> 120) & PRICELESS != 0


@internal
@view
def indices_now() -> int256:
    """
    @dev Funding indices of longs | shorts, accrued to this second.
    """
    stored: int256 = self.indices
    elapsed: int256 = self.elapsed()
    if elapsed == 0:
        return stored
    sizes: int256 = self.sizes
    longs: int256 = 0
    shorts: int256 = 0
    (longs, shorts) = funding.owed(
        curve.premium(self.skew()),
        words.high_of(sizes),
        words.low_of(sizes),
        self.price_of(self.clock),
        elapsed,
    )
    return words.pack(words.high_of(stored) + longs, words.low_of(stored) + shorts)


@internal
@pure
def index_of(size: int256, indices: int256) -> int256:
    """
    @dev Funding index of the side, zero without a position.
    """
    if size == 0:
        return 0
    return words.high_of(indices) if size > 0 else words.low_of(indices)


@internal
@view
def open_cost_now(indices: int256) -> int256:
    stored: int256 = self.indices
    sizes: int256 = self.sizes
    return (
        self.open_cost
        + words.high_of(sizes) * (words.high_of(indices) - words.high_of(stored))
        + words.low_of(sizes) * (words.low_of(indices) - words.low_of(stored))
    )


@internal
@view
def mean_premium() -> int256:
    return funding.mean(words.high_of(self.clock) >> 40, curve.premium(self.skew()), self.elapsed())


@internal
def start_clock():
    self.clock = words.pack(convert(block.timestamp, int256), 0)


@internal
@view
def gated() -> bool:
    """
    @dev Whether withdrawals wait for deleveraging.
    """
    return self.stage_of(self.clock) == GATED and block.timestamp < self.gated_until


@internal
def enter(stage: int256):
    clock: int256 = self.clock
    self.clock = words.pack(words.high_of(clock), self.price_of(clock) | (stage << 120))


# Accounts


@internal
@view
def owed(account: ILiquidationRules.Account, indices: int256) -> int256:
    """
    @dev Funding that the account has not paid yet, times PRICE_DIVISOR.
    """
    return abs(account.size) * (self.index_of(account.size, indices) - account.funding_index_wad)


@internal
@view
def interest(account: ILiquidationRules.Account) -> int256:
    """
    @dev On a negative balance since its last settlement, up.
    """
    if account.quote >= 0:
        return 0
    secs: int256 = self.now() - convert(account.settled_at, int256)
    return fixed_point.div_ceil(-account.quote * LOAN_RATE_WAD * secs, YEAR * convert(WAD, int256))


@internal
@view
def account_at(owner: address, indices: int256) -> ILiquidationRules.Account:
    """
    @dev The account as a settlement at these indices would leave it.
    """
    account: ILiquidationRules.Account = self.load(owner)
    account.quote -= (
        fixed_point.div_ceil(self.owed(account, indices), curve.PRICE_DIVISOR)
        + self.interest(account)
    )
    return account


@internal
def settled(owner: address, indices: int256) -> (ILiquidationRules.Account, int256):
    """
    @dev The account with funding and interest paid, and what it paid. The sums are stored, the
         account is left to the caller. The backstop is the pool's: it pays itself.
    """
    account: ILiquidationRules.Account = self.load(owner)
    exact: int256 = self.owed(account, indices)
    paid: int256 = self.interest(account)
    account.funding_index_wad = self.index_of(account.size, indices)
    if exact != 0:
        self.open_cost -= exact
        if owner == POOL:
            return account, 0
        paid += fixed_point.div_ceil(exact, curve.PRICE_DIVISOR)
    if paid != 0:
        account.quote -= paid
        self.claim(paid, 0)
    return account, paid


@internal
@view
def load(owner: address) -> ILiquidationRules.Account:
    stored: AccountWords = self.accounts[owner]
    return ILiquidationRules.Account(
        assets=convert(words.low_of(stored.margin), uint256),
        quote=words.high_of(stored.margin),
        size=words.high_of(stored.position),
        entry=words.low_of(stored.position),
        funding_index_wad=words.high_of(stored.touched),
        settled_at=convert(words.low_of(stored.touched), uint256),
    )


@internal
def store(owner: address, account: ILiquidationRules.Account):
    """
    @dev Writes a settled account. The sums of loans follow its quote.
    """
    now: int256 = self.now() if account.quote < 0 else 0
    debt_before: int256 = -min(words.high_of(self.accounts[owner].margin), 0)
    debt: int256 = -min(account.quote, 0)
    if debt_before != 0 or debt != 0:
        self.lend(debt - debt_before, 0)
        self.loan_times += debt * now - debt_before * words.low_of(self.accounts[owner].touched)
    self.accounts[owner].position = words.pack(account.size, account.entry)
    self.accounts[owner].touched = words.pack(account.funding_index_wad, now)
    self.accounts[owner].margin = words.pack(account.quote, convert(account.assets, int256))


@internal
def store_backstop(
    before: ILiquidationRules.Account, after: ILiquidationRules.Account, indices: int256
):
    """
    @dev Writes the backstop, after whoever its size came from or went to, and what it is sold at,
         in the place of the time of debts, which it never has.
    """
    self.resize(before.size, after.size, after.entry - before.entry)
    came_wad: int256 = 0
    waited: int256 = 0
    (came_wad, waited) = self.sale()
    came_wad = auction.premium_after(
        before.size, after.size, came_wad, self.premium_towards(after.size)
    )
    waited = auction.wait_after(before.size, after.size, waited)
    since: int256 = convert(block.timestamp, int256) - waited
    self.accounts[POOL].position = words.pack(after.size, after.entry)
    self.accounts[POOL].touched = words.pack(
        self.index_of(after.size, indices), (came_wad << 40) | since
    )


@internal
@view
def sale() -> (int256, int256):
    """
    @dev Premium at which the backstop's position came, and seconds for which it has been for sale,
         as far as they count.
    """
    stored: int256 = words.low_of(self.accounts[POOL].touched)
    waited: int256 = convert(block.timestamp, int256) - (stored & CLOCK)
    return stored >> 40, min(waited, auction.SECS)


@internal
@view
def premium_towards(size: int256) -> int256:
    """
    @dev Premium or its mean, whichever is more on the side of the size, and never under zero.
    """
    now_wad: int256 = curve.premium(self.skew())
    mean_wad: int256 = self.mean_premium()
    return max(0, max(now_wad, mean_wad) if size > 0 else -min(now_wad, mean_wad))


# Sums


@internal
@view
def skew() -> int256:
    sizes: int256 = self.sizes
    return words.high_of(sizes) - words.low_of(sizes)


@internal
@view
def exposure() -> int256:
    """
    @dev Net size of all but the backstop: the pool is the other side of it, and loses its part of
         every move of the price. The skew also counts the backstop, which is the pool's.
    """
    return self.skew() - words.high_of(self.accounts[POOL].position)


@internal
def resize(size_before: int256, size_after: int256, entry_change: int256):
    """
    @dev Open interest and open cost follow an account's size and entry.
    """
    sizes: int256 = self.sizes
    self.sizes = words.pack(
        words.high_of(sizes) + max(size_after, 0) - max(size_before, 0),
        words.low_of(sizes) + max(-size_after, 0) - max(-size_before, 0),
    )
    self.open_cost += entry_change * curve.PRICE_DIVISOR


@internal
def claim(pool_change: int256, fund_change: int256):
    claims: int256 = self.claims
    self.claims = words.pack(
        words.high_of(claims) + pool_change, words.low_of(claims) + fund_change
    )


@internal
def lend(debt_change: int256, pool_assets_change: int256):
    if debt_change == 0 and pool_assets_change == 0:
        return
    loans: int256 = self.loans
    self.loans = words.pack(
        words.high_of(loans) + debt_change, words.low_of(loans) + pool_assets_change
    )


# The pool's side


@internal
@view
def pool_value(price_wad: uint256, indices: int256) -> int256:
    """
    @dev Claim + asset tokens here + interest not yet paid - what everybody but the backstop
         would get if all closed together, each at the mean of the curve from K to the
         backstop's size. Nothing after the end, when it is paid what claims leave.
    """
    if self.stage_of(self.clock) == CLOSED:
        return 0
    position: int256 = self.accounts[POOL].position
    size: int256 = words.high_of(position)
    others_cost: int256 = self.open_cost_now(indices) - words.low_of(position) * curve.PRICE_DIVISOR
    if size != 0:  # otherwise a word less is read
        index: int256 = words.high_of(self.accounts[POOL].touched)
        others_cost -= abs(size) * (self.index_of(size, indices) - index)
    return (
        words.high_of(self.claims)
        + self.interest_of_all()
        + margin_rules.value_down(words.low_of(self.loans), price_wad)
        - curve.closing_value(self.skew(), size, price_wad)
        + fixed_point.div_floor(others_cost, curve.PRICE_DIVISOR)
    )


@internal
@view
def interest_of_all() -> int256:
    """
    @dev Interest that has not been paid yet, down.
    """
    debt: int256 = words.high_of(self.loans)
    if debt == 0:
        return 0
    return fixed_point.div_floor(
        LOAN_RATE_WAD * (debt * self.now() - self.loan_times),
        YEAR * convert(WAD, int256),
    )


@internal
@view
def pool_equity(price_wad: uint256, indices: int256) -> int256:
    quote: uint256 = 0
    assets: uint256 = 0
    (quote, assets) = staticcall ILiquidityPool(POOL).holdings()
    return (
        convert(quote, int256)
        + margin_rules.value_down(convert(assets, int256), price_wad)
        + self.pool_value(price_wad, indices)
    )


@internal
@view
def equity_required(size: int256, price_wad: uint256) -> int256:
    """
    @dev size * S / skew share, up.
    """
    return fixed_point.div_ceil(
        size * convert(price_wad * WAD, int256), curve.PRICE_DIVISOR * SKEW_SHARE_WAD
    )


# Tokens


@internal
def draw(wanted: uint256) -> uint256:
    """
    @dev Quote that the pool sends, as much of `wanted` as it has.
    """
    pulled: uint256 = extcall ILiquidityPool(POOL).pay(wanted)
    self.quote_held += pulled
    self.claim(convert(pulled, int256), 0)
    return pulled


@internal
def send(token: address, receiver: address, amount: uint256):
    if amount == 0:
        return
    moved: bool = extcall IERC20(token).transfer(receiver, amount, default_return_value=True)
    self.require(moved, "venue: transfer failed")


@internal
@pure
def require(condition: bool, reason: String[32]):
    """
    @dev One place for all reasons: each `assert` of its own costs 100 bytes of code.
    """
    assert condition, reason
