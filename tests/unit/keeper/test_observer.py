# SPDX-License-Identifier: MIT
"""What an operator sees and is told of ticks, jobs and time."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from keeper.alarm import Alarm, told_before
from keeper.alerts import Alerts
from keeper.delivery import Delivery
from keeper.errors import (
    ChainUnavailable,
    CorruptAnswer,
    DeadlineExceeded,
    InvariantBroken,
    JournalUnavailable,
    NodeBehind,
    Throttled,
    WrongChain,
)
from keeper.guard import Safety, Spent
from keeper.health import Health
from keeper.journal import TxState
from keeper.metrics import Metrics
from keeper.observer import Observer
from keeper.policy import Memory, Policy
from keeper.risk import assess
from keeper.runner import TickReport, Verdict
from keeper.strategy import Hold, Rebalance, decide
from tests.keeper_world import ETHER, NOW, VAULT, snapshot, venue

AFTER = 60.0


class Log:
    def __init__(self):
        self.lines = []

    def _line(self, event, **fields):
        self.lines.append({"event": event} | fields)

    info = warning = error = _line


class Kept:
    """The journal's answers, and how often it was asked."""

    def __init__(self):
        self.asked = 0
        self.found, self.used = {}, Spent()
        self.fault = None

    def counts(self):
        self.asked += 1
        if self.fault:
            raise self.fault
        return self.found

    def spent(self, at):
        return self.used


class Desk:
    """An observer in a time of its own."""

    def __init__(self, folder, *, live=True, head_secs=120.0):
        self.now = float(NOW)
        self.log, self.journal = Log(), Kept()
        self.kill_file, self.told_path = folder / "stop", folder / "alerts"
        self.live, self.head_secs = live, head_secs
        self.start()

    def start(self):
        clock = lambda: self.now  # noqa: E731
        alerts = Alerts(after_secs=AFTER, remind_secs=3_600.0, told=told_before(self.told_path))
        self.metrics = Metrics(version="1", mode="live", wall=clock)
        self.health = Health(
            head_secs=self.head_secs, good_tick_secs=90.0, wall=clock, monotonic=clock
        )
        self.delivery = Delivery()
        self.alarm = Alarm(alerts, self.delivery, log=self.log, path=self.told_path, wall=clock)
        self.observer = Observer(
            metrics=self.metrics, alarm=self.alarm, health=self.health, journal=self.journal,
            orders=SimpleNamespace(live=self.live, kill_file=self.kill_file, safety=Safety()),
            low_balance=5 * 10**16, log=self.log,
        )  # fmt: skip

    def tick(self, error=None, **fields):
        self.observer.ended(report(at=int(self.now), **fields), error)

    def fail(self, error):
        failed = TickReport(job="tick", started=self.now, asked=0, stages={"read": 0.1})
        self.observer.ended(failed, error)

    def wait(self, secs, tick=None):
        """Let time pass with a pulse a second and, every five, a tick."""
        for second in range(int(secs)):
            self.now += 1.0
            if tick is not None and second % 5 == 0:
                tick()
            self.observer.pulse()

    def told(self):
        """Return what has been told since the last call."""
        told = [
            f"{line['stage']} {line['alert']}" + (f" {line['about']}" if line["about"] else "")
            for line in self.log.lines
            if line["event"] == "alert"
        ]
        assert [line for line in self.log.lines if line["event"] == "observer"] == []
        self.log.lines.clear()
        return told

    def value(self, name, **labels):
        return self.metrics.registry.get_sample_value(f"hedgevault_{name}", labels)


def hedged(**changes):
    state = snapshot(venue(assets=35 * ETHER, delta=-100 * ETHER), idle_assets=65 * ETHER)
    return replace(state, vault=replace(state.vault, **changes))


