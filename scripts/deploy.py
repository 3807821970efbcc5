# SPDX-License-Identifier: MIT
"""
Deploy the whole system, wire it once, hand it over to its timelock and write
``deployments/<chain id>.json``.

    brownie run deploy --network development
    brownie run deploy main settings.toml --network <an added network>

On a local chain tokens and feeds are test doubles and pool, fund and spot
market are seeded. On a public network the settings file names what exists.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import vyper
from brownie import rpc, web3
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from scripts import accounts, deployments, terms
from scripts.accounts import confirm, is_local, signer
from scripts.calls import ScriptError, artefacts, contract_at, create, for_people, quiet, send
from scripts.deployments import OWNED, Deployed, Deployment
from scripts.settings import Feed, Seeds, Settings, SettingsError, Token, read

NOBODY: Final = "0x" + "00" * 20
MAX_UINT: Final = 2**256 - 1
EVM_VERSION: Final = "shanghai"
DEPOSITORS: Final = range(5, 10)  # test accounts that get tokens


def _silent(line: str) -> None:
    """Tell nobody."""


@for_people
def main(settings_file: str | None = None, account_name: str | None = None) -> None:
    """Deploy as a person would; see the file's docstring."""
    quiet()
    settings = _chosen(settings_file)
    account = signer("deployer", account_name)
    confirm(f"deploy the hedging vault as {account}, keeper {settings.keeper}")
    deployment = deploy(settings, account, say=print)
    print(f"\nWritten: {deployments.path_of(deployment.chain_id)}")
    print("Check it with: brownie run verify_deployment")
    if rpc.is_child():
        print(
            "This node belongs to the script and ends with it. To keep one, start it before in "
            "another terminal:\n  node_modules/.bin/anvil --prune-history"
        )


def local_settings() -> Settings:
    """Return the default system with test doubles, seeds and the test accounts as roles."""
    return Settings(
        keeper=str(accounts.test_account(accounts.ROLES["keeper"])),
        guardian=str(accounts.test_account(accounts.ROLES["guardian"])),
        seeds=Seeds(),
        test_doubles=True,
    )


def deploy(
    settings: Settings | None = None,
    account: Any = None,
    folder: Path = deployments.FOLDER,
    say: Callable[[str], None] = _silent,
) -> Deployment:
    """
    Deploy, wire and seed a system, and write its manifest.

    Parameters
    ----------
    settings : Settings, optional
        By default `local_settings`.
    account : optional
        Brownie account that deploys, and owns until the handover at the end; by default the
        signer of the role.
    folder : Path
        Where the manifest goes.
    say : callable
        Told one line for each step; by default nobody is.

    Raises
    ------
    RefusedError
        If a constructor or a wiring call refuses.
    ScriptError
        If test doubles would be deployed where they are not allowed, or a public network
        already has a manifest, which this one would replace.
    """
    settings = settings or local_settings()
    manifest = deployments.path_of(int(web3.chain_id), folder)
    if manifest.exists() and not is_local():
        raise ScriptError(f"{manifest} records a live system: move it away before another one")
    if settings.doubles() and not (is_local() or settings.test_doubles):
        raise ScriptError(
            f"{', '.join(settings.doubles())}: name an address, or allow test tokens and feeds "
            "on this network with test_doubles = true"
        )
    account = account or signer("deployer")
    if (settings.owner or str(account)) == settings.guardian:
        raise ScriptError("owner and guardian must be two accounts: each limits the other")
    builder = _Builder(account, say)
    _deploy_market(builder, settings)
    _deploy_vault(builder, settings)
    _wire(builder, settings)
    if settings.seeds is not None:
        _seed(builder, settings, settings.seeds)
    _hand_over(builder, settings)
    deployment = builder.deployment()
    deployments.write(deployment, folder)
    return deployment


