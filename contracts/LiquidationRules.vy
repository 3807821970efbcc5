# SPDX-License-Identifier: MIT
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma optimize gas
"""
@title The terms of one venue, and the arithmetic of failure under them
@notice Holds nothing and decides nothing: the venue asks what a liquidation does, and does it.
     Apart from the venue because together they exceed the size of a contract.
@dev A liquidation of x costs the account x * S * penalty + reward and leaves it at the initial
     margin of what remains, at the rate iota before, when x is

         x = (iota * N + reward - E) / (S * (iota - penalty)), rounded up;

     to three units of quote, which penalty, cost and margin may each lose to rounding up;
     all of it when x >= |q|, when the rest would be under the minimum size, or when E <= 0.

     The position moves to the backstop at S * (1 -+ penalty). The account is credited at the
     index and then pays reward and penalty, the reward first. A position that stays keeps its
     loan, because the formula leaves it at its initial margin. When all of it is taken, asset
     margin is sold to the pool at S * (1 - discount), no more than what is lacking; what is
     still unpaid of the loss at the index is for the insurance fund, what is unpaid of the
     penalty is nobody's: it was the pool's to receive.
@custom:units Raw asset and quote units, prices and shares WAD, sizes signed, long positive.
@custom:rounding Against the account.
@custom:halt Stateless; nothing to stop.
"""

from ethereum.ercs import IERC20Detailed
from interfaces import ILiquidationRules
from interfaces import IPriceOracle

from modules import curve
from modules import fixed_point
from modules import margin_rules
from modules import position

implements: ILiquidationRules

initializes: curve
initializes: margin_rules[curve := curve]

WAD: constant(uint256) = 10**18
MAX_FEE_WAD: constant(uint256) = 10**17  # beyond it a fee is a typing error
REWARDED_GAS: constant(uint256) = 300_000  # a liquidation that draws on the fund, and a margin
TIP: constant(uint256) = 10**9  # wei a gas, to be taken into a block
MAX_GAS_COIN_PRICE: constant(uint256) = 2**120  # WAD; keeps products inside 256 bits

ASSET: public(immutable(address))
QUOTE: public(immutable(address))
PRICE_DIVISOR: public(immutable(uint256))  # quote units = asset units * price / PRICE_DIVISOR
GAS_ORACLE: public(immutable(address))  # quote per gas coin; none where that is the asset
GAS_DIVISOR: immutable(uint256)  # quote units = wei * price / GAS_DIVISOR
TERMS: immutable(ILiquidationRules.Terms)


@deploy
def __init__(asset: address, quote: address, gas_oracle: address, terms: ILiquidationRules.Terms):
    """
    @param asset The token that is traded and may be margin; 6 to 18 decimals.
    @param quote The token of balances and profit; 6 to 18 decimals.
    @param gas_oracle Price in quote of the coin that gas is paid in, for the reward; none where
        that coin is the asset.
    @param terms Curve, caps, fees, funding and margin, fixed for good.
    """
    assert asset != empty(address), "venue: zero address"
    assert quote != empty(address), "venue: zero address"
    asset_decimals: uint256 = convert(staticcall IERC20Detailed(asset).decimals(), uint256)
    quote_decimals: uint256 = convert(staticcall IERC20Detailed(quote).decimals(), uint256)
    assert asset_decimals >= 6 and asset_decimals <= 18, "venue: asset decimals"
    assert quote_decimals >= 6 and quote_decimals <= 18, "venue: quote decimals"
    self._check(terms)
    ASSET = asset
    QUOTE = quote
    TERMS = terms
    PRICE_DIVISOR = 10**(18 + asset_decimals - quote_decimals)
    GAS_ORACLE = gas_oracle
    GAS_DIVISOR = 10**(36 - quote_decimals)
    curve.__init__(terms.skew_scale, PRICE_DIVISOR, terms.taker_fee_wad, terms.maker_fee_wad)
    margin_rules.__init__(terms)


# Views