def report(*, at=NOW, state=None, sent=(), waiting=(), note="", withheld=False, **fields):
    state = state or hedged()
    state = replace(state, block=replace(state.block, at=at))
    memory = Memory()
    verdict = Verdict(
        snapshot=state, memory=memory, decision=decide(state, Policy(), memory),
        risk=assess(state.vault), note=note, withheld=withheld,
    )  # fmt: skip
    reading = SimpleNamespace(block=state.block, balance=fields.pop("balance", ETHER))
    return TickReport(
        job="tick", started=float(at), asked=0, reading=reading, verdicts=[verdict],
        sent=list(sent), waiting=list(waiting), stages={"read": 0.002, "all": 0.004}, **fields,
    )  # fmt: skip


def tx(state=TxState.FAILED, **fields):
    known = {"vault": VAULT, "state": state, "succeeded": None, "detail": "", "plan_deadline": 0,
             "tx_hash": "0xab", "account_nonce": 7}  # fmt: skip
    return SimpleNamespace(**(known | fields))


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


# Metrics


def test_metrics__after_a_good_tick__parse_and_say_what_was_seen(desk):
    desk.journal.found = {TxState.FINAL: 3}
    desk.tick()
    desk.observer.pulse()
    families = {f.name: f for f in text_string_to_metric_families(desk.metrics.text().decode())}
    assert families["hedgevault_tick_stage_seconds"].type == "histogram"
    assert "process_resident_memory_bytes" in families
    assert desk.value("ticks_total", job="tick", result="ok") == 1
    assert desk.value("tick_stage_seconds_count", stage="read") == 1
    assert desk.value("tick_stage_seconds_sum", stage="all") == 0.004
    assert desk.value("vault_drift_bps", vault=VAULT) == 0
    assert desk.value("vault_nav_quote", vault=VAULT) > 0
    assert desk.value("vault_price_ok", vault=VAULT) == 1
    assert desk.value("decisions_total", vault=VAULT, kind="hold") == 1
    assert desk.value("transactions", state="final") == 3
    assert desk.value("transactions", state="mined") == 0
    assert desk.value("key_balance_ether") == 1.0
    assert desk.value("budget_limit", budget="gas a day") == 20_000_000
    assert desk.value("ready") == desk.value("healthy") == 1
    assert desk.value("kill_switch") == 0


def test_metrics__head_age__is_that_of_the_scrape(desk):
    assert math.isnan(desk.value("head_age_seconds"))  # none has been read yet
    desk.tick()
    desk.now += 42.0
    assert desk.value("head_age_seconds") == 42.0


def test_metrics__price_is_lost__figures_are_unknown_not_old(desk):
    desk.tick()
    bad = report(state=hedged(price_ok=False, price_reason="oracle: asset feed stale"))
    bad.verdicts[0].risk = None
    desk.observer.ended(bad, None)
    assert math.isnan(desk.value("vault_drift_bps", vault=VAULT))
    assert desk.value("vault_price_ok", vault=VAULT) == 0


def test_spending__nothing_moves__journal_is_asked_once(desk):
    for _ in range(5):
        desk.tick()
    assert desk.journal.asked == 1
    desk.tick(waiting=[tx(TxState.ACCEPTED, plan_deadline=2**60)])
    desk.tick()
    desk.tick()
    assert desk.journal.asked == 3  # while it waits, and once more to see that it does not


def test_spending__budget_in_use__falls_with_time(desk):
    desk.journal.used = Spent(sends_last_hour=4)
    desk.tick()
    assert desk.value("budget_used", budget="transactions an hour") == 4
    desk.journal.used = Spent()
    desk.tick()
    assert desk.value("budget_used", budget="transactions an hour") == 0


def test_ran__each_result__is_counted(desk):
    for result in ("ok", "ok", "missed", "still running"):
        desk.observer.ran("tick", result)
    assert desk.value("job_runs_total", job="tick", result="ok") == 2
    assert desk.value("job_runs_total", job="tick", result="missed") == 1
    assert desk.value("job_runs_total", job="tick", result="still running") == 1


# Alerts