class _Builder:
    """Deploys contracts one by one and remembers what the manifest needs."""

    def __init__(self, account: Any, say: Callable[[str], None]) -> None:
        self.account = account
        self.say = say
        self.contracts: dict[str, Deployed] = {}

    def create(self, name: str, contract_type: str, *arguments: Any) -> None:
        receipt = create(self.account, contract_type, *arguments)
        address = to_checksum_address(receipt.contract_address)
        self._note(name, contract_type, address, list(arguments), int(receipt.block_number))
        self.say(f"  {name:<18} {address}")

    def adopt(self, name: str, interface: str, address: str) -> None:
        if not web3.eth.get_code(address):
            raise ScriptError(f"{name}: there is no contract at {address}")
        self._note(name, interface, address, [], int(web3.eth.block_number))
        self.say(f"  {name:<18} {address}  (exists)")

    def token(self, name: str, token: Token) -> None:
        if token.address is not None:
            self.adopt(name, "ERC20", token.address)
        else:
            self.create(name, "MintableToken", token.name, token.symbol, token.decimals)

    def feed(self, name: str, feed: Feed) -> None:
        if feed.address is not None:
            self.adopt(name, "AggregatorV3", feed.address)
        else:
            self.create(name, "SettableFeed", 8, feed.answer)

    def source(self, name: str, feed: Feed | None) -> tuple[str, int, int]:
        """Return a feed as the oracle's constructor takes it."""
        if feed is None:
            return NOBODY, 0, 0
        return self[name], feed.max_age_secs, feed.threshold_bps

    def at(self, name: str) -> Any:
        return contract_at(self.contracts[name].contract, self[name])

    def send(self, name: str, method: str, *arguments: Any) -> None:
        send(self.account, getattr(self.at(name), method), *arguments, doing=f"{name}.{method}")

    def __getitem__(self, name: str) -> str:
        return self.contracts[name].address

    def deployment(self) -> Deployment:
        return Deployment(
            chain_id=int(web3.chain_id),
            block=int(web3.eth.block_number),
            deployer=str(self.account),
            compiler={"vyper": vyper.__version__.split("+")[0], "evm": EVM_VERSION},
            contracts=self.contracts,
        )

    def _note(
        self, name: str, contract_type: str, address: str, arguments: list[Any], block: int
    ) -> None:
        self.contracts[name] = Deployed(
            contract=contract_type,
            address=address,
            arguments=deployments.portable(arguments),
            code_hash="0x" + keccak(web3.eth.get_code(address)).hex(),
            block=block,
        )


def _deploy_market(builder: _Builder, settings: Settings) -> None:
    builder.token("Asset", settings.asset)
    builder.token("Quote", settings.quote)
    builder.feed("AssetFeed", settings.asset_feed)
    if settings.asset_witness is not None:
        builder.feed("AssetFeedWitness", settings.asset_witness)
    builder.feed("QuoteFeed", settings.quote_feed)
    if settings.quote_witness is not None:
        builder.feed("QuoteFeedWitness", settings.quote_witness)
    builder.create(
        "PriceOracle",
        "PriceOracle",
        builder.source("AssetFeed", settings.asset_feed),
        builder.source("AssetFeedWitness", settings.asset_witness),
        builder.source("QuoteFeed", settings.quote_feed),
        builder.source("QuoteFeedWitness", settings.quote_witness),
        settings.max_deviation_bps,
    )
    tokens = builder["Asset"], builder["Quote"]
    builder.create("SpotMarket", "SpotMarket", *tokens, settings.spot_fee_wad)
    builder.create(
        "InsuranceFund",
        "InsuranceFund",
        builder["Quote"],
        settings.unstake_delay_secs,
        settings.unstake_window_secs,
    )
    times = settings.pool_delay_secs, settings.pool_window_secs
    builder.create("LiquidityPool", "LiquidityPool", *tokens, builder["PriceOracle"], *times)
    venue_terms = settings.venue_terms or terms.venue_terms(*_decimals(builder))
    gas_oracle = settings.gas_oracle or NOBODY
    builder.create("LiquidationRules", "LiquidationRules", *tokens, gas_oracle, venue_terms.words())
    parts = ("PriceOracle", "LiquidityPool", "InsuranceFund", "LiquidationRules")
    # A venue's code is in five contracts, each of which knows the next.
    builder.create("VenueWindUp", "VenueWindUp", (*tokens, *(builder[part] for part in parts)))
    builder.create("VenueBackstop", "VenueBackstop", builder["VenueWindUp"])
    builder.create("Deleverager", "Deleverager", builder["VenueBackstop"])
    builder.create("VenueRecovery", "VenueRecovery", builder["Deleverager"])
    builder.create("PerpVenue", "PerpVenue", builder["VenueRecovery"])


