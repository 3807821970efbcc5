# SPDX-License-Identifier: MIT
"""The tables of who may do what, ``@custom:access`` in the headers of contracts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.compiled import CONTRACTS

ROW = re.compile(r"^ {5}(\S.*?) {2,}(\S.*?) {2,}(at once|delay)$", re.MULTILINE)
NAMES = (
    "HedgeVault",
    "HedgeBook",
    "BookControl",
    "RedemptionQueue",
    "ExitInKind",
    "InsuranceFund",
    "LiquidityPool",
    "Timelock",
)


@dataclass(frozen=True)
class Row:
    """One function, one role, and whether it waits for the delay."""

    function: str
    role: str
    waits: bool


def table(name: str) -> list[Row]:
    """Return the rows of ``@custom:access`` in a contract's header."""
    header = (CONTRACTS / f"{name}.vy").read_text().split('"""')[1]
    text = header[header.index("@custom:access") :]
    return [
        Row(re.sub(r" \(.*\)", "", function.strip()), role.strip(), when == "delay")
        for functions, roles, when in ROW.findall(text)
        for function in functions.split(",")
        for role in roles.split(",")
    ]