@pytest.mark.parametrize(
    ("error", "alert"),
    [
        (ChainUnavailable("the node is silent"), "node_unavailable"),
        (Throttled("limits"), "node_unavailable"),
        (NodeBehind("old"), "node_behind"),
        (WrongChain("chain 1"), "wrong_chain"),
        (CorruptAnswer("no number"), "corrupt_answer"),
        (JournalUnavailable("disk full"), "journal_unavailable"),
    ],
)
def test_ended__fault_lasts__one_alert_then_recovery(desk, error, alert):
    desk.tick()
    desk.wait(150, lambda: desk.fail(error))
    assert desk.told() == [f"raised {alert}"]
    assert desk.value("alert_active", alert=alert) == 1
    desk.wait(100, desk.tick)
    assert desk.told() == [f"resolved {alert}"]
    assert desk.value("alert_active", alert=alert) == 0
    assert desk.value("alerts_total", alert=alert, stage="raised") == 1


def test_ended__one_bad_tick__tells_nobody(desk):
    desk.tick()
    desk.fail(ChainUnavailable("silent"))
    desk.wait(200, desk.tick)
    assert desk.told() == []


def test_ended__unrecorded_fault__is_the_journals(desk):
    bad = TickReport(job="tick", started=0.0, asked=0, unrecorded="journal x: disk is full")
    desk.wait(70, lambda: desk.observer.ended(bad, ChainUnavailable("silent")))
    assert desk.told() == ["raised node_unavailable", "raised journal_unavailable"]
    assert "journal x: disk is full" in desk.observer.ready().said["why"]


@pytest.mark.parametrize("error", [DeadlineExceeded("sending"), None])
def test_pulse__no_good_tick__is_told(desk, error):
    desk.tick()
    desk.wait(95, (lambda: desk.fail(error)) if error else None)
    assert desk.told() == ["raised tick_failing"]


def test_pulse__job_hangs__is_told_and_unhealthy(desk):
    desk.health.late = lambda: {"tick": "given up 3 s ago"}
    desk.wait(62, desk.tick)
    assert desk.told() == ["raised job_hung tick"]
    state = desk.observer.health()
    assert not state.good
    assert state.said == {"healthy": False, "late": {"tick": "given up 3 s ago"}}
    assert desk.value("healthy") == 0


def test_ran__missed_again_and_again__is_told_once(desk):
    results = iter(["missed", "ok"] * 100)
    desk.tick()
    desk.wait(80, lambda: desk.observer.ran("tick", next(results)))
    assert desk.told() == ["raised job_missed tick"]


def test_ran__missed_because_the_node_is_silent__only_the_node_is_told(desk):
    def fail():
        desk.fail(ChainUnavailable("silent"))
        desk.observer.ran("tick", "still running")

    desk.observer.ran("tick", "still running")
    desk.wait(150, fail)
    assert desk.told() == ["raised node_unavailable"]


def test_pulse__kill_file__is_told_at_once_and_its_end(desk):
    desk.tick()
    desk.kill_file.touch()
    desk.wait(2, desk.tick)
    assert desk.told() == ["raised kill_switch"]
    assert desk.observer.ready().said["kill_switch"] is True
    assert desk.value("kill_switch") == 1
    desk.kill_file.unlink()
    desk.wait(62, desk.tick)
    assert desk.told() == ["resolved kill_switch"]


def test_ended__budget_reached__is_told_at_once_by_name(desk):
    desk.journal.used = Spent(sends_last_hour=30)
    desk.tick(withheld=True, note="30 transactions in an hour, allowed are 30")
    desk.wait(70, desk.tick)
    assert desk.told() == ["raised budget_reached transactions an hour"]
    assert desk.observer.ready().said["budgets"]["transactions an hour"] == "30 of 30"


def test_ended__revert__is_told_with_its_reason_until_one_succeeds(desk):
    desk.journal.used = Spent(reverts_in_row=1, sends_last_hour=1)
    desk.tick(sent=[tx(succeeded=False, detail="reverted: book: slippage")])
    desk.observer.pulse()
    words = desk.log.lines[0]["words"]
    assert words == "1 in a row; reverted: book: slippage"
    assert desk.told() == ["raised transaction_failed"]
    desk.journal.used = Spent(sends_last_hour=2)
    desk.wait(70, desk.tick)
    assert desk.told() == ["resolved transaction_failed"]


