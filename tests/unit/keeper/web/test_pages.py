# SPDX-License-Identifier: MIT
"""The dashboard over HTTP: every page, and what it says when something is wrong."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import replace

import pytest
import requests

from keeper.abi import call_data
from keeper.alerts import Alerts
from keeper.snapshot import ZERO_ADDRESS
from keeper.words import moment
from tests.dashboard_world import (
    EXIT,
    HOSTILE,
    World,
    many,
    served,
    state_of,
    text_of,
    until,
    write_history,
)
from tests.keeper_world import NOW, VAULT, VENUE, snapshot_of

NOBODY = "0x" + "ab" * 20
DAY = 86_400


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("dashboard"))
    journal = world.journal()
    write_history(journal, 30)
    journal.close()
    yield world
    world.close()


@pytest.fixture(scope="module")
def site(world):
    with served(world.config_path) as url:
        yield url


@pytest.fixture
def fresh(tmp_path):
    """A world of this test's own, and the address it is served at."""
    made = []

    def serve(prepare=lambda world: None, **options):
        world = World(tmp_path, **options)
        made.append(world)
        prepare(world)
        context = served(world.config_path)
        url = context.__enter__()
        made.append(context)
        return world, url

    yield serve
    for each in reversed(made):
        each.close() if isinstance(each, World) else each.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", "1 of 1"),
        ("/", "tETH / tUSDC"),
        (f"/vaults/{VAULT}", "Hedged: exposure is"),
        (f"/vaults/{VAULT}", "Price and liquidation price"),
        ("/decisions", "drift 613 bps"),
        ("/decisions?kind=hold", "times in a row"),
        ("/decisions/6", "Made again from the recorded inputs: the same, bit for bit."),
        ("/decisions/6", "Every derived line, computed anew from its formula, is right."),
        ("/decisions/6", "300,000"),
        ("/decisions/last", "Left alone"),
        ("/depositors", "Address"),
        ("/venues", "1 vault"),
        (f"/venues/{VENUE}", "Depth"),
        ("/keeper", "Transactions by state"),
    ],
)
def test_page__says(site, path, words):
    code, page = text_of(site + path)
    assert code == 200
    assert words in page


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (f"/vaults/{NOBODY}", f"does not watch a vault {NOBODY}"),
        ("/vaults/0x12", "0x12 is not an address"),
        (f"/venues/{NOBODY}", f"No vault of this dashboard uses a venue {NOBODY}"),
        ("/depositors/pope", "pope is not an address"),
        ("/decisions/0xffffff", "The journal has no decision 0xffffff"),
        ("/decisions/999999", "The journal has no decision 999999"),
        ("/decisions/0x", "fits several decisions: give more digits"),
        ("/nothing", "There is no such page."),
        ("/vaults/" + "%3Cscript%3E", "&lt;script&gt; is not an address"),
    ],
)
def test_page__of_what_is_not_there__says_so(site, path, words):
    code, page = text_of(site + path)
    assert code == 404
    assert words in page
    assert "Overview" in page  # the way back is there


def test_decisions__find__leads_to_it(site):
    code, page = text_of(f"{site}/decisions?find=6")
    assert (code, "Rebalance" in page) == (200, True)


@pytest.mark.parametrize("before", ["x", "-1", "9" * 40])
def test_decisions__nonsense_page__no_server_error(site, before):
    assert text_of(f"{site}/decisions?before={before}")[0] in (200, 404, 422)


def test_answers__carry_the_shield(site):
    headers = requests.get(site, timeout=5).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil"])
def test_host__not_ours__refused(site, host):
    answer = requests.get(site, headers={"Host": host}, timeout=5)
    assert answer.status_code in (400, 421)
    assert "Hedge vault" not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_method__that_does_not_read__refused(site, method):
    answer = requests.request(method, site, timeout=5)
    assert (answer.status_code, answer.text) == (405, "The dashboard only reads.\n")


