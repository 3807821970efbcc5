# SPDX-License-Identifier: MIT
"""
The configuration file, `hedgevault.toml`, checked as a whole before anything else happens.

Every mistake is one clause that names the field. Paths are relative to the file. Secrets are
never in it: a key comes from an encrypted keystore or from the environment.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from eth_utils.address import is_checksum_address, is_hex_address
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)
from sqlalchemy import URL

from keeper.database import database_url
from keeper.errors import ConfigInvalid
from keeper.guard import Safety
from keeper.policy import Policy, policy_fault
from keeper.snapshot import Address

GWEI: Final = 10**9
ETHER: Final = 10**18


def _address(text: str) -> str:
    if not is_hex_address(text):
        raise ValueError("not an address")
    digits = text.removeprefix("0x")
    mixed = digits not in (digits.lower(), digits.upper())
    if mixed and not is_checksum_address("0x" + digits):
        raise ValueError("wrong checksum, a digit is mistyped")
    if int(digits, 16) == 0:
        raise ValueError("is the zero address")
    return "0x" + text.lower().removeprefix("0x")


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    parts = urlsplit(text)
    if not parts.hostname:
        raise ValueError("names no host")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("port must be a number up to 65535") from None
    return text


def _file_name(path: Path) -> Path:
    if not path.name:  # the folder itself, which is always there
        raise ValueError("names no file")
    return path


def _database(text: str | None) -> str | None:
    if text is not None:
        database_url(text)
    return text


UrlText = Annotated[str, AfterValidator(_url)]
AddressText = Annotated[str, AfterValidator(_address)]
Whole = Annotated[int, Field(strict=True)]
Positive = Annotated[Whole, Field(gt=0)]
PositiveSecs = Annotated[float, Field(gt=0, le=86_400)]


class Section(BaseModel):
    """A table of the file; unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_flag(cls, value: Any) -> Any:
        """Refuse `true` where Python would take it for 1; no field is a flag."""
        if isinstance(value, bool):
            raise ValueError("input should not be true or false")  # noqa: TRY004  # pydantic's way
        return value


class ChainSection(Section):
    """`[chain]`: the nodes and what is believed of them. URLs may hold keys: never shown."""

    rpc_url: Annotated[UrlText, Field(repr=False)]
    other_rpc_urls: Annotated[tuple[UrlText, ...], Field(max_length=15, repr=False)] = ()
    quorum: Positive | None = None  # of nodes that must agree; None: half of them, rounded up
    max_lag_blocks: Annotated[Whole, Field(ge=0, le=1_000)] = 3
    max_requests_a_sec: Annotated[float, Field(gt=0, le=10_000)] = 50.0
    send_url: Annotated[UrlText | None, Field(repr=False)] = None
    send_mode: Literal["private", "public"] = "private"  # of what goes to `send_url`
    chain_id: Positive
    lens: AddressText | None = None
    request_timeout_secs: PositiveSecs = 5.0
    attempts: Annotated[Whole, Field(ge=1, le=10)] = 3
    confirmations: Annotated[Whole, Field(ge=1, le=1_000)] = 1
    head_max_age_secs: PositiveSecs = 120.0
    # "wall": the head's time is held against this machine's clock. "head": the chain lives in a
    # time of its own (a replay, a simulation), so the age of its head says nothing.
    clock: Literal["wall", "head"] = "wall"

    @property
    def urls(self) -> tuple[str, ...]:
        """Return every URL that there is, to read from and to send to."""
        return (self.rpc_url, *self.other_rpc_urls, *([self.send_url] if self.send_url else []))

    @model_validator(mode="after")
    def _consistent(self) -> ChainSection:
        urls = [self.rpc_url, *self.other_rpc_urls]
        if len(set(urls)) != len(urls):
            raise ValueError("a node is listed twice in rpc_url and other_rpc_urls")
        if self.quorum is not None and self.quorum > len(urls):
            raise ValueError(f"quorum is {self.quorum}, there are {len(urls)} nodes")
        if "send_mode" in self.model_fields_set and self.send_url is None:
            raise ValueError("send_mode needs send_url")
        return self


