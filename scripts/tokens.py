# SPDX-License-Identifier: MIT
"""Asset and quote of a deployment: amounts as people write and read them, and approvals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scripts import amounts
from scripts.calls import ScriptError, contract, send
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

    def number(self, units: int) -> str:
        """Return raw units as whole tokens, cut toward zero after six digits."""
        return amounts.show(units, self.decimals)

    def show(self, units: int) -> str:
        """Return the same with the symbol."""
        return f"{self.number(units)} {self.symbol}"

    def held_by(self, account: Any) -> int:
        """Return the raw balance of an account."""
        return int(self.at.balanceOf(account))

    def require_held(self, account: Any, units: int) -> None:
        """
        Refuse an amount that the account does not have.

        Raises
        ------
        ScriptError
            With what it has.
        """
        held = self.held_by(account)
        if held < units:
            raise ScriptError(f"{account} has only {self.show(held)}")

    def approve(self, account: Any, spender: Any, units: int) -> None:
        """
        Approve exactly `units`, unless as much is approved already.

        Raises
        ------
        RefusedError
            If the token refuses.
        """
        if int(self.at.allowance(account, spender.address)) < units:
            send(account, self.at.approve, spender.address, units, doing="the approval")


def token(deployment: Deployment, name: str) -> Token:
    """Return the `Asset` or the `Quote` of a deployment."""
    found = contract(deployment, name)
    return Token(at=found, decimals=int(found.decimals()), symbol=str(found.symbol()))
