# SPDX-License-Identifier: MIT
"""Alerts reach a webhook, once; a target that fails or hangs harms nothing and loses nothing."""

from __future__ import annotations

import time

import pytest

from keeper.alerts import Message, Stage
from keeper.delivery import MAX_WAITING, Delivery, Target, open_targets
from keeper.errors import ConfigInvalid
from keeper.redaction import Redactor
from tests.alert_server import Webhook, until

SENDER = "hedgevault chain 1"


class Log:
    def __init__(self):
        self.lines = []

    def _line(self, event, **fields):
        self.lines.append({"event": event} | fields)

    info = warning = error = _line

    def results(self):
        return [line["result"] for line in self.lines]


@pytest.fixture
def log():
    return Log()


def message(words="the node is silent", stage=Stage.RAISED):
    return Message(alert="node_unavailable", subject="", stage=stage, words=words, secs=61.0)


def open_for(log, *urls, hide=None):
    found = open_targets(
        urls, field="alerts.url_env", sender=SENDER, hide=hide or Redactor(urls), log=log
    )
    for target in found:
        target._first_pause = 0.05
    return found


def test_put__webhook__gets_it_once_with_what_to_do(log):
    with Webhook() as hook:
        delivery = Delivery(open_for(log, hook.url))
        delivery.put(message())
        assert until(lambda: hook.got)
        delivery.close(2.0)
        assert delivery.untaken() == set()
    (got,) = hook.got
    assert got["title"] == f"{SENDER}: raised: node_unavailable (critical)"
    assert got["message"].startswith("the node is silent\nFor 61 s. ")
    assert "What to do: Check the node" in got["message"]
    assert got["type"] == "failure"
    assert log.results() == ["delivered"]


def test_put__recovery__is_of_another_type(log):
    with Webhook() as hook:
        delivery = Delivery(open_for(log, hook.url))
        delivery.put(message(stage=Stage.RESOLVED))
        assert until(lambda: hook.got)
        delivery.close(2.0)
    assert hook.got[0]["type"] == "success"


def test_put__words_with_a_key__arrive_without_it(log):
    with Webhook() as hook:
        delivery = Delivery(open_for(log, hook.url))
        delivery.put(message(f"https://node.example/v3/abcdef failed, {hook.url}"))
        assert until(lambda: hook.got)
        delivery.close(2.0)
    assert "https://node.example/*** failed, json://***" in hook.got[0]["message"]


def test_put__target_refuses__tried_until_it_takes_it(log):
    with Webhook() as hook:
        hook.status = 500
        (target,) = open_for(log, hook.url)
        target.put(message())
        assert until(lambda: hook.tries >= 3)
        assert target.waiting == 1
        assert target.late_secs > 0
        hook.status = 200
        assert until(lambda: target.waiting == 0)
        Delivery([target]).close(2.0)
    assert len(hook.got) == 1
    assert target.counts["delivered"] == 1
    assert target.counts["refused"] >= 3
    said = str(log.lines)
    assert "error=500" in said
    assert "s3cr3t" not in said


def test_put__hung_target__delays_neither_the_caller_nor_another_target(log):
    with Webhook() as hung, Webhook() as well:
        hung.hanging.set()
        delivery = Delivery(open_for(log, hung.url, well.url))
        started = time.monotonic()
        for number in range(50):
            delivery.put(message(str(number)))
        assert time.monotonic() - started < 0.5
        assert until(lambda: len(well.got) == 50)
        started = time.monotonic()
        delivery.close(0.3)
        assert time.monotonic() - started < 1.0
    assert delivery.untaken() == set()  # the other target has them
    assert delivery.targets[0].untaken() == {("node_unavailable", "")}
    lost = [line for line in log.lines if line["result"] == "lost"]
    assert len(lost) == 50
    assert {line["target"] for line in lost} == {"json 1"}
    assert lost[0]["body"].startswith("0\n")


def test_close__nobody_took_it__is_known_and_logged(log):
    with Webhook() as hook:
        hook.status = 503
        delivery = Delivery(open_for(log, hook.url))
        delivery.put(message())
        assert until(lambda: hook.tries)
        delivery.close(1.0)
    assert delivery.untaken() == {("node_unavailable", "")}
    assert log.lines[-1]["result"] == "lost"
    assert log.lines[-1]["why"] == "the keeper stops"


def test_put__too_many__oldest_is_logged_and_counted(log):
    with Webhook() as hook:
        hook.hanging.set()
        (target,) = open_for(log, hook.url)
        for number in range(MAX_WAITING + 2):
            target.put(message(str(number)))
        assert target.waiting == MAX_WAITING
        assert target.counts["lost"] == 2
        assert [line["body"].split("\n")[0] for line in log.lines] == ["0", "1"]
        Delivery([target]).close(0.1)


def test_put__service_raises__counts_as_refused(log):
    class Broken:
        def notify(self, body, *, title, notify_type):
            raise ZeroDivisionError("exceeded with url: /hooks/s3cr3t")

    target = Target("x 1", Broken(), sender=SENDER, hide=Redactor(), log=log, first_pause=0.01)
    target.put(message())
    assert until(lambda: target.counts["refused"] >= 2)
    Delivery([target]).close(1.0)
    assert target.untaken() == {("node_unavailable", "")}
    assert log.lines[0]["why"] == "ZeroDivisionError('exceeded with url: /***')"


@pytest.mark.parametrize(
    "url",
    [
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "tgram://123456789:abcdefg_hijklmnop/12315544/",
        "mailtos://user:secret@example.org?to=risk@example.org",
        "pagerduty://A1BRTD4JD@TIiajkdnlazkcOXrIdevi7FQ",
        "jsons://example.org/hook",
    ],
)
def test_open_targets__services_of_the_issue__are_known(log, url):
    (target,) = open_for(log, url)
    assert "TIiajk" not in target.name
    Delivery([target]).close(1.0)


@pytest.mark.parametrize("url", ["nosuch://s3cr3t", "https://example.org/s3cr3t", "s3cr3t", ""])
def test_open_targets__unknown__names_the_number_not_the_url(log, url):
    with pytest.raises(ConfigInvalid) as refused:
        open_for(log, "json://127.0.0.1", url)
    assert str(refused.value) == "alerts.url_env: URL 2 is none that Apprise knows"
