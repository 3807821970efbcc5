# SPDX-License-Identifier: MIT
"""
The end of a demo: replay of all events, judgement, table and report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from keeper.audit_state import System
from keeper.chain import Chain, Node
from keeper.history import Extremes, Records, extremes, history_of
from keeper.journal import Journal, TxState
from keeper.replay import Verdict, block_times, replay
from keeper.report import History, costs_by_kind, drawdown, unhedged, write_report
from keeper.snapshot import Address
from scripts.calls import contract

if TYPE_CHECKING:
    from keeper.local_node import LocalNode
    from scripts.demo import Run
    from scripts.demo_keeper import KeeperProcess
    from scripts.deployments import Deployment

MAX_RESIDUAL: Final = 0.0005  # basis that the traders may leave; more is said in the table


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
class _Evidence:
    """Everything that the table is made from."""

    run: Run
    records: Records
    ticks: Sequence[dict[str, Any]]
    verdict: Verdict
    history: History
    worst: Extremes


def conclude(
    run: Run, node: LocalNode, deployment: Deployment, keeper: KeeperProcess
) -> Conclusion:
    """Audit the chain, read the journal, and judge."""
    evidence = _evidence(run, node, deployment, keeper)
    return Conclusion(
        history=evidence.history,
        facts=tuple(_facts(evidence)),
        failures=tuple(_failures(evidence)),
    )


def _evidence(
    run: Run, node: LocalNode, deployment: Deployment, keeper: KeeperProcess
) -> _Evidence:
    at = {name: entry.address.lower() for name, entry in deployment.contracts.items()}
    system = System(vault=at["HedgeVault"], book=at["HedgeBook"], venues=(at["PerpVenue"],))
    chain = Chain(
        Node(
            rpc_url=node.url, chain_id=node.chain_id, lens=Address(at["VaultLens"]), timeout_secs=60
        )
    )
    verdict = replay(chain.batch, system, 0, int(node.request("eth_blockNumber"), 16))
    journal = Journal(keeper.journal_path, node.chain_id)
    transactions = journal.transactions()
    blocks = {event.log.block for event in verdict.events}
    blocks |= {tx.block_number for tx in transactions if tx.block_number is not None}
    records = Records(
        decisions=list(journal.decisions()),
        transactions=transactions,
        events=verdict.events,
        ledger=verdict.ledger,
        block_times=block_times(chain.batch, blocks),
    )
    ticks = journal.ticks()
    journal.close()
    chain.close()
    symbols = (str(contract(deployment, name).symbol()) for name in ("Asset", "Quote"))
    history = history_of(records, f"Hedging vault: {run.title}", *symbols)
    return _Evidence(
        run=run,
        records=records,
        ticks=ticks,
        verdict=verdict,
        history=history,
        worst=extremes(history),
    )


# The table


def _facts(evidence: _Evidence) -> list[tuple[str, str]]:
    parts: tuple[Callable[[_Evidence], list[tuple[str, str]]], ...] = (
        _value_facts,
        _risk_facts,
        _work_facts,
        _cost_facts,
        _proof_facts,
    )
    return [fact for part in parts for fact in part(evidence)]


def _value_facts(evidence: _Evidence) -> list[tuple[str, str]]:
    samples, quote = evidence.history.samples, evidence.history.quote
    hedged, bare = [s.nav_per_share for s in samples], unhedged(samples)
    prices = [sample.price for sample in samples]
    return [
        ("market", evidence.run.title),
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


def _risk_facts(evidence: _Evidence) -> list[tuple[str, str]]:
    worst, bands = evidence.worst, evidence.history.bands
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


def _work_facts(evidence: _Evidence) -> list[tuple[str, str]]:
    plans = {row.id: row.plan for row in evidence.records.decisions}
    done = [plans[tx.decision_row] for tx in evidence.records.transactions if tx.succeeded]
    sent = [plan for plan in done if plan is not None]
    trades = sum(any(leg.size for leg in plan.legs) for plan in sent)
    top_ups = sum(
        any(leg.margin_assets > 0 or leg.margin_quote > 0 for leg in p.legs) for p in sent
    )
    settled = sum(plan.spot_assets != 0 for plan in sent)
    failed = [tx for tx in evidence.records.transactions if tx.succeeded is False]
    refused = [tx for tx in evidence.records.transactions if tx.state is TxState.FAILED]
    return [
        ("rebalances", f"{len(sent)}: {trades} trade the perp, {settled} trade spot"),
        ("margin top-ups", str(top_ups)),
        ("deposits and exits", str(len(evidence.run.flows))),
        ("transactions failed on chain", str(len(failed))),
        ("plans refused before sending", str(len(refused) - len(failed))),
        ("RPC requests per idle tick", _requests(evidence)),
        (
            "keeper",
            f"{evidence.run.killed or 'never killed'}; exit code {evidence.run.keeper_exit}",
        ),
    ]


def _requests(evidence: _Evidence) -> str:
    """Return the mean over ticks that sent nothing and found nothing under way."""
    busy = {row.tick_id for row in evidence.records.decisions if row.kind == "rebalance"}
    idle = [t for t in evidence.ticks if t["result"] == "ok" and t["id"] not in busy]
    counts = [int(tick["requests"]) for tick in idle]
    if not counts:
        return "no idle tick"
    return f"{sum(counts) / len(counts):.2f} over {len(counts)} ticks, most {max(counts)}"


def _cost_facts(evidence: _Evidence) -> list[tuple[str, str]]:
    quote = evidence.history.quote
    totals = {kind: run[-1][1] for kind, run in costs_by_kind(evidence.history).items()}
    facts = [(f"cost: {kind}", f"{total:,.2f} {quote}") for kind, total in totals.items()]
    return [*facts, ("cost in all", f"{sum(totals.values()):,.2f} {quote}")]


def _proof_facts(evidence: _Evidence) -> list[tuple[str, str]]:
    verdict, run = evidence.verdict, evidence.run
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


def _failures(evidence: _Evidence) -> list[str]:
    parts: tuple[Callable[[_Evidence], list[str]], ...] = (
        _band_failures,
        _transaction_failures,
        _limit_failures,
        lambda found: list(found.verdict.faults),
    )
    return [failure for part in parts for failure in part(evidence)]


def _band_failures(evidence: _Evidence) -> list[str]:
    last, inner = evidence.history.samples[-1], evidence.history.bands.inner
    drift = abs(last.exposure - last.target)
    if drift <= inner:
        return []
    return [f"exposure ends {drift:.2%} from its target, outside the band of {inner:.2%}"]


def _transaction_failures(evidence: _Evidence) -> list[str]:
    failed = [
        f"the keeper's transaction {tx.tx_hash} failed: {tx.detail}"
        for tx in evidence.records.transactions
        if tx.succeeded is False
    ]
    failed += [f"the market's {text}" for text in evidence.run.refused]
    if evidence.run.keeper_exit:
        failed.append(f"the keeper ended with code {evidence.run.keeper_exit}")
    return failed


def _limit_failures(evidence: _Evidence) -> list[str]:
    """Hold each hour's end, when the keeper had its turn, against the vault's limits."""
    bands, samples = evidence.history.bands, list(evidence.history.samples)
    failures = [
        f"{event}: the vault was liquidated"
        for event in evidence.verdict.events
        if event.name == "AccountLiquidated" and event["account"] == _book(evidence)
    ]
    for hour, block in enumerate(evidence.run.hour_blocks, start=1):
        seen = [sample for sample in samples if sample.block <= block]
        if not seen:
            continue
        last = seen[-1]
        drift = abs(last.exposure - last.target)
        if drift > bands.urgent:
            failures.append(f"hour {hour} ended with a drift of {drift:.2%}")
        if last.margin_ratio is not None and last.margin_ratio < bands.margin_floor:
            failures.append(f"hour {hour} ended with a margin ratio of {last.margin_ratio:.2f}")
    return failures


def _book(evidence: _Evidence) -> str:
    return evidence.records.decisions[-1].snapshot.vault.book