def test_ended__expired_plan_waits__nonce_is_stuck(desk):
    waits = tx(TxState.ACCEPTED, plan_deadline=NOW - 1)
    desk.wait(70, lambda: desk.tick(waiting=[waits]))
    assert desk.told() == ["raised transaction_stuck nonce 7"]


def test_ended__balance_low__is_told(desk):
    desk.wait(70, lambda: desk.tick(balance=4 * 10**16))
    assert desk.told() == ["raised balance_low"]
    assert desk.value("key_balance_ether") == 0.04


def unhedged():
    return snapshot(venue(assets=35 * ETHER, delta=-80 * ETHER), idle_assets=65 * ETHER)


def test_ended__drift_urgent__is_told_for_the_vault(desk):
    desk.wait(70, lambda: desk.tick(state=unhedged()))
    assert desk.told() == [f"raised drift_urgent {VAULT}"]


def test_ended__no_price__is_told(desk):
    bad = hedged(price_ok=False, price_reason="oracle: asset feed stale")
    desk.wait(70, lambda: desk.tick(state=bad))
    assert desk.told() == [f"raised price_bad {VAULT}"]


def test_ended__plan_withheld__is_told_with_what_holds_it_back(desk):
    drifted = snapshot(venue(assets=35 * ETHER, delta=-98 * ETHER), idle_assets=65 * ETHER)
    held = report(state=drifted, withheld=True, note="the base fee is over the cap")
    assert isinstance(held.verdicts[0].decision, Rebalance)
    desk.wait(70, lambda: desk.observer.ended(held, None))
    assert desk.log.lines[0]["words"].endswith("the base fee is over the cap")
    assert desk.told() == [f"raised hedge_withheld {VAULT}"]


def test_ended__dry_run__withholds_by_design(tmp_path):
    desk = Desk(tmp_path, live=False)
    drifted = snapshot(venue(assets=35 * ETHER, delta=-98 * ETHER), idle_assets=65 * ETHER)
    desk.wait(70, lambda: desk.tick(state=drifted, withheld=True, note="dry run"))
    assert desk.told() == []


def test_halted__is_told_at_once_and_over_after_a_good_tick_of_the_next_process(desk):
    desk.observer.halted("a row moved")
    desk.observer.close(0.1)
    assert desk.told() == ["raised halted"]
    desk.start()
    desk.wait(70, desk.tick)
    assert desk.told() == ["resolved halted"]


def test_restart__what_was_told__is_not_told_again(desk):
    desk.wait(150, lambda: desk.fail(ChainUnavailable("silent")))
    assert desk.told() == ["raised node_unavailable"]
    desk.start()
    desk.wait(70, lambda: desk.fail(ChainUnavailable("silent")))
    assert desk.told() == []
    desk.wait(100, desk.tick)
    assert desk.told() == ["resolved node_unavailable"]
    assert json.loads(desk.told_path.read_text()) == []


def test_restart__no_target_had_taken_it__is_told_again(desk):
    desk.delivery.untaken = lambda: {("node_unavailable", "")}
    desk.wait(150, lambda: desk.fail(ChainUnavailable("silent")))
    assert desk.told() == ["raised node_unavailable"]
    desk.start()
    desk.wait(70, lambda: desk.fail(ChainUnavailable("silent")))
    assert desk.told() == ["raised node_unavailable"]


def test_keep__file_cannot_be_written__logged_once_and_alerts_go_on(tmp_path):
    desk = Desk(tmp_path)
    desk.told_path.mkdir()
    desk.kill_file.touch()
    desk.tick()
    desk.wait(2)
    desk.kill_file.unlink()
    desk.wait(80, desk.tick)
    faults = [line for line in desk.log.lines if line["event"] == "alerts are not kept"]
    assert len(faults) == 1
    assert desk.told() == ["raised kill_switch", "resolved kill_switch"]