class VaultSection(Section):
    """`[[vaults]]`."""

    address: AddressText


class SignerSection(Section):
    """
    `[signer]`: who signs.

    A keystore, whose password is in a file, in the environment, or asked for; the environment; or
    a signer by its URL with the account that it is to use.
    """

    keystore: Path | None = None
    password_file: Path | None = None
    password_env: str | None = None
    key_env: str | None = None
    url: Annotated[UrlText | None, Field(repr=False)] = None
    address: AddressText | None = None
    timeout_secs: PositiveSecs = 5.0

    @model_validator(mode="after")
    def _one_source(self) -> SignerSection:
        if sum(source is not None for source in (self.keystore, self.key_env, self.url)) != 1:
            raise ValueError("give one of keystore, key_env and url")
        if self.keystore is None and (self.password_file or self.password_env):
            raise ValueError("a password needs a keystore")
        if self.password_file is not None and self.password_env is not None:
            raise ValueError("give either password_file or password_env")
        if (self.url is None) != (self.address is None):
            raise ValueError("url and address belong together")
        return self


class FeesSection(Section):
    """`[fees]`: what a transaction may cost."""

    max_fee_gwei: Annotated[Decimal, Field(gt=0)] = Decimal(100)
    priority_fee_gwei: Annotated[Decimal, Field(ge=0)] = Decimal(1)
    max_gas: Annotated[Whole, Field(ge=21_000)] = 3_000_000
    gas_margin_bps: Annotated[Whole, Field(ge=0, le=20_000)] = 5_000
    replace_after_secs: PositiveSecs = 60.0
    max_replacements: Annotated[Whole, Field(ge=0, le=50)] = 8

    @model_validator(mode="after")
    def _ordered(self) -> FeesSection:
        if self.priority_fee_gwei > self.max_fee_gwei:
            raise ValueError("priority_fee_gwei must not be over max_fee_gwei")
        return self


class JournalSection(Section):
    """`[journal]`: a SQLite file, or a database by its URL, which may hold a password."""

    path: Annotated[Path, AfterValidator(_file_name)] = Path("hedgevault.sqlite")
    url: Annotated[str | None, AfterValidator(_database), Field(repr=False)] = None
    url_env: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> JournalSection:
        if len(self.model_fields_set & {"path", "url", "url_env"}) > 1:
            raise ValueError("give one of path, url and url_env")
        return self


class JobsSection(Section):
    """`[jobs]`: how often, and after what time a run counts as hung."""

    tick_secs: PositiveSecs = 15.0
    tick_deadline_secs: PositiveSecs = 60.0
    margin_watch_secs: PositiveSecs = 5.0
    margin_watch_deadline_secs: PositiveSecs = 20.0
    receipt_wait_secs: PositiveSecs = 30.0  # in a tick; later ticks go on watching


class SafetySection(Section):
    """`[safety]`: the operator's own limits on sending."""

    kill_file: Annotated[Path, AfterValidator(_file_name)] = Path("hedgevault.stop")
    max_price_age_secs: Positive | None = None
    max_reverts_in_row: Positive = 3
    max_sends_an_hour: Positive = 30
    max_gas_a_day: Positive = 20_000_000
    max_spend_ether_a_day: Annotated[Decimal, Field(gt=0)] = Decimal(1)
    max_turnover_an_hour_bps: Positive = 30_000


class UpkeepSection(Section):
    """`[upkeep]`: what anybody may do for venues and queues, if this keeper is to do it."""

    do: tuple[Literal["liquidate", "deleverage", "poke", "process", "exits"], ...] = ()
    every_secs: PositiveSecs = 30.0
    deadline_secs: PositiveSecs = 60.0
    least_reward: Annotated[Decimal, Field(ge=0)] = Decimal(0)  # quote tokens, for a liquidation
    first_block: Annotated[Whole | None, Field(ge=0)] = None
    max_reverts_in_row: Positive = 5
    max_sends_an_hour: Positive = 60
    max_gas_a_day: Positive = 20_000_000
    max_spend_ether_a_day: Annotated[Decimal, Field(gt=0)] = Decimal("0.2")


