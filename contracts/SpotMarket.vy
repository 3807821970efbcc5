# SPDX-License-Identifier: MIT
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
"""
@title Constant-product pool of asset and quote
@notice So that spot trades have a real price and real slippage. The owner provides all the
     liquidity; fees stay in the pool. Reserves are a ledger: tokens sent here without a call
     are ignored and stay. Tokens that take a fee on transfer are not supported.
@dev With reserves A (asset) and Q (quote), k = A * Q, and fee f:

         buy dA:   pays      ceil(ceil(Q * dA / (A - dA)) / (1 - f))
         sell dA:  receives  floor(Q * d / (A + d)),  d = floor(dA * (1 - f))

     No trade lowers k, and splitting a trade never makes it cheaper.
@custom:units Raw asset and quote units; the fee is a share of what the trader pays in, WAD.
@custom:rounding Against the trader.
@custom:halt The owner takes the liquidity out; trades then fail. Nothing else is held here.
"""

from ethereum.ercs import IERC20
from interfaces import ISpotMarket
from modules import fixed_point

implements: ISpotMarket

WAD: constant(uint256) = 10**18

MAX_FEE_WAD: constant(uint256) = 10**17  # 10 %; more is a typing error
MAX_RESERVE: constant(uint256) = 2**120  # times WAD stays inside 256 bits, and so does k

ASSET: immutable(address)
QUOTE: immutable(address)
OWNER: immutable(address)
FEE_WAD: immutable(uint256)

_assets_reserve: uint256  # what the ledger says, not what balanceOf says
_quote_reserve: uint256


@deploy
def __init__(asset: address, quote: address, fee_wad: uint256):
    """
    @param fee_wad Share of what the trader pays in, WAD, at most 10 %.
    """
    assert asset != empty(address), "spot: asset is zero"
    assert quote != empty(address), "spot: quote is zero"
    assert asset != quote, "spot: asset is quote"
    assert fee_wad <= MAX_FEE_WAD, "spot: fee over 10 %"
    ASSET = asset
    QUOTE = quote
    FEE_WAD = fee_wad
    OWNER = msg.sender


@external
def buy(assets: uint256, max_quote: uint256, receiver: address) -> uint256:
    """
    @notice Buy exactly `assets`; pulls the quote from the caller.
    @param max_quote The most that the caller pays, quote units, fee included.
    @return Quote paid, fee included, rounded up.
    """
    assert receiver != empty(address), "spot: receiver is zero"
    quote: uint256 = self._quote_buy(assets)
    assert quote <= max_quote, "spot: cost over max"
    self._set_reserves(self._assets_reserve - assets, self._quote_reserve + quote)
    log ISpotMarket.Bought(
        trader=msg.sender,
        assets=assets,
        quote=quote,
        assets_reserve_after=self._assets_reserve,
        quote_reserve_after=self._quote_reserve,
    )
    self._pull(QUOTE, quote)
    self._push(ASSET, receiver, assets)
    return quote


@external
def sell(assets: uint256, min_quote: uint256, receiver: address) -> uint256:
    """
    @notice Sell exactly `assets`, pulled from the caller.
    @param min_quote The least that the caller accepts, quote units, fee taken.
    @return Quote received, fee taken, rounded down.
    """
    assert receiver != empty(address), "spot: receiver is zero"
    quote: uint256 = self._quote_sell(assets)
    assert quote != 0, "spot: proceeds are zero"
    assert quote >= min_quote, "spot: proceeds under min"
    self._set_reserves(self._assets_reserve + assets, self._quote_reserve - quote)
    log ISpotMarket.Sold(
        trader=msg.sender,
        assets=assets,
        quote=quote,
        assets_reserve_after=self._assets_reserve,
        quote_reserve_after=self._quote_reserve,
    )
    self._pull(ASSET, assets)
    self._push(QUOTE, receiver, quote)
    return quote


