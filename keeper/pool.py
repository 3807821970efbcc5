# SPDX-License-Identifier: MIT
"""
Several nodes of one chain: who may be asked, who is asked next when one fails, who rests.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final
from weakref import WeakSet

from keeper.endpoint import Endpoint
from keeper.errors import ChainUnavailable, CorruptAnswer, Fault, Throttled
from keeper.rpc import Call, RpcFault, check_rate
from keeper.wire import Wire

GRACE_SECS: Final = 0.5  # that nodes have left once enough have answered
FOR_EVER: Final = float("inf")

Found = list[Any] | Fault  # answers in the order of the calls, or why there are none


class Pool:
    """
    The nodes to read from, the preferred first.

    Parameters
    ----------
    needed : int
        So many nodes are asked even if they should rest.
    """

    def __init__(self, endpoints: Sequence[Endpoint], needed: int, log: Any) -> None:
        self.endpoints = tuple(endpoints)
        self.requests: Counter[str] = Counter()  # HTTP requests made, by place
        self.faults: Counter[str] = Counter()  # by class, also those that failover hid
        self._counted: WeakSet[Fault] = WeakSet()
        self._needed, self._log = needed, log
        self._preferred = self.endpoints
        self._wire = Wire()
        self._lock = threading.Lock()

    def ready(self, *, everybody: bool = False) -> list[Endpoint]:
        """
        Return the nodes to ask now: those that are well, or all when those are too few.

        Raises
        ------
        Throttled
            If each of them has said for how long it is not to be asked.
        """
        well = [endpoint for endpoint in self.endpoints if endpoint.ready()]
        if len(well) >= self._needed and not everybody:
            return well
        allowed = [endpoint for endpoint in self.endpoints if endpoint.sent_away() == 0]
        if not allowed:
            soonest = min(self.endpoints, key=Endpoint.sent_away)
            secs = soonest.sent_away()
            raise Throttled(f"{soonest.place} asks to wait {secs:.0f} s more", secs)
        return allowed

    def ask_all(
        self,
        asked: Mapping[Endpoint, Sequence[Call]],
        *,
        secs: float = FOR_EVER,
        enough: int | None = None,
    ) -> dict[Endpoint, Found]:
        """Ask nodes at the same time; after `enough` answers the others have little time left."""
        posts = [endpoint.post(calls, secs) for endpoint, calls in asked.items()]
        with self._lock:
            self.requests.update(endpoint.place for endpoint in asked)
        needed = len(posts) if enough is None else enough
        answers = self._wire.post_all(posts, needed, GRACE_SECS)
        found: dict[Endpoint, Found] = {}
        for (endpoint, calls), answer in zip(asked.items(), answers, strict=True):
            try:
                found[endpoint] = endpoint.answers(answer, len(calls))
            except Fault as fault:
                self.count(fault)
                found[endpoint] = fault
        return found

    def ask_one(self, endpoint: Endpoint, calls: Sequence[Call]) -> list[Any]:
        """
        Ask one node.

        Raises
        ------
        ChainUnavailable, CorruptAnswer
            If it does not answer.
        """
        found = self.ask_all({endpoint: calls})[endpoint]
        if isinstance(found, Fault):
            raise found
        return found

    def ask_first(self, calls: Sequence[Call]) -> tuple[Endpoint, list[Any]]:
        """
        Ask one node, and the next when it fails or asks for fewer requests; say who answered.

        Raises
        ------
        ChainUnavailable, CorruptAnswer
            Of the last, if none answers.
        """
        last: Fault = ChainUnavailable("there is no node to ask")
        for endpoint in self.order():
            try:
                answers = self.ask_one(endpoint, calls)
                for answer in answers:
                    if isinstance(answer, RpcFault):
                        check_rate(answer)
            except (ChainUnavailable, CorruptAnswer) as fault:
                self.rest(endpoint, fault)
                last = fault
            else:
                return endpoint, answers
        raise last

    def order(self) -> list[Endpoint]:
        """Return the nodes to try one after another: those last believed, then the others."""
        ready = self.ready()
        first = [endpoint for endpoint in self._preferred if endpoint in ready]
        return first + [endpoint for endpoint in ready if endpoint not in first]

    def prefer(self, endpoints: Sequence[Endpoint]) -> None:
        """Try these first from now on."""
        self._preferred = tuple(endpoints)

    def rest(self, endpoint: Endpoint, fault: Fault) -> None:
        """Leave a node alone for a while."""
        self.count(fault)
        secs = endpoint.failed(fault)
        if len(self.endpoints) > 1:
            said = {"node": endpoint.place, "again_in_secs": round(secs, 1), "error": str(fault)}
            self._log.warning("node rests", **said)

    def count(self, fault: Fault) -> None:
        """Count a fault by class, once, though it may pass here again on its way up."""
        with self._lock:
            if fault not in self._counted:
                self._counted.add(fault)
                self.faults[type(fault).__name__] += 1

    def welcome(self, endpoint: Endpoint) -> None:
        """Note that a node is well."""
        if endpoint.works() and len(self.endpoints) > 1:
            self._log.info("node is back", node=endpoint.place)

    def close(self) -> None:
        """Close connections."""
        self._wire.close()
