# SPDX-License-Identifier: MIT
"""
One checked price of the asset in the quote token (`PriceOracle.vy`).

With a, q the answers of the served feeds and a', q' those of the witnesses,
price = floor(a * WAD / q) is served if every feed answers with a complete round, a > 0, a time
that is neither in the future nor older than the feed's age, and
|a - a'| <= max_deviation * min(a, a'), the same for q. Every refusal names feed and fault.
"""

from __future__ import annotations

from typing import NamedTuple

from keeper.simulation.reference.reverted import Reverted, require
from keeper.units import BPS, WAD

MAX_DECIMALS = 18
MAX_AGE = 7 * 86_400  # seconds
MAX_VALUE_WAD = 10**36
MIN_PRICE_WAD = 10**6
MAX_PRICE_WAD = 10**30
MAX_ROUND_ID = 2**80 - 1


class Price(NamedTuple):
    """A price, the time of the older served answer, and the round of the asset feed."""

    price_wad: int
    updated_at: int
    round_id: int


class Round(NamedTuple):
    """`latestRoundData`."""

    round_id: int
    answer: int
    started_at: int
    updated_at: int
    answered_in_round: int


class Feed:
    """A price feed that answers what it is told (`testing/SettableFeed.vy`)."""

    __slots__ = ("decimals", "last_round", "reverting")

    def __init__(self, decimals: int, answer: int, *, at: int) -> None:
        self.decimals = decimals
        self.reverting = False
        self.last_round = Round(1, answer, at, at, 1)

    def set_answer(self, answer: int, *, at: int) -> None:
        """Publish a proper new round."""
        number = self.last_round.round_id + 1
        self.last_round = Round(number, answer, at, at, number)

    def set_round(self, published: Round) -> None:
        """Publish exactly this."""
        self.last_round = published


class Source(NamedTuple):
    """One feed as the oracle takes it."""

    feed: Feed
    max_age: int  # seconds
    deviation_threshold_bps: int


class _Answer(NamedTuple):
    value_wad: int = 0
    updated_at: int = 0
    round_id: int = 0


class PriceOracle:
    """
    The oracle over one or two feeds of the asset and one or two of the quote.

    Parameters
    ----------
    asset, quote : Source
        The served feeds.
    max_deviation_bps : int
        Largest difference between a feed and its witness, share of the smaller answer.
    asset_witness, quote_witness : Source, optional
        Second feeds that must agree.

    Raises
    ------
    Reverted
        For what the contract's constructor refuses.
    """

    def __init__(
        self,
        asset: Source,
        quote: Source,
        max_deviation_bps: int,
        *,
        asset_witness: Source | None = None,
        quote_witness: Source | None = None,
    ) -> None:
        require(not _same(asset, asset_witness), "oracle: asset witness same feed")
        require(not _same(quote, quote_witness), "oracle: quote witness same feed")
        require(0 < max_deviation_bps < BPS, "oracle: max deviation")
        self._asset, self._asset_witness = asset, asset_witness
        self._quote, self._quote_witness = quote, quote_witness
        _check_source(asset, "asset feed")
        _check_source(asset_witness, "asset witness")
        _check_source(quote, "quote feed")
        _check_source(quote_witness, "quote witness")
        self.max_deviation_bps = max_deviation_bps
        self.deviation_thresholds_bps = (
            asset.deviation_threshold_bps + quote.deviation_threshold_bps
        )

    def read(self, *, at: int) -> Price:
        """Return the price at this second; refuse one that fails a check."""
        _, price, reason = self.try_read(at=at)
        if reason:
            raise Reverted(reason)
        return price

    def try_read(self, *, at: int) -> tuple[bool, Price, str]:
        """Return whether the price may be used, the price as far as there is one, the reason."""
        asset, asset_reason = self._pair(self._asset, self._asset_witness, "asset", at)
        quote, quote_reason = self._pair(self._quote, self._quote_witness, "quote", at)
        price_wad = 0
        if asset.value_wad != 0 and quote.value_wad != 0:
            price_wad = asset.value_wad * WAD // quote.value_wad
        reason = asset_reason or quote_reason
        if not reason and not MIN_PRICE_WAD <= price_wad <= MAX_PRICE_WAD:
            reason = "oracle: price out of range"
        updated_at = min(asset.updated_at, quote.updated_at)
        return not reason, Price(price_wad, updated_at, asset.round_id), reason

    def _pair(
        self, source: Source, witness: Source | None, name: str, at: int
    ) -> tuple[_Answer, str]:
        """Return the served feed's answer and why it may not be used, or nothing."""
        served, fault = _answer(source, at)
        if fault:
            return served, f"oracle: {name} feed {fault}"
        if witness is None:
            return served, ""
        second, fault = _answer(witness, at)
        if fault:
            return served, f"oracle: {name} witness {fault}"
        low = min(served.value_wad, second.value_wad)
        high = max(served.value_wad, second.value_wad)
        if (high - low) * BPS > self.max_deviation_bps * low:
            return served, f"oracle: {name} feeds deviate"
        return served, ""


def _answer(source: Source, at: int) -> tuple[_Answer, str]:
    """Return the answer and its fault; faults of the number come first."""
    feed = source.feed
    if feed.reverting:
        return _Answer(), "reverted"
    last = feed.last_round
    if last.round_id > MAX_ROUND_ID or last.answered_in_round > MAX_ROUND_ID:
        return _Answer(), "malformed"
    fault, scale = "", 10 ** (MAX_DECIMALS - feed.decimals)
    if last.answer < 0:
        fault = "negative"
    elif last.answer == 0:
        fault = "zero"
    elif last.answer > MAX_VALUE_WAD // scale:
        fault = "too large"
    if fault:
        return _Answer(0, last.updated_at, last.round_id), fault
    answer = _Answer(last.answer * scale, last.updated_at, last.round_id)
    return answer, _round_fault(last, source.max_age, at)


def _round_fault(last: Round, max_age: int, at: int) -> str:
    if last.round_id == 0 or last.updated_at == 0:
        return "incomplete"
    if last.answered_in_round < last.round_id:
        return "old round"
    if last.updated_at > at or last.started_at > at:
        return "in future"
    return "stale" if at - last.updated_at > max_age else ""


def _same(source: Source, witness: Source | None) -> bool:
    return witness is not None and source.feed is witness.feed


def _check_source(source: Source | None, name: str) -> None:
    if source is None:
        return
    require(0 < source.max_age <= MAX_AGE, f"oracle: {name} max age")
    require(source.deviation_threshold_bps < BPS, f"oracle: {name} threshold")
    require(source.feed.decimals <= MAX_DECIMALS, f"oracle: {name} decimals")