class LogSection(Section):
    """`[log]`."""

    format: Literal["auto", "json", "console"] = "auto"


class HttpSection(Section):
    """`[http]`: where metrics and health are served; port 0 means nowhere."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[Whole, Field(ge=0, le=65_535)] = 0


class AlertsSection(Section):
    """`[alerts]`: to whom, when. URLs hold tokens: they are in the environment or in a file."""

    url_env: str | None = None
    url_file: Annotated[Path, AfterValidator(_file_name)] | None = None
    after_secs: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    remind_secs: Annotated[float, Field(ge=60, le=30 * 86_400)] = 4 * 3_600.0
    low_balance_ether: Annotated[Decimal, Field(ge=0)] = Decimal("0.05")

    @model_validator(mode="after")
    def _one_source(self) -> AlertsSection:
        if self.url_env is not None and self.url_file is not None:
            raise ValueError("give either url_env or url_file")
        return self


if TYPE_CHECKING:

    class PolicySection(Section):
        """`[policy]`: the fields of `Policy`."""

else:
    PolicySection = create_model(
        "PolicySection",
        __base__=Section,
        **{field.name: (Whole, field.default) for field in fields(Policy)},
    )


class ConfigFile(Section):
    """The whole file."""

    chain: ChainSection
    vaults: Annotated[tuple[VaultSection, ...], Field(max_length=1_000)] = ()
    deployment: Path | None = None
    signer: SignerSection | None = None
    policy: PolicySection = PolicySection()
    fees: FeesSection = FeesSection()
    journal: JournalSection = JournalSection()
    jobs: JobsSection = JobsSection()
    safety: SafetySection = SafetySection()
    upkeep: UpkeepSection = UpkeepSection()
    log: LogSection = LogSection()
    http: HttpSection = HttpSection()
    alerts: AlertsSection = AlertsSection()


class Config:
    """
    A checked configuration with paths resolved and addresses filled in.

    Attributes
    ----------
    lens, vaults
        From the file, or from the deployment it names.
    journal
        A file, or the URL of a database.
    first_block
        Where the deployment began; 0 when there is no record of it.
    """

    def __init__(self, file: ConfigFile, folder: Path) -> None:
        self.file = file
        self.chain, self.fees, self.jobs = file.chain, file.fees, file.jobs
        self.signer, self.log = file.signer, file.log
        self.http, self.alerts = file.http, file.alerts
        self.upkeep = file.upkeep
        self.journal = _journal(file.journal, folder)
        self.kill_file = folder / file.safety.kill_file
        self.folder = folder
        deployed, self.first_block = _deployed(file, folder)
        self.lens = Address(_required("chain.lens", file.chain.lens or deployed.get("VaultLens")))
        listed = [vault.address for vault in file.vaults]
        vault = deployed.get("HedgeVault")
        listed = listed or ([vault] if vault else [])
        if not listed:
            raise ConfigInvalid("vaults: give at least one address, or a deployment with one")
        if len(set(listed)) != len(listed):
            raise ConfigInvalid("vaults: an address is listed twice")
        self.vaults = tuple(Address(address) for address in listed)
        self.policy = _policy(file)
        _check_patience(file)

    @property
    def alerts_path(self) -> Path:
        """Return the file that hands on what was told, beside the journal when that is a file."""
        if isinstance(self.journal, Path):
            return self.journal.with_name(f"{self.journal.name}-alerts")
        return self.folder / "hedgevault-alerts"

    @property
    def safety(self) -> Safety:
        """Return the limits that the guard applies."""
        turnover_bps = self.file.safety.max_turnover_an_hour_bps
        return replace(_safety(self.file.safety), max_turnover_an_hour_bps=turnover_bps)

    @property
    def upkeep_safety(self) -> Safety:
        """Return the limits of upkeep."""
        return _safety(self.file.upkeep)


def _safety(section: SafetySection | UpkeepSection) -> Safety:
    return Safety(
        max_reverts_in_row=section.max_reverts_in_row,
        max_sends_an_hour=section.max_sends_an_hour,
        max_gas_a_day=section.max_gas_a_day,
        max_spend_a_day=int(section.max_spend_ether_a_day * ETHER),
    )


def load_config(path: Path) -> Config:
    """
    Read and check the configuration.

    Raises
    ------
    ConfigInvalid
        In one line: what is wrong with which field.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as fault:
        raise ConfigInvalid(f"{path}: {(fault.strerror or str(fault)).lower()}") from fault
    except UnicodeDecodeError as fault:
        raise ConfigInvalid(f"{path}: is not UTF-8 text") from fault
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise ConfigInvalid(f"{path}: {fault}") from fault
    try:
        return Config(ConfigFile.model_validate(table), path.resolve().parent)
    except ValidationError as fault:
        clauses = "; ".join(_clause(error) for error in fault.errors())
        raise ConfigInvalid(f"{path}: {clauses}") from fault
    except ConfigInvalid as fault:
        raise ConfigInvalid(f"{path}: {fault}") from fault


