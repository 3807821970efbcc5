# SPDX-License-Identifier: MIT
"""
G-03: a production contract of Lemma inherited a test base.

Nothing that is deployed imports from ``contracts/testing``. That what is on a
chain is what these sources compile to, byte by byte, and that test tokens and
feeds on a public network are named, is `verify_deployment`'s part, tested in
``tests/integration/test_scripts_system.py`` and ``test_scripts_consent.py``.
"""

from __future__ import annotations

import re

import pytest

from tests.compiled import CONTRACTS

TESTING = {path.stem for path in (CONTRACTS / "testing").glob("*.vy")}
PRODUCTION = sorted(path for path in CONTRACTS.rglob("*.vy*") if path.parent.name != "testing")


@pytest.mark.parametrize("path", PRODUCTION, ids=lambda path: path.name)
def test_g03__production_source__imports_no_test_code(path):
    imports = re.findall(r"^\s*(?:from|import)\s.*$", path.read_text(), re.MULTILINE)
    named = set(re.findall(r"\w+", " ".join(imports)))
    assert not named & (TESTING | {"testing"})
