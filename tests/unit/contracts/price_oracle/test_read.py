# SPDX-License-Identifier: MIT
from __future__ import annotations

from types import SimpleNamespace

import boa
import pytest

from tests import market_world as world
from tests.market_world import DAY, HOUR, WAD

FEEDS = {
    "asset feed": "asset",
    "asset witness": "asset_witness",
    "quote feed": "quote",
    "quote witness": "quote_witness",
}


@pytest.fixture
def feeds():
    with boa.env.anchor():
        boa.env.timestamp += 10 * DAY
        yield SimpleNamespace(
            asset=world.deploy_feed(3_000 * 10**8),
            asset_witness=world.deploy_feed(3_000 * 10**8),
            quote=world.deploy_feed(10**8),
            quote_witness=world.deploy_feed(10**8),
        )


@pytest.fixture
def oracle(feeds):
    return world.deploy_oracle(**vars(feeds))


def assert_refused(oracle, reason):
    with boa.reverts(reason):
        oracle.read()
    ok, price, given = oracle.try_read()
    assert not ok
    assert given == reason
    return price


def publish(feed, **changes):
    now = boa.env.timestamp
    fields = {
        "round_id": 7,
        "answer": feed.last_round().answer,
        "started_at": now,
        "updated_at": now,
        "answered_in_round": 7,
    } | changes
    feed.set_round(*fields.values())


def test_read__good_feeds__price_time_and_round(oracle, feeds):
    boa.env.timestamp += 60
    feeds.asset.set_answer(3_010 * 10**8)
    price = oracle.read()
    assert price.price_wad == 3_010 * WAD
    assert price.updated_at == boa.env.timestamp - 60  # the quote feed's, the older of the two
    assert price.round_id == 2
    assert oracle.try_read() == (True, price, "")


def test_read__quote_lost_its_peg__price_in_quote_rises(oracle, feeds):
    for feed in (feeds.quote, feeds.quote_witness):
        feed.set_answer(95 * 10**6)
    # 3,000 / 0.95 = 3,157.894736842105263157|89
    assert oracle.read().price_wad == 3_157_894736842105263157


@pytest.mark.parametrize("decimals", [0, 6, 8, 18])
def test_read__any_decimals__same_price(decimals):
    oracle = world.deploy_oracle(
        world.deploy_feed(3_000 * 10**decimals, decimals), world.deploy_feed(10**18, 18)
    )
    assert oracle.read().price_wad == 3_000 * WAD


def test_read__no_witness__served_feed_is_enough():
    oracle = world.deploy_oracle(world.deploy_feed(3_000 * 10**8), world.deploy_feed(10**8))
    assert oracle.read().price_wad == 3_000 * WAD


@pytest.mark.parametrize("name", FEEDS)
@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"answer": 0}, "zero"),
        ({"answer": -1}, "negative"),
        ({"answer": -(2**255)}, "negative"),
        ({"answer": 10**26 + 1}, "too large"),  # 1e18 and a bit at 8 decimals
        ({"answer": 2**255 - 1}, "too large"),
        ({"round_id": 0, "answered_in_round": 0}, "incomplete"),
        ({"updated_at": 0}, "incomplete"),
        ({"answered_in_round": 6}, "old round"),
    ],
)
def test_read__malformed_round__reason_names_feed_and_fault(oracle, feeds, name, changes, fault):
    publish(getattr(feeds, FEEDS[name]), **changes)
    assert_refused(oracle, f"oracle: {name} {fault}")


@pytest.mark.parametrize("name", FEEDS)
@pytest.mark.parametrize("field", ["started_at", "updated_at"])
def test_read__time_in_the_future__refused_from_the_first_second(oracle, feeds, name, field):
    feed = getattr(feeds, FEEDS[name])
    publish(feed, **{field: boa.env.timestamp})
    oracle.read()
    publish(feed, **{field: boa.env.timestamp + 1})
    assert_refused(oracle, f"oracle: {name} in future")


