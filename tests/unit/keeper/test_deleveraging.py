# SPDX-License-Identifier: MIT
"""Worked numbers of deleveraging, and every way to tamper with a list."""

from __future__ import annotations

import doctest
from dataclasses import replace

import pytest

from keeper import deleveraging
from keeper.deleveraging import (
    MAX_QUOTE,
    MAX_SIZE,
    Cut,
    DoubledAccount,
    Incomplete,
    Leverage,
    OutOfBounds,
    PoolPart,
    Position,
    UnknownAccount,
    WrongLeverage,
    WrongLoss,
    WrongOrder,
    WrongSize,
    check,
    deleverage,
)
from keeper.units import WAD, Wad
from tests.deleveraging_world import (
    address,
    checked,
    failed_longs,
    maintenance_of,
    position,
    shorts,
)

FIVE_PERCENT = maintenance_of(500)
NONE = maintenance_of(0)


def numbers(done) -> dict[int, tuple[int, int]]:
    """Return size and loss of those who are cut, by the number of the owner."""
    return {int(cut.owner, 16): (cut.size, cut.loss) for cut in done.cuts if cut.size}


def test_docstring__worked_number__is_right():
    assert doctest.testmod(deleveraging).attempted > 0
    assert doctest.testmod(deleveraging).failed == 0


def test_a11__thin_account__loses_what_leaves_it_at_maintenance():
    # Units of 0.1: x = 500; r x = 50; 20 - 5 % of 100 = 15; the pool bears 50 - 15.
    done = checked(failed_longs(500, 50), shorts((600, 20), (1_000, 500)), FIVE_PERCENT)
    assert numbers(done) == {1: (500, 15)}
    assert done.leverage == Leverage(size=100, equity=20)
    assert done.pool == PoolPart(own=0, unmatched=0, loss=35)


def test_a11__without_maintenance__still_not_bankrupt():
    done = checked(failed_longs(500, 50), shorts((600, 20), (1_000, 500)), NONE)
    assert numbers(done) == {1: (500, 20)}
    assert done.pool.loss == 30


def test_a12__two_failures_in_one_batch__cost_the_same_in_any_order():
    # 100 fail at r = 20 % and 100 at 1 %: one batch of 200 and 21, so everybody pays 10.5 %.
    done = checked(failed_longs(200, 21), shorts((200, 50), (200, 50)), NONE)
    assert numbers(done) == {1: (100, 11), 2: (100, 10)}  # 10.5 up, then what is left
    assert done.pool.loss == 0
    swapped = checked(failed_longs(200, 21), shorts((200, 50), (200, 50))[::-1], NONE)
    assert swapped == done


def test_a12__one_after_the_other__would_have_hung_on_the_order():
    """
    Why there is a batch: two failures of 500, r = 20 % and 1 %, the first all from (1,000, 200).

    20 % first: 100, then 409 of 500 at 1 %. 1 % first: 5, then 337 of 500 at 20 %, 67.4 up.
    """
    lost = {}
    for deficits in ((100, 5), (5, 100)):
        state, mine = shorts((1_000, 200), (1_000, 1_000)), 0
        for deficit in deficits:
            done = checked(failed_longs(500, deficit), state, NONE)
            cuts = {cut.owner: cut for cut in done.cuts}
            mine += cuts[address(1)].loss
            state = [after(each, cuts[each.owner]) for each in state]
        lost[deficits] = mine
    assert lost == {(100, 5): 105, (5, 100): 73}


def after(short: Position, cut: Cut) -> Position:
    """Return the short position that a cut leaves."""
    return replace(short, size=short.size + cut.size, equity=short.equity - cut.loss)


def test_a13__pool_has_the_winning_side__vault_keeps_its_hedge():
    # Longs 100, vault short 20, pool short 80 = K: a failed long of 25 is all the pool's.
    done = checked(failed_longs(25, 5, skew=80), shorts((20, 10)), FIVE_PERCENT)
    assert numbers(done) == {}
    assert done.leverage == Leverage(size=0, equity=0)
    assert done.pool == PoolPart(own=25, unmatched=0, loss=5)


def test_a13__pool_has_part_of_it__only_the_rest_is_matched():
    # K = 15: accounts give up 10 of 25 and lose ceil(5 * 10 / 25) = 2.
    done = checked(failed_longs(25, 5, skew=15), shorts((20, 10)), FIVE_PERCENT)
    assert numbers(done) == {1: (10, 2)}
    assert done.pool == PoolPart(own=15, unmatched=0, loss=3)


def test_a13__pool_is_on_the_failed_side__takes_nothing():
    done = checked(failed_longs(25, 5, skew=-15), shorts((40, 20)), FIVE_PERCENT)
    assert numbers(done) == {1: (25, 5)}


