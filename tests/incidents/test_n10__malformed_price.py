# SPDX-License-Identifier: MIT
"""N-10: zero, negative, future or incomplete answers, and decimals that do not fit."""

from __future__ import annotations

import boa
import pytest

from tests import market_world as world


@pytest.mark.parametrize(
    ("make_round", "fault"),
    [
        (lambda now: (9, 0, now, now, 9), "zero"),
        (lambda now: (9, -3_000 * 10**8, now, now, 9), "negative"),
        (lambda now: (9, 3_000 * 10**8, now, now + 1, 9), "in future"),
        (lambda now: (9, 3_000 * 10**8, now, 0, 9), "incomplete"),
        (lambda now: (9, 3_000 * 10**8, now, now, 8), "old round"),
    ],
)
def test_n10__malformed_round__rejected_with_its_own_reason(make_round, fault):
    asset = world.deploy_feed(3_000 * 10**8)
    oracle = world.deploy_oracle(asset, world.deploy_feed(10**8))
    oracle.read()
    asset.set_round(*make_round(boa.env.timestamp))
    with boa.reverts(f"oracle: asset feed {fault}"):
        oracle.read()


def test_n10__feed_of_19_decimals__no_oracle_is_deployed():
    with boa.reverts("oracle: asset feed decimals"):
        world.deploy_oracle(world.deploy_feed(1, 19), world.deploy_feed(10**8))
