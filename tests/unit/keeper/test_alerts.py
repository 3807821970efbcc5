# SPDX-License-Identifier: MIT
"""An alert is told once, reminded of rarely, and its end is told: whatever flaps in between."""

from __future__ import annotations

import pytest

from keeper.alerts import ALERTS, Alerts, Message, Stage

AFTER, REMIND = 60.0, 3_600.0
NODE = ("node_unavailable", "")


@pytest.fixture
def alerts():
    return Alerts(after_secs=AFTER, remind_secs=REMIND)


def stages(messages):
    return [(message.alert, message.stage) for message in messages]


def test_advance__condition_lasts__told_once_after_its_patience(alerts):
    alerts.note(*NODE, "silent", 0.0)
    assert alerts.advance(59.9) == []
    (message,) = alerts.advance(60.0)
    assert (message.stage, message.words, message.secs) == (Stage.RAISED, "silent", 60.0)
    for now in range(61, 3_660, 5):
        alerts.note(*NODE, "silent", float(now))
        assert alerts.advance(float(now)) == []


def test_advance__short_fault__tells_nobody(alerts):
    alerts.note(*NODE, "silent", 0.0)
    alerts.note(*NODE, None, 30.0)
    assert [m for now in range(30, 200, 5) for m in alerts.advance(float(now))] == []
    alerts.note(*NODE, "silent", 200.0)
    assert alerts.advance(259.0) == []


def test_advance__short_faults_again_and_again__are_one_that_lasts(alerts):
    told = []
    for now in range(0, 120, 10):
        alerts.note(*NODE, "silent" if now % 20 == 0 else None, float(now))
        told += alerts.advance(float(now))
    assert stages(told) == [("node_unavailable", Stage.RAISED)]


def test_advance__fact__told_at_once(alerts):
    alerts.note("transaction_failed", "0x01", "reverted", 5.0)
    assert stages(alerts.advance(5.0)) == [("transaction_failed", Stage.RAISED)]
    assert alerts.advance(5.0) == []


def test_advance__over__recovery_is_told_once_and_says_how_long(alerts):
    alerts.note(*NODE, "silent", 0.0)
    alerts.advance(60.0)
    alerts.note(*NODE, None, 100.0)
    assert alerts.advance(159.0) == []
    (message,) = alerts.advance(160.0)
    assert message.stage is Stage.RESOLVED
    assert message.secs == 100.0
    assert "Over after 100 s. It was: silent" in message.body
    assert alerts.advance(10_000.0) == []
    assert alerts.active() == []


def test_advance__flapping__is_one_alert_and_one_recovery(alerts):
    told = []
    for second in range(0, 600, 10):
        words = "silent" if second % 20 == 0 or second < 120 else None
        alerts.note(*NODE, words, float(second))
        told += alerts.advance(float(second))
    alerts.note(*NODE, None, 600.0)
    told += alerts.advance(1_000.0)
    assert [message.stage for message in told] == [Stage.RAISED, Stage.RESOLVED]


def test_advance__lasts_long__reminds(alerts):
    alerts.note(*NODE, "silent", 0.0)
    told = [m.stage for now in range(0, 7_300, 10) for m in alerts.advance(float(now))]
    assert told == [Stage.RAISED, Stage.REMINDER, Stage.REMINDER]


def test_advance__clock_was_set_back__waits_no_longer_than_otherwise(alerts):
    told, at = [], 10_000.0
    alerts.note(*NODE, "silent", at)
    for now, words in ((0.0, "silent"), (AFTER, "silent"), (-5_000.0, "silent")):
        alerts.note(*NODE, words, now)
        told += alerts.advance(now)
    alerts.advance(-5_000.0 + REMIND - 1)
    told += alerts.advance(-5_000.0 + REMIND)
    alerts.note(*NODE, None, 0.0)
    told += [*alerts.advance(-10_000.0), *alerts.advance(-10_000.0 + AFTER)]
    assert stages(told) == [
        ("node_unavailable", stage) for stage in (Stage.RAISED, Stage.REMINDER, Stage.RESOLVED)
    ]
    assert all(message.secs >= 0 for message in told)


def test_note__subjects__are_apart(alerts):
    alerts.note("drift_urgent", "0x01", "120 bps", 0.0)
    alerts.note("drift_urgent", "0x02", "130 bps", 0.0)
    assert [m.subject for m in alerts.advance(60.0)] == ["0x01", "0x02"]
    alerts.note_all("drift_urgent", {"0x02": "140 bps"}, 70.0)
    (message,) = alerts.advance(130.0)
    assert (message.subject, message.stage) == ("0x01", Stage.RESOLVED)
    assert alerts.active() == [("drift_urgent", "0x02")]


def test_encode__next_process__neither_repeats_nor_forgets(alerts):
    alerts.note(*NODE, "silent", 0.0)
    alerts.note("job_missed", "tick", "missed", 50.0)
    alerts.advance(60.0)
    again = Alerts(after_secs=AFTER, remind_secs=REMIND, told=alerts.encode())
    again.note(*NODE, "silent", 70.0)
    assert again.advance(140.0) == []
    again.note(*NODE, None, 150.0)
    (message,) = again.advance(210.0)
    assert (message.stage, message.secs) == (Stage.RESOLVED, 150.0)


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[1]", '[["x", "", {}]]', '[["halted", "", {"words": 1, "since": "x"}]]'],
)
def test_decode__damaged__starts_with_nothing(text):
    assert Alerts(after_secs=AFTER, remind_secs=REMIND, told=text).active() == []


def test_encode__nobody_has_it_yet__is_told_by_the_next_process(alerts):
    alerts.note(*NODE, "silent", 0.0)
    alerts.advance(60.0)
    again = Alerts(after_secs=AFTER, remind_secs=REMIND, told=alerts.encode({NODE}))
    again.note(*NODE, "silent", 70.0)
    assert stages(again.advance(130.0)) == [("node_unavailable", Stage.RAISED)]


@pytest.mark.parametrize("name", ALERTS)
def test_alerts__table__says_what_it_means_and_what_to_do(name):
    rule = ALERTS[name]
    for sentence in (rule.means, rule.remedy):
        assert sentence[0].isupper() or sentence.startswith("`")
        assert sentence.endswith(".")
        assert ". " not in sentence
    message = Message(alert=name, subject="x", stage=Stage.RAISED, words="w", secs=1.0)
    assert message.title == f"raised: {name} x ({rule.severity})"
    assert rule.remedy in message.body