def test_failed_shorts__longs_are_cut():
    batch = failed_longs(-25, 5, skew=-5)
    done = checked(batch, [position(1, 30, 10), position(2, -99, 1)], FIVE_PERCENT)
    assert numbers(done) == {1: (20, 4)}
    assert len(done.cuts) == 1  # the short is of the failed side
    assert done.pool.own == 5


def test_leverages_differ__all_who_are_cut_are_left_with_the_same():
    # Leverage 10, 5, 1; need 80: (100 + 100 - 80) / (10 + 20) = 4.
    done = checked(failed_longs(80, 8), shorts((100, 10), (100, 20), (100, 100)), NONE)
    assert done.leverage == Leverage(size=120, equity=30)
    assert numbers(done) == {1: (60, 6), 2: (20, 2)}


def test_remainder__goes_on_to_the_next_in_order():
    # Three equal accounts give 10 / 3 each: 3, 3, 4 as the thirds add up; 1 ceil each until left.
    done = checked(failed_longs(10, 10), shorts((9, 9), (9, 9), (9, 9)), NONE)
    assert [cut.size for cut in done.cuts] == [3, 3, 4]
    assert [cut.loss for cut in done.cuts] == [3, 3, 4]


def test_insolvent__is_listed_first_and_gives_up_nothing():
    done = checked(failed_longs(50, 5), shorts((30, 15), (40, 0), (50, -7)), NONE)
    assert [cut.owner for cut in done.cuts] == [address(2), address(3), address(1)]
    assert numbers(done) == {1: (30, 3)}
    assert done.pool == PoolPart(own=0, unmatched=20, loss=2)


def test_m07__nobody_to_match__falls_to_the_pool():
    done = checked(failed_longs(50, 5), [], NONE)
    assert done.cuts == ()
    assert done.pool == PoolPart(own=0, unmatched=50, loss=5)


def test_no_failed_size__pool_bears_all():
    done = checked(failed_longs(0, 5), shorts((30, 15)), NONE)
    assert done.cuts == ()
    assert done.pool == PoolPart(own=0, unmatched=0, loss=5)


def test_no_deficit__sizes_are_cut_at_the_index():
    assert numbers(checked(failed_longs(10, 0), shorts((30, 15)), NONE)) == {1: (10, 0)}


