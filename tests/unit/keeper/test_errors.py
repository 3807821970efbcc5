# SPDX-License-Identifier: MIT
"""Every reason of the contracts has a sentence for people."""

from __future__ import annotations

import re
from pathlib import Path

from keeper.errors import REASONS, CallRefused, meaning

CONTRACTS = Path(__file__).resolve().parents[3] / "contracts"
MODULES = "book|claims|exit|fixed_point|fund|lens|oracle|pause|pool|queue|spot|timelock|vault|venue"
REASON = re.compile(rf'"((?:{MODULES}): [^"]+)"')


def sources():
    return [
        path
        for path in sorted(CONTRACTS.rglob("*.vy"))
        if "testing" not in path.parts and not path.name.startswith("zz")
    ]


def in_contracts() -> dict[str, str]:
    return {
        reason: path.name
        for path in sources()
        for reason in REASON.findall(path.read_text())
        if not reason.endswith(" ") and "<" not in reason.replace("<=", "")  # parts, and prose
    }


def test_reasons__each_in_contracts__is_in_the_table():
    missing = {reason: file for reason, file in in_contracts().items() if reason not in REASONS}
    assert missing == {}


def test_reasons__put_together_by_the_oracle__are_in_the_table():
    text = (CONTRACTS / "PriceOracle.vy").read_text()
    body = text[text.index("def _fault_name") :].split("\n\n\n")[0]
    faults = re.findall(r'"([^"]+)"', body.split('"""')[-1])
    assert len(faults) >= 8
    for feed in ("asset feed", "asset witness", "quote feed", "quote witness"):
        for fault in faults:
            assert f"oracle: {feed} {fault}" in REASONS


def test_reasons__none_in_the_table_is_invented():
    known = set(in_contracts())
    invented = [r for r in REASONS if not r.startswith("oracle: ") and r not in known]
    assert invented == []


def test_meaning__known_unknown_and_none():
    known = meaning("book: wrong nonce")
    assert known.startswith("book: wrong nonce (")
    assert meaning("0x1234") == "0x1234"
    assert meaning("") == "reverted without a reason"
    assert str(CallRefused("book: cooldown")).startswith("the chain refuses: book: cooldown (")
