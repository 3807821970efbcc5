# SPDX-License-Identifier: MIT
"""Tokens, feeds, oracle and spot market in titanoboa, for tests of contracts."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import boa

from tests.compiled import deployer

NOBODY = "0x" + "00" * 20
WAD = 10**18
MAX_UINT = 2**256 - 1

HOUR = 3_600  # seconds
DAY = 86_400  # seconds
ASSET_MAX_AGE = HOUR
QUOTE_MAX_AGE = DAY
MAX_DEVIATION_BPS = 100


class Joined:
    """A contract with the calls of all parts that its code is in."""

    def __init__(self, contract: Any, names: Iterable[str]) -> None:
        self.contract = self.called = contract
        self.parts = [contract]
        with warnings.catch_warnings():  # the code at the address is not the part's, on purpose
            warnings.simplefilter("ignore")
            self.parts += [deployer(f"{name}.vy").at(contract.address) for name in names]
        # Whoever decodes logs asks the contract that was registered last at the address.
        for part in self.parts[1:]:
            contract.event_abi_for.update(part.event_abi_for)
        boa.env.register_contract(contract.address, contract)

    def __getattr__(self, name: str) -> Any:
        """Return a call or view of the part that has it."""
        for part in self.parts:
            if hasattr(part, name):
                self.called = part
                return getattr(part, name)
        raise AttributeError(name)

    def get_logs(self, **options: Any) -> list[Any]:
        """Return the events of the last call."""
        return list(self.contract.get_logs(self.called._computation, **options))


def deploy_token(decimals: int, symbol: str = "TKN") -> Any:
    return deployer("testing/MintableToken.vy").deploy(f"Token {symbol}", symbol, decimals)


def deploy_feed(answer: int, decimals: int = 8) -> Any:
    return deployer("testing/SettableFeed.vy").deploy(decimals, answer)


def source(feed: Any, max_age: int, threshold_bps: int = 50) -> tuple[str, int, int]:
    """Return one feed as the oracle's constructor takes it; `None` is an absent witness."""
    return (NOBODY, 0, 0) if feed is None else (str(feed.address), max_age, threshold_bps)


def deploy_oracle(
    asset: Any, quote: Any, asset_witness: Any = None, quote_witness: Any = None
) -> Any:
    return deployer("PriceOracle.vy").deploy(
        source(asset, ASSET_MAX_AGE),
        source(asset_witness, ASSET_MAX_AGE),
        source(quote, QUOTE_MAX_AGE, 25),
        source(quote_witness, QUOTE_MAX_AGE, 25),
        MAX_DEVIATION_BPS,
    )


def deploy_spot(
    asset_decimals: int = 18, quote_decimals: int = 6, fee_wad: int = 3 * 10**15
) -> tuple[Any, Any, Any]:
    """Return asset, quote and an empty spot market owned by the environment's account."""
    asset, quote = deploy_token(asset_decimals, "ETH"), deploy_token(quote_decimals, "USDC")
    return asset, quote, deployer("SpotMarket.vy").deploy(asset.address, quote.address, fee_wad)


def fund(account: str, spender: Any, *tokens: Any, amount: int = 2**118) -> None:
    """Give `account` tokens that `spender` may take."""
    for token in tokens:
        token.mint(account, amount)
        token.approve(spender.address, MAX_UINT, sender=account)