def test_m09__fifty_accounts__low_leverage_hedge_is_touched_last():
    """S falls by 30 %; the hedge has leverage 0.5, forty-nine traders 2 to 50."""
    traders = [(1_000 * i, 20 * i * (i % 25 + 1)) for i in range(1, 50)]
    hedge = (100_000, 200_000)
    all_traders = sum(size for size, _ in traders)
    most = checked(failed_longs(all_traders // 2, 10**5), shorts(*traders, hedge), FIVE_PERCENT)
    assert most.cuts[-1] == Cut(owner=address(50), size=0, loss=0)
    assert sum(cut.size for cut in most.cuts) == all_traders // 2
    assert sum(cut.loss for cut in most.cuts) + most.pool.loss == 10**5


def test_largest_numbers__fit_a_word():
    """Products are refused over 256 bits by `mul_div_up`; the others are bounded by these."""
    batch = failed_longs(MAX_SIZE, MAX_QUOTE - 1)
    accounts = [(MAX_SIZE // 2, MAX_QUOTE // 2 - 1), (MAX_SIZE // 2, MAX_QUOTE // 2)]
    done = checked(batch, shorts(*accounts), NONE)
    assert sum(cut.size for cut in done.cuts) == MAX_SIZE
    assert MAX_SIZE * (MAX_QUOTE - 1) * 2 < 2**225


def test_fault__loss_beyond_what_the_thin_half_bears__is_the_pools():
    """
    Known limit: liability ends with the account, so a split can lower a *loss*, never a cut.

    It takes a deficit per unit over the margin of the thin half: r = 10 % here, E / N = 3.3 %.
    """
    whole = checked(failed_longs(50, 5), shorts((100, 50)), NONE)
    halves = checked(failed_longs(50, 5), shorts((60, 2), (40, 48)), NONE)
    assert numbers(whole) == {1: (50, 5)}
    assert numbers(halves) == {1: (50, 2)}
    assert halves.pool.loss == 3


def test_loss_rate__is_the_share_of_failed_notional_up():
    assert failed_longs(500, 50).loss_rate_wad == WAD // 10
    assert failed_longs(3, 1).loss_rate_wad == WAD // 3 + 1
    assert failed_longs(0, 5).loss_rate_wad == 0
    at_half = replace(failed_longs(500, 50), price_wad=Wad(WAD // 2))
    assert at_half.loss_rate_wad == WAD // 5


# --- a list that was tampered with -------------------------------------------------------------

BATCH = failed_longs(80, 8)
STATE = shorts((100, 10), (100, 20), (100, 100), (50, -1))
DONE = deleverage(BATCH, STATE, NONE)
A, B, C, D = DONE.cuts  # D the unlevered, A the insolvent


def refused(error, cuts, leverage=DONE.leverage, batch=BATCH, state=STATE, maintenance=NONE):
    with pytest.raises(error):
        check(batch, state, maintenance, cuts, leverage)


def test_check__honest_list__passes():
    assert check(BATCH, STATE, NONE, [A, B, C, D], DONE.leverage) == DONE.pool


@pytest.mark.parametrize("cuts", [[A, C, B, D], [B, A, C, D], [A, B, D, C], [D, C, B, A]])
def test_check__other_order__is_refused(cuts):
    refused(WrongOrder, cuts)


def test_check__tie_not_by_address__is_refused():
    state = shorts((100, 10), (200, 20))
    done = deleverage(BATCH, state, NONE)
    refused(WrongOrder, done.cuts[::-1], done.leverage, state=state)


@pytest.mark.parametrize("cuts", [[A, B, B, C, D], [A, A, B, C, D], [A, B, C, D, D]])
def test_check__listed_twice__is_refused(cuts):
    refused(WrongOrder, cuts)


@pytest.mark.parametrize("at", range(4))
def test_check__account_left_out__is_refused(at):
    refused(Incomplete, [*DONE.cuts[:at], *DONE.cuts[at + 1 :]])


def test_check__one_twice_for_another_of_its_size__is_refused():
    refused(WrongOrder, [A, B, C, C])


def test_check__stranger__is_refused():
    refused(UnknownAccount, [A, B, C, D, replace(D, owner=address(9))])


def test_check__account_of_the_failed_side__is_refused():
    state = [*STATE, position(9, 100, 5)]
    refused(UnknownAccount, [A, B, C, D, replace(D, owner=address(9))], state=state)


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize("at", range(4))
def test_check__size_off_by_one__is_refused(at, by):
    cuts = list(DONE.cuts)
    cuts[at] = replace(cuts[at], size=cuts[at].size + by)
    refused(WrongSize, cuts)


def test_check__unit_moved_to_another__is_refused():
    refused(WrongSize, [A, replace(B, size=B.size - 1), replace(C, size=C.size + 1), D])


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize("at", range(4))
def test_check__loss_off_by_one__is_refused(at, by):
    cuts = list(DONE.cuts)
    cuts[at] = replace(cuts[at], loss=cuts[at].loss + by)
    refused(WrongLoss, cuts)


@pytest.mark.parametrize(
    ("size", "equity"),
    [(119, 30), (121, 30), (120, 29), (120, 31), (240, 60), (60, 15), (0, 0), (0, 30), (220, 130)],
)
def test_check__other_lambda__is_refused(size, equity):
    """The same ratio in other terms too: there is one notation, so one transaction."""
    refused(WrongLeverage, DONE.cuts, Leverage(size=size, equity=equity))


@pytest.mark.parametrize(
    ("size", "equity"), [(-1, 30), (MAX_SIZE + 1, 30), (120, -1), (120, MAX_QUOTE)]
)
def test_check__lambda_out_of_bounds__is_refused(size, equity):
    refused(OutOfBounds, DONE.cuts, Leverage(size=size, equity=equity))


def test_check__state_moved_since__is_refused():
    """M-08: a stale list, after one account has added margin."""
    state = [replace(STATE[0], equity=11), *STATE[1:]]
    refused(WrongLeverage, DONE.cuts, state=state)


def test_check__deficit_moved_since__is_refused():
    refused(WrongLoss, DONE.cuts, batch=replace(BATCH, deficit=9))


def test_check__maintenance_that_binds__is_refused_without_it():
    refused(WrongLoss, DONE.cuts, maintenance=maintenance_of(2_500))


@pytest.mark.parametrize(
    ("batch", "state"),
    [
        (failed_longs(50, -1), []),
        (failed_longs(50, MAX_QUOTE), []),
        (failed_longs(MAX_SIZE + 1, 5), []),
        (failed_longs(50, 5, skew=-MAX_SIZE - 1), []),
        (failed_longs(50, 5), shorts((MAX_SIZE, 1), (1, 1))),
        (failed_longs(50, 5), shorts((1, MAX_QUOTE - 1), (1, 1))),
    ],
)
def test_deleverage__out_of_bounds__is_refused(batch, state):
    with pytest.raises(OutOfBounds):
        deleverage(batch, state, NONE)


def test_deleverage__owner_twice__is_refused():
    with pytest.raises(DoubledAccount):
        deleverage(BATCH, [*STATE, STATE[0]], NONE)
