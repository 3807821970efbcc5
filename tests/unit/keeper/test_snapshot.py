# SPDX-License-Identifier: MIT
"""The fast decoder against eth-abi and against the interface files."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from eth_abi.abi import decode, encode

from keeper import snapshot as snapshots
from keeper.errors import CorruptAnswer
from keeper.snapshot import VAULT_WORDS, WORD, decode_vault, split_page

INTERFACES = Path(__file__).resolve().parents[3] / "contracts" / "interfaces"
NESTED = {"IHedgeBook.State", "IHedgeBook.Limits", "IHedgeVenue.Margin", "IHedgeVenue.Market"}


def struct(file: str, name: str) -> list[tuple[str, str]]:
    text = (INTERFACES / f"{file}.vyi").read_text()
    body = re.search(
        rf"^struct {name}:[^\n]*\n((?:    .*\n|\n)+?)(?=\n\n|\Z)", text, re.MULTILINE
    ).group(1)
    return re.findall(r"^    (\w+): ([\w.\[\]]+)", body, re.MULTILINE)


def abi_type(kind: str) -> str:
    if kind in NESTED:
        file, name = kind.split(".")
        return "(" + ",".join(abi_type(k) for _, k in struct(file, name)) + ")"
    if kind.startswith("VenueSnapshot"):
        inner = ",".join(abi_type(k) for _, k in struct("IVaultLens", "VenueSnapshot"))
        return f"({inner})[4]"
    return kind


VAULT_TYPE = "(" + ",".join(abi_type(k) for _, k in struct("IVaultLens", "VaultSnapshot")) + ")"
ANSWER = ["uint256", "uint256", VAULT_TYPE + "[]"]


def random_word(kind: str, source: random.Random):
    if kind == "address":
        return "0x" + source.randbytes(20).hex()
    if kind == "bool":
        return source.random() < 0.5
    if kind == "bytes32":
        return source.randbytes(32)
    bits = source.choice([1, 64, 128, 255])
    value = source.getrandbits(bits)
    return -value if kind == "int256" and source.random() < 0.5 else value


def random_struct(file: str, name: str, source: random.Random):
    values = []
    for field, kind in struct(file, name):
        if kind in NESTED:
            values.append(random_struct(*kind.split("."), source))
        elif kind.startswith("VenueSnapshot"):
            values.append([random_struct("IVaultLens", "VenueSnapshot", source) for _ in range(4)])
        elif field == "venue_count":
            values.append(source.randrange(5))
        elif field == "price_reason":
            values.append(b"oracle: asset feed stale".ljust(32, b"\0"))
        else:
            values.append(random_word(kind, source))
    return tuple(values)


def flat(record) -> list:
    out = []
    for name in record.__dataclass_fields__:
        value = getattr(record, name)
        if isinstance(value, tuple):
            out.append([flat(item) for item in value])
        elif hasattr(value, "__dataclass_fields__"):
            out.append(flat(value))
        else:
            out.append(value)
    return out


def as_lists(values, names):
    """The eth-abi answer in the shape of `flat`: count folded into the venues, reason as text."""
    fields = dict(zip(names, values, strict=True))
    count = fields.pop("venue_count")
    fields["venues"] = [
        [list(part) if isinstance(part, tuple) else part for part in item]
        for item in fields["venues"][:count]
    ]
    fields["price_reason"] = fields["price_reason"].rstrip(b"\0").decode()
    return [list(v) if isinstance(v, tuple) else v for v in fields.values()]


@pytest.mark.parametrize("seed", range(20))
def test_decode__random_words__equals_eth_abi(seed):
    source = random.Random(seed)
    vaults = [random_struct("IVaultLens", "VaultSnapshot", source) for _ in range(3)]
    answer = encode(ANSWER, [seed, 1_722_470_400, vaults])
    number, at, pages = split_page(answer, [v[0] for v in vaults])
    assert (number, at) == (seed, 1_722_470_400)
    names = [name for name, _ in struct("IVaultLens", "VaultSnapshot")]
    for words, slow in zip(pages, decode(ANSWER, answer)[2], strict=True):
        assert flat(decode_vault(words)) == as_lists(slow, names)


def test_records__mirror_the_interfaces():
    for cls, file in (
        ("Margin", "IHedgeVenue"),
        ("Market", "IHedgeVenue"),
        ("State", "IHedgeBook"),
        ("Limits", "IHedgeBook"),
        ("VenueSnapshot", "IVaultLens"),
    ):
        names = [name for name, _ in struct(file, cls)]
        assert list(getattr(snapshots, cls).__dataclass_fields__) == names
    names = [n for n, _ in struct("IVaultLens", "VaultSnapshot") if n != "venue_count"]
    assert list(snapshots.VaultSnapshot.__dataclass_fields__) == names


def answer_of(*vaults) -> bytes:
    return encode(ANSWER, [1, 2, list(vaults)])


@pytest.fixture
def one():
    vault = random_struct("IVaultLens", "VaultSnapshot", random.Random(1))
    return vault[0], answer_of(vault)


def test_split_page__short_answer__refused(one):
    vault, answer = one
    with pytest.raises(CorruptAnswer, match="bytes from the lens"):
        split_page(answer[:-1], [vault])


def test_split_page__another_vault__refused(one):
    _, answer = one
    with pytest.raises(CorruptAnswer, match="expected vault"):
        split_page(answer, ["0x" + "11" * 20])


def test_split_page__wrong_offset__refused(one):
    vault, answer = one
    broken = answer[:95] + b"\x80" + answer[96:]
    with pytest.raises(CorruptAnswer):
        split_page(broken, [vault])


@pytest.mark.parametrize(
    ("word", "byte", "match"),
    [(0, 0, "160"), (11, 0, "truth"), (56, 0, "at most 4 venues")],
)
def test_decode_vault__impossible_word__refused(one, word, byte, match):
    _, answer = one
    words = bytearray(answer[4 * WORD :])
    words[word * WORD + byte] = 0xFF
    with pytest.raises(CorruptAnswer, match=match):
        decode_vault(bytes(words))


def test_vault_words__is_the_size_of_the_struct():
    assert (
        len(answer_of(random_struct("IVaultLens", "VaultSnapshot", random.Random(2))))
        == (4 + VAULT_WORDS) * WORD
    )
