# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from scripts.amounts import AmountError, parse, parse_bps, show, show_bps


@pytest.mark.parametrize(
    ("text", "decimals", "units"),
    [
        ("1.5", 18, 15 * 10**17),
        ("1.5", 6, 1_500_000),
        ("1_000", 6, 10**9),
        (".25", 8, 25_000_000),
        ("0.000001", 6, 1),
        ("7", 0, 7),
        ("0.123456789012345678", 18, 123456789012345678),  # more than a float holds
    ],
)
def test_parse__whole_tokens__exact_units(text, decimals, units):
    assert parse(text, decimals) == units


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not an amount"),
        ("-1", "not an amount"),
        ("1e5", "not an amount"),
        ("1,5", "not an amount"),
        ("nan", "not an amount"),
        ("all", "not an amount"),
        ("0", "zero does nothing"),
        ("0.0000001", "more than the token's 6 decimals"),
        ("1" + "0" * 40, "more than there can be"),
    ],
)
def test_parse__bad_amount__one_clear_line(text, said):
    with pytest.raises(AmountError, match=said):
        parse(text, 6)


@pytest.mark.parametrize(("text", "bps"), [("95%", 9_500), ("9500", 9_500), ("99.99 %", 9_999)])
def test_parse_bps__share__basis_points(text, bps):
    assert parse_bps(text) == bps


@pytest.mark.parametrize("text", ["0.95", "95.001%", "-5%", "", "a"])
def test_parse_bps__bad_share__refused(text):
    with pytest.raises(AmountError):
        parse_bps(text)


@pytest.mark.parametrize(
    ("units", "decimals", "shown"),
    [
        (1_500_000, 6, "1.5"),
        (123456789 * 10**18, 18, "123,456,789"),
        (999_999_999, 9, "0.999999"),  # cut, not rounded
        (-1_500_000, 6, "-1.5"),
        (-1, 18, "0"),
        (7, 0, "7"),
    ],
)
def test_show__units__cut_toward_zero(units, decimals, shown):
    assert show(units, decimals) == shown


def test_show_bps__basis_points__per_cent():
    assert show_bps(9_550) == "95.50 %"
