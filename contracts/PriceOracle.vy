# SPDX-License-Identifier: MIT
# pragma version 0.4.3
# pragma evm-version shanghai
"""
@title One checked price of the asset in the quote token, out of AggregatorV3 feeds
@notice There are one or two feeds of the asset and one or two of the quote, all in the same
     third currency (USD). The first of each pair is served; the second is a witness that must
     agree. The quote token is priced like the asset: it may lose its peg.
@dev Let a, q be the answers of the served feeds and a', q' those of the witnesses.

         price = floor(a * WAD / q), a and q as WAD

     is served if every feed answers with a complete round, a > 0, a timestamp that is neither
     in the future nor older than the feed's `max_age`, and
     |a - a'| <= max_deviation * min(a, a'), the same for q.

     Every refusal is "oracle: <feed> <fault>"; the feed is `asset feed`, `asset witness`,
     `quote feed` or `quote witness`, the fault one of: reverted, malformed, incomplete,
     old round, in future, stale, zero, negative, too large. A pair that disagrees is
     "oracle: asset feeds deviate" (or quote), a price that the other contracts do not compute
     with "oracle: price out of range".

     Nothing is stored, so there is nothing to lock. Feeds are called with `raw_call`: a feed
     that reverts, answers garbage or has no code is a fault with a name, not a revert.
@custom:units Prices WAD (whole quote per whole asset), ages in seconds, deviations in bps.
@custom:rounding The price down, by less than one unit of 1e-18; thresholds are exact.
@custom:halt It has no switch and no owner. While a check fails `read` reverts and `try_read`
     says why; to replace a feed, deploy another oracle.
"""

from interfaces import IAggregatorV3
from interfaces import IPriceOracle

implements: IPriceOracle


struct Source:
    feed: address  # zero: no witness
    max_age: uint256  # seconds
    deviation_threshold_bps: uint256  # largest move that the feed may leave unreported


struct Feed:
    source: address
    scale: uint256  # answer * scale is WAD
    max_age: uint256


struct Round:  # latestRoundData in full words
    round_id: uint256
    answer: int256
    started_at: uint256
    updated_at: uint256
    answered_in_round: uint256


struct Answer:
    value_wad: uint256  # 0 where there is no usable number
    updated_at: uint256
    round_id: uint256


flag Fault:  # the order in which they are looked for
    REVERTED
    MALFORMED
    NEGATIVE
    ZERO
    TOO_LARGE
    INCOMPLETE
    OLD_ROUND
    IN_FUTURE
    STALE

WAD: constant(uint256) = 10**18
BPS: constant(uint256) = 10_000

MAX_DECIMALS: constant(uint256) = 18
MAX_AGE: constant(uint256) = 7 * 86_400  # seconds; the slowest feeds report once a day
MAX_FEED_GAS: constant(uint256) = 300_000  # a proxied feed needs some 30,000
MAX_VALUE_WAD: constant(uint256) = 10**36  # of one feed; value * WAD stays under 2**180
MIN_PRICE_WAD: constant(uint256) = 10**6  # under it rounding would exceed 1e-6 of the price
MAX_PRICE_WAD: constant(uint256) = 10**30  # others multiply it with amounts up to 2**128
MAX_ROUND_ID: constant(uint256) = 2**80 - 1  # rounds are uint80
ROUND_BYTES: constant(uint256) = 5 * 32

ASSET_FEED: immutable(Feed)
ASSET_WITNESS: immutable(Feed)
QUOTE_FEED: immutable(Feed)
QUOTE_WITNESS: immutable(Feed)
MAX_DEVIATION_BPS: immutable(uint256)
DEVIATION_THRESHOLDS_BPS: immutable(uint256)


