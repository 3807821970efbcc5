# SPDX-License-Identifier: MIT
"""
Everything that can go wrong, and what each revert reason of the contracts means.

KeeperError
  Fault                  this cycle failed; try the next one
    ChainUnavailable     no answer, or none that can be used
      WrongChain         another chain, or another contract, answers
      NodeBehind         the node's head is old or went back
      Throttled          the node asks for fewer requests
    CorruptAnswer        an answer that cannot be
    CallRefused          the chain would revert, or has reverted
    TransactionDropped   the node no longer knows a transaction
    DeadlineExceeded     the job's own time is over
  Halt                   stop; a person must look
    ConfigInvalid        configuration, key or deployment file
    InvariantBroken      a state that our own rules exclude
    RepeatedFaults       too many failures in a row

Exceptions take values and phrase themselves in one line.
"""

from __future__ import annotations

from typing import Final


class KeeperError(Exception):
    """Anything the keeper raises on purpose."""


class Fault(KeeperError):
    """This cycle failed; try the next one."""


class ChainUnavailable(Fault):
    """The node gave no answer, or none that can be used."""


class WrongChain(ChainUnavailable):
    """Another chain answers, or there is no such contract on it."""


class NodeBehind(ChainUnavailable):
    """The node's head is too old, or lower than one seen before."""


class Throttled(ChainUnavailable):
    """The node limits the rate of requests."""


class CorruptAnswer(Fault):
    """An answer that cannot be; nothing is decided on it."""


class CallRefused(Fault):
    """
    The chain would revert the call.

    Parameters
    ----------
    reason : str
        The contract's own words, or a selector in hex, or empty when it gave none.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the chain refuses: {meaning(reason)}")


class TransactionDropped(Fault):
    """A transaction that was sent is gone from chain and pool."""

    def __init__(self, tx_hash: str, why: str) -> None:
        super().__init__(f"transaction {tx_hash} dropped: {why}")


class DeadlineExceeded(Fault):
    """The job's own deadline passed; what it had not sent by then it must not send."""

    def __init__(self, stage: str) -> None:
        super().__init__(f"deadline passed before: {stage}")


class Halt(KeeperError):
    """Stop; a person must look."""


class ConfigInvalid(Halt):
    """Configuration, key or deployment file; the text names the field."""


class InvariantBroken(Halt):
    """A state that our own rules exclude."""


class RepeatedFaults(Halt):
    """Too many failures in a row."""

    def __init__(self, count: int, last: str) -> None:
        super().__init__(f"{count} failures in a row, the last: {last}")


# What each reason says to an operator. `tests/unit/keeper/test_errors.py` greps the contracts and
# fails for a reason that is not here.
REASONS: Final[dict[str, str]] = {}


def meaning(reason: str) -> str:
    """Return a plain sentence for a revert reason, with the reason itself."""
    if not reason:
        return "reverted without a reason"
    sentence = REASONS.get(reason)
    return f"{reason} ({sentence})" if sentence else reason
