# SPDX-License-Identifier: MIT
"""
What concerns a vault beside its own state: exits in kind, and what waits at its owner.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from keeper import exits, proposals
from keeper.proposals import Proposal
from keeper.snapshot import VaultSnapshot
from keeper.web.seen import Held, Seen
from keeper.words import Fact, Remark, by_urgency, remarks, short


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalLine:
    """A call that waits at the owner."""

    means: str
    call: str
    when: str
    id_short: str
    after: str


def vault_remarks(seen: Seen, held: Held) -> list[Remark]:
    """Return all that there is to say about a vault, the most pressing first."""
    vault = held.snapshot.vault
    leaving = seen.noticed.exits.get(vault.vault)
    unsettled = leaving is not None and leaving.hollow > 0
    said = remarks(vault, held.risk, seen.now, unsettled=unsettled)
    if leaving is not None:
        price, tokens = exits.price_of(vault), seen.tokens(held)
        said += exits.remarks(leaving, price, seen.now, tokens)
    return by_urgency([*said, *proposals.remarks(_proposals(seen, held), seen.now)])


def settled(seen: Seen, held: Held) -> VaultSnapshot:
    """Return the vault with its shares as a settlement would leave them: all of one kind."""
    vault, risk = held.snapshot.vault, held.risk
    leaving = seen.noticed.exits.get(vault.vault)
    if leaving is None or leaving.hollow == 0 or risk is None:
        return vault
    return replace(vault, total_supply=exits.settled_supply(leaving, vault, risk.nav))


def exit_facts(seen: Seen, held: Held) -> tuple[Fact, ...]:
    """Return how exits in kind of a vault stand; nothing as long as that was not read."""
    vault = held.snapshot.vault
    leaving = seen.noticed.exits.get(vault.vault)
    if leaving is None:
        return ()
    return tuple(exits.facts(leaving, exits.price_of(vault), seen.now, seen.tokens(held)))


def owner_facts(seen: Seen, held: Held) -> tuple[Fact, ...]:
    """Return who owns a vault; nothing as long as that was not read."""
    owner = seen.noticed.owners.get(held.snapshot.vault.owner)
    return () if owner is None else tuple(proposals.facts(owner))


def has_timelock(seen: Seen, held: Held) -> bool:
    """Return whether what the owner does waits first."""
    owner = seen.noticed.owners.get(held.snapshot.vault.owner)
    return owner is not None and owner.delay_secs > 0


def proposal_lines(seen: Seen, held: Held) -> tuple[ProposalLine, ...]:
    """Return what waits at a vault's owner, first due first."""
    return tuple(
        ProposalLine(
            means=each.means[0].upper() + each.means[1:],
            call=each.call,
            when=proposals.state(each.due_at, each.expires_at, seen.now),
            id_short=short(each.id),
            after=f"only after {short(each.after)}" if each.after else "",
        )
        for each in _proposals(seen, held)
    )


def _proposals(seen: Seen, held: Held) -> list[Proposal]:
    """Return what waits at a vault's owner, without what is for other vaults of this dashboard."""
    vault = held.snapshot.vault
    owner = seen.noticed.owners.get(vault.owner)
    if owner is None:
        return []
    whose = seen.noticed.whose
    return [each for each in owner.proposals if whose.get(each.target, vault.vault) == vault.vault]
