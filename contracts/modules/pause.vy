# SPDX-License-Identifier: MIT
# pragma version 0.4.3
"""
@title How long a guardian may pause something, and how soon again
@notice Stateless.
@dev A pause lasts at most 72 hours, cannot be prolonged while it runs, and after its announced
     end another one must wait for 72 hours, also when the first was lifted early. So out of any
     144 hours at least 72 are open without anybody's consent; who needs longer is the owner.
@custom:units Unix seconds.
"""

MAX_PAUSE: constant(uint256) = 72 * 3_600  # seconds
REST: constant(uint256) = 72 * 3_600  # seconds


@internal
@view
def until(duration_secs: uint256, ready_at: uint256) -> uint256:
    """
    @dev End of a pause that begins now; `ready_at` is the earliest moment for it.
    """
    assert duration_secs > 0, "pause: zero duration"
    assert duration_secs <= MAX_PAUSE, "pause: longer than 72 h"
    assert block.timestamp >= ready_at, "pause: too soon after the last"
    return block.timestamp + duration_secs


@internal
@pure
def ready_at(paused_until: uint256) -> uint256:
    return paused_until + REST
