# SPDX-License-Identifier: MIT
"""Every deployed contract fits a chain's limit with room, its immutables counted."""

from __future__ import annotations

import pytest

from scripts.verify_deployment import MAX_CODE_BYTES
from tests.compiled import CONTRACTS, deployer

DEPLOYED = sorted(path.name for path in CONTRACTS.glob("*.vy"))


@pytest.mark.parametrize("name", DEPLOYED)
def test_runtime_code__with_immutables__within_the_limit(name):
    """The compiler leaves the immutables out, which stand behind the code on chain."""
    compiled = deployer(name).compiler_data
    immutables = compiled.global_ctx.immutable_section_bytes
    assert 0 < len(compiled.bytecode_runtime) + immutables <= MAX_CODE_BYTES
