# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
"""
@title What a venue gets from its insurance fund
@custom:units Raw quote units.
@custom:rounding None.
"""

from ethereum.ercs import IERC20

from modules import venue_ledger as ledger
from modules import words

uses: ledger

COVER_GAS: constant(uint256) = 200_000  # what a fund may burn; an honest one needs 60,000


@internal
def covered(wanted: uint256) -> uint256:
    """
    @dev What insurance pays: first its own claim here, then what `cover` really moves.
    """
    if wanted == 0:
        return 0
    own: uint256 = min(wanted, convert(words.low_of(ledger.claims), uint256))
    drawn: uint256 = 0
    if wanted > own:
        drawn = self._drawn(wanted - own)
        ledger.quote_held += drawn
    ledger.claim(convert(own + drawn, int256), -convert(own, int256))
    return own + drawn


@internal
def _drawn(wanted: uint256) -> uint256:
    """
    @dev The change of our own balance, whatever the fund answers; a fund that reverts, lies
         or burns its gas has paid nothing. A caller cannot make an honest one fail: what 63/64
         of too little gas leaves is not enough to finish the call.
    """
    before: uint256 = staticcall IERC20(ledger.QUOTE).balanceOf(self)
    called: bool = raw_call(
        ledger.FUND,
        abi_encode(wanted, method_id=method_id("cover(uint256)")),
        gas=COVER_GAS,
        revert_on_failure=False,
    )
    after: uint256 = staticcall IERC20(ledger.QUOTE).balanceOf(self)
    return min(wanted, after - min(before, after))