@deploy
def __init__(
    asset: Source,
    asset_witness: Source,
    quote: Source,
    quote_witness: Source,
    max_deviation_bps: uint256,
):
    """
    @param asset The served feed of the asset; its address must not be zero.
    @param asset_witness A second one, or a zero address.
    @param quote The served feed of the quote token; its address must not be zero.
    @param quote_witness A second one, or a zero address.
    @param max_deviation_bps Largest difference between a feed and its witness, as a share of
        the smaller answer; 1 to 9,999.
    """
    assert asset.feed != empty(address), "oracle: asset feed is zero"
    assert quote.feed != empty(address), "oracle: quote feed is zero"
    assert asset.feed != asset_witness.feed, "oracle: asset witness same feed"
    assert quote.feed != quote_witness.feed, "oracle: quote witness same feed"
    assert 0 < max_deviation_bps and max_deviation_bps < BPS, "oracle: max deviation"
    ASSET_FEED = self._feed(asset, "asset feed")
    ASSET_WITNESS = self._feed(asset_witness, "asset witness")
    QUOTE_FEED = self._feed(quote, "quote feed")
    QUOTE_WITNESS = self._feed(quote_witness, "quote witness")
    MAX_DEVIATION_BPS = max_deviation_bps
    DEVIATION_THRESHOLDS_BPS = asset.deviation_threshold_bps + quote.deviation_threshold_bps


@external
@view
def read() -> IPriceOracle.Price:
    """
    @notice The price now.
    @dev Reverts with the reason that names the feed and the check that failed.
    @return Price WAD rounded down, time of the older served answer, round of the asset feed.
    """
    price: IPriceOracle.Price = empty(IPriceOracle.Price)
    reason: String[32] = ""
    price, reason = self._price()
    assert len(reason) == 0, reason
    return price


@external
@view
def try_read() -> (bool, IPriceOracle.Price, String[32]):
    """
    @notice The price now, for a caller who must not revert.
    @return Whether it may be used; the price as far as the served feeds give one, zero
        otherwise; the reason when it may not be used.
    """
    price: IPriceOracle.Price = empty(IPriceOracle.Price)
    reason: String[32] = ""
    price, reason = self._price()
    return len(reason) == 0, price, reason


@external
@view
def deviation_thresholds_bps() -> uint256:
    """
    @notice How far the price may be from the market before a served feed reports.
    @return Threshold of the asset feed plus that of the quote feed.
    """
    return DEVIATION_THRESHOLDS_BPS


@external
@view
def max_deviation_bps() -> uint256:
    """
    @notice Largest difference between a feed and its witness, share of the smaller answer.
    """
    return MAX_DEVIATION_BPS


@external
@view
def feeds() -> (Feed, Feed, Feed, Feed):
    """
    @notice Asset feed, asset witness, quote feed, quote witness.
    @return For each its address (zero: absent), the factor that makes its answer a WAD, and
        the age in seconds over which it is refused.
    """
    return ASSET_FEED, ASSET_WITNESS, QUOTE_FEED, QUOTE_WITNESS


@internal
@view
def _feed(source: Source, name: String[13]) -> Feed:
    """
    @dev The checked configuration of one feed; an absent witness is all zero.
    """
    if source.feed == empty(address):
        return empty(Feed)
    assert 0 < source.max_age and source.max_age <= MAX_AGE, concat("oracle: ", name, " max age")
    assert source.deviation_threshold_bps < BPS, concat("oracle: ", name, " threshold")
    decimals: uint256 = convert(staticcall IAggregatorV3(source.feed).decimals(), uint256)
    assert decimals <= MAX_DECIMALS, concat("oracle: ", name, " decimals")
    return Feed(source=source.feed, scale=10**(MAX_DECIMALS - decimals), max_age=source.max_age)


@internal
@view
def _price() -> (IPriceOracle.Price, String[32]):
    """
    @dev The first reason found is reported, served feeds before witnesses; the price is filled
         in as soon as both served feeds gave a number, so that it is there when not ok.
    """
    asset: Answer = empty(Answer)
    quote: Answer = empty(Answer)
    asset_reason: String[32] = ""
    quote_reason: String[32] = ""
    asset, asset_reason = self._pair(ASSET_FEED, ASSET_WITNESS, "asset")
    quote, quote_reason = self._pair(QUOTE_FEED, QUOTE_WITNESS, "quote")
    price: IPriceOracle.Price = IPriceOracle.Price(
        price_wad=0,
        updated_at=min(asset.updated_at, quote.updated_at),
        round_id=asset.round_id,
    )
    if asset.value_wad != 0 and quote.value_wad != 0:
        price.price_wad = asset.value_wad * WAD // quote.value_wad
    if len(asset_reason) != 0:
        return price, asset_reason
    if len(quote_reason) != 0:
        return price, quote_reason
    if price.price_wad < MIN_PRICE_WAD or price.price_wad > MAX_PRICE_WAD:
        return price, "oracle: price out of range"
    return price, ""


