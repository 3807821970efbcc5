# SPDX-License-Identifier: MIT
import pytest
from vyper.compiler.output import build_abi_output

from keeper import abi
from scripts import export_abi
from scripts.export_abi import as_text, interface
from tests.compiled import deployer


@pytest.fixture
def compiled_before(monkeypatch):
    """Take the interface from what other tests compiled; the front end takes 5 s for a venue."""
    entries = lambda name: build_abi_output(deployer(f"{name}.vy").compiler_data)  # noqa: E731
    monkeypatch.setattr(export_abi, "read_abi", entries)


@pytest.mark.usefixtures("compiled_before")
@pytest.mark.parametrize("contract", abi.CONTRACTS)
def test_shipped_abi__equals_the_compilers(contract):
    """If this fails: `python -m scripts.export_abi`."""
    assert as_text(abi.load(contract)) == as_text(interface(contract))


def test_export__reads_what_the_compiler_says():
    before = build_abi_output(deployer("SpotMarket.vy").compiler_data)
    assert export_abi.read_abi("SpotMarket") == before


def test_call_data__view_with_argument__is_selector_and_word():
    holder = "0x" + "11" * 20
    data = abi.call_data("HedgeVault", "balanceOf", holder)
    assert data.hex() == "70a08231" + "00" * 12 + "11" * 20


def test_answer__struct__has_named_fields():
    words = b"".join(value.to_bytes(32, "big", signed=True) for value in (5, -7, -3, -9, 0, 8))
    account = abi.answer("PerpVenue", "account", words)
    assert account == {
        "assets": 5,
        "quote": -7,
        "size": -3,
        "entry": -9,
        "funding_index_wad": 0,
        "settled_at": 8,
    }


def test_call_data__unknown_function__refused():
    with pytest.raises(LookupError, match="HedgeVault has no function nothing"):
        abi.call_data("HedgeVault", "nothing")


def test_call_data__two_of_one_name__chosen_by_the_number_of_arguments():
    holder = "0x" + "11" * 20
    plain = abi.call_data("HedgeVault", "deposit", 1, holder)
    assert len(plain) == 4 + 64
    assert plain[:4].hex() == "6e553f65"  # deposit(uint256,address) of ERC-4626
