# SPDX-License-Identifier: MIT
"""
Evidence about the vaults of one configuration, for `hedgevault audit` and `hedgevault report`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from keeper.audit_state import System
from keeper.chain import Chain
from keeper.deadline import Deadline
from keeper.errors import ConfigInvalid, CorruptAnswer
from keeper.evidence import Evidence, gather
from keeper.journal import Journal
from keeper.replay import Verdict
from keeper.snapshot import Address, VaultSnapshot

SYMBOL: Final = "0x" + keccak(text="symbol()")[:4].hex()
QUEUE: Final = "0x" + keccak(text="queue()")[:4].hex()
EXIT: Final = "0x" + keccak(text="exit_in_kind()")[:4].hex()
DELAY: Final = "0x" + keccak(text="get_minimum_delay()")[:4].hex()
WORD_DIGITS: Final = len("0x") + 64
READ_SECS: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultEvidence:
    """One vault, what proves its history, and how its tokens are called."""

    vault: Address
    evidence: Evidence
    asset: str
    quote: str

    @property
    def verdict(self) -> Verdict:
        """Return what the replay found."""
        return self.evidence.verdict

    def write(self, folder: Path) -> Path:
        """Write the report and return its page."""
        from keeper.history import history_of  # noqa: PLC0415  # plotting costs a second to import
        from keeper.report import write_report  # noqa: PLC0415

        title = f"Hedging vault {self.vault}"
        try:
            history = history_of(self.evidence.records, title, self.asset, self.quote)
            return write_report(history, folder)
        except ValueError as fault:
            raise ConfigInvalid(f"{self.vault}: {fault}") from fault


def collect(
    chain: Chain, journal: Journal, vaults: Sequence[Address], first_block: int
) -> list[VaultEvidence]:
    """Read journal and chain for each vault; nothing is written."""
    reading = chain.read(vaults, None, [], Deadline(READ_SECS))
    return [
        _of_vault(chain, journal, snapshot.vault, first_block, reading.block.number)
        for snapshot in reading.snapshots
    ]


def _of_vault(
    chain: Chain, journal: Journal, vault: VaultSnapshot, first_block: int, head: int
) -> VaultEvidence:
    venues = tuple(venue.venue for venue in vault.venues)
    views = [
        (vault.asset, SYMBOL),
        (vault.quote, SYMBOL),
        (vault.vault, QUEUE),
        (vault.vault, EXIT),
        (vault.owner, DELAY),
    ]
    calls = [("eth_call", [{"to": to, "data": view}, "latest"]) for to, view in views]
    *symbols, queue, leaving, delay = chain.batch(calls)
    asset, quote = (symbol_of(answer) for answer in symbols)
    system = System(
        vault=vault.vault,
        book=vault.book,
        queue=_address(queue),
        exit=_address(leaving),
        venues=venues,
        timelock=vault.owner if _is_word(delay) else None,
    )
    return VaultEvidence(
        vault=vault.vault,
        evidence=gather(chain.batch, journal, system, first_block, head),
        asset=asset,
        quote=quote,
    )


def _is_word(answer: object) -> bool:
    """Return whether a view gave one word, as an account without code, or a refusal, does not."""
    return isinstance(answer, str) and len(answer) == WORD_DIGITS


def _address(answer: object) -> str:
    """
    Return the address that a view gave.

    Raises
    ------
    CorruptAnswer
        If it gave something else.
    """
    try:
        return str(decode(["address"], bytes.fromhex(str(answer).removeprefix("0x")))[0]).lower()
    except (DecodingError, ValueError):
        raise CorruptAnswer("the vault does not name its queue and exit") from None


def symbol_of(answer: object) -> str:
    """Return a token's symbol, or a plain word when it gives none."""
    if not isinstance(answer, str):
        return "token"
    try:
        return str(decode(["string"], bytes.fromhex(answer.removeprefix("0x")))[0])
    except (DecodingError, ValueError):
        return "token"
