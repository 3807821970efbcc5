# SPDX-License-Identifier: MIT
"""What people are told of a vault."""

from __future__ import annotations

import doctest
from dataclasses import replace

import pytest

from keeper import words
from keeper.risk import assess
from keeper.web import histories, shield
from keeper.words import Level, plain, remarks, vault_facts, worst
from tests.dashboard_world import state_of
from tests.keeper_world import NOW


def said(vault):
    risk = assess(vault) if vault.price_wad else None
    return remarks(vault, risk, NOW)


@pytest.mark.parametrize("module", [words, shield, histories])
def test_examples__hold(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("drift", "level", "part"),
    [
        (0, Level.GOOD, "inside the band of 1.00 %"),
        (3, Level.WATCH, "outside the inner band of 1.00 %"),
        (20, Level.ACT, "over the urgent band of 10.00 %"),
        (-20, Level.ACT, "over the urgent band of 10.00 %"),
    ],
)
def test_remarks__drift__by_its_bands(drift, level, part):
    first = said(state_of(drift=drift).vault)[0]
    assert first.level is level
    assert part in first.words


def margin_at(ratio_bps):
    vault = state_of().vault
    venue = vault.venues[0]
    equity = venue.margin.maintenance * ratio_bps // 10_000
    return replace(vault, venues=(replace(venue, margin=replace(venue.margin, equity=equity)),))


@pytest.mark.parametrize(
    ("ratio_bps", "level", "part"),
    [
        (14_999, Level.ACT, "under the floor of 1.50 x"),
        (15_000, Level.WATCH, "under the target of 2.00 x"),
        (20_000, Level.GOOD, "Hedged"),
    ],
)
def test_remarks__margin__by_floor_and_target(ratio_bps, level, part):
    first = said(margin_at(ratio_bps))[0]
    assert first.level is level
    assert part in first.words


def test_remarks__price__in_the_words_of_the_table_of_reasons():
    vault = replace(state_of().vault, price_ok=False, price_reason="oracle: asset feed stale")
    assert (
        "the asset's feed is too old; nothing is traded until it recovers" in said(vault)[0].words
    )
    assert said(replace(vault, price_wad=0))[0].level is Level.UNKNOWN


def test_remarks__paused__until_when_and_what_goes_on():
    vault = replace(state_of().vault, entry_paused_until=NOW + 60)
    assert worst(said(vault)) is Level.WATCH
    assert "Exits go on." in said(vault)[0].words
    assert worst(said(replace(vault, entry_paused_until=NOW))) is Level.GOOD


def test_remarks__empty_and_insolvent():
    vault = state_of().vault
    assert "nobody has deposited yet" in said(replace(vault, total_supply=0))[0].words
    venue = vault.venues[0]
    owing = replace(venue.margin, quote=-(10**12))
    lost = replace(venue, margin=owing, value=venue.value - 10**12)
    emptied = replace(vault, idle_assets=0, venues=(lost,))
    assert "All that the vault held is lost" in said(emptied)[0].words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("WETH", "WETH"),
        ("a\x00b\u200bc\u202ed", "abcd"),
        ("Z\u0351\u036balgo", "Zalgo"),
        ("x" * 40, "x" * 11 + "…"),
        ("\t\n", "token"),
    ],
)
def test_plain__only_what_cannot_mislead(text, shown):
    assert plain(text) == shown


def test_facts__of_a_vault__read_as_the_status_prints_them():
    vault = state_of().vault
    facts = {fact.name: fact for fact in vault_facts(vault, assess(vault), words.tokens_of(vault))}
    assert facts["Exposure"].value == "0.00 %"
    assert facts["Idle"].value == "63.0000 asset"
    assert facts["Drift"].note == "left alone up to 1.00 %, urgent over 10.00 %"
