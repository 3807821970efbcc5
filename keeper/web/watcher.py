# SPDX-License-Identifier: MIT
"""
Looks at chain and journal over and over, in a thread of its own, and keeps what it saw.

A look that fails changes nothing but the fault: what was seen before stays, and the pages say how
old it is. Before the chain was ever read, the journal's last snapshots stand in.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from keeper.chain import Chain
from keeper.collect import SYMBOL, symbol_of
from keeper.deadline import Deadline
from keeper.errors import KeeperError
from keeper.journal_pages import JournalPages
from keeper.reading import Reading
from keeper.risk import assess
from keeper.snapshot import Address, Block, Snapshot
from keeper.web.notices import Notices
from keeper.web.seen import Held, Node, Seen, Source

LOOK_SECS: Final = 20.0  # at most, for one look at the chain
REST_SECS: Final = 30.0  # after events could not be read, which may be much to ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """
    Where the dashboard looks.

    Attributes
    ----------
    open_journal : callable
        Opens the journal, or raises a `KeeperError` that says in one line why it cannot.
    first_block : int
        At or before the deployment, where events begin.
    lives_now : bool
        Whether the chain's time is the world's.
    """

    chain: Chain
    open_journal: Callable[[], JournalPages]
    vaults: tuple[Address, ...]
    first_block: int = 0
    lives_now: bool = True


class Watcher:
    """Keeps `seen` fresh until it is closed."""

    def __init__(
        self,
        sources: Sources,
        *,
        every_secs: float,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._sources, self._every_secs, self._wall = sources, every_secs, wall
        self._journal: JournalPages | None = None
        self._notices = Notices(sources.chain.batch, sources.first_block)
        self._noticed_at: Block | None = None
        self._notice_from = 0.0  # wall clock
        self._opening = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self.seen = Seen(due_secs=LOOK_SECS + 3 * every_secs)

    def start(self) -> None:
        """Look once, and then again and again."""
        self.look()
        self._thread.start()

    @property
    def ending(self) -> bool:
        """Return whether nothing new will be seen any more."""
        return self._stopping.is_set()

    def end(self) -> None:
        """Look no more; event streams end with it."""
        self._stopping.set()

    def close(self) -> None:
        """Stop looking and close what was opened."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(LOOK_SECS)
        self._sources.chain.close()
        if self._journal is not None:
            self._journal.close()

    def journal(self) -> JournalPages:
        """
        Return the journal, opened with the first call that can.

        Raises
        ------
        KeeperError
            In one line: there is none, or it is of another chain or version.
        """
        with self._opening:
            if self._journal is None:
                self._journal = self._sources.open_journal()
            return self._journal

    def look(self) -> None:
        """Read everything once and publish what is new; a mistake of our own is told, too."""
        self._publish(lambda seen: self._or_journal(self._with_journal(self._with_chain(seen))))
        # Nothing that is older waits for it.
        self._publish(self._with_noticed, lambda seen, words: replace(seen, noticed_fault=words))

    def _publish(
        self,
        read: Callable[[Seen], Seen],
        told: Callable[[Seen, str], Seen] = lambda seen, words: replace(seen, chain_fault=words),
    ) -> None:
        before = self.seen
        try:
            after = read(before)
        except Exception as mistake:  # noqa: BLE001 - a thread that ends would show old as new
            words = f"a mistake of the dashboard's own: {type(mistake).__name__}: {mistake}"
            after = told(before, words)
        known = replace(after, version=before.version, now=before.now, looked_at=before.looked_at)
        changed = _without_counts(known) != _without_counts(before)
        self.seen = replace(after, version=before.version + changed)

    def _run(self) -> None:
        while not self._stopping.wait(self._every_secs):
            self.look()

    # The chain

    def _with_chain(self, seen: Seen) -> Seen:
        sources = self._sources
        try:
            reading = sources.chain.read(sources.vaults, None, [], Deadline(LOOK_SECS))
            symbols = self._symbols(reading, seen.symbols)
        except KeeperError as fault:
            since = seen.chain_faulty_since or self._wall()
            return replace(
                seen, chain_fault=str(fault), chain_faulty_since=since, nodes=self._nodes()
            )
        return replace(
            seen,
            source=Source.CHAIN,
            now=self._now(reading.block.at),
            looked_at=self._wall(),
            block=reading.block,
            vaults={s.vault.vault: _held(s) for s in reading.snapshots},
            symbols=symbols,
            nodes=self._nodes(),
            chain_fault="",
            chain_faulty_since=0.0,
        )

    def _now(self, block_at: int) -> int:
        return int(self._wall()) if self._sources.lives_now else block_at

    def _nodes(self) -> tuple[Node, ...]:
        requests = self._sources.chain.requests_by_node
        return tuple(
            Node(place=place, fault=fault, requests=requests[place])
            for place, fault in self._sources.chain.nodes().items()
        )

    def _symbols(self, reading: Reading, known: Mapping[Address, str]) -> Mapping[Address, str]:
        """Return the tokens' symbols; those not known yet are asked for in one request."""
        vaults = [snapshot.vault for snapshot in reading.snapshots]
        missing = sorted({t for v in vaults for t in (v.asset, v.quote)} - known.keys())
        if not missing:
            return known
        calls: list[tuple[str, list[Any]]] = [
            ("eth_call", [{"to": token, "data": SYMBOL}, "latest"]) for token in missing
        ]
        answers = self._sources.chain.batch(calls)
        return {**known, **dict(zip(missing, map(symbol_of, answers), strict=True))}

    def _with_noticed(self, seen: Seen) -> Seen:
        """Follow what was logged, once a block; a fault leaves what was known."""
        block = seen.block
        if seen.chain_fault or block is None or block == self._noticed_at:
            return seen
        if self._wall() < self._notice_from:
            return seen
        try:
            vaults = [held.snapshot.vault for held in seen.vaults.values()]
            noticed = self._notices.read(vaults, block.number)
        except KeeperError as fault:
            self._notice_from = self._wall() + REST_SECS
            return replace(seen, noticed_fault=str(fault))
        self._noticed_at = block
        return replace(seen, noticed=noticed, noticed_fault="")

    # The journal

    def _with_journal(self, seen: Seen) -> Seen:
        try:
            return replace(seen, journal_rows=self.journal().last_rows(), journal_fault="")
        except KeeperError as fault:
            return replace(seen, journal_fault=str(fault))

    def _or_journal(self, seen: Seen) -> Seen:
        """Let the journal's last snapshots stand in for a chain that was never read."""
        if seen.source is Source.CHAIN:
            return seen
        found = {}
        with suppress(KeeperError):
            for vault in self._sources.vaults:
                row = self.journal().newest(vault)
                if row is not None:
                    found[vault] = _held(row.snapshot)
        if not found:
            return seen
        newest = max((held.snapshot.block for held in found.values()), key=lambda b: b.number)
        return replace(
            seen,
            source=Source.JOURNAL,
            now=self._now(newest.at),
            block=newest,
            vaults=found,
        )


def _held(snapshot: Snapshot) -> Held:
    vault = snapshot.vault
    return Held(snapshot=snapshot, risk=assess(vault) if vault.price_wad > 0 else None)


def _without_counts(seen: Seen) -> Seen:
    """Return it without what grows with each look."""
    return replace(seen, nodes=tuple(replace(node, requests=0) for node in seen.nodes))
