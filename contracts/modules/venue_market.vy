# SPDX-License-Identifier: MIT
# pragma version 0.4.3
"""
@title What a venue is like, asked so that a bad one stops nobody
@notice Stateless.
@custom:units As IHedgeVenue.
"""

from interfaces import IHedgeVenue

MARKET_BYTES: constant(uint256) = 18 * 32
MARKET_GAS: constant(uint256) = 150_000  # what a venue may burn to answer


@internal
@view
def of(venue: address, price_wad: uint256) -> (bool, IHedgeVenue.Market):
    """
    @return Whether the venue answers, and its market.
    """
    answered: bool = False
    words: Bytes[MARKET_BYTES] = b""
    answered, words = raw_call(
        venue,
        abi_encode(price_wad, method_id=method_id("market(uint256)")),
        max_outsize=MARKET_BYTES,
        gas=MARKET_GAS,
        is_static_call=True,
        revert_on_failure=False,
    )
    if not answered or len(words) != MARKET_BYTES:
        return False, empty(IHedgeVenue.Market)
    return True, abi_decode(words, IHedgeVenue.Market)
