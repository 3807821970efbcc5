# SPDX-License-Identifier: MIT
"""
Interfaces of the deployed contracts as the compiler gives them, shipped with the package.

The files are written by `python -m scripts.export_abi`; a test compares them with the compiler's.
"""

import json
from functools import lru_cache
from importlib import resources
from typing import Any

CONTRACTS = (
    "HedgeBook",
    "HedgeVault",
    "InsuranceFund",
    "LiquidityPool",
    "PerpVenue",
    "PriceOracle",
    "SpotMarket",
    "VaultLens",
)


@lru_cache(maxsize=len(CONTRACTS))
def load(contract: str) -> list[dict[str, Any]]:
    """Return the ABI of one of `CONTRACTS`."""
    text = resources.files(__name__).joinpath(f"{contract}.json").read_text(encoding="utf-8")
    entries: list[dict[str, Any]] = json.loads(text)
    return entries
