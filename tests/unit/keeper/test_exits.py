# SPDX-License-Identifier: MIT
"""Exits in kind: what their events add up to, and the words for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper import exits
from keeper.audit import NO_ADDRESS
from keeper.events import decode_log
from keeper.exits import (
    Claims,
    Exits,
    Price,
    Terms,
    claims_of,
    exits_of,
    is_open,
    paid_in_kind,
    settled_supply,
)
from keeper.words import Level, moment, tokens_of
from tests.dashboard_world import EXIT, logged, state_of
from tests.keeper_world import NOW, address

DAY = 86_400
TERMS = Terms(address=EXIT, delay_secs=3 * DAY, patience_secs=DAY)
ALICE, BOB = address(81), address(82)
NO_PRICE = Price(good=False, reason="oracle: asset feed zero", seen_at=NOW - DAY)
GOOD = Price(good=True, reason="", seen_at=NOW)
TOKENS = tokens_of(state_of().vault)
ANNOUNCED = Exits(terms=TERMS, announced_at=NOW, closes_at=NOW + 33 * DAY)


def events(*told):
    return [
        decode_log(logged(EXIT, "ExitInKind", name, fields, block=i, index=0), "ExitInKind")
        for i, (name, fields) in enumerate(told)
    ]


def minted(owner, amount, number=0):
    return moved(NO_ADDRESS, owner, amount, number)


def moved(sender, receiver, amount, number=0):
    named = {"caller": sender, "sender": sender, "receiver": receiver}
    return ("Transfer", named | {"id": number, "amount": amount})


def exited(owner, shares, hollow_after, number=0):
    fields = {"round": number, "owner": owner, "receiver": owner, "assets": 1, "quote": 1}
    return ("ExitedInKind", fields | {"shares": shares, "hollow_after": hollow_after})


def settled(hollow, shares, number=0):
    fields = {"price_wad": 1, "idle_value": 1, "venues_value": 1, "charge": 0}
    return ("ExitsSettled", fields | {"round": number, "hollow": hollow, "shares": shares})


SAID = ("ExitsAnnounced", {"sender": ALICE, "opens_at": NOW + 3 * DAY, "closes_at": NOW + 33 * DAY})


def test_exits_of__a_whole_round__folds_to_what_is_left():
    so_far = events(
        SAID,
        minted(ALICE, 60), exited(ALICE, 60, 60),
        minted(BOB, 40), exited(BOB, 40, 100),
        ("SettlementWaits", {"waits_since": NOW}),
    )  # fmt: skip
    found = exits_of(so_far, TERMS)
    assert (found.announced_at, found.opens_at) == (NOW, NOW + 3 * DAY)
    assert (found.hollow, found.round, found.waits_until) == (100, 0, NOW + DAY)
    assert claims_of(found, ALICE) == [Claims(round=0, claims=60, shares=None)]
    done = exits_of(
        [*so_far, *events(
            ("AnnouncementRetracted", {"announced_before_at": NOW}),
            settled(100, 50),
            moved(ALICE, BOB, 20),
            moved(BOB, NO_ADDRESS, 10),
            ("ClaimsRedeemed", {
                "round": 0, "owner": BOB, "receiver": BOB, "claims": 10, "shares": 5,
                "claims_after": 90, "shares_after": 45,
            }),
        )],
        TERMS,
    )  # fmt: skip
    assert (done.announced_at, done.hollow, done.round, done.waits_until) == (0, 0, 1, 0)
    assert claims_of(done, ALICE) == [Claims(round=0, claims=40, shares=20)]
    assert claims_of(done, BOB) == [Claims(round=0, claims=50, shares=25)]


@pytest.mark.parametrize(
    ("left", "price", "after", "words"),
    [
        (ANNOUNCED, GOOD, 0, "not in kind: there is a good price"),
        (
            Exits(terms=TERMS),
            NO_PRICE,
            0,
            "nobody has announced that there is no price (oracle: as",
        ),
        (ANNOUNCED, NO_PRICE, DAY, f"in kind from {moment(NOW + 3 * DAY)}, in 2 days, if no price"),
        (ANNOUNCED, NO_PRICE, 3 * DAY, f"open in kind until {moment(NOW + 33 * DAY)} (oracle: "),
        (ANNOUNCED, NO_PRICE, 33 * DAY, "the announcement has lapsed: announce anew"),
        (ANNOUNCED, replace(NO_PRICE, seen_at=NOW), 4 * DAY, "a good price was seen since the"),
    ],
)
def test_when__each_state__in_words(left, price, after, words):
    assert exits.when(left, price, NOW + after).startswith(words)
    assert is_open(left, price, NOW + after) == words.startswith("open")


def test_when__hostile_reason__no_marks_that_mislead():
    said = exits.when(Exits(terms=TERMS), replace(NO_PRICE, reason="x\u202e\n<b>"), NOW)
    assert said == "nobody has announced that there is no price (x<b>)"


def test_remarks__ordinary_times__nothing():
    assert exits.remarks(Exits(terms=TERMS), GOOD, NOW, TOKENS) == []
    assert exits.remarks(Exits(terms=TERMS), NO_PRICE, NOW, TOKENS) == []


@pytest.mark.parametrize(
    ("left", "price", "level", "words"),
    [
        (ANNOUNCED, NO_PRICE, Level.WATCH, "Leaving without a price: in kind from "),
        (ANNOUNCED, GOOD, Level.WATCH, "anybody may retract"),
        (Exits(terms=TERMS, hollow=10**21), NO_PRICE, Level.WATCH, "1.0000 shares have left"),
        (Exits(terms=TERMS, hollow=10**21), GOOD, Level.ACT, "before somebody settles"),
        (
            Exits(terms=TERMS, hollow=10**21, waits_until=NOW + DAY),
            GOOD, Level.ACT, f"is silent, nothing goes on before it answers or {moment(NOW + DAY)}",
        ),
    ],
)  # fmt: skip
def test_remarks__each_trouble__one_sentence(left, price, level, words):
    (said,) = exits.remarks(left, price, NOW + 1, TOKENS)
    assert said.level is level
    assert words in said.words


def test_facts__unsettled_silent_and_settled_rounds__each_told():
    done = Exits(
        terms=TERMS, hollow=10**21, waits_until=NOW + DAY, round=2,
        rounds=exits_of(events(settled(50, 25)), TERMS).rounds,
    )  # fmt: skip
    said = {fact.name: fact for fact in exits.facts(done, GOOD, NOW, TOKENS)}
    assert said["Leaving in kind"].value == "closed"
    assert said["Unsettled"].value == "1.0000 shares"
    assert said["Waited for"].value == moment(NOW + DAY)
    assert "claims not redeemed yet" in said["Settled round 0"].note


def test_shares__events_a_block_behind_the_vault__no_nonsense():
    vault = replace(state_of().vault, total_supply=500)
    left = Exits(terms=TERMS, hollow=1_000)  # settled since, and burned
    assert settled_supply(left, vault, 10**12) == 500
    assert paid_in_kind(left, vault, 500)[0] == vault.idle_assets // 2


def test_settled_supply__all_left__all_become_full():
    vault = replace(state_of().vault, total_supply=1_000)
    assert settled_supply(Exits(terms=TERMS, hollow=1_000), vault, 10**12) == 1_000


def test_paid_in_kind__a_part_of_what_is_idle__rounded_down():
    vault = replace(state_of().vault, total_supply=3_000, idle_assets=1_001)
    left = Exits(terms=TERMS, hollow=1_000)
    # full shares 2,000 and 1,000 virtual ones: a third of 1,001
    assert paid_in_kind(left, vault, 1_000)[0] == 333
