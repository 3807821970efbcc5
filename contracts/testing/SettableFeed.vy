# SPDX-License-Identifier: MIT
# pragma version 0.4.3
# pragma evm-version shanghai
"""
@title A price feed that answers what it is told
@notice For local chains and tests only. `set_answer` publishes a proper new round; `set_round`
     publishes any round, however malformed; `set_reverting` makes every read fail.
@dev A round takes two words, as in real aggregators, so that gas figures are true to them.
@custom:units Answers with `decimals` decimals, times in Unix seconds under 2**40.
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


MASK_ID: constant(uint256) = 2**80 - 1
MASK_TIME: constant(uint256) = 2**40 - 1

DECIMALS: immutable(uint8)

_answer: int256
_answers: HashMap[uint80, int256]  # of every round
_clocks: HashMap[uint80, uint256]
_clock: uint256  # round id 80 | answered in 80 | started at 40 | updated at 40 | reverting 1


@deploy
def __init__(decimals: uint8, answer: int256):
    """
    @param decimals Not checked: the oracle has to refuse more than 18 itself.
    """
    DECIMALS = decimals
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
    self._store(
        Round(
            round_id=round_id,
            answer=answer,
            started_at=started_at,
            updated_at=updated_at,
            answered_in_round=answered_in_round,
        )
    )


@external
def set_reverting(reverting: bool):
    """
    @notice Make `latestRoundData` revert, or answer again.
    """
    self._clock = self._clock & (2**240 - 1) | convert(reverting, uint256) << 240


@external
@view
def latestRoundData() -> (uint80, int256, uint256, uint256, uint80):
    assert self._clock >> 240 == 0, "feed: reverting"
    last: Round = self._load()
    return last.round_id, last.answer, last.started_at, last.updated_at, last.answered_in_round


@external
@view
def getRoundData(round_id: uint80) -> (uint80, int256, uint256, uint256, uint80):
    """
    @notice A round of before.
    """
    assert self._clock >> 240 == 0, "feed: reverting"
    clock: uint256 = self._clocks[round_id]
    assert clock != 0, "feed: no such round"
    return (
        round_id,
        self._answers[round_id],
        clock >> 160 & MASK_TIME,
        clock >> 200 & MASK_TIME,
        convert(clock >> 80 & MASK_ID, uint80),
    )


@external
@view
def last_round() -> Round:
    """
    @notice The round as published, also while reads revert.
    """
    return self._load()


@external
@view
def decimals() -> uint8:
    return DECIMALS


@internal
def _publish(answer: int256):
    round_id: uint80 = self._load().round_id + 1
    self._store(
        Round(
            round_id=round_id,
            answer=answer,
            started_at=block.timestamp,
            updated_at=block.timestamp,
            answered_in_round=round_id,
        )
    )


@internal
def _store(published: Round):
    assert max(published.started_at, published.updated_at) <= MASK_TIME, "feed: time too large"
    self._answer = published.answer
    clock: uint256 = (
        convert(published.round_id, uint256)
        | convert(published.answered_in_round, uint256) << 80
        | published.started_at << 160
        | published.updated_at << 200
    )
    self._clock = clock | self._clock >> 240 << 240
    self._answers[published.round_id] = published.answer
    self._clocks[published.round_id] = clock


@internal
@view
def _load() -> Round:
    clock: uint256 = self._clock
    return Round(
        round_id=convert(clock & MASK_ID, uint80),
        answer=self._answer,
        started_at=clock >> 160 & MASK_TIME,
        updated_at=clock >> 200 & MASK_TIME,
        answered_in_round=convert(clock >> 80 & MASK_ID, uint80),
    )