def test_events__tell_of_each_new_block(fresh):
    world, url = fresh()
    with requests.get(f"{url}/events", stream=True, timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines(decode_unicode=True)
        first = [next(lines), next(lines)]
        world.node.head += 1
        world.states = [state_of(101)]
        assert next(line for line in lines if line.startswith("data")) != first[1]


def test_journal__missing__says_so_and_shows_the_chain(fresh):
    _, url = fresh()
    for path in ("/", f"/vaults/{VAULT}", "/decisions", "/keeper"):
        code, page = text_of(url + path)
        assert code == 200
        assert "no keeper has run" in page
    assert text_of(f"{url}/decisions/1")[0] == 503


def test_journal__empty__says_so(fresh):
    _, url = fresh(lambda world: world.journal().close())
    assert "The journal is empty: no tick has run yet." in text_of(f"{url}/keeper")[1]
    assert "No such decision." in text_of(f"{url}/decisions")[1]
    assert "too few looks" in text_of(f"{url}/vaults/{VAULT}")[1]


def test_alerts__told_and_not_over__stand_on_the_page_until_they_are(fresh):
    def tell(world):
        alerts = Alerts(after_secs=0, remind_secs=3_600)
        alerts.note("node_unavailable", "127.0.0.1", "no answer <b>in 5 s</b>", time.time() - 90)
        alerts.advance(time.time())
        told(world).write_text(alerts.encode())

    def told(world):
        return world.journal_path.with_name(f"{world.journal_path.name}-alerts")

    world, url = fresh(tell)
    page = text_of(f"{url}/keeper")[1]
    assert "node_unavailable 127.0.0.1, for" in page
    assert "no answer &lt;b&gt;in 5 s&lt;/b&gt;" in page
    assert "set chain.rpc_url to another one" in page
    told(world).write_text("{damaged")
    assert "No alert stands." in text_of(f"{url}/keeper")[1]


@pytest.mark.parametrize(("section", "shown"), [("", False), ('[upkeep]\ndo = ["poke"]\n', True)])
def test_budgets__of_upkeep__only_where_it_is_done(fresh, section, shown):
    def configure(world):
        text = world.config_path.read_text()
        world.config_path.write_text(text.replace("[[vaults]]", f"{section}[[vaults]]", 1))

    _, url = fresh(configure)
    assert ("For venues and queues" in text_of(f"{url}/keeper")[1]) == shown


def test_journal__of_another_version__says_so(fresh):
    def age(world):
        world.journal().close()
        with sqlite3.connect(world.journal_path) as db:
            db.execute("UPDATE alembic_version SET version_num = '0999'")
        db.close()

    _, url = fresh(age)
    code, page = text_of(f"{url}/decisions")
    assert code == 200
    assert "is of version 0999, this keeper knows" in page
    assert "journal" in page
    assert "1 of 1" in text_of(url)[1]


def test_node__half_synced__says_how_old_its_head_is(fresh):
    _, url = fresh(clock="head_max_age_secs = 60.0")  # its head is of 2024
    code, page = text_of(url)
    assert code == 200
    assert "The chain cannot be read" in page
    assert "s old, allowed are 60 s" in page
    assert "There is nothing to show yet." in page


def test_node__of_another_chain__says_so(fresh):
    _, url = fresh(lambda world: setattr(world.node, "chain_id", 5))
    assert "the node is on chain 5, expected 31337" in text_of(url)[1]


def test_node__down_from_the_start__the_journal_stands_in(fresh):
    def prepare(world):
        journal = world.journal()
        write_history(journal, 12)
        journal.close()
        world.node.drop = True

    _, url = fresh(prepare)
    page = text_of(url)[1]
    assert "From the journal" in page
    assert "block 111" in page
    assert "journal saw last" in page
    assert "The chain cannot be read" in text_of(f"{url}/decisions/6")[1]


def test_node__goes_and_comes_back__told_each_time(fresh):
    world, url = fresh()
    assert "Live" in text_of(url)[1]
    world.node.drop = True
    assert until(lambda: "Chain not readable" in text_of(url)[1])
    page = text_of(url)[1]
    assert "Shown is what was read" in page
    assert "1 of 1" in page  # what was read stays
    world.node.drop = False
    assert until(lambda: "Chain not readable" not in text_of(url)[1])


def test_texts_of_the_chain__hostile__shown_as_text(fresh):
    hostile = state_of(price_ok=False, price_reason="<img src=x onerror=alert(1)>"[:31])

    def prepare(world):
        world.symbols = (HOSTILE, 'x"onmouseover="y')

    _, url = fresh(prepare, states=[hostile])
    for path in ("/", f"/vaults/{VAULT}", f"/venues/{VENUE}"):
        page = text_of(url + path)[1]
        assert "<script>window" not in page
        assert '"onmouseover' not in page
        assert "<img src=x" not in page
    assert "&lt;img src=x" in text_of(url)[1]


def test_secrets__in_the_url_of_a_node__never_shown(tmp_path):
    world = World(tmp_path)
    text = world.config_path.read_text().replace(
        world.node.url, f"{world.node.url}/v3/topsecretkey"
    )
    world.config_path.write_text(text)
    world.node.drop = True
    with served(world.config_path) as url:
        for path in ("/", "/keeper", f"/depositors/{NOBODY}"):
            assert "topsecretkey" not in text_of(url + path)[1]
    world.close()


def with_timelock(world):
    """Give the vault an owner that waits, and one proposal of the keeper's replacement."""
    vault = world.states[0].vault
    world.views |= {
        ("Timelock", "get_minimum_delay"): 2 * DAY,
        ("Timelock", "proposer"): NOBODY,
        ("Timelock", "guardian"): NOBODY,
        ("Timelock", "GRACE"): 7 * DAY,
        ("Timelock", "get_timestamp"): NOW + DAY,
    }
    payload = call_data("HedgeBook", "set_keeper", NOBODY)
    fields = {"id": bytes(32), "index": 0, "target": vault.book, "amount": 0, "payload": payload}
    world.tell(vault.owner, "Timelock", "CallScheduled", **fields, predecessor=bytes(32), delay=1)


def test_vault__what_waits_at_the_owner__told_before_it_happens(fresh):
    _, url = fresh(with_timelock)
    assert "Proposed to the owner: change who may rebalance; it may be" in text_of(url)[1]
    page = text_of(f"{url}/vaults/{VAULT}")[1]
    assert "a timelock of 2 days" in page
    assert "Change who may rebalance" in page
    assert "HedgeBook.set_keeper(keeper 0xABaB" in page
    assert f"may be executed from {moment(NOW + DAY)}" in page


def test_vault__nothing_proposed_and_no_timelock__both_said(fresh):
    _, url = fresh(lambda world: (with_timelock(world), world.logs.clear()))
    assert "Nothing is proposed." in text_of(f"{url}/vaults/{VAULT}")[1]


def test_vault__exits_in_kind__open_round_and_announcement(fresh):
    no_price = replace(state_of().vault, price_ok=False, price_reason="oracle: asset feed zero")
    no_price = replace(no_price, state=replace(no_price.state, last_price_at=NOW - 9 * DAY))

    def prepare(world):
        times = {"opens_at": NOW - DAY, "closes_at": NOW + 29 * DAY}
        world.tell(EXIT, "ExitInKind", "ExitsAnnounced", sender=NOBODY, **times)
        left = {"round": 0, "owner": NOBODY, "receiver": NOBODY, "assets": 1, "quote": 1}
        world.tell(EXIT, "ExitInKind", "ExitedInKind", **left, shares=10**21, hollow_after=10**21)

    _, url = fresh(prepare, states=[snapshot_of(no_price, at=NOW)])
    page = text_of(f"{url}/vaults/{VAULT}")[1]
    assert f"open in kind until {moment(NOW + 29 * DAY)} (oracle: asset feed zero)" in page
    assert "1.0000 shares have left in kind" in page
    assert "all else waits for a settlement" in page


def test_depositor__claims_only__each_round_listed(fresh):
    def prepare(world):
        world.views |= {
            **{("HedgeVault", view): 0 for view in ("balanceOf", "maxWithdraw")},
            **{("HedgeVault", view): 0 for view in ("convertToAssets", "previewRedeem")},
            ("HedgeVault", "queue"): NOBODY,
            **{("RedemptionQueue", view): 0 for view in ("claim_of", "first", "count")},
            **{("RedemptionQueue", view): 0 for view in ("DELAY", "CANCEL_DELAY")},
        }
        moved = {"caller": NOBODY, "sender": ZERO_ADDRESS, "receiver": NOBODY}
        world.tell(EXIT, "ExitInKind", "Transfer", **moved, id=0, amount=10**21)

    _, url = fresh(prepare)
    page = text_of(f"{url}/depositors/{NOBODY}")[1]
    assert "Claims of exits in kind" in page
    assert "not settled yet" in page


def test_events__node_refuses_them__said_and_the_rest_stays(fresh):
    def prepare(world):
        refusal = {"code": -32000, "message": "<b>query returned more than 10000 results"}
        world.node.answers["eth_getLogs"] = refusal

    _, url = fresh(prepare)
    page = text_of(url)[1]
    assert "What was logged cannot be read" in page
    assert "&lt;b&gt;query returned" in page
    assert "1 of 1" in page
    assert "Not read yet." in text_of(f"{url}/vaults/{VAULT}")[1]


def test_overview__what_is_pressing__comes_first(fresh):
    _, url = fresh(states=many(12))
    page = text_of(url)[1]
    worst, calm = page.index("over the urgent band"), page.index("Hedged: exposure is")
    assert worst < calm


def test_vault__that_cannot_be_reckoned_with__told_and_the_watcher_goes_on(fresh):
    absurd = snapshot_of(replace(state_of().vault, asset_decimals=200), at=NOW)
    world, url = fresh(states=[absurd])
    assert "a mistake of the dashboard&#39;s own: ValueError" in text_of(url)[1]
    world.states = [state_of()]
    assert until(lambda: "Live" in text_of(url)[1])


def test_overview__mistake_in_what_was_logged__the_chain_is_not_blamed(fresh, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("in the notices")

    monkeypatch.setattr("keeper.web.notices.Notices.read", fail)
    _, url = fresh()
    page = text_of(url)[1]
    assert "What was logged cannot be read" in page
    assert "ZeroDivisionError: in the notices" in page
    assert "Live" in page


def test_vault__without_any_price__says_so(fresh):
    vault = replace(
        state_of().vault, price_ok=False, price_wad=0, price_reason="oracle: asset feed zero"
    )
    _, url = fresh(states=[snapshot_of(vault, at=NOW)])
    assert "There has been no price yet" in text_of(url)[1]
    assert text_of(f"{url}/vaults/{VAULT}")[0] == 200
