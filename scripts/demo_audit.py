# SPDX-License-Identifier: MIT
"""
The end of a demo: replay of all events, judgement, table and report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from keeper.audit_state import System
from keeper.chain import Chain, Node
from keeper.evidence import Evidence, gather
from keeper.history import CHARGES, FUNDING, Extremes, extremes, history_of
from keeper.journal import Journal, Tx, TxState
from keeper.plan import Plan
from keeper.report import History, costs_by_kind, drawdown, unhedged, write_report
from keeper.snapshot import Address
from scripts.calls import contract

if TYPE_CHECKING:
    from keeper.local_node import LocalNode
    from scripts.demo_keeper import KeeperProcess
    from scripts.demo_record import Run
    from scripts.deployments import Deployment

READ_TIMEOUT: Final = 60.0  # seconds; the logs of a whole run are one answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What is printed and written; the demo has failed if there are failures."""

    history: History
    facts: tuple[tuple[str, str], ...]
    failures: tuple[str, ...]

    def write(self, facts: Sequence[tuple[str, str]], folder: Path) -> Path:
        """Write the report with these facts and return its page."""
        told = [*facts, ("result", "; ".join(self.failures) or "all checks passed")]
        return write_report(replace(self.history, facts=told), folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """Everything that the table and the judgement are made from."""

    run: Run
    evidence: Evidence
    history: History
    worst: Extremes

    @property
    def sent(self) -> list[Plan]:
        """Return the plans that were carried out."""
        decided = self.evidence.records.decisions
        plans: dict[int | None, Plan | None] = {row.id: row.plan for row in decided}
        done = [plans[tx.decision_row] for tx in self.transactions if tx.succeeded]
        return [plan for plan in done if plan is not None]

    @property
    def transactions(self) -> Sequence[Tx]:
        return self.evidence.records.transactions


def system_of(deployment: Deployment) -> System:
    """Return the contracts whose events an audit of a deployment folds."""
    at = {name: entry.address.lower() for name, entry in deployment.contracts.items()}
    return System(
        vault=at["HedgeVault"],
        book=at["HedgeBook"],
        queue=at["RedemptionQueue"],
        exit=at["ExitInKind"],
        venues=(at["PerpVenue"],),
        timelock=at["Timelock"],
    )


def conclude(
    run: Run, node: LocalNode, deployment: Deployment, keeper: KeeperProcess
) -> Conclusion:
    """Audit the chain, read the journal, and judge."""
    system = system_of(deployment)
    where = Node(
        rpc_url=node.url,
        chain_id=node.chain_id,
        lens=Address(deployment.contracts["VaultLens"].address.lower()),
        timeout_secs=READ_TIMEOUT,
    )
    head = int(node.request("eth_blockNumber"), 16)
    chain, journal = Chain(where), Journal(keeper.journal_path, node.chain_id)
    try:
        evidence = gather(chain.batch, journal, system, 0, head)
    finally:
        chain.close()
        journal.close()
    asset, quote = (str(contract(deployment, name).symbol()) for name in ("Asset", "Quote"))
    history = history_of(evidence.records, f"Hedging vault: {run.title}", asset, quote)
    case = _Case(run=run, evidence=evidence, history=history, worst=extremes(history))
    return Conclusion(history=history, facts=tuple(_facts(case)), failures=tuple(_failures(case)))


# The table


def _facts(case: _Case) -> list[tuple[str, str]]:
    parts: tuple[Callable[[_Case], list[tuple[str, str]]], ...] = (
        _value_facts,
        _risk_facts,
        _work_facts,
        _cost_facts,
        _proof_facts,
    )
    return [fact for part in parts for fact in part(case)]


def _value_facts(case: _Case) -> list[tuple[str, str]]:
    samples, quote = case.history.samples, case.history.quote
    hedged, bare = [s.nav_per_share for s in samples], unhedged(samples)
    prices = [sample.price for sample in samples]
    return [
        ("market", case.run.title),
        ("price", f"{prices[0]:,.2f} to {prices[-1]:,.2f}, {_span(prices)}"),
        (
            "NAV per share, hedged",
            f"{hedged[0]:,.2f} to {hedged[-1]:,.2f} {quote}{_change(hedged)}",
        ),
        ("NAV per share, unhedged", f"{bare[0]:,.2f} to {bare[-1]:,.2f} {quote}{_change(bare)}"),
        ("drawdown, hedged", f"{drawdown(hedged):.2%}"),
        ("drawdown, unhedged", f"{drawdown(bare):.2%}"),
    ]


def _span(values: Sequence[float]) -> str:
    return f"between {min(values):,.2f} and {max(values):,.2f}"


def _change(values: Sequence[float]) -> str:
    return f" ({values[-1] / values[0] - 1:+.2%})"


def _risk_facts(case: _Case) -> list[tuple[str, str]]:
    worst, bands = case.worst, case.history.bands
    outside = worst.worst_unhedged_secs
    return [
        ("exposure at the end", f"{worst.exposure_end:.2%}, band ±{bands.inner:.2%}"),
        ("worst drift once hedged", f"{worst.worst_drift:.2%}, urgent from {bands.urgent:.2%}"),
        ("longest outside the urgent band", f"{outside} s of chain time"),
        (
            "least margin ratio",
            f"{_ratio(worst.least_margin_ratio)}, floor {bands.margin_floor:.2f}",
        ),
        ("least distance to liquidation", _share(worst.least_distance)),
    ]


def _ratio(value: float | None) -> str:
    return "no position" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "no position" if value is None else f"{value:.1%} of the price"


def _work_facts(case: _Case) -> list[tuple[str, str]]:
    trades = sum(any(leg.size for leg in plan.legs) for plan in case.sent)
    top_ups = sum(_adds_margin(plan) for plan in case.sent)
    settled = sum(plan.spot_assets != 0 for plan in case.sent)
    failed = sum(tx.succeeded is False for tx in case.transactions)
    ended = [tx for tx in case.transactions if tx.state is TxState.FAILED and tx.succeeded is None]
    never = sum(tx.sends == 0 for tx in ended)
    return [
        ("rebalances", f"{len(case.sent)}: {trades} trade the perp, {settled} trade spot"),
        ("margin top-ups", str(top_ups)),
        ("deposits and exits", str(len(case.run.flows))),
        ("transactions failed on chain", str(failed)),
        ("plans dropped before sending", str(never)),
        ("transactions lost after sending", f"{len(ended) - never}, {_cut_off(case)}"),
        ("RPC requests per idle tick", _requests(case)),
        ("keeper", f"{case.run.killed or 'never killed'}; exit code {case.run.keeper_exit}"),
    ]


def _cut_off(case: _Case) -> str:
    return f"{len(case.run.cut_off)} under way when the keeper was killed"


def _adds_margin(plan: Plan) -> bool:
    return any(leg.margin_assets > 0 or leg.margin_quote > 0 for leg in plan.legs)


def _requests(case: _Case) -> str:
    """Return the mean over ticks that sent nothing and found nothing under way."""
    busy = {row.tick_id for row in case.evidence.records.decisions if row.kind == "rebalance"}
    idle = [t for t in case.evidence.ticks if t["result"] == "ok" and t["id"] not in busy]
    counts = [int(tick["requests"]) for tick in idle]
    if not counts:
        return "no idle tick"
    return f"{sum(counts) / len(counts):.2f} over {len(counts)} ticks, most {max(counts)}"


def _cost_facts(case: _Case) -> list[tuple[str, str]]:
    quote = case.history.quote
    totals = {kind: run[-1][1] for kind, run in costs_by_kind(case.history).items()}
    earned = -totals.pop(FUNDING, 0.0)
    kept = -totals.pop(CHARGES, 0.0)
    return [
        *((f"cost: {kind}", f"{total:,.2f} {quote}") for kind, total in sorted(totals.items())),
        ("cost of hedging in all", f"{sum(totals.values()):,.2f} {quote}"),
        ("funding earned", f"{earned:,.2f} {quote}"),
        ("charges kept from deposits and exits", f"{kept:,.2f} {quote}"),
    ]


def _proof_facts(case: _Case) -> list[tuple[str, str]]:
    verdict, run = case.evidence.verdict, case.run
    residual = max((abs(value) for value in run.residuals), default=0.0)
    proven = "state and audit head reproduced" if verdict.proven else "NOT reproduced"
    halted = sum(hour.spot_halted for hour in run.hours)
    carried = f", {halted} hours without spot quotes carried" if halted else ""
    return [
        ("basis not followed", f"{1e4 * residual:.2f} bp at most{carried}"),
        ("replay of events", f"{len(verdict.events)} events, {proven}"),
        ("audit head", f"0x{verdict.ledger.audit_head.hex()}"),
    ]


# The judgement


def _failures(case: _Case) -> list[str]:
    parts: tuple[Callable[[_Case], list[str]], ...] = (
        _band_failures,
        _transaction_failures,
        _limit_failures,
        _depositor_failures,
        lambda found: list(found.evidence.verdict.faults),
    )
    return [failure for part in parts for failure in part(case)]


def _band_failures(case: _Case) -> list[str]:
    last, inner = case.history.samples[-1], case.history.bands.inner
    if last.block != case.evidence.verdict.block:
        return [f"the last block with a good price is {last.block}, not the head"]
    drift = abs(last.exposure - last.target)
    if drift <= inner:  # false without equity, when there is no exposure to speak of
        return []
    return [f"exposure ends {drift:.2%} from its target, outside the band of {inner:.2%}"]


def _transaction_failures(case: _Case) -> list[str]:
    failed = [
        f"the keeper's transaction {tx.tx_hash} failed: {tx.detail}"
        for tx in case.evidence.records.transactions
        if tx.succeeded is False
    ]
    failed += [
        f"the keeper's transaction {tx.tx_hash} was sent and lost: {tx.detail}"
        for tx in case.transactions
        if tx.state is TxState.FAILED
        and tx.succeeded is None
        and tx.sends > 0
        and tx.id not in case.run.cut_off
    ]
    failed += [f"the market's {text}" for text in case.run.refused]
    if case.run.keeper_exit:
        failed.append(f"the keeper ended with code {case.run.keeper_exit}")
    return failed


def _limit_failures(case: _Case) -> list[str]:
    """Hold each hour's end, when the keeper had its turn, against the vault's limits."""
    bands, samples = case.history.bands, list(case.history.samples)
    failures = [
        f"{event}: the vault was liquidated"
        for event in case.evidence.verdict.events
        if event.name == "AccountLiquidated" and event["account"] == _book(case)
    ]
    for hour, block in enumerate(case.run.hour_blocks, start=1):
        seen = [sample for sample in samples if sample.block <= block]
        if not seen:
            continue
        last = seen[-1]
        drift = abs(last.exposure - last.target)
        if not drift <= bands.urgent:
            failures.append(f"hour {hour} ended with a drift of {drift:.2%}")
        if last.margin_ratio is not None and last.margin_ratio < bands.margin_floor:
            failures.append(f"hour {hour} ended with a margin ratio of {last.margin_ratio:.2f}")
    return failures


def _depositor_failures(case: _Case) -> list[str]:
    return [f"{text} never got what he asked for" for text in case.run.unserved]


def _book(case: _Case) -> str:
    return case.evidence.records.decisions[-1].snapshot.vault.book
