# SPDX-License-Identifier: MIT
"""
What the keeper knows of a vault at one block, and its decoding from the lens.

The records mirror `contracts/interfaces/IVaultLens.vyi` field for field and word for word. The
lens answers with static structs only, so an answer is flat 32-byte words: one pass of
`int.from_bytes` takes microseconds where a general ABI decoder takes a hundred times that.
Units as in the interfaces; addresses are lower-case hex.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NewType

from keeper.errors import CorruptAnswer
from keeper.units import Assets, Bps, Quote, Wad, div_floor, price_divisor

Address = NewType("Address", str)  # 0x and 40 lower-case hex digits

WORD: Final = 32
MAX_VAULTS: Final = 25  # a page of the lens
MAX_VENUES: Final = 4
ZERO_ADDRESS: Final = Address("0x" + "0" * 40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """A vault's account at a venue, priced at the snapshot's price (`IHedgeVenue.Margin`)."""

    assets: Assets
    quote: Quote
    delta: Assets
    profit: Quote
    equity: Quote
    initial: Quote
    maintenance: Quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """The venue itself (`IHedgeVenue.Market`)."""

    skew: Assets
    skew_scale: Assets
    long_size: Assets
    short_size: Assets
    max_side: Assets
    premium_wad: Wad
    mean_premium_wad: Wad
    premium_cap_wad: Wad
    funding_rate_wad: Wad
    taker_fee_wad: Wad
    maker_fee_wad: Wad
    initial_base_wad: Wad
    initial_slope_wad: Wad
    maintenance_share_wad: Wad
    maintenance_floor_wad: Wad
    haircut_wad: Wad
    pool_equity: Quote
    insurance: Quote


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSnapshot:
    """One venue that the vault may use."""

    venue: Address
    allotment_bps: Bps
    answers: bool  # False: what the book left there stands for the margin, the market is empty
    lost: bool  # what is there is not what the book left
    value: Quote  # at the index, as far as believed; counts at zero at the least
    margin: Margin
    market: Market


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the book remembers (`IHedgeBook.State`)."""

    nonce: int
    audit_head: bytes
    hedge_ratio_bps: Bps
    min_hedge_ratio_bps: Bps
    max_hedge_ratio_bps: Bps
    hedge_ratio_set_at: int
    idle_quote: Quote
    cost_used: Quote
    turnover_used: Quote
    neutral_turnover_used: Quote
    rebalanced_at: int
    paused_until: int
    last_price_wad: Wad
    last_price_at: int
    flagged_at: int  # Unix seconds since when the keeper is late; 0 when he is not
    unwinds: bool  # for good: the target is no hedge, nobody enters


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The guard's bounds on chain (`IHedgeBook.Limits`)."""

    inner_band_bps: Bps
    urgent_band_bps: Bps
    min_step_bps: Bps
    overshoot_bps: Bps
    margin_floor_bps: Bps
    margin_target_bps: Bps
    cost_bound_bps: Bps
    cost_budget_bps: Bps
    turnover_budget_bps: Bps
    urgent_reserve_bps: Bps
    slippage_bps: Bps
    urgent_slippage_bps: Bps
    cooldown_secs: int
    max_trade: Assets
    min_equity: Assets
    gap_share_bps: Bps
    gap_floor: Assets


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultSnapshot:
    """Everything that a decision about one vault rests on."""

    vault: Address
    book: Address
    asset: Address
    quote: Address
    oracle: Address
    spot: Address
    asset_decimals: int
    quote_decimals: int
    owner: Address
    keeper: Address
    guardian: Address
    price_ok: bool
    price_wad: Wad
    price_updated_at: int
    price_round_id: int
    price_reason: str
    total_supply: int
    idle_assets: Assets
    entry_paused_until: int
    base_charge_bps: Bps
    spot_assets: Assets
    spot_quote: Quote
    spot_fee_wad: Wad
    state: State
    limits: Limits
    venues: tuple[VenueSnapshot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The block that a snapshot belongs to."""

    number: int
    hash: str
    parent_hash: str
    at: int
    base_fee: int  # wei per gas; 0 where the chain has none


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One vault at one block, with the words it was decoded from for the journal."""

    block: Block
    vault: VaultSnapshot
    words: bytes


_Read = Callable[[bytes], Any]


def _unsigned(word: bytes) -> int:
    return int.from_bytes(word, "big")


def _signed(word: bytes) -> int:
    return int.from_bytes(word, "big", signed=True)


def _address(word: bytes) -> Address:
    if word[:12] != bytes(12):
        raise CorruptAnswer("an address has bits over 160")
    return Address("0x" + word[12:].hex())


def _flag(word: bytes) -> bool:
    value = int.from_bytes(word, "big")
    if value > 1:
        raise CorruptAnswer("a truth value is neither 0 nor 1")
    return value == 1


def _text(word: bytes) -> str:
    return word.rstrip(b"\0").decode("ascii", "replace")


def _table(**groups: _Read) -> dict[str, _Read]:
    return groups


_U, _S, _A = _unsigned, _signed, _address
_MARGIN = _table(assets=_U, quote=_S, delta=_S, profit=_S, equity=_S, initial=_U, maintenance=_U)
_MARKET = _table(
    skew=_S, skew_scale=_U, long_size=_U, short_size=_U, max_side=_U, premium_wad=_S,
    mean_premium_wad=_S, premium_cap_wad=_U, funding_rate_wad=_S, taker_fee_wad=_U,
    maker_fee_wad=_U, initial_base_wad=_U, initial_slope_wad=_U, maintenance_share_wad=_U,
    maintenance_floor_wad=_U, haircut_wad=_U, pool_equity=_S, insurance=_U,
)  # fmt: skip
_VENUE = _table(venue=_A, allotment_bps=_U, answers=_flag, lost=_flag, value=_S)
_STATE = _table(
    nonce=_U, audit_head=bytes, hedge_ratio_bps=_U, min_hedge_ratio_bps=_U,
    max_hedge_ratio_bps=_U, hedge_ratio_set_at=_U, idle_quote=_U, cost_used=_U,
    turnover_used=_U, neutral_turnover_used=_U, rebalanced_at=_U, paused_until=_U,
    last_price_wad=_U, last_price_at=_U, flagged_at=_U, unwinds=_flag,
)  # fmt: skip
_LIMITS = _table(
    inner_band_bps=_U, urgent_band_bps=_U, min_step_bps=_U, overshoot_bps=_U,
    margin_floor_bps=_U, margin_target_bps=_U, cost_bound_bps=_U, cost_budget_bps=_U,
    turnover_budget_bps=_U, urgent_reserve_bps=_U, slippage_bps=_U, urgent_slippage_bps=_U,
    cooldown_secs=_U, max_trade=_U, min_equity=_U, gap_share_bps=_U, gap_floor=_U,
)  # fmt: skip
_VAULT = _table(
    vault=_A, book=_A, asset=_A, quote=_A, oracle=_A, spot=_A, asset_decimals=_U,
    quote_decimals=_U, owner=_A, keeper=_A, guardian=_A, price_ok=_flag, price_wad=_U,
    price_updated_at=_U, price_round_id=_U, price_reason=_text, total_supply=_U, idle_assets=_U,
    entry_paused_until=_U, base_charge_bps=_U, spot_assets=_U, spot_quote=_U, spot_fee_wad=_U,
)  # fmt: skip

_VENUE_WORDS: Final = len(_VENUE) + len(_MARGIN) + len(_MARKET)
VAULT_WORDS: Final = len(_VAULT) + len(_STATE) + len(_LIMITS) + 1 + MAX_VENUES * _VENUE_WORDS
# What a lens said before it told of trust in venues; journals of that time are still read.
_NEW_IN_STATE: Final = ("flagged_at", "unwinds")
_NEW_IN_VENUE: Final = ("answers", "lost", "value")
_OLD_VAULT_WORDS: Final = VAULT_WORDS - len(_NEW_IN_STATE) - MAX_VENUES * len(_NEW_IN_VENUE)


class _Words:
    """A cursor over flat words."""

    def __init__(self, words: bytes) -> None:
        self._words = words
        self._at = 0

    def take(self, table: dict[str, _Read]) -> dict[str, Any]:
        """Read one static struct."""
        words, at = self._words, self._at
        fields = {}
        for name, read in table.items():
            fields[name] = read(words[at : at + WORD])
            at += WORD
        self._at = at
        return fields

    def number(self) -> int:
        """Read one unsigned word."""
        self._at += WORD
        return _unsigned(self._words[self._at - WORD : self._at])


def decode_vault(words: bytes) -> VaultSnapshot:
    """
    Decode one vault, as the lens gives it now or gave it before it told of trust in venues.

    Raises
    ------
    CorruptAnswer
        If the length, a count, an address or a truth value cannot be.
    """
    old = len(words) == _OLD_VAULT_WORDS * WORD
    if len(words) != VAULT_WORDS * WORD and not old:
        raise CorruptAnswer(f"expected {VAULT_WORDS} words a vault, were {len(words) / WORD:g}")
    cursor = _Words(words)
    vault = cursor.take(_VAULT)
    told = cursor.take(_without(_STATE, _NEW_IN_STATE) if old else _STATE)
    state = State(**({"flagged_at": 0, "unwinds": False} | told))
    limits = Limits(**cursor.take(_LIMITS))
    count = cursor.number()
    if count > MAX_VENUES:
        raise CorruptAnswer(f"expected at most {MAX_VENUES} venues, were {count}")
    decode = partial(_decode_old_venue, vault) if old else _decode_venue
    venues = tuple(decode(cursor) for _ in range(count))
    return VaultSnapshot(**vault, state=state, limits=limits, venues=venues)


def _decode_venue(cursor: _Words) -> VenueSnapshot:
    venue = cursor.take(_VENUE)
    margin, market = Margin(**cursor.take(_MARGIN)), Market(**cursor.take(_MARKET))
    return VenueSnapshot(**venue, margin=margin, market=market)


def _decode_old_venue(vault: Mapping[str, Any], cursor: _Words) -> VenueSnapshot:
    """Return a venue that was believed in all it said."""
    venue = cursor.take(_without(_VENUE, _NEW_IN_VENUE))
    margin, market = Margin(**cursor.take(_MARGIN)), Market(**cursor.take(_MARKET))
    divisor = price_divisor(vault["asset_decimals"], vault["quote_decimals"])
    held = div_floor(margin.assets * vault["price_wad"], divisor)
    value = Quote(held + margin.quote + margin.profit)
    return VenueSnapshot(
        **venue, answers=True, lost=False, value=value, margin=margin, market=market
    )


def _without(table: dict[str, _Read], names: Sequence[str]) -> dict[str, _Read]:
    return {name: read for name, read in table.items() if name not in names}


def split_page(answer: bytes, vaults: Sequence[Address]) -> tuple[int, int, tuple[bytes, ...]]:
    """
    Split the answer of `snapshots(vaults)` into block number, block time and words per vault.

    Raises
    ------
    CorruptAnswer
        If the shape is not that of the lens or the vaults are not those asked for, in order.
    """
    size = VAULT_WORDS * WORD
    expected = 4 * WORD + len(vaults) * size
    if len(answer) != expected:
        raise CorruptAnswer(f"expected {expected} bytes from the lens, were {len(answer)}")
    number, at, offset, count = (_unsigned(answer[i : i + WORD]) for i in range(0, 4 * WORD, WORD))
    if offset != 3 * WORD or count != len(vaults):
        raise CorruptAnswer(f"expected {len(vaults)} vaults from the lens, were {count}")
    pages = tuple(answer[i : i + size] for i in range(4 * WORD, expected, size))
    for vault, words in zip(vaults, pages, strict=True):
        if _address(words[:WORD]) != vault:
            raise CorruptAnswer(f"expected vault {vault}, was {_address(words[:WORD])}")
    return number, at, pages
