# SPDX-License-Identifier: MIT
from __future__ import annotations

import boa
import pytest

from tests import market_world as world
from tests.market_world import NOBODY

WEEK = 7 * world.DAY


@pytest.fixture
def sources():
    with boa.env.anchor():
        yield {
            "asset": world.source(world.deploy_feed(3_000 * 10**8), 3_600, 50),
            "asset_witness": world.source(world.deploy_feed(3_000 * 10**8), 3_600, 60),
            "quote": world.source(world.deploy_feed(10**8), 86_400, 25),
            "quote_witness": world.source(None, 0),
        }


def deploy(sources, max_deviation_bps=100):
    return world.deployer("PriceOracle.vy").deploy(*sources.values(), max_deviation_bps)


def test_deploy__good_sources__configuration_is_readable(sources):
    oracle = deploy(sources)
    asset, witness, quote, absent = oracle.feeds()
    assert (asset.source, asset.scale, asset.max_age) == (sources["asset"][0], 10**10, 3_600)
    assert (witness.source, quote.source) == (sources["asset_witness"][0], sources["quote"][0])
    assert tuple(absent) == (NOBODY, 0, 0)
    assert oracle.max_deviation_bps() == 100


def test_deviation_thresholds_bps__witnesses_do_not_count(sources):
    assert deploy(sources).deviation_thresholds_bps() == 50 + 25


@pytest.mark.parametrize("side", ["asset", "quote"])
def test_deploy__no_served_feed__refused(sources, side):
    with boa.reverts(f"oracle: {side} feed is zero"):
        deploy(sources | {side: (NOBODY, 0, 0)})


@pytest.mark.parametrize("side", ["asset", "quote"])
def test_deploy__witness_is_the_feed_itself__refused(sources, side):
    with boa.reverts(f"oracle: {side} witness same feed"):
        deploy(sources | {f"{side}_witness": sources[side]})


@pytest.mark.parametrize("max_deviation_bps", [0, 10_000])
def test_deploy__max_deviation_without_sense__refused(sources, max_deviation_bps):
    with boa.reverts("oracle: max deviation"):
        deploy(sources, max_deviation_bps)


@pytest.mark.parametrize("name", ["asset", "asset_witness", "quote"])
@pytest.mark.parametrize(
    ("max_age", "threshold_bps", "fault"),
    [(0, 50, "max age"), (WEEK + 1, 50, "max age"), (WEEK, 10_000, "threshold")],
)
def test_deploy__feed_setting_without_sense__named(sources, name, max_age, threshold_bps, fault):
    place = name.replace("_", " ") if "witness" in name else f"{name} feed"
    with boa.reverts(f"oracle: {place} {fault}"):
        deploy(sources | {name: (sources[name][0], max_age, threshold_bps)})


@pytest.mark.parametrize("name", ["asset", "asset_witness", "quote", "quote_witness"])
def test_deploy__more_than_18_decimals__refused(sources, name):
    place = name.replace("_", " ") if "witness" in name else f"{name} feed"
    with boa.reverts(f"oracle: {place} decimals"):
        deploy(sources | {name: world.source(world.deploy_feed(1, 19), 3_600)})
    deploy(sources | {name: world.source(world.deploy_feed(1, 18), 3_600)})
