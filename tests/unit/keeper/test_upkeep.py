# SPDX-License-Identifier: MIT
"""What is due at a venue, state by state, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.curve import maintenance_up
from keeper.deleveraging import check, deleverage
from keeper.upkeep import (
    Care,
    Cause,
    Failures,
    Running,
    Stage,
    batch_of,
    causes,
    debt_is_forced,
    deleveraging,
    due,
    kept_up,
    liquidations,
    owners_in_order,
    pool_is_low,
    positions,
)
from tests.keeper_world import ETHER, NOW, address
from tests.upkeep_world import DIVISOR, MARKET, POOL, PRICE, USDC, account, request, venue

CARE = Care()
FAILED = Failures(loss=1_000 * USDC, size=30 * ETHER)


def named(calls):
    return [(call.method, *call.arguments) for call in calls]


def methods(calls):
    return [call.method for call in calls]


def test_due__quiet_venue__nothing():
    assert due(venue(account(1, 10, 5_000 * USDC)), CARE) == ()


# Liquidations


def test_liquidations__insolvent_first_then_by_margin_ratio_then_by_address():
    """Maintenance of 10 at 2,000 is 5.005 % of 20,000 = 1,001."""
    state = venue(
        account(1, 10, 900 * USDC),
        account(2, 10, 500 * USDC),
        account(3, 10, 0),
        account(4, -10, 500 * USDC),
        account(5, 10, 1_001 * USDC),
        account(6, -10, -USDC),
        account(7, 20, 1_000 * USDC),
    )
    order = [3, 6, 7, 2, 4, 1]
    assert named(liquidations(state, CARE)) == [("liquidate", address(each)) for each in order]


@pytest.mark.parametrize(("least", "found"), [(2 * USDC, 1), (2 * USDC + 1, 0)])
def test_liquidations__reward__from_the_least_that_pays(least, found):
    state = venue(account(1, 10, 500 * USDC))
    assert len(liquidations(state, Care(least_reward=least))) == found


@pytest.mark.parametrize(
    "changes",
    [{"price_ok": False}, {"stage": Stage.CLOSED}, {"stage": Stage.BATCH}],
)
def test_liquidations__venue_that_takes_none__none(changes):
    assert liquidations(venue(account(1, 10, 500 * USDC), **changes), CARE) == ()


# Debts


@pytest.mark.parametrize(
    ("assets", "quote", "forced"),
    [
        (ETHER, -1_000 * USDC, False),  # half of 2,000
        (ETHER, -1_000 * USDC - 1, True),
        (ETHER, 1_001 * USDC, False),
        (0, -1_001 * USDC, False),
    ],
)
def test_debt__over_half_of_the_asset_margin__forced(assets, quote, forced):
    state = venue(account(1, 1, 1_000 * USDC, assets=assets, quote=quote))
    assert debt_is_forced(state, state.accounts[0]) is forced
    assert named(due(state, CARE)) == ([("settle_debt", address(1))] if forced else [])


def test_debt__of_an_account_that_is_liquidated__left_to_that():
    state = venue(account(1, 10, 500 * USDC, assets=ETHER, quote=-1_500 * USDC))
    assert methods(due(state, CARE)) == ["liquidate"]


# Deleveraging


def winners():
    return [account(i, -10 * i, (1_100 + 300 * (i % 3)) * i * USDC) for i in range(1, 6)]


def state_of(cause, *others, **changes):
    """Return a venue in which accounts may be deleveraged for `cause`, against five accounts."""
    accounts = winners()
    if cause == Cause.FAILED_SHORTS:
        accounts = [account(i, 10 * i, (1_100 + 300 * (i % 3)) * i * USDC) for i in range(1, 6)]
        changes = {"failed_shorts": FAILED, **changes}
    elif cause == Cause.FAILED_LONGS:
        changes = {"failed_longs": FAILED, **changes}
    else:
        low = replace(
            MARKET, skew=-150 * ETHER, short_size=150 * ETHER, pool_equity=150_000 * USDC - 1
        )
        changes = {"market": low, **changes}
    return venue(*accounts, *others, **changes)


@pytest.mark.parametrize("cause", Cause)
def test_deleveraging__one_call__the_list_that_check_accepts(cause):
    state = state_of(cause)
    ((method, given, owners),) = named(deleveraging(state, CARE))
    assert (method, given) == ("deleverage", cause)
    batch = batch_of(state, cause)

    def maintenance(size):
        return maintenance_up(state.market, size, state.scale)

    done = deleverage(batch, positions(state), maintenance)
    check(batch, positions(state), maintenance, done.cuts, done.leverage)
    assert owners == tuple(cut.owner for cut in done.cuts)
    assert sum(cut.size for cut in done.cuts) > 0


def test_batch__low_pool__wants_what_takes_the_skew_to_the_share_of_trades():
    """|K| of 150 is worth 300,000; 149,999.999999 carries half of itself, 37.49... of 2,000."""
    state = state_of(Cause.LOW_POOL)
    batch = batch_of(state, Cause.LOW_POOL)
    carried = (150_000 * USDC - 1) * DIVISOR // (2 * PRICE)
    assert (batch.failed_size, batch.deficit) == (150 * ETHER - carried, 0)
    assert batch.pool_size == 0


@pytest.mark.parametrize(("equity", "low"), [(150_000 * USDC, False), (150_000 * USDC - 1, True)])
def test_pool_is_low__under_half_of_the_skews_value(equity, low):
    market = replace(MARKET, skew=150 * ETHER, pool_equity=equity)
    assert pool_is_low(venue(market=market)) is low


@pytest.mark.parametrize("skew", [0, 100 * ETHER])
def test_batch__low_pool_with_negative_equity__all_of_the_skew(skew):
    state = venue(market=replace(MARKET, skew=skew, pool_equity=-1))
    assert batch_of(state, Cause.LOW_POOL).failed_size == -skew
    assert causes(state) == (Cause.LOW_POOL,)


def test_deleveraging__more_than_a_chunk__venue_is_to_stand_still_and_nothing_follows():
    state = state_of(Cause.FAILED_LONGS, stage=Stage.GATED, accrued_at=0, fund_claim=5)
    calls = due(state, Care(chunk=4))
    assert named(calls) == [("deleverage", Cause.FAILED_LONGS, ())]


def test_deleveraging__more_than_a_chunk_and_no_gate__not_possible():
    """The venue stands still for a substantial loss only; what is kept up goes on."""
    state = state_of(Cause.FAILED_LONGS, accrued_at=0)
    assert methods(due(state, Care(chunk=4))) == ["accrue"]
    assert methods(due(state_of(Cause.LOW_POOL), Care(chunk=4))) == ["deleverage"]


def test_deleveraging__nobody_on_the_other_side__no_call():
    state = venue(account(1, 10, 5_000 * USDC), failed_longs=FAILED)
    assert deleveraging(state, CARE) == ()


def test_deleveraging__both_sides_failed__shorts_first():
    state = state_of(Cause.FAILED_LONGS, account(9, 100, 50_000 * USDC), failed_shorts=FAILED)
    calls = deleveraging(state, CARE)
    assert [call.arguments[0] for call in calls] == [Cause.FAILED_SHORTS, Cause.FAILED_LONGS]


def test_deleveraging__two_sides_that_need_several_calls__only_one_begins():
    """The venue that stands still for the first takes no other."""
    longs = [account(i, 15, 5_000 * USDC) for i in range(11, 14)]
    state = state_of(Cause.FAILED_LONGS, *longs, failed_shorts=FAILED, stage=Stage.GATED)
    assert named(due(state, Care(chunk=2))) == [("deleverage", Cause.FAILED_SHORTS, ())]
    # One that fits into a call goes before one that does not.
    first, second = named(due(state, Care(chunk=3)))
    assert (first[1], len(first[2])) == (Cause.FAILED_SHORTS, 3)
    assert second == ("deleverage", Cause.FAILED_LONGS, ())


def running(chunks, cut_chunks=0, cut=(), listed=None, deadline=NOW + 100):
    state = state_of(Cause.FAILED_LONGS, stage=Stage.BATCH)
    order = owners_in_order(state, batch_of(state, Cause.FAILED_LONGS))
    sizes = {each.owner: abs(each.margin.delta) for each in state.accounts}
    batch = Running(
        cause=Cause.FAILED_LONGS,
        side=-1,
        listed=sum(sizes[each] for each in order[: sum(chunks)]) if listed is None else listed,
        chunks=chunks,
        chunks_cut=cut_chunks,
        cut=frozenset(order[i] for i in cut),
        deadline=deadline,
    )
    return replace(state, running=batch), order


@pytest.mark.parametrize(
    ("chunks", "cut_chunks", "cut", "expected"),
    [
        ((), 0, (), [(0, 2), (2, 4), (4, 5), (0, 2), (2, 4), (4, 5)]),
        ((1,), 0, (), [(1, 3), (3, 5), (0, 1), (1, 3), (3, 5)]),
        ((3, 2), 0, (), [(0, 3), (3, 5)]),
        ((3, 2), 1, (0, 1, 2), [(3, 5)]),
        ((3, 2), 1, (1, 2), [(3, 5)]),  # the first of the chunk gave up nothing
        ((3, 1, 1), 2, (0,), [(4, 5)]),
    ],
)
def test_deleveraging__batch_that_runs__goes_on_where_it_stands(chunks, cut_chunks, cut, expected):
    state, order = running(chunks, cut_chunks, cut)
    calls = due(state, Care(chunk=2))
    assert [call.arguments for call in calls] == [
        (Cause.FAILED_LONGS, order[start:end]) for start, end in expected
    ]


def test_deleveraging__batch_whose_list_fits_one_call__that_call_also_cuts():
    state, order = running(())
    assert named(due(state, CARE)) == [("deleverage", Cause.FAILED_LONGS, order)]


@pytest.mark.parametrize(("deadline", "expected"), [(NOW, []), (NOW - 1, ["abandon"])])
def test_deleveraging__list_of_another_order__abandoned_after_the_deadline(deadline, expected):
    state, _ = running((1,), listed=1, deadline=deadline)
    assert methods(due(state, CARE)) == expected


@pytest.mark.parametrize("chunk", [0, 101])
def test_care__chunk_that_no_call_takes__refused(chunk):
    with pytest.raises(ValueError, match=f"1 to 100 accounts, not {chunk}"):
        Care(chunk=chunk)


# What is kept up


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"accrued_at": NOW - 899}, []),
        ({"accrued_at": NOW - 900}, ["accrue"]),
        ({"accrued_at": 0, "price_ok": False}, []),
        ({"pool_claim": 11}, ["settle"]),
        ({"pool_claim": 10}, []),
        ({"pool_claim": 0, "debt": 11}, ["settle"]),
        ({"pool_claim": 20, "debt": 15}, []),
        ({"pool_assets": 1, "price_ok": False}, ["settle"]),
        ({"fund_claim": 11}, ["collect"]),
        ({"fund_claim": 10}, []),
        ({"backstop_size": ETHER}, ["unwind"]),
        ({"backstop_size": -ETHER}, ["unwind"]),
        ({"backstop_size": ETHER, "unwound_at": NOW - 59}, []),
        ({"backstop_size": ETHER, "unwound_at": NOW - 60}, ["unwind"]),
        ({"backstop_size": 40 * ETHER}, ["unwind"]),
        ({"backstop_size": 40 * ETHER + 1}, []),  # over two maker fees of premium: takers first
        ({"backstop_size": -40 * ETHER - 1}, []),
        ({"backstop_size": ETHER, "stage": Stage.GATED}, []),
        ({"backstop_size": ETHER, "price_ok": False}, []),
    ],
)
def test_kept_up__each_thing__from_its_own_threshold_on(changes, expected):
    assert methods(kept_up(venue(**changes), Care(least_moved=10))) == expected


@pytest.mark.parametrize(
    ("skew", "held", "expected"),
    [
        (2_999, -10, []),  # buying 10 would take |K| from 2,999 over the cap of 3,000
        (2_990, -10, ["unwind"]),
        (2_999, 10, ["unwind"]),
        (3_100, 10, ["unwind"]),  # over the cap, but less so
    ],
)
def test_unwinding__premium__under_its_cap_or_falling(skew, held, expected):
    market = replace(MARKET, skew=skew * ETHER)
    state = venue(market=market, backstop_size=held * ETHER)
    assert methods(kept_up(state, CARE)) == expected


def with_requests(*requests, **changes):
    return replace(POOL, requests=requests, **changes)


@pytest.mark.parametrize(
    ("asked", "changes", "expected"),
    [
        (request(1), {}, [("execute_provide", address(1))]),
        (request(1, entering=False), {}, [("execute_remove", address(1))]),
        (request(1, age=3_599), {}, []),
        (request(1, age=14_400), {}, [("execute_provide", address(1))]),
        (request(1, age=14_401), {}, []),
        (request(1, round_id=7), {}, []),
        (request(1), {"stage": Stage.GATED}, []),
        (request(1, entering=False), {"stage": Stage.GATED}, [("execute_remove", address(1))]),
        (request(1), {"price_ok": False}, []),
        (request(1), {"round_id": 8}, [("note_price",)]),
        (request(1), {"at": NOW - 1}, []),  # noted 59 seconds ago, and not due either
    ],
)
def test_requests__due__executed_at_a_price_that_has_stood(asked, changes, expected):
    assert named(kept_up(venue(pool=with_requests(asked), **changes), CARE)) == expected


def test_requests__price_noted_a_moment_ago__waited_for():
    pool = with_requests(request(1), noted=(PRICE, 7, NOW - 59))
    assert kept_up(venue(pool=pool), CARE) == ()


def test_requests__first_provider__at_once_and_without_a_noted_price():
    pool = with_requests(request(1, age=0, round_id=7), total_shares=0, noted=(0, 0, 0))
    assert named(kept_up(venue(pool=pool), CARE)) == [("execute_provide", address(1))]


def test_requests__several__the_oldest_first():
    asked = request(1), request(3, age=4_000, entering=False), request(2)
    calls = kept_up(venue(pool=with_requests(*asked)), CARE)
    assert [call.arguments[0] for call in calls] == [address(3), address(1), address(2)]


# The whole, and the end


def test_due__everything_at_once__in_order():
    state = state_of(
        Cause.FAILED_LONGS,
        account(20, 10, 500 * USDC),
        account(21, 1, 5_000 * USDC, assets=ETHER, quote=-1_500 * USDC),
        accrued_at=0,
        pool_claim=5,
        debt=1,
        fund_claim=1,
        backstop_size=ETHER,
        pool=with_requests(request(1)),
    )
    assert methods(due(state, CARE)) == [
        *("liquidate", "settle_debt", "deleverage"),
        *("accrue", "settle", "collect", "execute_provide", "unwind"),
    ]


def test_due__order_of_what_was_read__changes_nothing():
    state = state_of(Cause.FAILED_LONGS, account(20, 10, 500 * USDC), account(21, 10, -5))
    turned = replace(state, accounts=tuple(reversed(state.accounts)))
    assert named(due(turned, CARE)) == named(due(state, CARE))


def test_ending__open_accounts__closed_in_chunks_then_claims_fixed():
    accounts = [account(i, 1, 5_000 * USDC) for i in range(1, 4)]
    debtor, idle = account(4, 0, 0, quote=-5), account(5, 0, 100, quote=100)
    state = venue(*accounts, debtor, idle, stage=Stage.CLOSED)
    assert named(due(state, Care(chunk=2))) == [
        ("close", (address(1), address(2))),
        ("close", (address(3), address(4))),
        ("fix_claims",),
    ]


def test_ending__claims_fixed__released_who_has_something_and_has_not_been():
    paid = replace(account(1, 0, 100, quote=100), released=True)
    winner = replace(account(2, 0, 0), profit_claim=5)
    accounts = (
        paid,
        winner,
        account(3, 0, 0),
        account(4, 0, 9, assets=9),
        account(5, 0, 8, quote=8),
    )
    state = venue(*accounts, stage=Stage.CLOSED, claims_fixed=True, fund_claim=7)
    assert named(due(state, CARE)) == [
        *(("release", address(i)) for i in (2, 4, 5)),
        ("collect", state.address),
    ]
