# SPDX-License-Identifier: MIT
"""
Let the market move: feeds, spot price, the perpetual's premium, hour by hour.

    brownie run market                                 # 96 hours of a seeded path
    brownie run market main 200 7                      # 200 hours, seed 7
    brownie run market main file.csv.gz 2024-08-01 2024-08-10

Needs a local node, whose clock it moves by an hour for each hour of the path. One test account does
everything that a market does: it publishes prices, arbitrages the spot pool and trades on the
perpetual until its premium is the path's perp over spot. All of an hour stands in one block.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from eth_account import Account

from keeper.simulation.flow import (
    PerpBook,
    SpotPool,
    achieved_basis,
    arbitrage_assets,
    trader_size,
)
from keeper.simulation.market import HOUR_SECS, MarketHour, to_feed
from keeper.simulation.market_file import MarketFileRefused, read_hours
from keeper.simulation.paths import jump_diffusion
from keeper.units import BPS, WAD
from scripts.accounts import is_local, signer
from scripts.calls import (
    RefusedError,
    ScriptError,
    contract,
    current,
    for_people,
    quiet,
    send,
    simulate,
)
from scripts.chain_time import head_at, node_kind, one_block, request
from scripts.deployments import Deployment

MAX_UINT: Final = 2**256 - 1
PERPETUAL: Final = 0
ANY_PRICE: Final = 10**36  # limit of a buy at any price, WAD
FEED_DECIMALS: Final = 8
GWEI: Final = 10**9
GAS_LIMIT: Final = 1_500_000  # a market transaction; ten of them fit into a block
DEFAULT_HOURS: Final = 96
DEFAULT_SEED: Final = 7
NAMES: Final[tuple[str, ...]] = (
    *("Asset", "Quote", "AssetFeed", "AssetFeedWitness", "QuoteFeed"),
    *("SpotMarket", "PerpVenue", "LiquidationRules", "HedgeBook"),
)
PURSE: Final = 10**9  # whole tokens of either kind that the market starts with
MARGIN_LOW_BPS: Final = 3_000  # of its notional: the trader tops up under it ...
MARGIN_HIGH_BPS: Final = 6_000  # ... to this, so that a price that doubles finds it solvent
WITNESS_NOISE: Final = 0.0002  # the second feed differs by so much, one standard deviation
QUOTE_NOISE: Final = 0.0001  # the quote token's own price
RECEIPT_TIMEOUT: Final = 20.0  # seconds
POLL_INTERVAL: Final = 0.01  # seconds


@dataclass(frozen=True, slots=True)
class _Call:
    """A call to a contract of the deployment."""

    contract: str
    method: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HourDone:
    """What became of one hour; prices in quote per asset, bases as fractions."""

    hour: MarketHour
    block: int
    basis: float  # of the venue after the hour's trades
    trader_size: int  # raw asset units, bought positive
    failed: tuple[str, ...] = ()  # what was refused, with the reason

    @property
    def residual(self) -> float:
        """Basis of the path that the caps did not let the trader reach."""
        return self.hour.basis - self.basis


@for_people
def main(*arguments: str) -> None:
    """Run a market as a person would; see the file's docstring."""
    quiet()
    hours, seed = _chosen(arguments)
    market = Market(current(), signer("trader"), seed)
    market.prepare()
    print(f"{len(hours)} hours; prices and trades by {market.account}")
    done = [market.advance(hour) for hour in hours]
    failures = [text for hour in done for text in hour.failed]
    worst = max(abs(hour.residual) for hour in done)
    print(f"spot {hours[0].spot:,.2f} to {hours[-1].spot:,.2f}")
    print(f"largest basis not followed {1e4 * worst:.2f} bp, refused transactions {len(failures)}")
    for text in failures[:5]:
        print(f"  {text}")


def _chosen(arguments: Sequence[str]) -> tuple[list[MarketHour], int]:
    """Return the hours asked for and the seed, from the words of a command line."""
    try:
        if arguments and not arguments[0].isdigit():
            days = [datetime.date.fromisoformat(text) for text in arguments[1:3]]
            return shifted(read_hours(Path(arguments[0]), *days), head_at()), DEFAULT_SEED
        numbers = [int(text) for text in arguments]
        hours, seed = (*numbers, *(DEFAULT_HOURS, DEFAULT_SEED)[len(numbers) :])
        return jump_diffusion(hours, seed, head_at()), seed
    except (MarketFileRefused, ValueError) as error:
        raise ScriptError(str(error)) from None


