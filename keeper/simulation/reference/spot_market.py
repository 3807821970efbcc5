# SPDX-License-Identifier: MIT
"""
Constant-product pool of asset and quote (`SpotMarket.vy`).

With reserves A and Q and fee f:

    buy dA:   pays      ceil(ceil(Q * dA / (A - dA)) / (1 - f))
    sell dA:  receives  floor(Q * d / (A + d)),  d = floor(dA * (1 - f))

Raw asset and quote units; rounded against the trader.
"""

from __future__ import annotations

from keeper.simulation.reference.reverted import Reverted, require
from keeper.snapshot import ZERO_ADDRESS
from keeper.units import UINT256_MAX, WAD, mul_div_down, mul_div_up

MAX_FEE_WAD = 10**17
MAX_RESERVE = 2**120


class SpotMarket:
    """
    The pool, empty.

    Parameters
    ----------
    fee_wad : int
        Share of what the trader pays in, at most 10 %.
    owner : str
        Who provides the liquidity.
    """

    __slots__ = ("assets_reserve", "fee_wad", "owner", "quote_reserve")

    def __init__(self, fee_wad: int, owner: str = "owner") -> None:
        require(fee_wad <= MAX_FEE_WAD, "spot: fee over 10 %")
        self.fee_wad = fee_wad
        self.owner = owner
        self.assets_reserve = 0
        self.quote_reserve = 0

    def buy(self, assets: int, max_quote: int = UINT256_MAX, receiver: str = "receiver") -> int:
        """Buy exactly `assets` and return quote paid, fee included, up."""
        require(receiver != ZERO_ADDRESS, "spot: receiver is zero")
        quote = self.quote_buy(assets)
        require(quote <= max_quote, "spot: cost over max")
        self._set_reserves(self.assets_reserve - assets, self.quote_reserve + quote)
        return quote

    def sell(self, assets: int, min_quote: int = 0, receiver: str = "receiver") -> int:
        """Sell exactly `assets` and return quote received, fee taken, down."""
        require(receiver != ZERO_ADDRESS, "spot: receiver is zero")
        quote = self.quote_sell(assets)
        require(quote != 0, "spot: proceeds are zero")
        require(quote >= min_quote, "spot: proceeds under min")
        self._set_reserves(self.assets_reserve + assets, self.quote_reserve - quote)
        return quote

    def seed(self, sender: str, assets: int, quote: int) -> None:
        """Add liquidity. Owner only."""
        require(sender == self.owner, "spot: caller is not the owner")
        require(assets != 0 or quote != 0, "spot: nothing to seed")
        if max(self.assets_reserve + assets, self.quote_reserve + quote) > UINT256_MAX:
            raise Reverted
        self._set_reserves(self.assets_reserve + assets, self.quote_reserve + quote)

    def withdraw(self, sender: str, assets: int, quote: int, receiver: str = "receiver") -> None:
        """Take liquidity out, fees earned included. Owner only."""
        require(sender == self.owner, "spot: caller is not the owner")
        require(receiver != ZERO_ADDRESS, "spot: receiver is zero")
        require(assets != 0 or quote != 0, "spot: nothing to withdraw")
        require(assets <= self.assets_reserve, "spot: assets over reserve")
        require(quote <= self.quote_reserve, "spot: quote over reserve")
        self._set_reserves(self.assets_reserve - assets, self.quote_reserve - quote)

    def reserves(self) -> tuple[int, int]:
        """Return assets and quote in the pool."""
        return self.assets_reserve, self.quote_reserve

    def quote_buy(self, assets: int) -> int:
        """Return what `buy` would charge now, fee included, up."""
        require(assets != 0, "spot: zero assets")
        require(assets < self.assets_reserve, "spot: assets over reserve")
        net = mul_div_up(self.quote_reserve, assets, self.assets_reserve - assets)
        require(net < MAX_RESERVE, "spot: reserve too large")
        return mul_div_up(net, WAD, WAD - self.fee_wad)

    def quote_sell(self, assets: int) -> int:
        """Return what `sell` would pay now, fee taken, down."""
        require(assets != 0, "spot: zero assets")
        require(assets < MAX_RESERVE, "spot: reserve too large")
        require(self.quote_reserve != 0, "spot: no liquidity")
        net = mul_div_down(assets, WAD - self.fee_wad, WAD)
        return mul_div_down(self.quote_reserve, net, self.assets_reserve + net)

    def _set_reserves(self, assets: int, quote: int) -> None:
        require(max(assets, quote) < MAX_RESERVE, "spot: reserve too large")
        self.assets_reserve = assets
        self.quote_reserve = quote