def _clause(error: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"])
    kind = error["type"]
    if kind == "extra_forbidden":
        return f"{where}: unknown key"
    if kind == "missing":
        return f"{where}: is missing"
    said = str(error["msg"]).removeprefix("Value error, ")
    return f"{where}: {said[0].lower()}{said[1:]}"


def _policy(file: ConfigFile) -> Policy:
    policy = Policy(**file.policy.model_dump())
    fault = policy_fault(policy)
    if fault is not None:
        raise ConfigInvalid(f"policy.{fault}")
    age = file.safety.max_price_age_secs
    if age is not None:
        policy = replace(policy, max_price_age_secs=min(age, policy.max_price_age_secs))
    return policy


def _journal(section: JournalSection, folder: Path) -> Path | URL:
    """Return where the journal is; a URL comes from the environment as well."""
    if section.url_env is None:
        return folder / section.path if section.url is None else database_url(section.url)
    text = os.environ.get(section.url_env, "")
    if not text:
        raise ConfigInvalid(f"journal.url_env: {section.url_env} is not set")
    try:
        return database_url(text)
    except ValueError as fault:
        raise ConfigInvalid(f"journal.url_env: {section.url_env} {fault}") from None


def _check_patience(file: ConfigFile) -> None:
    """Refuse a job that one slow answer would outlast."""
    signer = file.signer
    if signer is not None and signer.timeout_secs >= file.jobs.margin_watch_deadline_secs:
        raise ConfigInvalid("signer.timeout_secs: must be under jobs.margin_watch_deadline_secs")
    for name in ("tick_deadline_secs", "margin_watch_deadline_secs"):
        if file.chain.request_timeout_secs >= getattr(file.jobs, name):
            raise ConfigInvalid(f"chain.request_timeout_secs: must be under jobs.{name}")
    if file.chain.request_timeout_secs >= file.upkeep.deadline_secs:
        raise ConfigInvalid("chain.request_timeout_secs: must be under upkeep.deadline_secs")


def _deployed(file: ConfigFile, folder: Path) -> tuple[dict[str, str], int]:
    if file.deployment is None:
        return {}, 0
    path = folder / file.deployment
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        chain_id = int(record["chain_id"])
        addresses = {
            name: _address(str(entry["address"])) for name, entry in record["contracts"].items()
        }
        first = min((int(e.get("block", 0)) for e in record["contracts"].values()), default=0)
    except OSError as fault:
        words = (fault.strerror or str(fault)).lower()
        raise ConfigInvalid(f"deployment: {path}: {words}") from fault
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise ConfigInvalid(f"deployment: {path}: is not a deployment record") from fault
    if chain_id != file.chain.chain_id:
        raise ConfigInvalid(
            f"deployment: {path} is of chain {chain_id}, chain.chain_id is {file.chain.chain_id}"
        )
    return addresses, first


def _required(field: str, value: str | None) -> str:
    if value is None:
        raise ConfigInvalid(f"{field}: is missing, and no deployment names it")
    return value
