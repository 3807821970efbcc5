# SPDX-License-Identifier: MIT
"""When a demo has failed: one stand-in run for each reason."""

from types import SimpleNamespace

import pytest

from keeper.history import extremes
from keeper.journal import TxState
from keeper.report import Bands, History, Sample
from scripts.demo_audit import _Case, _facts, _failures

BANDS = Bands(inner=0.01, urgent=0.05, margin_floor=4.8, margin_target=6.7)
BOOK = "0x" + "b" * 40


def _sample(block, *, exposure=0.0, ratio=7.0):
    return Sample(
        at=1_000 + block,
        block=block,
        price=2_000.0,
        nav_per_share=2_000.0,
        exposure=exposure,
        target=0.0,
        premium=0.0,
        mean_premium=0.0,
        funding_rate=0.0,
        margin_ratio=ratio,
        liquidation_distance=0.4,
    )


def _tx(**fields):
    standard = {
        "id": 5,
        "succeeded": True,
        "state": TxState.FINAL,
        "tx_hash": "0x1",
        "detail": None,
        "sends": 1,
    }
    return SimpleNamespace(**standard | fields, decision_row=1)


def _case(*samples, transactions=(), events=(), faults=(), head=20, **run):
    samples = samples or (_sample(10), _sample(20))
    told = {
        "title": "run",
        "hours": [SimpleNamespace(spot_halted=False)],
        "residuals": [0.0],
        "refused": [],
        "flows": [],
        "hour_blocks": [10, 20],
        "killed": "",
        "cut_off": frozenset(),
        "unserved": [],
        "keeper_exit": 0,
    }
    vault = SimpleNamespace(vault=SimpleNamespace(book=BOOK))
    row = SimpleNamespace(id=1, tick_id=1, kind="hold", plan=None, snapshot=vault)
    verdict = SimpleNamespace(
        events=events,
        faults=faults,
        proven=not faults,
        block=head,
        ledger=SimpleNamespace(audit_head=bytes(32)),
    )
    records = SimpleNamespace(decisions=[row], transactions=list(transactions))
    tick = {"id": 2, "result": "ok", "requests": 1}
    history = History(title="run", asset="E", quote="U", bands=BANDS, samples=samples)
    return _Case(
        run=SimpleNamespace(**told | run),
        evidence=SimpleNamespace(verdict=verdict, records=records, ticks=[tick]),
        history=history,
        worst=extremes(history),
    )


def test_failures__good_run__none():
    assert _failures(_case(transactions=[_tx()])) == []


def test_failures__plan_dropped_before_sending__is_no_failure():
    dropped = _tx(succeeded=None, state=TxState.FAILED, detail="not signed", sends=0)
    case = _case(transactions=[dropped])
    assert _failures(case) == []
    assert ("plans dropped before sending", "1") in _facts(case)


LOST = _tx(succeeded=None, state=TxState.FAILED, detail="not in the pool")


def test_failures__cut_off_by_the_kill__is_no_failure_but_told():
    case = _case(transactions=[LOST], cut_off=frozenset({5}))
    assert _failures(case) == []
    told = ("transactions lost after sending", "1, 1 under way when the keeper was killed")
    assert told in _facts(case)


@pytest.mark.parametrize(
    ("case", "fact"),
    [
        (_case(_sample(10), _sample(20, exposure=0.011)), "exposure ends 1.10% from its target"),
        (_case(_sample(10), _sample(20, exposure=-0.011)), "exposure ends 1.10% from its target"),
        (
            _case(_sample(10, exposure=0.06), _sample(20)),
            "hour 1 ended with a drift of 6.00%",
        ),
        (
            _case(_sample(10), _sample(20, ratio=4.79)),
            "hour 2 ended with a margin ratio of 4.79",
        ),
        (
            _case(transactions=[_tx(succeeded=False, detail="reverted: book: slippage")]),
            "the keeper's transaction 0x1 failed: reverted: book: slippage",
        ),
        (_case(transactions=[LOST]), "0x1 was sent and lost: not in the pool"),
        (_case(unserved=["depositor 2 leaves in hour 9"]), "hour 9 never got what he asked for"),
        (_case(head=21), "the last block with a good price is 20, not the head"),
        (
            _case(_sample(10), _sample(20, exposure=float("nan")), hour_blocks=[10]),
            "exposure ends nan",
        ),
        (
            _case(_sample(10, exposure=float("nan")), _sample(20)),
            "hour 1 ended with a drift of nan%",
        ),
        (_case(refused=["PerpVenue.trade: no"]), "the market's PerpVenue.trade: no"),
        (_case(keeper_exit=3), "the keeper ended with code 3"),
        (_case(faults=["block 7 log 0: idle assets"]), "block 7 log 0: idle assets"),
    ],
)
def test_failures__each_reason__is_named(case, fact):
    failures = _failures(case)
    assert len(failures) == 1
    assert fact in failures[0]


class _Liquidated(dict):
    name = "AccountLiquidated"

    def __str__(self):
        return "block 9 log 1 PerpVenue.AccountLiquidated"


def test_failures__vault_liquidated__is_named_and_others_are_not():
    assert _failures(_case(events=[_Liquidated(account="0x" + "c" * 40)])) == []
    (failure,) = _failures(_case(events=[_Liquidated(account=BOOK)]))
    assert failure.endswith("PerpVenue.AccountLiquidated: the vault was liquidated")


def test_facts__idle_ticks__requests_are_averaged():
    facts = dict(_facts(_case()))
    assert facts["RPC requests per idle tick"] == "1.00 over 1 ticks, most 1"
    assert facts["replay of events"] == "0 events, state and audit head reproduced"
