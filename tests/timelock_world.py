# SPDX-License-Identifier: MIT
"""A timelock that owns a fund, with words for what is done to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import boa

from tests.market_world import DAY, deployer

DELAY = 2 * DAY
NOTHING = bytes(32)


@dataclass(frozen=True)
class Operation:
    """One call that is to be made by the timelock."""

    target: str
    payload: bytes
    predecessor: bytes = NOTHING
    salt: bytes = NOTHING
    amount: int = 0

    def words(self) -> tuple[Any, ...]:
        """Return it as the timelock's functions take it."""
        return self.target, self.amount, self.payload, self.predecessor, self.salt


@dataclass(frozen=True)
class Scene:
    """The timelock, the fund that it owns, and who has a role."""

    timelock: Any
    fund: Any
    proposer: str
    guardian: str
    stranger: str

    def register(self, allotment: int, **fields: Any) -> Operation:
        """Return the operation that gives the stranger's address an allotment."""
        payload = self.fund.register.prepare_calldata(self.stranger, allotment)
        return Operation(self.fund.address, payload, **fields)

    def own(self, method: str, *arguments: Any, **fields: Any) -> Operation:
        """Return the operation that calls the timelock itself."""
        payload = getattr(self.timelock, method).prepare_calldata(*arguments)
        return Operation(self.timelock.address, payload, **fields)

    def schedule(self, operation: Operation, delay: int = DELAY) -> bytes:
        """Schedule as the proposer and return the id."""
        self.timelock.schedule(*operation.words(), delay, sender=self.proposer)
        return bytes(self.timelock.hash_operation(*operation.words()))

    def execute(self, operation: Operation, sender: str | None = None) -> None:
        """Execute as anybody."""
        self.timelock.execute(*operation.words(), sender=sender or self.stranger)

    def carry_out(self, operation: Operation) -> None:
        """Schedule, wait and execute."""
        self.schedule(operation)
        boa.env.time_travel(seconds=DELAY)
        self.execute(operation)

    def allotment(self) -> int:
        """Return what `register` changes."""
        return int(self.fund.allotment(self.stranger))


def timelock_scene() -> Scene:
    """Deploy a fund and the timelock that owns it."""
    proposer, guardian, stranger = (
        str(boa.env.generate_address(name)) for name in ("proposer", "guardian", "stranger")
    )
    fund = deployer("InsuranceFund.vy").deploy(stranger, 7 * DAY, DAY)
    timelock = deployer("Timelock.vy").deploy(DELAY, proposer, guardian)
    fund.transfer_ownership(timelock.address)
    timelock.accept_ownerships([fund.address])
    return Scene(timelock, fund, proposer, guardian, stranger)