@external
def seed(assets: uint256, quote: uint256):
    """
    @notice Add liquidity, pulled from the owner. The amounts set the price of an empty pool and
        may move that of another.
    """
    self._only_owner()
    assert assets != 0 or quote != 0, "spot: nothing to seed"
    self._set_reserves(self._assets_reserve + assets, self._quote_reserve + quote)
    log ISpotMarket.Seeded(
        assets=assets,
        quote=quote,
        assets_reserve_after=self._assets_reserve,
        quote_reserve_after=self._quote_reserve,
    )
    self._pull(ASSET, assets)
    self._pull(QUOTE, quote)


@external
def withdraw(assets: uint256, quote: uint256, receiver: address):
    """
    @notice Take liquidity out, fees earned included.
    """
    self._only_owner()
    assert receiver != empty(address), "spot: receiver is zero"
    assert assets != 0 or quote != 0, "spot: nothing to withdraw"
    assert assets <= self._assets_reserve, "spot: assets over reserve"
    assert quote <= self._quote_reserve, "spot: quote over reserve"
    self._set_reserves(self._assets_reserve - assets, self._quote_reserve - quote)
    log ISpotMarket.Withdrawn(
        assets=assets,
        quote=quote,
        receiver=receiver,
        assets_reserve_after=self._assets_reserve,
        quote_reserve_after=self._quote_reserve,
    )
    self._push(ASSET, receiver, assets)
    self._push(QUOTE, receiver, quote)


@external
@view
def reserves() -> (uint256, uint256):
    """
    @return Assets and quote in the pool.
    """
    return self._assets_reserve, self._quote_reserve


@external
@view
def quote_buy(assets: uint256) -> uint256:
    """
    @notice What `buy` would charge now.
    @return Quote, fee included, rounded up.
    """
    return self._quote_buy(assets)


@external
@view
def quote_sell(assets: uint256) -> uint256:
    """
    @notice What `sell` would pay now.
    @return Quote, fee taken, rounded down.
    """
    return self._quote_sell(assets)


@external
@view
def fee_wad() -> uint256:
    """
    @notice Share of what the trader pays in, WAD.
    """
    return FEE_WAD


@external
@view
def asset() -> address:
    return ASSET


@external
@view
def quote() -> address:
    return QUOTE


@external
@view
def owner() -> address:
    """
    @notice Who provides the liquidity.
    """
    return OWNER


@internal
@view
def _quote_buy(assets: uint256) -> uint256:
    """
    @dev Q * dA is under 2**240; the quote before the fee is under MAX_RESERVE, so that times WAD
         it is under 2**180.
    """
    assert assets != 0, "spot: zero assets"
    assert assets < self._assets_reserve, "spot: assets over reserve"
    net: uint256 = fixed_point.mul_div_up(
        self._quote_reserve, assets, self._assets_reserve - assets
    )
    assert net < MAX_RESERVE, "spot: reserve too large"
    return fixed_point.mul_div_up(net, WAD, WAD - FEE_WAD)


@internal
@view
def _quote_sell(assets: uint256) -> uint256:
    assert assets != 0, "spot: zero assets"
    assert assets < MAX_RESERVE, "spot: reserve too large"
    assert self._quote_reserve != 0, "spot: no liquidity"
    net: uint256 = fixed_point.mul_div_down(assets, WAD - FEE_WAD, WAD)
    return fixed_point.mul_div_down(self._quote_reserve, net, self._assets_reserve + net)


@internal
def _set_reserves(assets: uint256, quote: uint256):
    assert max(assets, quote) < MAX_RESERVE, "spot: reserve too large"
    self._assets_reserve = assets
    self._quote_reserve = quote


@internal
@view
def _only_owner():
    assert msg.sender == OWNER, "spot: caller is not the owner"


@internal
def _pull(token: address, amount: uint256):
    assert extcall IERC20(token).transferFrom(
        msg.sender, self, amount, default_return_value=True
    ), "spot: transfer failed"


@internal
def _push(token: address, receiver: address, amount: uint256):
    assert extcall IERC20(token).transfer(
        receiver, amount, default_return_value=True
    ), "spot: transfer failed"
