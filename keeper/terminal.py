# SPDX-License-Identifier: MIT
"""
`hedgevault status`: the vaults in a terminal, in the words that the dashboard uses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from keeper.chain import Chain
from keeper.config import Config
from keeper.errors import Fault
from keeper.journal_pages import JournalPages
from keeper.web.seen import Held, Seen
from keeper.web.view.frame import Status, status
from keeper.web.view.noticed import exit_facts, owner_facts, proposal_lines, settled, vault_remarks
from keeper.web.watcher import Sources, Watcher
from keeper.words import (
    LEVEL_WORDS,
    Fact,
    Level,
    Remark,
    price_fact,
    short,
    vault_facts,
    venue_facts,
)

SIGNS: Final = {Level.GOOD: "✔", Level.WATCH: "▲", Level.ACT: "■", Level.UNKNOWN: "?"}
STYLES: Final = {
    Level.GOOD: "green",
    Level.WATCH: "yellow",
    Level.ACT: "bold red",
    Level.UNKNOWN: "dim",
}


class Eye:
    """Looks at the chain alone, when it is told to."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def glance(self) -> Seen:
        """Return what is so now, or what was and why no more is known."""
        self._watcher.look()
        return self._watcher.seen

    def look_hard(self) -> Seen:
        """
        Return what is so now.

        Raises
        ------
        Fault
            If the chain cannot be read.
        """
        seen = self.glance()
        if seen.chain_fault:
            raise Fault(seen.chain_fault)
        return seen

    def close(self) -> None:
        """Close the chain."""
        self._watcher.close()


def eye(chain: Chain, config: Config) -> Eye:
    """Return an eye on the vaults of a configuration."""

    def no_journal() -> JournalPages:
        raise Fault("not asked")

    sources = Sources(
        chain=chain,
        open_journal=no_journal,
        vaults=config.vaults,
        first_block=config.first_block,
        lives_now=config.chain.clock == "wall",
    )
    return Eye(Watcher(sources, every_secs=1.0))


def show(seen: Seen, console: Console) -> None:
    """Print the vaults once."""
    console.print(page(seen, time.time()))


def watch(
    look: Callable[[], Seen], every_secs: float, console: Console, looks: int | None = None
) -> None:
    """
    Print the vaults again and again, in place, until Ctrl-C.

    Parameters
    ----------
    look : callable
        Returns what is so now.
    looks : int, optional
        How often; by default for ever.
    """
    with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
        while looks is None or looks > 0:
            live.update(page(look(), time.time()), refresh=True)
            looks = None if looks is None else looks - 1
            if looks != 0:
                time.sleep(every_secs)


def page(seen: Seen, wall: float) -> RenderableType:
    """Return all that is shown at one moment."""
    said = status(seen, wall)
    vaults = [part for held in seen.vaults.values() for part in _vault(seen, held)]
    silent = not seen.chain_fault and not seen.noticed_fault  # but for the journal, not asked here
    notices = [_remark(notice) for notice in ([] if silent else said.notices[:1])]
    return Group(_head(said), *notices, *vaults)


def _head(said: Status) -> Text:
    head = Text(f"{SIGNS[said.level]} {said.word}", style=STYLES[said.level])
    return head.append(f"  {said.detail}", style="default not bold")


def _vault(seen: Seen, held: Held) -> Iterator[RenderableType]:
    vault, risk, tokens = held.snapshot.vault, held.risk, seen.tokens(held)
    yield Text()
    yield Text(f"Vault {vault.vault}  {tokens.asset} / {tokens.quote}", style="bold")
    for said in vault_remarks(seen, held):
        yield _remark(said)
    yield _table([price_fact(vault, tokens, seen.now)])
    if risk is not None:
        yield _table(vault_facts(settled(seen, held), risk, tokens))
        for venue, figures in zip(vault.venues, risk.venues, strict=True):
            yield Text(f"Venue {short(venue.venue)}")
            yield _table(venue_facts(vault, venue, figures, tokens))
    yield Text("Without a price, and the owner")
    yield _table([*exit_facts(seen, held), *owner_facts(seen, held)])
    for waits in proposal_lines(seen, held):
        yield Text(f"  {waits.means}: {waits.call}; {waits.when}. {waits.after}".rstrip())


def _remark(said: Remark) -> Text:
    words = f"{SIGNS[said.level]} {LEVEL_WORDS[said.level]}: {said.words}"
    return Text(words, style=STYLES[said.level])


def _table(facts: Iterable[Fact]) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 2))
    table.add_column(width=17)
    table.add_column(justify="right", width=26)
    table.add_column(style="dim", overflow="fold")
    for fact in facts:
        table.add_row(fact.name, Text(fact.value), Text(fact.note))
    return table