def test_observer__own_mistake__is_counted_and_harms_no_tick(desk):
    desk.journal.fault = ZeroDivisionError()
    desk.tick()
    assert desk.value("observer_faults_total") == 1
    assert desk.log.lines[-1]["error"] == "ZeroDivisionError()"


# Ready


def test_ready__before_and_after_the_first_tick(desk):
    said = desk.observer.ready().said
    assert said["why"] == ["no head has been read yet", "no tick has ended well yet"]
    desk.tick()
    state = desk.observer.ready()
    assert state.good
    assert state.said["why"] == []
    assert state.said["mode"] == "live"


def test_ready__head_stands_still__not_ready(desk):
    desk.tick()
    for _ in range(13):
        desk.now += 10
        desk.observer.ended(report(at=NOW), None)
    assert desk.observer.ready().said["why"] == ["the head is 130 s old, allowed are 120 s"]


def test_ready__chain_with_its_own_time__reading_counts(tmp_path):
    desk = Desk(tmp_path, head_secs=None)
    desk.now += 10**6
    desk.observer.ended(report(at=NOW), None)
    assert desk.observer.ready().good
    desk.now += 91
    assert len(desk.observer.ready().said["why"]) == 2


def test_ready__ticks_fail__not_ready_until_a_good_one(desk):
    desk.tick()
    desk.wait(100, lambda: desk.fail(ChainUnavailable("silent")))
    (why,) = desk.observer.ready().said["why"]
    assert why == "the last good tick was 100 s ago, allowed 90 s"
    desk.tick()
    assert desk.observer.ready().good


def test_ready__journal_broken__not_ready(desk):
    desk.tick()
    desk.fail(JournalUnavailable("journal x: database is locked"))
    assert desk.observer.ready().said["why"] == ["journal x: database is locked"]
    desk.tick()
    assert desk.observer.ready().good


def test_ended__halt__is_counted_as_such(desk):
    desk.fail(InvariantBroken("x"))
    assert desk.value("ticks_total", job="tick", result="halt") == 1


def test_hedged_world__is_idle():
    assert isinstance(report().verdicts[0].decision, Hold)


# A standby, and a keeper without its journal


def test_standby__a_condition_that_holds__is_told_by_the_leader_only(tmp_path):
    desk = Desk(tmp_path)
    low = {"balance": 10**15}
    desk.wait(70, lambda: desk.tick(leads=False, **low))
    assert desk.told() == []
    assert desk.value("leads") == 0
    assert desk.observer.ready().said["role"] == "standby"
    desk.wait(5, lambda: desk.tick(**low))
    assert sorted(desk.told()) == ["raised balance_low", "raised took_over"]
    assert desk.value("leads") == 1
    desk.wait(130, lambda: desk.tick(**low))
    assert desk.told() == ["resolved took_over"]


def test_takes_over__goes_on_with_what_the_other_told(tmp_path):
    """It is neither told again nor forgotten."""
    leader = Desk(tmp_path)
    leader.wait(65, lambda: leader.tick(balance=10**15))
    assert leader.told() == ["raised balance_low"]
    standby = Desk(tmp_path)
    standby.now = leader.now
    standby.wait(5, lambda: standby.tick(leads=False, balance=10**15))
    standby.wait(5, lambda: standby.tick(balance=10**15))
    assert standby.told() == ["raised took_over"]
    standby.wait(70, standby.tick)
    assert "resolved balance_low" in standby.told()


def test_standby__keeps_nothing_in_the_file_of_the_leader(tmp_path):
    desk = Desk(tmp_path)
    desk.wait(70, lambda: desk.tick(leads=False, balance=10**15))
    desk.observer.close(0.1)
    assert not desk.told_path.exists()


def test_journal_ill__vaults_are_watched_all_the_same(tmp_path):
    desk = Desk(tmp_path)
    error = JournalUnavailable("journal j: disk is full: free disk space")
    desk.wait(65, lambda: desk.tick(error))
    assert desk.told() == ["raised journal_unavailable"]
    assert not math.isnan(desk.value("vault_drift_bps", vault=VAULT))
