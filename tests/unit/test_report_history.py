# SPDX-License-Identifier: MIT
"""From journal and events to what the report draws; every number is worked out here."""

import dataclasses

import pytest

from keeper.audit import Account, Ledger
from keeper.events import Event, Log
from keeper.history import (
    CHARGES,
    FEES,
    FUNDING,
    PREMIUM,
    SPOT,
    Records,
    extremes,
    history_of,
    merged,
)
from keeper.journal import DecisionRow as JournalRow
from keeper.policy import Memory, Policy
from keeper.report import Bands, DecisionRow, History, Sample, costs_by_kind
from tests.keeper_world import BOOK, ETHER, NOW, VENUE, address, snapshot, snapshot_of, venue

USDC = 10**6
PRICE = 2_000 * ETHER
DECISION = b"\x07" * 32
HEDGED = {"assets": 40 * ETHER, "delta": -100 * ETHER}
SHARES = 100 * 10**21  # 100 whole shares: three decimals more than the asset


def _row(state, block=100, at=NOW, kind="hold", reason="drift 0 bps is inside the band"):
    state = snapshot_of(state.vault, number=block, at=at)
    return JournalRow(
        id=block,
        tick_id=block,
        job="tick",
        decision_id="ab" * 32,
        kind=kind,
        reason=reason,
        snapshot=state,
        policy=Policy(),
        memory_before=Memory(),
        memory_after=Memory(),
        plan=None,
        figures={},
        objection=None,
    )


def _event(contract, name, **fields):
    log = Log(address=BOOK, topics=(), data=b"", block=7, index=0, tx_hash="0x")
    return Event(contract=contract, name=name, fields=fields, log=log)


def _records(*rows, events=(), ledger=None):
    return Records(
        decisions=rows,
        transactions=[],
        events=list(events),
        ledger=ledger or Ledger(),
        block_times={7: NOW},
    )


def _hedged(**fields):
    return snapshot(
        venue(**HEDGED | fields), idle_assets=60 * ETHER, total_supply=SHARES, price_wad=PRICE
    )


def _history(*events, ledger=None):
    return history_of(_records(_row(_hedged()), events=events, ledger=ledger), "run", "E", "U")


def _totals(history):
    return {kind: run[-1][1] for kind, run in costs_by_kind(history).items()}


def test_sample__hedged_vault__value_and_exposure():
    """100 assets at 2,000 are 200,000, over 100 shares 2,000; 100 held less 100 short is 0."""
    (sample,) = _history().samples
    assert sample.nav_per_share == pytest.approx(2_000.0)
    assert (sample.exposure, sample.target) == (0.0, 0.0)
    assert (sample.price, sample.block, sample.at) == (2_000.0, 100, NOW)
    assert sample.margin_ratio > 1
    assert sample.premium == pytest.approx(-0.001)  # 100 short of a scale of 100,000


def test_sample__two_ticks_on_one_block__the_later_counts():
    early, late = _row(_hedged()), _row(_hedged(profit=200 * USDC))
    history = history_of(_records(early, late), "run", "E", "U")
    assert [sample.nav_per_share for sample in history.samples] == [pytest.approx(2_002.0)]


def test_history__no_shares_or_no_price__says_that_there_is_nothing():
    empty = snapshot(idle_assets=0, total_supply=0)
    blind = snapshot(idle_assets=ETHER, price_ok=False)
    with pytest.raises(ValueError, match="nothing to report"):
        history_of(_records(_row(empty), _row(blind)), "run", "E", "U")


def test_costs__trade__fee_premium_and_funding_apart():
    """Selling 100 for 199,700 at an index of 2,000 loses 300; the fee of 100 is its own."""
    traded = {
        "size": -100 * ETHER, "cost": -199_700 * USDC, "fee": 100 * USDC, "funding": -5 * USDC,
        "price_wad": PRICE,
    }  # fmt: skip
    history = _history(
        _event("PerpVenue", "Traded", account=BOOK, **traded),
        _event("PerpVenue", "Traded", account=address(99), **traded),  # somebody else's
    )
    assert _totals(history) == {
        FEES: pytest.approx(100),
        PREMIUM: pytest.approx(300),
        FUNDING: pytest.approx(-5),
    }