@internal
@view
def _pair(feed: Feed, witness: Feed, name: String[5]) -> (Answer, String[32]):
    """
    @dev The served feed's answer and why it may not be used, or "".
    """
    served: Answer = empty(Answer)
    fault: Fault = empty(Fault)
    served, fault = self._answer(feed)
    if fault != empty(Fault):
        return served, concat("oracle: ", name, " feed ", self._fault_name(fault))
    if witness.source == empty(address):
        return served, ""
    second: Answer = empty(Answer)
    second, fault = self._answer(witness)
    if fault != empty(Fault):
        return served, concat("oracle: ", name, " witness ", self._fault_name(fault))
    low: uint256 = min(served.value_wad, second.value_wad)
    high: uint256 = max(served.value_wad, second.value_wad)
    if (high - low) * BPS > MAX_DEVIATION_BPS * low:
        return served, concat("oracle: ", name, " feeds deviate")
    return served, ""


@internal
@view
def _answer(feed: Feed) -> (Answer, Fault):
    """
    @dev Words are decoded as full words, because decoding a uint80 with dirty upper bits would
         revert. Faults of the number come first: with any other the number is still given.
    """
    success: bool = False
    response: Bytes[ROUND_BYTES] = b""
    success, response = raw_call(
        feed.source,
        method_id("latestRoundData()"),
        max_outsize=ROUND_BYTES,
        gas=MAX_FEED_GAS,
        is_static_call=True,
        revert_on_failure=False,
    )
    if not success:
        return empty(Answer), Fault.REVERTED
    if len(response) != ROUND_BYTES:
        return empty(Answer), Fault.MALFORMED
    raw: Round = abi_decode(response, Round)
    if raw.round_id > MAX_ROUND_ID or raw.answered_in_round > MAX_ROUND_ID:
        return empty(Answer), Fault.MALFORMED
    answer: Answer = Answer(value_wad=0, updated_at=raw.updated_at, round_id=raw.round_id)
    if raw.answer < 0:
        return answer, Fault.NEGATIVE
    if raw.answer == 0:
        return answer, Fault.ZERO
    if convert(raw.answer, uint256) > MAX_VALUE_WAD // feed.scale:
        return answer, Fault.TOO_LARGE
    answer.value_wad = convert(raw.answer, uint256) * feed.scale
    return answer, self._round_fault(raw, feed.max_age)


@internal
@view
def _round_fault(raw: Round, max_age: uint256) -> Fault:
    if raw.round_id == 0 or raw.updated_at == 0:
        return Fault.INCOMPLETE
    if raw.answered_in_round < raw.round_id:
        return Fault.OLD_ROUND
    if raw.updated_at > block.timestamp or raw.started_at > block.timestamp:
        return Fault.IN_FUTURE
    if block.timestamp - raw.updated_at > max_age:
        return Fault.STALE
    return empty(Fault)


@internal
@view
def _fault_name(fault: Fault) -> String[10]:
    """
    @dev A view only because 0.4.3 refuses to name members of a flag in a pure function.
    """
    if fault == Fault.REVERTED:
        return "reverted"
    if fault == Fault.MALFORMED:
        return "malformed"
    if fault == Fault.NEGATIVE:
        return "negative"
    if fault == Fault.ZERO:
        return "zero"
    if fault == Fault.TOO_LARGE:
        return "too large"
    if fault == Fault.INCOMPLETE:
        return "incomplete"
    if fault == Fault.OLD_ROUND:
        return "old round"
    if fault == Fault.IN_FUTURE:
        return "in future"
    return "stale"
