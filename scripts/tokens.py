# SPDX-License-Identifier: MIT
"""Asset and quote of a deployment, as people read and write amounts of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scripts import amounts
from scripts.calls import contract
from scripts.deployments import Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token with what is needed to show amounts of it."""

    at: Any  # the Brownie contract
    decimals: int
    symbol: str

    def parse(self, text: str) -> int:
        """
        Return raw units of an amount in whole tokens.

        Raises
        ------
        AmountError
            Unless it is a positive amount that the token can express.
        """
        return amounts.parse(text, self.decimals)

    def show(self, units: int, places: int = 6) -> str:
        """Return raw units as whole tokens, with the symbol."""
        return f"{amounts.show(units, self.decimals, places)} {self.symbol}"

    def held_by(self, account: Any) -> int:
        """Return the raw balance of an account."""
        return int(self.at.balanceOf(account))


def token(deployment: Deployment, name: str) -> Token:
    """Return the `Asset` or the `Quote` of a deployment."""
    found = contract(deployment, name)
    return Token(at=found, decimals=int(found.decimals()), symbol=str(found.symbol()))
