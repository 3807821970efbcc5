# SPDX-License-Identifier: MIT
"""
What was deployed where: reading and writing ``deployments/<chain id>.json``.

Integers over 2**53 are written as strings, because other readers of JSON round
them; tuples become lists and bytes become hex.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

FOLDER_VARIABLE: Final = "HEDGEVAULT_DEPLOYMENTS"  # another place, as tests need it
FOLDER: Final = Path(
    os.environ.get(FOLDER_VARIABLE) or Path(__file__).resolve().parents[1] / "deployments"
)
MAX_EXACT: Final = 2**53  # larger integers are no exact doubles

# Every system has these; `AssetFeedWitness` and `QuoteFeedWitness` may be missing.
NAMES: Final = (
    "Asset",
    "Quote",
    "AssetFeed",
    "QuoteFeed",
    "PriceOracle",
    "SpotMarket",
    "InsuranceFund",
    "LiquidityPool",
    "LiquidationRules",
    "VenueWindUp",
    "VenueBackstop",
    "Deleverager",
    "VenueRecovery",
    "PerpVenue",
    "HedgeGuard",
    "BookControl",
    "HedgeBook",
    "RedemptionQueue",
    "ExitInKind",
    "FlowRules",
    "HedgeVault",
    "VaultLens",
    "Timelock",
)

OWNED: Final = ("InsuranceFund", "LiquidityPool", "HedgeBook", "HedgeVault")  # by the timelock


class DeploymentError(Exception):
    """A manifest is missing or cannot be used; the text is one line for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """
    One contract of a deployment.

    `contract` is its type, which for what others have deployed is an interface
    such as ``ERC20``, then without arguments. `code_hash` is the Keccak hash of
    ``eth_getCode``, 0x and 64 hex digits.
    """

    contract: str
    address: str
    arguments: list[Any]
    code_hash: str
    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Everything that one run of ``deploy`` put on a chain."""

    chain_id: int
    block: int  # the last block of the deployment: all of it is there from here on
    deployer: str
    compiler: dict[str, str]
    contracts: dict[str, Deployed]

    def __getitem__(self, name: str) -> Deployed:
        """
        Return one contract by its name in the system.

        Raises
        ------
        DeploymentError
            If the manifest has no such contract.
        """
        try:
            return self.contracts[name]
        except KeyError:
            raise DeploymentError(f"the deployment has no {name}: run `deploy` again") from None


def path_of(chain_id: int, folder: Path = FOLDER) -> Path:
    """Return where the manifest of a chain stands."""
    return folder / f"{chain_id}.json"


def write(deployment: Deployment, folder: Path = FOLDER) -> Path:
    """Write the manifest in one step, so that no reader ever sees half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = path_of(deployment.chain_id, folder)
    text = json.dumps(portable(asdict(deployment)), indent=2) + "\n"
    draft = path.with_suffix(".json.part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
    return path


def read(chain_id: int, folder: Path = FOLDER) -> Deployment:
    """
    Return the deployment on a chain.

    Raises
    ------
    DeploymentError
        If there is no manifest, or one of another chain or shape.
    """
    path = path_of(chain_id, folder)
    if not path.exists():
        raise DeploymentError(f"nothing is deployed on chain {chain_id}: run `brownie run deploy`")
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        deployment = _parsed(fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DeploymentError(f"{path.name} is no deployment file: {error!r}") from None
    if deployment.chain_id != chain_id:
        raise DeploymentError(f"{path.name} is of chain {deployment.chain_id}, not of {chain_id}")
    missing = [name for name in NAMES if name not in deployment.contracts]
    if missing:
        raise DeploymentError(f"{path.name} lacks {', '.join(missing)}: run `deploy` again")
    return deployment


def portable(value: Any) -> Any:
    """Return the value as JSON carries it without loss."""
    match value:
        case bool() | None | str():
            return value
        case int():
            return value if abs(value) <= MAX_EXACT else str(value)
        case bytes():
            return "0x" + value.hex()
        case Mapping():
            return {str(key): portable(item) for key, item in value.items()}
        case list() | tuple():
            return [portable(item) for item in value]
        case _:
            return str(value)


def _parsed(fields: Any) -> Deployment:
    contracts = {name: Deployed(**entry) for name, entry in fields["contracts"].items()}
    return Deployment(**{**fields, "contracts": contracts})
