# SPDX-License-Identifier: MIT
"""
What `deploy` is to deploy: by default everything, with test doubles, on a local chain.

On a public network a TOML file names what is there already (see
``scripts/deploy.example.toml``); unknown keys are refused.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from eth_utils.address import is_checksum_address
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from keeper.units import BPS, mul_div_up
from scripts import terms
from scripts.terms import Limits, VenueTerms


class SettingsError(Exception):
    """The settings file cannot be used; the text names the field."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("address", "keeper", "guardian", "owner", check_fields=False)
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None and not is_checksum_address(value):
            raise ValueError("is not a checksummed address")
        return value


class Token(_Record):
    """A token: one that exists, or a mintable test token."""

    address: str | None = None
    name: str
    symbol: str
    decimals: int = Field(ge=6, le=18)  # read from the chain when there is an address


class Feed(_Record):
    """A price feed: one that exists, or a settable test feed."""

    address: str | None = None
    answer: int = 0  # first answer of a test feed, 8 decimals
    max_age_secs: int = Field(gt=0)
    threshold_bps: int = Field(ge=0)


class Seeds(_Record):
    """Test tokens that a local system starts with, whole tokens."""

    pool_quote: int = 20_000_000  # carries a skew of 4,000 ETH at 2,500
    fund_quote: int = 500_000
    provider_quote: int = 1_000_000  # for the test account that may provide more
    spot_assets: int = 20_000  # a trade of 100 moves the price by 1 %
    depositor_assets: int = 1_000  # for each of the test accounts 5 to 9


class Settings(_Record):
    """Everything that distinguishes one deployment from another."""

    keeper: str
    guardian: str
    owner: str | None = None  # who proposes to the timelock; by default who deploys
    timelock_secs: int = Field(default=terms.TIMELOCK_SECS, ge=86_400, le=30 * 86_400)
    asset: Token = Token(name="Test Ether", symbol="tETH", decimals=18)
    quote: Token = Token(name="Test USD Coin", symbol="tUSDC", decimals=6)
    asset_feed: Feed = Feed(
        answer=2_500 * 10**8,
        max_age_secs=terms.ASSET_MAX_AGE_SECS,
        threshold_bps=terms.ASSET_THRESHOLD_BPS,
    )
    asset_witness: Feed | None = Feed(
        answer=2_500 * 10**8,
        max_age_secs=terms.ASSET_MAX_AGE_SECS,
        threshold_bps=terms.ASSET_THRESHOLD_BPS,
    )
    quote_feed: Feed = Feed(
        answer=10**8,
        max_age_secs=terms.QUOTE_MAX_AGE_SECS,
        threshold_bps=terms.QUOTE_THRESHOLD_BPS,
    )
    quote_witness: Feed | None = None
    max_deviation_bps: int = terms.MAX_DEVIATION_BPS
    spot_fee_wad: int = terms.SPOT_FEE_WAD
    pool_delay_secs: int = terms.POOL_DELAY_SECS
    pool_window_secs: int = terms.POOL_WINDOW_SECS
    queue_delay_secs: int = terms.QUEUE_DELAY_SECS
    queue_cancel_delay_secs: int = terms.QUEUE_CANCEL_DELAY_SECS
    exit_delay_secs: int = terms.EXIT_DELAY_SECS
    exit_patience_secs: int = terms.EXIT_PATIENCE_SECS
    vault_name: str = Field(default="Hedged Test Ether", max_length=25)
    vault_symbol: str = Field(default="htETH", max_length=5)
    hedge_ratio_bps: int = terms.HEDGE_RATIO_BPS
    min_hedge_ratio_bps: int = terms.MIN_HEDGE_RATIO_BPS
    max_hedge_ratio_bps: int = terms.MAX_HEDGE_RATIO_BPS
    base_charge_bps: int | None = None  # by default the least that the book accepts
    allotment_bps: int = terms.ALLOTMENT_BPS
    fund_allotment: int = Field(default=terms.FUND_ALLOTMENT, gt=0)  # whole quote tokens
    unstake_delay_secs: int = terms.UNSTAKE_DELAY_SECS
    unstake_window_secs: int = terms.UNSTAKE_WINDOW_SECS
    gas_oracle: str | None = None  # price of the coin that gas is paid in; by default the asset
    venue_terms: VenueTerms | None = None  # by default `terms.venue_terms`
    limits: Limits | None = None  # by default `terms.limits`
    seeds: Seeds | None = None  # nothing is seeded
    test_doubles: bool = False  # may test tokens and feeds be deployed on a public network?

    def least_base_charge_bps(self) -> int:
        """Return hedge ratio times deviation thresholds, rounded up (attack A-20)."""
        thresholds = self.asset_feed.threshold_bps + self.quote_feed.threshold_bps
        return mul_div_up(self.hedge_ratio_bps, thresholds, BPS)

    def doubles(self) -> list[str]:
        """Return the names of what would be a test double."""
        parts = {
            "asset": self.asset,
            "quote": self.quote,
            "asset_feed": self.asset_feed,
            "asset_witness": self.asset_witness,
            "quote_feed": self.quote_feed,
            "quote_witness": self.quote_witness,
        }
        return [name for name, part in parts.items() if part is not None and not part.address]


def read(path: Path) -> Settings:
    """
    Return the settings of a TOML file.

    Raises
    ------
    SettingsError
        If it is missing, no TOML, or has a field that is wrong.
    """
    try:
        fields: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return Settings(**fields)
    except FileNotFoundError:
        raise SettingsError(f"there is no settings file {path}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is no TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"{path}: {field}: {first['msg']}") from None