@external
@view
def outcome(
    account: ILiquidationRules.Account, backstop: ILiquidationRules.Account, price_wad: uint256
) -> ILiquidationRules.Outcome:
    done: ILiquidationRules.Outcome = empty(ILiquidationRules.Outcome)
    size: uint256 = fixed_point.magnitude(account.size)
    done.equity_before = margin_rules.equity(account, price_wad)
    done.maintenance = margin_rules.required(size, price_wad)[1]
    assert done.equity_before < convert(done.maintenance, int256), "venue: account is healthy"
    part: uint256 = 0
    asked: uint256 = 0
    (part, asked) = self._liquidated_size(size, done.equity_before, price_wad)
    done.size = convert(part, int256) if account.size > 0 else -convert(part, int256)

    penalty: uint256 = margin_rules.share_up(part, price_wad, TERMS.penalty_wad)
    cost: int256 = margin_rules.value_up(-done.size, price_wad)
    left: ILiquidationRules.Account = account
    realised: int256 = 0
    (left, realised) = position.changed(account, -done.size, cost, 0)
    left.quote += realised
    done.size_after = left.size
    done.entry_after = left.entry
    done = self._after_loss(done, left, asked, penalty, price_wad)
    done.fund_penalty = fixed_point.mul_div_down(done.penalty, TERMS.fund_share_wad, WAD)
    return self._with_backstop(done, backstop, -cost - convert(penalty, int256))


@external
@view
def assess(account: ILiquidationRules.Account, price_wad: uint256) -> (bool, uint256, uint256):
    size: uint256 = fixed_point.magnitude(account.size)
    equity: int256 = margin_rules.equity(account, price_wad)
    if equity >= convert(margin_rules.required(size, price_wad)[1], int256):
        return False, 0, 0
    part: uint256 = 0
    asked: uint256 = 0
    (part, asked) = self._liquidated_size(size, equity, price_wad)
    return True, part, asked


@external
@view
def terms() -> ILiquidationRules.Terms:
    return TERMS


# Internals


@internal
@view
def _liquidated_size(size: uint256, equity: int256, price_wad: uint256) -> (uint256, uint256):
    """
    @dev Size that the backstop takes, and the reward asked for it.
    """
    asked: uint256 = self._reward(size, price_wad)
    if equity <= 0 or price_wad == 0:
        return size, asked
    rate: uint256 = margin_rules.initial_rate(size)
    target: uint256 = margin_rules.share_up(size, price_wad, rate) + asked
    lacking: uint256 = target - min(target, convert(equity, uint256))
    part: uint256 = margin_rules.assets_for(lacking, price_wad, rate - TERMS.penalty_wad)
    if part >= size or size - part < TERMS.min_size:
        return size, asked
    return part, asked


@internal
@view
def _reward(size: uint256, price_wad: uint256) -> uint256:
    """
    @dev What a liquidator of a position of `size` is owed, quote, down: what the call costs at
         this block's base fee, between floor and cap, at most a share of the notional.
    """
    gas_price: uint256 = block.basefee + TIP
    spent: uint256 = fixed_point.mul_div_down(
        REWARDED_GAS * gas_price, self._gas_coin_price(price_wad), GAS_DIVISOR
    )
    asked: uint256 = min(max(spent, TERMS.reward_floor), TERMS.reward_cap)
    return min(asked, margin_rules.share_down(size, price_wad, TERMS.reward_share_wad))


@internal
@view
def _gas_coin_price(price_wad: uint256) -> uint256:
    """
    @dev Quote per coin that gas is paid in; zero where it is not known.
    """
    if GAS_ORACLE == empty(address):
        return price_wad
    good: bool = False
    price: IPriceOracle.Price = empty(IPriceOracle.Price)
    reason: String[32] = ""
    (good, price, reason) = staticcall IPriceOracle(GAS_ORACLE).try_read()
    return min(price.price_wad, MAX_GAS_COIN_PRICE) if good else 0