def test_costs__spot_sale__is_held_against_the_index_of_its_plan():
    """Ten assets for 19,950 at 2,000 lose 50; ten bought for 20,030 lose 30."""
    record = {"price_wad": PRICE}
    history = _history(
        _event(
            "HedgeBook", "SpotTraded", decision_id=DECISION, assets=-10 * ETHER, quote=19_950 * USDC
        ),
        _event(
            "HedgeBook", "SpotTraded", decision_id=DECISION, assets=10 * ETHER, quote=-20_030 * USDC
        ),
        _event("HedgeBook", "Rebalanced", decision_id=DECISION, record=record),
    )
    assert _totals(history) == {SPOT: pytest.approx(80)}


def test_costs__flows__their_charges_are_earned():
    flow = {"impact_charge": ETHER // 4, "base_charge": ETHER // 4, "price_wad": PRICE}
    history = _history(_event("HedgeVault", "FlowPriced", **flow))
    assert _totals(history) == {CHARGES: pytest.approx(-1_000)}
    assert history.flows == [NOW]


def test_costs__funding_since_the_last_touch__is_counted():
    """The ledger says 0, the venue's view with funding to this second says 12 owed."""
    ledger = Ledger(accounts={(VENUE, BOOK): Account()})
    records = _records(_row(_hedged(quote=-12 * USDC)), ledger=ledger)
    assert _totals(history_of(records, "run", "E", "U")) == {FUNDING: pytest.approx(12)}


def _decision(**fields):
    return DecisionRow(**{"at": NOW, "block": 1, "action": "hold", "reason": "calm"} | fields)


def test_merged__equal_holds_in_a_row__become_one_line():
    rows = [_decision(), _decision(block=2), _decision(reason="other"), _decision()]
    assert [(row.reason, row.repeats) for row in merged(rows)] == [
        ("calm", 2),
        ("other", 1),
        ("calm", 1),
    ]


def test_merged__what_was_sent__is_never_merged():
    rows = [_decision(action="rebalance", outcome="final")] * 2
    assert len(merged(rows)) == 2


def _sampled(*points):
    bands = Bands(inner=0.01, urgent=0.05, margin_floor=2.0, margin_target=3.0)
    samples = [
        Sample(
            at=NOW + at, block=at, price=1.0, nav_per_share=1.0, exposure=exposure, target=0.0,
            premium=0.0, mean_premium=0.0, funding_rate=0.0, margin_ratio=ratio,
            liquidation_distance=None,
        )
        for at, exposure, ratio in points
    ]  # fmt: skip
    return History(title="", asset="E", quote="U", bands=bands, samples=samples)


def test_extremes__first_hedge__is_not_drift():
    worst = extremes(_sampled((0, 1.0, None), (10, 0.0, 4.0), (20, 0.02, 3.0), (30, 0.0, 5.0)))
    assert worst.worst_drift == pytest.approx(0.02)
    assert worst.least_margin_ratio == 3.0
    assert worst.worst_unhedged_secs == 0
    assert worst.exposure_end == 0.0


def test_extremes__outside_the_urgent_band__longest_time_counts():
    """Out from 10 to 25, in until 40, out from 40 to 45: fifteen seconds at the longest."""
    points = ((0, 0.0), (10, 0.3), (20, -0.2), (25, 0.0), (40, 0.1), (45, 0.0))
    worst = extremes(_sampled(*((at, exposure, 4.0) for at, exposure in points)))
    assert worst.worst_unhedged_secs == 15
    assert worst.worst_drift == pytest.approx(0.3)


def test_extremes__never_hedged__the_whole_run_is_drift():
    history = _sampled((0, 1.0, None), (10, 0.9, None))
    assert extremes(history).worst_drift == 1.0
    assert extremes(dataclasses.replace(history)).least_margin_ratio is None
