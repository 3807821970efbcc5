# SPDX-License-Identifier: MIT
# pragma version 0.4.3
# pragma evm-version shanghai
"""
@title A venue whose fills, margin terms and faults a test sets
@notice Test double; never deploy. Fills everything at `fill_wad` times the price, without limit,
     fee, funding or solvency checks, and can do other than it was told.
@custom:units As IHedgeVenue.
@custom:rounding As IHedgeVenue.
@custom:halt None.
"""

from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed

from interfaces import IHedgeVenue
from interfaces import IPriceOracle
from modules import fixed_point

implements: IHedgeVenue


struct Held:
    assets: uint256
    quote: int256
    size: int256
    entry: int256


WAD: constant(uint256) = 10**18
BPS: constant(uint256) = 10_000

ASSET: immutable(IERC20)
QUOTE: immutable(IERC20)
ORACLE: immutable(IPriceOracle)
PRICE_DIVISOR: immutable(uint256)

accounts: public(HashMap[address, Held])
fill_wad: public(uint256)  # price of every fill over the oracle's
maintenance_bps: public(uint256)  # of notional; initial margin is twice that
hedge_cost_bps: public(uint256)  # of notional
filled_bps: public(uint256)  # of a size that is really traded
delivered_bps: public(uint256)  # of assets and quote really paid out
equity_shift: public(int256)  # quote added to what `margin` says of the balance
free_shift: public(uint256)  # asset units added to what is free
silence: public(uint256)  # how views answer: 0 as they should, 1 not at all, 2 burning their gas,
# 3 only of the account, 4 failing with words that look like an answer


@deploy
def __init__(asset: address, quote: address, oracle: address):
    ASSET = IERC20(asset)
    QUOTE = IERC20(quote)
    ORACLE = IPriceOracle(oracle)
    decimals: uint256 = convert(staticcall IERC20Detailed(asset).decimals(), uint256)
    PRICE_DIVISOR = 10**(
        18 + decimals - convert(staticcall IERC20Detailed(quote).decimals(), uint256)
    )
    self.fill_wad = WAD
    self.maintenance_bps = 250
    self.filled_bps = BPS
    self.delivered_bps = BPS


@external
def set_fill(fill_wad: uint256):
    self.fill_wad = fill_wad


@external
def set_maintenance(bps: uint256):
    self.maintenance_bps = bps


@external
def set_hedge_cost(bps: uint256):
    self.hedge_cost_bps = bps


@external
def set_faults(
    filled_bps: uint256, delivered_bps: uint256, equity_shift: int256, free_shift: uint256
):
    self.filled_bps = filled_bps
    self.delivered_bps = delivered_bps
    self.equity_shift = equity_shift
    self.free_shift = free_shift


@external
def set_silence(silence: uint256):
    self.silence = silence


@external
def set_account(account: address, held: Held):
    self.accounts[account] = held


@external
def deposit(assets: uint256, quote: uint256):
    self.accounts[msg.sender].assets += assets
    self.accounts[msg.sender].quote += convert(quote, int256)
    if assets != 0:
        assert extcall ASSET.transferFrom(msg.sender, self, assets)
    if quote != 0:
        assert extcall QUOTE.transferFrom(msg.sender, self, quote)


@external
def withdraw(assets: uint256, quote: uint256, receiver: address):
    self.accounts[msg.sender].assets -= assets
    self.accounts[msg.sender].quote -= convert(quote, int256)
    assert extcall ASSET.transfer(receiver, assets * self.delivered_bps // BPS)
    assert extcall QUOTE.transfer(receiver, quote * self.delivered_bps // BPS)


@external
def trade(instrument: uint256, size: int256, limit_price_wad: uint256) -> int256:
    price: IPriceOracle.Price = staticcall ORACLE.read()
    filled: int256 = size * convert(self.filled_bps, int256) // convert(BPS, int256)
    fill_price: int256 = convert(price.price_wad * self.fill_wad // WAD, int256)
    cost: int256 = fixed_point.div_ceil(filled * fill_price, convert(PRICE_DIVISOR, int256))
    self.accounts[msg.sender].size += filled
    self.accounts[msg.sender].entry += cost
    return cost


@external
@view
def margin(account: address, price_wad: uint256) -> IHedgeVenue.Margin:
    self._keep_silent()
    if self.silence == 4:
        raw_revert(abi_encode(empty(IHedgeVenue.Margin)))
    held: Held = self.accounts[account]
    quote: int256 = held.quote + self.equity_shift
    profit: int256 = self._value(held.size, price_wad) - held.entry
    notional: uint256 = fixed_point.magnitude(self._value(held.size, price_wad))
    maintenance: uint256 = fixed_point.mul_div_up(notional, self.maintenance_bps, BPS)
    return IHedgeVenue.Margin(
        assets=held.assets,
        quote=quote,
        delta=held.size,
        profit=profit,
        equity=quote + self._value(convert(held.assets, int256), price_wad) + profit,
        initial=2 * maintenance,
        maintenance=maintenance,
    )


@external
@view
def market(price_wad: uint256) -> IHedgeVenue.Market:
    self._keep_silent()
    assert self.silence != 3, "venue: quotes nothing"
    return empty(IHedgeVenue.Market)


@external
@view
def free_assets(account: address, price_wad: uint256, ratio_bps: uint256) -> uint256:
    """
    @dev All margin without a position, none with one.
    """
    self._keep_silent()
    if self.silence == 4:
        raw_revert(abi_encode(convert(1, uint256)))
    held: Held = self.accounts[account]
    if held.size == 0:
        return held.assets
    return self.free_shift


@external
@view
def quote_trade(instrument: uint256, size: int256, price_wad: uint256) -> (int256, uint256):
    return self._value(size, price_wad), 0


@external
@view
def hedge_costs(instrument: uint256, sizes: int256[2], price_wad: uint256) -> uint256[2]:
    self._keep_silent()
    assert self.silence != 3, "venue: quotes nothing"
    costs: uint256[2] = empty(uint256[2])
    for i: uint256 in range(2):
        notional: uint256 = fixed_point.magnitude(self._value(sizes[i], price_wad))
        costs[i] = fixed_point.mul_div_up(notional, self.hedge_cost_bps, BPS)
    return costs


@internal
@view
def _keep_silent():
    assert self.silence != 1, "venue: silent"
    if self.silence == 2:
        burnt: bytes32 = empty(bytes32)
        for _: uint256 in range(10**9):
            burnt = keccak256(burnt)


@internal
@view
def _value(assets: int256, price_wad: uint256) -> int256:
    return fixed_point.div_floor(
        assets * convert(price_wad, int256), convert(PRICE_DIVISOR, int256)
    )
