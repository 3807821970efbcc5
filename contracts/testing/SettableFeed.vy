# SPDX-License-Identifier: MIT
# pragma version 0.4.3
# pragma evm-version shanghai
"""
@title A price feed that answers what it is told
@notice For local chains and tests only. `set_answer` publishes a proper new round; `set_round`
     publishes any round, however malformed; `set_reverting` makes every read fail.
@custom:units Answers with `decimals` decimals, times in Unix seconds.
@custom:rounding None.
@custom:halt Not needed.
"""

from interfaces import IAggregatorV3

implements: IAggregatorV3


struct Round:
    round_id: uint80
    answer: int256
    started_at: uint256
    updated_at: uint256
    answered_in_round: uint80


decimals: public(uint8)
reverting: public(bool)
last_round: public(Round)


@deploy
def __init__(decimals: uint8, answer: int256):
    """
    @param decimals Not checked: the oracle has to refuse more than 18 itself.
    """
    self.decimals = decimals
    self._publish(answer)


@external
def set_answer(answer: int256):
    """
    @notice Publish `answer` in the next round, at this block's time.
    """
    self._publish(answer)


@external
def set_round(
    round_id: uint80,
    answer: int256,
    started_at: uint256,
    updated_at: uint256,
    answered_in_round: uint80,
):
    """
    @notice Publish exactly this.
    """
    self.last_round = Round(
        round_id=round_id,
        answer=answer,
        started_at=started_at,
        updated_at=updated_at,
        answered_in_round=answered_in_round,
    )


@external
def set_reverting(reverting: bool):
    """
    @notice Make `latestRoundData` revert, or answer again.
    """
    self.reverting = reverting


@external
@view
def latestRoundData() -> (uint80, int256, uint256, uint256, uint80):
    assert not self.reverting, "feed: reverting"
    last: Round = self.last_round
    return last.round_id, last.answer, last.started_at, last.updated_at, last.answered_in_round


@internal
def _publish(answer: int256):
    round_id: uint80 = self.last_round.round_id + 1
    self.last_round = Round(
        round_id=round_id,
        answer=answer,
        started_at=block.timestamp,
        updated_at=block.timestamp,
        answered_in_round=round_id,
    )
