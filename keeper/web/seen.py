# SPDX-License-Identifier: MIT
"""
What the dashboard knows at one moment; immutable, so that a page is of one piece.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from keeper.events import Event
from keeper.exits import Exits
from keeper.proposals import Owner
from keeper.risk import Risk
from keeper.snapshot import Address, Block, Snapshot
from keeper.words import Tokens, tokens_of


class Source(StrEnum):
    """Where the vaults' state was read."""

    CHAIN = "chain"
    JOURNAL = "journal"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One vault with its risk figures; None without any price."""

    snapshot: Snapshot
    risk: Risk | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node that is read from; `fault` is empty while it is well."""

    place: str
    fault: str = ""
    requests: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """
    What exits in kind and owners have logged.

    Exits stand by vault, owners by their address; `whose` names the vault of a vault's own
    contracts.
    """

    exits: Mapping[Address, Exits] = field(default_factory=dict)
    owners: Mapping[Address, Owner] = field(default_factory=dict)
    whose: Mapping[Address, Address] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """
    The state of everything as of one look.

    Attributes
    ----------
    version : int
        Grows with each change; pages ask for it.
    now : int
        Unix seconds by the clock that counts: the machine's, or the chain's where that lives in a
        time of its own.
    looked_at : float
        Wall clock of the last look that succeeded at reading the chain; 0 before the first.
    due_secs : float
        Within which a look follows another; what is older is late.
    chain_fault, journal_fault : str
        Why the last look could not read it, in one line; empty while all is well.
    noticed_fault : str
        Why exits in kind and owners could not be read last, in one line; empty while all is well.
    journal_rows : tuple of int
        Highest rows of ticks, decisions and steps.
    """

    version: int = 0
    now: int = 0
    looked_at: float = 0.0
    source: Source = Source.NOTHING
    block: Block | None = None
    vaults: Mapping[Address, Held] = field(default_factory=dict)
    symbols: Mapping[Address, str] = field(default_factory=dict)
    nodes: tuple[Node, ...] = ()
    due_secs: float = 30.0
    chain_fault: str = "nothing has been read yet"
    chain_faulty_since: float = 0.0
    noticed: Noticed = field(default_factory=Noticed)
    noticed_fault: str = ""
    journal_fault: str = ""
    journal_rows: tuple[int, int, int] = (0, 0, 0)

    def tokens(self, held: Held) -> Tokens:
        """Return how to write a vault's amounts."""
        vault = held.snapshot.vault
        asset = self.symbols.get(vault.asset, "asset")
        return tokens_of(vault, asset, self.symbols.get(vault.quote, "quote"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A redemption that waits; raw units, times in Unix seconds."""

    number: int
    owner: Address
    shares: int
    min_assets: int
    due_at: int
    cancel_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """
    What an account has in a vault, at one block; raw units.

    Attributes
    ----------
    exit_assets : int or None
        What all shares would bring at once, charges taken; None while the vault cannot say.
    max_withdraw : int
        What can be taken out at once.
    events : tuple of Event
        All flows and fills of the vault, oldest first, from `first_block` on.
    """

    owner: Address
    queue: Address
    shares: int
    worth_assets: int  # before charges, without those that wait in the queue
    exit_assets: int | None
    max_withdraw: int
    claim_assets: int
    requests: tuple[Request, ...]  # of everybody, in their order
    requests_in_all: int
    events: tuple[Event, ...]
