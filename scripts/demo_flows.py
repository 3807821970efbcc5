# SPDX-License-Identifier: MIT
"""
Three depositors who come and go, at hours that a seed chooses.

Each comes in once, takes a part out, and two of them then leave altogether. The one who stays keeps
the vault alive to the end of the run. What is not liquid at the moment is asked for again an hour
later, as a person would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np

from scripts.accounts import test_account
from scripts.calls import contract
from scripts.deployments import Deployment
from scripts.deposit import deposit
from scripts.withdraw import withdraw

FIRST_ACCOUNT: Final = 5  # of the test mnemonic
# Whole assets that each brings, from and to: the first at most the 100 that an empty vault takes,
# the others so that hedging them fits into the turnover that the vault allows in a day. A run of
# less than a day sees the same flows sooner, so they are smaller.
ASSETS: Final = ((70, 95), (25, 45), (15, 30))
DAY_HOURS: Final = 24
MILLI: Final = 1_000
STAYS: Final = (0.10, 0.20)  # share that the one who stays takes out
LEAVES: Final = (0.30, 0.60)  # and those who leave, before they do
LAST_SHARE: Final = 0.85  # no flows after this share of the run: the end shows the keeper's work


class Kind(StrEnum):
    """What a depositor wants."""

    IN = "comes in"
    PART = "takes a part out"
    OUT = "leaves"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One wish: raw assets to pay in, or the share of his own that a depositor takes out."""

    hour: int
    depositor: int  # 0, 1, 2
    kind: Kind
    assets: int = 0
    share: float = 1.0

    def __str__(self) -> str:
        return f"depositor {self.depositor + 1} {self.kind} in hour {self.hour + 1}"


def plan_flows(hours: int, seed: int, one_asset: int) -> list[Flow]:
    """Return the wishes of a run, by hour; the same for the same arguments."""
    random = np.random.default_rng([seed, 3])
    flows = []
    for depositor, (comes, goes, leaves) in enumerate(
        ((0.0, 0.42, None), (0.08, 0.50, 0.66), (0.20, 0.60, 0.80))
    ):
        whole = random.integers(*ASSETS[depositor], endpoint=True)
        scale = 1.0 if depositor == 0 else min(1.0, hours / DAY_HOURS)
        assets = int(whole * scale * MILLI) * one_asset // MILLI
        share = float(random.uniform(*(STAYS if leaves is None else LEAVES)))
        at = _hour(comes, hours, random) if comes else 0
        flows.append(Flow(hour=at, depositor=depositor, kind=Kind.IN, assets=assets))
        part = max(at + 1, _hour(goes, hours, random))
        flows.append(Flow(hour=part, depositor=depositor, kind=Kind.PART, share=share))
        if leaves is not None:
            out = max(part + 1, _hour(leaves, hours, random))
            flows.append(Flow(hour=out, depositor=depositor, kind=Kind.OUT))
    return sorted(flows, key=lambda flow: (flow.hour, flow.depositor))


def _hour(share: float, hours: int, random: np.random.Generator) -> int:
    jittered = share + float(random.uniform(-0.03, 0.03))
    return max(0, min(round(jittered * hours), int(LAST_SHARE * hours)))


class Depositors:
    """Carries out wishes through the same functions that people use."""

    def __init__(
        self, deployment: Deployment, flows: list[Flow], say: Callable[[str], None]
    ) -> None:
        self._deployment = deployment
        self._pending = list(flows)
        self._say = say
        self._vault = contract(deployment, "HedgeVault")
        self._one_asset = 10 ** int(contract(deployment, "Asset").decimals())
        self.done: list[Flow] = []

    @property
    def pending(self) -> list[Flow]:
        """Wishes that are still open."""
        return list(self._pending)

    def act(self, hour: int) -> bool:
        """Carry out what is due by `hour` and can be done; tell whether anything was."""
        due = [flow for flow in self._pending if flow.hour <= hour]
        acted = [flow for flow in due if self._carry_out(flow)]
        self._pending = [flow for flow in self._pending if flow not in acted]
        self.done += acted
        return bool(acted)

    def _carry_out(self, flow: Flow) -> bool:
        account = test_account(FIRST_ACCOUNT + flow.depositor)
        if flow.kind is Kind.IN:
            return self._comes_in(flow, account)
        if any(before.depositor == flow.depositor for before in self._earlier(flow)):
            return False  # one after the other
        return self._takes_out(flow, account)

    def _earlier(self, flow: Flow) -> list[Flow]:
        return self._pending[: self._pending.index(flow)]

    def _comes_in(self, flow: Flow, account: Any) -> bool:
        if int(self._vault.maxDeposit(account)) < flow.assets:
            return False  # until the keeper has hedged what came in before
        deposit(self._deployment, account, flow.assets)
        self._tell(flow, flow.assets)
        return True

    def _takes_out(self, flow: Flow, account: Any) -> bool:
        shares, liquid = int(self._vault.balanceOf(account)), int(self._vault.maxRedeem(account))
        if flow.kind is Kind.OUT:
            if liquid == 0:
                return False
            paid = withdraw(self._deployment, account, None)
            self._tell(flow, paid)
            return liquid == shares
        wanted = int(int(self._vault.convertToAssets(shares)) * flow.share)
        if wanted > int(self._vault.maxWithdraw(account)):
            return False
        self._tell(flow, withdraw(self._deployment, account, wanted))
        return True

    def _tell(self, flow: Flow, assets: int) -> None:
        amount = f"{assets / self._one_asset:,.2f}"
        self._say(f"depositor {flow.depositor + 1} {flow.kind}: {amount}")