@pytest.mark.parametrize("name", FEEDS)
def test_read__old_answer__refused_from_the_first_second_over_its_age(oracle, feeds, name):
    max_age = HOUR if name.startswith("asset") else DAY
    publish(getattr(feeds, FEEDS[name]), updated_at=boa.env.timestamp - max_age)
    oracle.read()
    publish(getattr(feeds, FEEDS[name]), updated_at=boa.env.timestamp - max_age - 1)
    assert_refused(oracle, f"oracle: {name} stale")


@pytest.mark.parametrize("name", FEEDS)
def test_read__feed_reverts__named(oracle, feeds, name):
    getattr(feeds, FEEDS[name]).set_reverting(True)
    assert_refused(oracle, f"oracle: {name} reverted")


@pytest.mark.parametrize("name", FEEDS)
def test_read__feed_has_no_code__named(oracle, feeds, name):
    boa.env.set_code(getattr(feeds, FEEDS[name]).address, b"")
    assert_refused(oracle, f"oracle: {name} malformed")


WORDS = {  # a program that returns five words, of which some are no uint80
    "short": bytes.fromhex("60806000f3"),  # RETURN(0, 128)
    "dirty_round": bytes.fromhex("5f196000524260605260a06000f3"),  # word 0 is ~0, word 3 is now
    "dirty_answered_in": bytes.fromhex("60016000526001602052426060525f1960805260a06000f3"),
    "invalid": bytes.fromhex("fe"),
}


@pytest.mark.parametrize(
    ("program", "fault"),
    [
        ("short", "malformed"),
        ("dirty_round", "malformed"),
        ("dirty_answered_in", "malformed"),
        ("invalid", "reverted"),
    ],
)
def test_try_read__garbage__never_reverts(oracle, feeds, program, fault):
    boa.env.set_code(feeds.asset.address, WORDS[program])
    assert_refused(oracle, f"oracle: asset feed {fault}")


def test_try_read__feed_burns_all_gas__costs_a_bounded_amount(oracle, feeds):
    boa.env.set_code(feeds.asset.address, bytes.fromhex("5b5f56"))  # an endless loop
    ok, _, reason = oracle.try_read(gas=1_000_000)
    assert (ok, reason) == (False, "oracle: asset feed reverted")


@pytest.mark.parametrize("side", ["asset", "quote"])
@pytest.mark.parametrize("served_is_higher", [True, False])
def test_read__feeds_differ__refused_over_the_share_of_the_smaller(
    oracle, feeds, side, served_is_higher
):
    served, witness = getattr(feeds, side), getattr(feeds, f"{side}_witness")
    low = served.last_round().answer
    high = low * 101 // 100  # exactly 100 bp over the smaller
    first, second = (served, witness) if served_is_higher else (witness, served)
    first.set_answer(high)
    second.set_answer(low)
    oracle.read()
    first.set_answer(high + 1)
    assert_refused(oracle, f"oracle: {side} feeds deviate")


def test_try_read__witness_fails__best_effort_price_is_the_served_one(oracle, feeds):
    feeds.asset_witness.set_reverting(True)
    assert assert_refused(oracle, "oracle: asset witness reverted").price_wad == 3_000 * WAD


def test_try_read__served_feed_stale__best_effort_price_is_still_given(oracle, feeds):
    boa.env.timestamp += 2 * HOUR
    assert assert_refused(oracle, "oracle: asset feed stale").price_wad == 3_000 * WAD


def test_try_read__served_feed_gives_no_number__price_is_zero(oracle, feeds):
    feeds.quote.set_answer(0)
    assert assert_refused(oracle, "oracle: quote feed zero").price_wad == 0


@pytest.mark.parametrize(
    ("asset_answer", "quote_answer", "good"),
    [
        (10**6, WAD, True),  # 1e-12 quote for one asset
        (10**6 - 1, WAD, False),
        (10**30, WAD, True),  # 1e12
        (10**30 + 1, WAD, False),
    ],
)
def test_read__price_at_the_bounds__inclusive(asset_answer, quote_answer, good):
    oracle = world.deploy_oracle(
        world.deploy_feed(asset_answer, 18), world.deploy_feed(quote_answer, 18)
    )
    if good:
        assert oracle.read().price_wad == asset_answer
    else:
        assert_refused(oracle, "oracle: price out of range")
