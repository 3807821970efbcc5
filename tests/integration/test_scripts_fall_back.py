# SPDX-License-Identifier: MIT
"""A keeper that does not come for 50 unhedged assets, and a stranger with the script."""

from __future__ import annotations

import pytest

from tests.script_world import ETHER

GRACE, RAMP = 1_800, 3_600
STRANGER = 9


def test_fall_back__keeper_is_late__a_stranger_hedges_and_is_paid(world):
    from scripts import fall_back
    from scripts.calls import ScriptError

    deployment, stranger = world.deployment, world.account(STRANGER)
    assert fall_back.lines(deployment)[-1] == "Keeper         not flagged as late"
    with pytest.raises(ScriptError, match="nobody has flagged"):
        fall_back.reward_now(deployment)
    fall_back.flag(deployment, stranger)
    with pytest.raises(ScriptError, match="s left"):
        fall_back.reward_now(deployment)
    world.pass_time(GRACE + RAMP)
    reward = fall_back.reward_now(deployment)
    assert reward == ETHER // 20
    assert "anybody may send now" in fall_back.lines(deployment)[-1]
    leg = fall_back.first_leg(deployment)
    before = int(world.at("Asset").balanceOf(stranger))
    fall_back.fall_back(deployment, stranger, leg, reward)
    assert int(world.at("Asset").balanceOf(stranger)) - before == reward
    assert fall_back.lines(deployment)[-1] == "Keeper         not flagged as late"
    with pytest.raises(ScriptError, match="nothing to send"):
        fall_back.first_leg(deployment)
