# SPDX-License-Identifier: MIT
"""LiquidationRules and PerpVenue refuse bad terms and wiring, each with its own reason."""

from __future__ import annotations

import boa
import pytest

from tests.market_world import NOBODY, deploy_token, deployer
from tests.venue_world import (
    BP,
    WAD,
    World,
    code_parts,
    default_terms,
    deploy_rules,
    venue_of,
    world,
)

EMPTY = (0, 0, 0, 0, 0, 0)
BAD = [
    ({"skew_scale": 0}, "venue: skew scale"),
    ({"skew_scale": 2**96 + 1}, "venue: skew scale"),
    ({"max_side": 0}, "venue: side cap"),
    ({"max_side": 1_000 * 10**18}, "venue: side cap"),  # = L: the price could reach zero
    ({"max_side": 500 * 10**18 + 1}, "venue: side cap"),  # would be a premium over the cap
    ({"min_size": 0}, "venue: minimum size"),
    ({"min_size": 500 * 10**18 + 1}, "venue: minimum size"),
    ({"premium_cap_wad": 0}, "venue: premium cap"),
    ({"premium_cap_wad": WAD + 1}, "venue: premium cap"),
    ({"skew_share_wad": 0}, "venue: skew share"),
    ({"skew_share_wad": 10 * WAD + 1}, "venue: skew share"),
    ({"taker_fee_wad": WAD // 10 + 1}, "venue: taker fee"),
    ({"maker_fee_wad": 6 * BP}, "venue: maker fee"),
    ({"fund_share_wad": WAD + 1}, "venue: fund share"),
    ({"funding_cap_wad": WAD + 1}, "venue: funding cap"),
    ({"interest_wad": 76 * BP}, "venue: interest"),
    ({"interest_band_wad": 76 * BP}, "venue: interest band"),
    ({"initial_base_wad": WAD + 1}, "venue: initial margin"),
    ({"initial_slope_wad": 10 * WAD + 1}, "venue: initial slope"),
    ({"penalty_wad": WAD + 1}, "venue: penalty or reward"),
    ({"reward_share_wad": WAD + 1}, "venue: penalty or reward"),
    ({"maintenance_buffer_wad": WAD + 1}, "venue: maintenance buffer"),
    ({"maintenance_share_wad": WAD}, "venue: maintenance over initial"),
    # 150 + 10 + 340 = 500 bp: the floor is the base
    ({"maintenance_buffer_wad": 340 * BP}, "venue: maintenance over initial"),
    ({"haircut_wad": WAD}, "venue: haircut"),
    ({"discount_wad": 1_001 * BP}, "venue: discount over haircut"),
    ({"reward_floor": 6 * 10**6}, "venue: reward floor over cap"),
    ({"reward_cap": 2**96 + 1}, "venue: penalty or reward"),
    ({"liquidation_flow": 0}, "venue: flow"),
    ({"liquidation_flow": 2**96 + 1}, "venue: flow"),
    # 2 * 2 bp of 1,000: a larger step could be sandwiched
    ({"unwind_step": 4 * 10**17 + 1}, "venue: unwind step"),
    ({"loan_rate_wad": WAD + 1}, "venue: loan rate"),
    ({"loan_share_wad": 9_000 * BP + 1}, "venue: loan share"),
    ({"realise_share_wad": WAD + 1}, "venue: realise share"),
    ({"low_share_wad": 2 * WAD}, "venue: low share"),
]


@pytest.fixture(scope="module")
def tokens() -> tuple[object, object]:
    return deploy_token(18), deploy_token(6)


@pytest.mark.parametrize(("change", "reason"), BAD)
def test_rules__bad_terms__refused(
    tokens: tuple[object, object], change: dict[str, int], reason: str
) -> None:
    with boa.reverts(reason):
        deploy_rules(*tokens, default_terms() | change)


def test_rules__terms_at_their_bounds__accepted(tokens: tuple[object, object]) -> None:
    edge = {
        "max_side": 1_000 * 10**18 - 1,
        "premium_cap_wad": WAD,
        "taker_fee_wad": WAD // 10,
        "maker_fee_wad": WAD // 10,
        "interest_wad": 75 * BP,
        "interest_band_wad": 75 * BP,
        "maintenance_share_wad": WAD - 1,
        "maintenance_buffer_wad": 340 * BP - 1,
        "discount_wad": 1_000 * BP,
    }
    rules = deploy_rules(*tokens, default_terms() | edge)
    assert rules.terms()[1] == 1_000 * 10**18 - 1


@pytest.mark.parametrize("decimals", [5, 19])
def test_rules_and_pool__wrong_decimals__refused(decimals: int) -> None:
    odd = boa.loads(
        f"decimals: public(uint8)\n@deploy\ndef __init__():\n    self.decimals = {decimals}"
    )
    good = deploy_token(18)
    oracle = good.address  # anything that is not zero
    with boa.reverts("venue: asset decimals"):
        deploy_rules(odd, good, default_terms())
    with boa.reverts("venue: quote decimals"):
        deploy_rules(good, odd, default_terms())
    with boa.reverts("pool: asset decimals"):
        deployer("LiquidityPool.vy").deploy(odd.address, good.address, oracle, 60, 120)
    with boa.reverts("pool: quote decimals"):
        deployer("LiquidityPool.vy").deploy(good.address, odd.address, oracle, 60, 120)


def _parts(w: World) -> list[str]:
    rules = deploy_rules(w.asset, w.quote, w.terms)
    parts = (w.asset, w.quote, w.oracle, w.pool, w.fund, rules)
    return [str(part.address) for part in parts]


@pytest.mark.parametrize("place", range(6))
def test_venue__zero_address__refused(place: int) -> None:
    parts = _parts(world(liquidity=0))
    parts[place] = NOBODY
    with boa.reverts("venue: zero address"):
        venue_of(tuple(parts))


@pytest.mark.parametrize("place", [0, 1])
def test_rules_and_pool__zero_address__refused(place: int) -> None:
    w = world(liquidity=0)
    tokens = [w.asset.address, w.quote.address]
    tokens[place] = NOBODY
    with boa.reverts("venue: zero address"):
        deployer("LiquidationRules.vy").deploy(*tokens, NOBODY, tuple(default_terms().values()))
    with boa.reverts("pool: zero address"):
        deployer("LiquidityPool.vy").deploy(*tokens, w.oracle.address, 60, 120)
    with boa.reverts("pool: zero address"):
        deployer("LiquidityPool.vy").deploy(w.asset.address, w.quote.address, NOBODY, 60, 120)


def test_venue__parts_of_other_tokens__refused() -> None:
    w, other = world(liquidity=0), world(liquidity=0)
    mine, theirs = _parts(w), _parts(other)
    for place, reason in (
        (0, "venue: rules of other tokens"),
        (1, "venue: rules of other tokens"),
        (3, "venue: pool of other tokens"),
        (4, "venue: fund of another token"),
        (5, "venue: rules of other tokens"),
    ):
        parts = list(mine)
        parts[place] = theirs[place]
        with boa.reverts(reason):
            venue_of(tuple(parts))
    venue_of(tuple(mine))


def test_contracts__runtime_size__within_the_limit() -> None:
    w = world()
    contracts = [w.venue, w.pool, w.fund, deploy_rules(w.asset, w.quote, w.terms)]
    addresses = [each.address for each in contracts] + code_parts(w.venue)
    assert len(addresses) == 8
    for address in addresses:
        assert len(boa.env.get_code(address)) <= 22_500


def test_outcome__healthy__refused() -> None:
    w = world()
    rules = deploy_rules(w.asset, w.quote, w.terms)
    with boa.reverts("venue: account is healthy"):
        rules.outcome(EMPTY, EMPTY, WAD)
    assert rules.assess(EMPTY, WAD) == (False, 0, 0)
    assert rules.assess((0, -1, 0, 0, 0, 0), WAD) == (True, 0, 0)
