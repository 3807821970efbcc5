# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
from dataclasses import fields

import pytest

from keeper.units import WAD
from scripts import settings, terms
from scripts.settings import Settings, SettingsError
from tests.script_world import ROOT

EXAMPLE = ROOT / "scripts" / "deploy.example.toml"
ROLES = 'keeper = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"\nguardian = "{}"\n'
GUARDIAN = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"


def written(tmp_path, text):
    path = tmp_path / "settings.toml"
    path.write_text(text)
    return path


def components(contract, view):
    """Return the field names of the struct that a view of ours gives."""
    abi = json.loads((ROOT / "keeper" / "abi" / f"{contract}.json").read_text())
    outputs = next(entry for entry in abi if entry.get("name") == view)["outputs"]
    return [part["name"] for part in outputs[0]["components"]]


def test_limits__order__is_that_of_the_struct():
    assert [field.name for field in fields(terms.Limits)] == components("HedgeBook", "limits")


def test_venue_terms__as_deployed__failing_does_not_pay():
    """A premium cap over the penalty pays who buys at a discount and fails on purpose."""
    for decimals in ((18, 6), (6, 18), (8, 8)):
        market = terms.venue_terms(*decimals)
        assert not terms.failing_pays(market.premium_cap_wad, market.penalty_wad)
        assert terms.failing_pays(market.penalty_wad + 1, market.penalty_wad)


def test_read__the_example__names_what_exists():
    found = settings.read(EXAMPLE)
    assert found.doubles() == []
    assert found.vault_symbol == "hETH"
    assert found.seeds is None


def test_read__roles_only__defaults_and_all_doubles(tmp_path):
    found = settings.read(written(tmp_path, ROLES.format(GUARDIAN)))
    assert found.doubles() == ["asset", "quote", "asset_feed", "asset_witness", "quote_feed"]
    assert not found.test_doubles


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("keeper =", "is no TOML"),
        ("", "keeper: Field required"),
        (ROLES.format("0x12"), "guardian: Value error, is not a checksummed address"),
        (ROLES.format(GUARDIAN.lower()), "guardian: Value error, is not a checksummed address"),
        (ROLES.format(GUARDIAN) + "owner = '0x12'", "owner: Value error, is not a checksummed"),
        (ROLES.format(GUARDIAN) + "timelock_secs = 3600", "timelock_secs: Input should be greater"),
        (ROLES.format(GUARDIAN) + "kepeer = 1", "kepeer: Extra inputs are not permitted"),
        (
            ROLES.format(GUARDIAN) + '[asset]\nname="A"\nsymbol="A"\ndecimals=19',
            "asset.decimals: Input should be less than or equal to 18",
        ),
    ],
)
def test_read__bad_file__names_the_field(tmp_path, text, said):
    with pytest.raises(SettingsError, match=said):
        settings.read(written(tmp_path, text))


def test_read__no_file__says_so(tmp_path):
    with pytest.raises(SettingsError, match="there is no settings file"):
        settings.read(tmp_path / "missing.toml")


def test_least_base_charge_bps__part_hedged__rounded_up():
    roles = {"keeper": GUARDIAN, "guardian": GUARDIAN}
    assert Settings(**roles).least_base_charge_bps() == 75
    assert Settings(**roles, hedge_ratio_bps=9_999).least_base_charge_bps() == 75
    assert Settings(**roles, hedge_ratio_bps=5_000).least_base_charge_bps() == 38


@pytest.mark.parametrize(
    ("ratio_bps", "rise"), [("margin_target_bps", 0.40), ("margin_floor_bps", 0.236)]
)
def test_limits__margin_levels__survive_the_rises_they_promise(ratio_bps, rise):
    """The docstring's formula: a fully hedged short, asset margin only, nobody acting."""
    venue, limits = terms.venue_terms(18, 6), terms.limits(18)
    size_share = 300 * 10**18 / venue.skew_scale  # a vault of 300 ETH
    initial = venue.initial_base_wad / WAD + venue.initial_slope_wad / WAD * size_share
    maintenance = venue.maintenance_share_wad / WAD * initial
    equity = getattr(limits, ratio_bps) / 10_000 * maintenance
    after = equity * (1 + rise) - rise  # equity is asset margin after the haircut
    assert after > maintenance * (1 + rise)
