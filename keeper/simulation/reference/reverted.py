# SPDX-License-Identifier: MIT
"""A refused call: it changes nothing and says why, as a revert on chain does."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
HALF = 2**127  # numbers share storage words of two signed halves


class Reverted(Exception):
    """
    The call is refused.

    Parameters
    ----------
    reason : str
        The contract's reason string; empty where arithmetic fails without one.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Checkpointed(Protocol):
    """Whatever can return to what it was when a call began."""

    def checkpoint(self) -> tuple[Any, ...]:
        """Return what `restore` needs."""

    def restore(self, saved: tuple[Any, ...]) -> None:
        """Become what it was."""


C = TypeVar("C", bound=Checkpointed)


def require(condition: bool, reason: str) -> None:
    """Refuse the call unless the condition holds."""
    if not condition:
        raise Reverted(reason)


def require_half(number: int) -> None:
    """Refuse a number that does not fit its half of a storage word."""
    if not -HALF <= number < HALF:
        raise Reverted


def require_word(number: int) -> None:
    """Refuse an unsigned number over 256 bits."""
    if number >= 2**256:
        raise Reverted


def atomic(call: Callable[Concatenate[C, P], R]) -> Callable[Concatenate[C, P], R]:
    """Let a call that is refused leave nothing behind; failed arithmetic has no reason."""

    @wraps(call)
    def run(self: C, /, *args: P.args, **kwargs: P.kwargs) -> R:
        saved = self.checkpoint()
        try:
            return call(self, *args, **kwargs)
        except Reverted:
            self.restore(saved)
            raise
        except (OverflowError, ZeroDivisionError) as failed:
            self.restore(saved)
            raise Reverted from failed

    return run