@internal
@view
def _after_loss(
    outcome: ILiquidationRules.Outcome,
    account: ILiquidationRules.Account,
    asked: uint256,
    penalty: uint256,
    price_wad: uint256,
) -> ILiquidationRules.Outcome:
    """
    @dev Reward and penalty off the account's quote, its asset margin sold where all is taken.
    """
    done: ILiquidationRules.Outcome = outcome
    if account.size != 0:
        done.reward = asked
        done.penalty = penalty
        done.quote_after = account.quote - convert(asked + penalty, int256)
        return done
    has: int256 = account.quote
    lacking: uint256 = fixed_point.positive_part(convert(asked + penalty, int256) - has)
    if lacking > 0 and account.assets > 0:
        share: uint256 = WAD - TERMS.discount_wad
        done.assets_sold = min(account.assets, margin_rules.assets_for(lacking, price_wad, share))
        has += convert(margin_rules.share_down(done.assets_sold, price_wad, share), int256)
    left: uint256 = fixed_point.positive_part(has)
    done.reward = min(asked, left)
    done.reward_unpaid = asked - done.reward
    done.penalty = min(penalty, left - done.reward)
    done.quote_after = convert(left - done.reward - done.penalty, int256)
    done.loss = fixed_point.positive_part(-has)
    return done


@internal
@pure
def _with_backstop(
    outcome: ILiquidationRules.Outcome, backstop: ILiquidationRules.Account, cost: int256
) -> ILiquidationRules.Outcome:
    """
    @dev The backstop takes `outcome.size` for `cost`.
    """
    done: ILiquidationRules.Outcome = outcome
    grown: ILiquidationRules.Account = position.taken_over(backstop, done.size, cost)
    done.backstop_size_after = grown.size
    done.backstop_entry_after = grown.entry
    return done


@internal
@pure
def _check(terms: ILiquidationRules.Terms):
    """
    @dev Refuses terms under which some account could be liquidated as soon as it opens.
    """
    assert terms.skew_scale > 0 and terms.skew_scale <= 2**96, "venue: skew scale"
    assert terms.max_side > 0 and terms.max_side < terms.skew_scale, "venue: side cap"
    assert terms.min_size > 0 and terms.min_size <= terms.max_side, "venue: minimum size"
    assert terms.premium_cap_wad > 0 and terms.premium_cap_wad <= WAD, "venue: premium cap"
    # Whoever balances a side may leave, and the side is the skew.
    assert terms.max_side * WAD <= terms.premium_cap_wad * terms.skew_scale, "venue: side cap"
    assert terms.skew_share_wad > 0 and terms.skew_share_wad <= 10 * WAD, "venue: skew share"
    assert terms.taker_fee_wad <= MAX_FEE_WAD, "venue: taker fee"
    assert terms.maker_fee_wad <= terms.taker_fee_wad, "venue: maker fee"
    assert terms.fund_share_wad <= WAD, "venue: fund share"
    assert terms.funding_cap_wad <= WAD, "venue: funding cap"
    assert terms.interest_wad <= terms.funding_cap_wad, "venue: interest"
    assert terms.interest_band_wad <= terms.funding_cap_wad, "venue: interest band"
    assert terms.initial_base_wad <= WAD, "venue: initial margin"
    assert terms.initial_slope_wad <= 10 * WAD, "venue: initial slope"
    assert terms.penalty_wad <= WAD and terms.reward_share_wad <= WAD, "venue: penalty or reward"
    assert terms.maintenance_buffer_wad <= WAD, "venue: maintenance buffer"
    assert terms.maintenance_share_wad < WAD, "venue: maintenance over initial"
    assert (
        terms.penalty_wad + terms.reward_share_wad + terms.maintenance_buffer_wad
    ) < terms.initial_base_wad, "venue: maintenance over initial"
    assert terms.haircut_wad < WAD, "venue: haircut"
    assert terms.discount_wad <= terms.haircut_wad, "venue: discount over haircut"
    assert terms.reward_floor <= terms.reward_cap, "venue: reward floor over cap"
    assert terms.reward_cap <= 2**96, "venue: penalty or reward"
    assert terms.liquidation_flow > 0 and terms.liquidation_flow <= 2**96, "venue: flow"
    # A step that moves the premium by more than a round trip costs could be sandwiched.
    assert (
        terms.unwind_step * WAD <= 2 * terms.maker_fee_wad * terms.skew_scale
    ), "venue: unwind step"
    assert terms.loan_rate_wad <= WAD, "venue: loan rate"
    assert terms.loan_share_wad <= WAD - terms.haircut_wad, "venue: loan share"
    assert terms.realise_share_wad <= WAD, "venue: realise share"
    # A pool that is low has to carry less than one that lets the skew grow.
    assert terms.low_share_wad * terms.skew_share_wad < WAD * WAD, "venue: low share"