def shifted(hours: Sequence[MarketHour], after: int) -> list[MarketHour]:
    """Return the hours, moved as a whole into the future if the chain is past their start."""
    late = after - hours[0].closes_at + 1
    shift = max(0, -(-late // HOUR_SECS) * HOUR_SECS)
    return [replace(hour, closes_at=hour.closes_at + shift) for hour in hours]


class Market:
    """
    The other side of everything, by one account.

    Parameters
    ----------
    deployment : Deployment
        With settable feeds and mintable tokens.
    account
        A Brownie account that can sign here.
    seed : int
        Of the noise in witness and quote feed.
    """

    def __init__(self, deployment: Deployment, account: Any, seed: int) -> None:
        if not is_local():
            raise ScriptError("the market moves time and prices: local chains only")
        self.account = account
        self._key: str = account.private_key
        self._kind = node_kind()
        self._chain_id = deployment.chain_id
        self._random = np.random.default_rng(seed)
        self._at = {
            name: contract(deployment, name) for name in NAMES if name in deployment.contracts
        }
        self.one_asset = 10 ** int(self._at["Asset"].decimals())
        self._one_quote = 10 ** int(self._at["Quote"].decimals())
        self._divisor = WAD * self.one_asset // self._one_quote
        self._terms = self._at["LiquidationRules"].terms().dict()
        self._spot_fee_wad = int(self._at["SpotMarket"].fee_wad())

    def prepare(self) -> None:
        """Fill the purse and approve spot market and venue."""
        for name, unit in (("Asset", self.one_asset), ("Quote", self._one_quote)):
            token = self._at[name]
            if token.balanceOf(self.account) < PURSE * unit // 2:
                send(self.account, token.mint, str(self.account), PURSE * unit, doing="minting")
            for spender in ("SpotMarket", "PerpVenue"):
                address = self._at[spender].address
                send(self.account, token.approve, address, MAX_UINT, doing="approving")

    def advance(self, hour: MarketHour) -> HourDone:
        """
        Bring the chain to the close of `hour`, in one block.

        Returns
        -------
        HourDone
            `failed` names what the contracts refused; nothing else of the hour is undone by it.
        """
        answers = self._answers(hour)
        price_wad = answers["AssetFeed"] * WAD // answers["QuoteFeed"]
        venue = self._at["PerpVenue"]
        margin = venue.margin(self.account, price_wad).dict()
        book = self._perp_book(price_wad, margin["delta"])
        size = self._size(book, hour)
        calls = [
            *(_Call(name, "set_answer", (answer,)) for name, answer in answers.items()),
            *self._spot_calls(price_wad),
            *self._margin_calls(book.position + size, margin["equity"], price_wad),
            *self._trade_calls(size),
            *self._liquidation_calls(price_wad),
        ]
        failed = self._send_together(calls, hour.closes_at)
        after = self._perp_book(price_wad, int(venue.margin(self.account, price_wad)[2]))
        return HourDone(
            hour=hour,
            block=int(request("eth_blockNumber"), 16),
            basis=achieved_basis(after, 0),
            trader_size=after.position - book.position,
            failed=failed,
        )

    def _answers(self, hour: MarketHour) -> dict[str, int]:
        """Return what each feed publishes, so that asset over quote is the path's spot price."""
        quote = 1.0 + QUOTE_NOISE * self._random.standard_normal()
        asset = hour.spot * quote
        answers = {"AssetFeed": to_feed(asset, FEED_DECIMALS)}
        if "AssetFeedWitness" in self._at:
            seen = asset * (1.0 + WITNESS_NOISE * self._random.standard_normal())
            answers["AssetFeedWitness"] = to_feed(seen, FEED_DECIMALS)
        return {**answers, "QuoteFeed": to_feed(quote, FEED_DECIMALS)}

    def _perp_book(self, price_wad: int, position: int) -> PerpBook:
        market = self._at["PerpVenue"].market(price_wad).dict()
        scale, equity = market["skew_scale"], max(0, market["pool_equity"])
        backed = equity * self._terms["skew_share_wad"] // WAD * self._divisor // price_wad
        return PerpBook(
            skew=market["skew"],
            skew_scale=scale,
            long_size=market["long_size"],
            short_size=market["short_size"],
            max_side=min(market["max_side"], backed),
            max_skew=min(scale * market["premium_cap_wad"] // WAD, backed),
            position=position,
        )

    def _size(self, book: PerpBook, hour: MarketHour) -> int:
        """Return the trader's order; what would leave less than the least position closes it."""
        size = trader_size(book, hour.basis)
        if size and abs(book.position + size) < self._terms["min_size"]:
            return -book.position
        return size

    def _spot_calls(self, price_wad: int) -> Iterator[_Call]:
        assets, quote = self._at["SpotMarket"].reserves()
        pool = SpotPool(assets=assets, quote=quote, fee_wad=self._spot_fee_wad)
        bought = arbitrage_assets(pool, price_wad, self._divisor)
        if bought * price_wad // self._divisor > 0:
            yield _Call("SpotMarket", "buy", (bought, MAX_UINT, str(self.account)))
        elif -bought * price_wad // self._divisor > 0:
            yield _Call("SpotMarket", "sell", (-bought, 0, str(self.account)))

    def _margin_calls(self, position: int, equity: int, price_wad: int) -> Iterator[_Call]:
        """Keep the trader solvent: nobody is to be liquidated for the sake of the path."""
        notional = abs(position) * price_wad // self._divisor
        if equity < notional * MARGIN_LOW_BPS // BPS:
            missing = notional * MARGIN_HIGH_BPS // BPS - equity
            yield _Call("Quote", "mint", (str(self.account), missing))
            yield _Call("PerpVenue", "deposit", (0, missing))

    def _trade_calls(self, size: int) -> Iterator[_Call]:
        if size:
            yield _Call("PerpVenue", "trade", (PERPETUAL, size, ANY_PRICE if size > 0 else 0))
        else:
            yield _Call("PerpVenue", "accrue", ())  # the new price counts for funding from now on

    def _liquidation_calls(self, price_wad: int) -> Iterator[_Call]:
        book = self._at["HedgeBook"].address
        if self._at["PerpVenue"].liquidation(book, price_wad)[0]:
            yield _Call("PerpVenue", "liquidate", (book,))

    def _send_together(self, calls: Sequence[_Call], at: int) -> tuple[str, ...]:
        """Mine all calls in one block and return what was refused."""
        nonce = int(request("eth_getTransactionCount", str(self.account), "latest"), 16)
        base_fee = int(request("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)
        raw = [self._signed(call, nonce + i, 2 * base_fee + GWEI) for i, call in enumerate(calls)]
        with one_block(self._kind, at):
            hashes = [request("eth_sendRawTransaction", signed) for signed in raw]
        return tuple(
            f"{call.contract}.{call.method}{call.arguments}: {self._reason(call)}"
            for call, tx_hash in zip(calls, hashes, strict=True)
            if int(_receipt(tx_hash)["status"], 16) != 1
        )

    def _signed(self, call: _Call, nonce: int, gas_price: int) -> str:
        target = self._at[call.contract]
        transaction = {
            "to": target.address,
            "data": getattr(target, call.method).encode_input(*call.arguments),
            "value": 0,
            "gas": GAS_LIMIT,
            "gasPrice": gas_price,
            "nonce": nonce,
            "chainId": self._chain_id,
        }
        return "0x" + bytes(Account.sign_transaction(transaction, self._key).raw_transaction).hex()

    def _reason(self, call: _Call) -> str:
        """Return why a call is refused; tried again after the block, so it may be another."""
        target = self._at[call.contract]
        data = getattr(target, call.method).encode_input(*call.arguments)
        try:
            simulate(self.account, target.address, data, call.method)
        except RefusedError as error:
            return error.reason or "no reason given"
        return "passes now"


def _receipt(tx_hash: str) -> Any:
    """Return the receipt; Ganache mines a moment after it is told to."""
    deadline = time.monotonic() + RECEIPT_TIMEOUT
    while time.monotonic() < deadline:
        receipt = request("eth_getTransactionReceipt", tx_hash)
        if receipt is not None:
            return receipt
        time.sleep(POLL_INTERVAL)
    raise ScriptError(f"the node did not mine {tx_hash} within {RECEIPT_TIMEOUT:.0f} s")
