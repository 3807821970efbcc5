# SPDX-License-Identifier: MIT
"""
One node: how it is asked, what its silence means, and how long it is left alone after a fault.

The URL is shown nowhere: only host and port are, since the rest may hold a key.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from keeper.errors import (
    ChainUnavailable,
    Fault,
    Throttled,
    Unreached,
)
from keeper.rpc import Call, decode_answers, encode_calls, one_line
from keeper.wire import Answer, Post, Trouble

FIRST_REST: Final = 1.0  # seconds that a node is left alone after a fault, doubled with each
LONGEST_REST: Final = 60.0
LONGEST_RETRY_AFTER: Final = 300.0  # seconds; a node cannot send us away for longer
SHORTEST_SECS: Final = 0.001  # 0 would mean no limit
BURST_SECS: Final = 1.0  # a second's worth of requests may come at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How a node is treated; clock and chance come from outside."""

    timeout_secs: float
    requests_a_sec: float | None
    monotonic: Callable[[], float]
    jitter: random.Random


class Endpoint:
    """One node and its health."""

    def __init__(self, url: str, patience: Patience, secrets: Iterable[str]) -> None:
        self.place = place_of(url)
        self.genesis: str | None = None  # asked with the next reading while it is None
        self.by_hash = True  # takes a block's hash for a tag, until it is seen not to
        self.fault: Fault | None = None  # the last, while it is not well
        self._url, self._patience, self._secrets = url, patience, tuple(secrets)
        self._faults = 0
        self._rests_until = self._paid_until = patience.monotonic()

    def post(self, calls: Sequence[Call], secs: float) -> Post:
        """Return the request for some calls, within our own rate limit."""
        return Post(
            url=self._url,
            body=encode_calls(calls),
            secs=max(min(self._patience.timeout_secs, secs), SHORTEST_SECS),
            delay_secs=self._pace(),
            repeatable=all(method != "eth_sendRawTransaction" for method, _ in calls),
        )

    def _pace(self) -> float:
        """Return how long the next request has to wait (a leaky bucket)."""
        rate, now = self._patience.requests_a_sec, self._patience.monotonic()
        if rate is None:
            return 0.0
        self._paid_until = max(self._paid_until, now) + 1 / rate
        return max(0.0, self._paid_until - now - max(BURST_SECS, 1 / rate))

    def answers(self, found: Answer | Trouble, count: int) -> list[Any]:
        """
        Return results, or an `RpcFault` where the node refused, in the order of the calls.

        Raises
        ------
        ChainUnavailable
            With what to look at, in one line.
        CorruptAnswer
            If answers are missing or belong to other calls.
        """
        if isinstance(found, Trouble):
            raise self._trouble(found)
        self._check_status(found)
        try:
            return decode_answers(found.body, count, self.words)
        except ChainUnavailable as fault:
            raise type(fault)(f"{self.place} {fault}") from None
        except (ValueError, TypeError) as fault:
            raise ChainUnavailable(f"{self.place} does not speak JSON-RPC") from fault

    def words(self, text: object) -> str:
        """Return the node's prose in one line without keys."""
        return one_line(text, self._secrets)

    def _trouble(self, trouble: Trouble) -> ChainUnavailable:
        match trouble:
            case Trouble.UNREACHED:
                return Unreached(f"{self.place} cannot be reached")
            case Trouble.SILENT:
                secs = self._patience.timeout_secs
                return ChainUnavailable(f"{self.place} gives no whole answer in {secs:g} s")
            case Trouble.SLOW:
                return ChainUnavailable(f"{self.place} is slower than the others")
            case Trouble.BROKEN:
                return ChainUnavailable(f"{self.place} cannot be reached: the connection broke")

    def _check_status(self, answer: Answer) -> None:
        if answer.status == 429:
            words = f"{self.place} limits the rate of requests"
            raise Throttled(words, _secs(answer.retry_after))
        if answer.status != 200:
            raise ChainUnavailable(f"{self.place} answers HTTP {answer.status}")

    # Health

    def ready(self) -> bool:
        """Return whether the node may be asked now."""
        return self._patience.monotonic() >= self._rests_until

    def sent_away(self) -> float:
        """Return for how many seconds more the node has asked not to be asked at all."""
        if not isinstance(self.fault, Throttled) or self.fault.retry_after_secs == 0:
            return 0.0
        return max(0.0, self._rests_until - self._patience.monotonic())

    def failed(self, fault: Fault) -> float:
        """Leave the node alone for a while, longer with each fault; return the seconds."""
        self.fault = fault
        self.genesis = None  # it may come back as another chain
        longest = min(FIRST_REST * 2.0 ** min(self._faults, 16), LONGEST_REST)
        self._faults += 1
        rest = longest * (0.5 + self._patience.jitter.random() / 2)
        if isinstance(fault, Throttled):
            rest = max(rest, fault.retry_after_secs)
        self._rests_until = self._patience.monotonic() + rest
        return rest

    def works(self) -> bool:
        """Note that the node is well; return whether that is news."""
        news = self.fault is not None
        self.fault, self._faults = None, 0
        self._rests_until = self._patience.monotonic()
        return news


def place_of(url: str) -> str:
    """Return host and port in words; the rest of a URL may hold a key."""
    parts = urlsplit(url)
    return f"the node at {parts.hostname}" + (f":{parts.port}" if parts.port else "")


def _secs(retry_after: str | None) -> float:
    """Return the seconds of a Retry-After header; a date or nonsense counts as none."""
    try:
        return min(max(0.0, float(retry_after or 0)), LONGEST_RETRY_AFTER)
    except ValueError:
        return 0.0


def named(fault: Fault, endpoint: Endpoint) -> str:
    """Return a fault that says whose it is."""
    words = str(fault)
    return words if endpoint.place in words else f"{endpoint.place}: {words}"