def _deploy_vault(builder: _Builder, settings: Settings) -> None:
    asset_decimals = _decimals(builder)[0]
    limits = settings.limits or terms.limits(asset_decimals)
    builder.create("HedgeGuard", "HedgeGuard")
    parts = ("Asset", "Quote", "PriceOracle", "SpotMarket", "HedgeGuard")
    # A book's code is in two contracts, of which the first knows the second.
    builder.create("BookControl", "BookControl", tuple(builder[part] for part in parts))
    builder.create(
        "HedgeBook",
        "HedgeBook",
        builder["BookControl"],
        settings.keeper,
        settings.guardian,
        settings.hedge_ratio_bps,
        settings.min_hedge_ratio_bps,
        settings.max_hedge_ratio_bps,
        limits.words(),
        terms.fallback(asset_decimals),
    )
    builder.create(
        "RedemptionQueue",
        "RedemptionQueue",
        builder["HedgeBook"],
        settings.queue_delay_secs,
        settings.queue_cancel_delay_secs,
        terms.queue_min_shares(asset_decimals),
        terms.PREMIUM_TOLERANCE_WAD,
    )
    exit_times = settings.exit_delay_secs, settings.exit_patience_secs
    builder.create("ExitInKind", "ExitInKind", builder["HedgeBook"], *exit_times)
    builder.create("FlowRules", "FlowRules")
    vault_parts = ("HedgeBook", "FlowRules", "RedemptionQueue", "ExitInKind")
    charge = settings.base_charge_bps
    builder.create(
        "HedgeVault",
        "HedgeVault",
        *(builder[part] for part in vault_parts),
        settings.vault_name,
        settings.vault_symbol,
        settings.least_base_charge_bps() if charge is None else charge,
    )
    builder.create("VaultLens", "VaultLens")


def _wire(builder: _Builder, settings: Settings) -> None:
    """Tell each part of its partner, once; `verify_deployment` checks the result."""
    builder.send("LiquidityPool", "set_venue", builder["PerpVenue"])
    fund_allotment = settings.fund_allotment * 10 ** _decimals(builder)[1]
    builder.send("InsuranceFund", "register", builder["PerpVenue"], fund_allotment)
    builder.send("HedgeBook", "set_vault", builder["HedgeVault"])
    builder.send("HedgeBook", "add_venue", builder["PerpVenue"], settings.allotment_bps)
    builder.say("  wired")


def _seed(builder: _Builder, settings: Settings, seeds: Seeds) -> None:
    """Mint test tokens and put them where a market needs them, at the feeds' price."""
    asset_decimals, quote_decimals = _decimals(builder)
    one_asset, one_quote = 10**asset_decimals, 10**quote_decimals
    ratio = settings.asset_feed.answer, settings.quote_feed.answer
    spot_quote = seeds.spot_assets * one_quote * ratio[0] // ratio[1]
    pool_quote, fund_quote = seeds.pool_quote * one_quote, seeds.fund_quote * one_quote
    owner = str(builder.account)
    builder.send("Asset", "mint", owner, seeds.spot_assets * one_asset)
    builder.send("Quote", "mint", owner, pool_quote + fund_quote + spot_quote)
    builder.send("Asset", "approve", builder["SpotMarket"], MAX_UINT)
    for spender in ("SpotMarket", "LiquidityPool", "InsuranceFund"):
        builder.send("Quote", "approve", builder[spender], MAX_UINT)
    builder.send("LiquidityPool", "request_provide", pool_quote, 0)
    builder.send("LiquidityPool", "execute_provide", owner)  # at once, as it is the first
    builder.send("InsuranceFund", "donate", fund_quote)
    builder.send("SpotMarket", "seed", seeds.spot_assets * one_asset, spot_quote)
    provider = str(accounts.test_account(accounts.ROLES["provider"]))
    builder.send("Quote", "mint", provider, seeds.provider_quote * one_quote)
    for index in DEPOSITORS:
        depositor = str(accounts.test_account(index))
        builder.send("Asset", "mint", depositor, seeds.depositor_assets * one_asset)
    builder.say("  seeded pool, fund, spot market and the test depositors")


def _hand_over(builder: _Builder, settings: Settings) -> None:
    """Make the timelock the owner of everything; from here on nobody acts at once."""
    owner = settings.owner or str(builder.account)
    builder.create("Timelock", "Timelock", settings.timelock_secs, owner, settings.guardian)
    for name in OWNED:
        builder.send(name, "transfer_ownership", builder["Timelock"])
    builder.send("Timelock", "accept_ownerships", [builder[name] for name in OWNED])
    builder.say("  handed over to the timelock")


def _decimals(builder: _Builder) -> tuple[int, int]:
    return int(builder.at("Asset").decimals()), int(builder.at("Quote").decimals())


def _chosen(settings_file: str | None) -> Settings:
    if settings_file is not None:
        try:
            return read(Path(settings_file))
        except SettingsError as error:
            raise ScriptError(str(error)) from None
    if not is_local():
        raise ScriptError(
            f"chain {web3.chain_id} is public: name a settings file, as in "
            "`brownie run deploy main settings.toml` (see scripts/deploy.example.toml)"
        )
    artefacts()
    return local_settings()
