# SPDX-License-Identifier: MIT
"""
What Prometheus scrapes: one registry, filled after each tick, read by the scraper's thread.

Every label has few values that the configuration or the code bounds, so memory does not grow with
time. Amounts are floats here and nowhere on the way to a decision.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from keeper.alerts import ALERTS
from keeper.guard import Safety, Spent
from keeper.journal import TxState
from keeper.risk import Risk
from keeper.snapshot import Block, VaultSnapshot

BUCKETS: Final = (  # seconds: an idle read takes milliseconds, waiting for a receipt a minute
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
ETHER: Final = 10**18
UNKNOWN: Final = math.nan

Counts = Mapping[tuple[str, ...], float]  # by the values of the labels


class Metrics:
    """
    The keeper's figures.

    Parameters
    ----------
    version, mode : str
        Of the process; the mode is `live` or `dry run`.
    wall : Callable[[], float]
        Unix seconds, for ages at the moment of the scrape.
    """

    def __init__(self, *, version: str, mode: str, wall: Callable[[], float] = time.time) -> None:
        self.registry = CollectorRegistry()
        self._wall = wall
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._gauge("build", "Version and mode; the value is 1", "version", "mode").labels(
            version, mode
        ).set(1)
        self._make_ticks()
        self._make_vaults()
        self._make_sending()
        self._make_watch()

    def _make_ticks(self) -> None:
        self._stages = Histogram(
            "hedgevault_tick_stage_seconds",
            "Time of each stage of a tick, and of all",
            ["stage"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._ticks = self._counter("ticks", "Ticks by job and result", "job", "result")
        self._good_at = self._gauge("last_good_tick_timestamp_seconds", "Wall clock; 0: none yet")
        self._head = self._gauge("head_block", "Number of the head that was read last")
        self._head_at = self._gauge("head_timestamp_seconds", "Time in that head")
        self._head_age = self._gauge("head_age_seconds", "Wall clock less the time in that head")
        self._head_age.set(UNKNOWN)
        self._runs = self._counter("job_runs", "Runs of jobs by result", "job", "result")

    def _make_vaults(self) -> None:
        names = {
            "drift_bps": "Drift from the target exposure",
            "exposure_bps": "Delta over equity",
            "target_exposure_bps": "One less the hedge ratio",
            "margin_ratio_bps": "Lowest margin ratio of all venues",
            "liquidation_distance_bps": "Smallest price move to a liquidation",
            "nav_quote": "Net asset value in quote tokens",
            "equity_assets": "Net asset value in asset tokens",
            "price_ok": "1 while the oracle's price may be traded on",
            "urgent": "1 while drift or margin overrides the cooldown",
        }
        self._vaults = {
            name: self._gauge(f"vault_{name}", f"{words}; NaN: unknown", "vault")
            for name, words in names.items()
        }
        self._decisions = self._counter("decisions", "Decisions by kind", "vault", "kind")

    def _make_sending(self) -> None:
        self._transactions = self._gauge("transactions", "In the journal, by state", "state")
        self._used = self._gauge("budget_used", "Used of a budget of [safety]", "budget")
        self._limit = self._gauge("budget_limit", "Where sending stops", "budget")
        self._kill = self._gauge("kill_switch", "1 while the kill file exists")
        self._leads = self._gauge("leads", "1 while this keeper leads, 0 while it stands by")
        self._balance = self._gauge("key_balance_ether", "Balance of the keeper's key")

    def _make_watch(self) -> None:
        self._active = self._gauge(
            "alert_active", "1 while the alert is told and not over", "alert"
        )
        for name in ALERTS:
            self._active.labels(name).set(0)
        self._told = self._counter("alerts", "Messages by alert and stage", "alert", "stage")
        self._ready = self._gauge("ready", "1 while /ready says so")
        self._healthy = self._gauge("healthy", "1 while /health says so")
        self._faults = self._counter("observer_faults", "Mistakes of our own in counting")

    # What is told to it

    def tick(self, job: str, result: str, stages: Mapping[str, float]) -> None:
        """Count a tick with the seconds of its stages."""
        self._ticks.labels(job, result).inc()
        for stage, secs in stages.items():
            self._stages.labels(stage).observe(secs)
        if result == "ok":
            self._good_at.set(self._wall())

    def head(self, block: Block) -> None:
        """Note the head that was read last; its age is taken at the scrape."""
        self._head.set(block.number)
        self._head_at.set(block.at)
        self._head_age.set_function(lambda: self._wall() - block.at)

    def vault(self, vault: VaultSnapshot, risk: Risk | None, kind: str) -> None:
        """Note a vault's state and count the decision about it."""
        figures = _figures(vault, risk)
        for name, gauge in self._vaults.items():
            value = figures.get(name)
            gauge.labels(vault.vault).set(UNKNOWN if value is None else value)
        self._decisions.labels(vault.vault, kind).inc()

    def transactions(self, counts: Mapping[TxState, int]) -> None:
        """Note how many transactions the journal has in each state."""
        for state in TxState:
            self._transactions.labels(state.value).set(counts.get(state, 0))

    def budgets(self, spent: Spent, safety: Safety) -> None:
        """Note what is used of each budget."""
        for name, (used, limit) in budgets(spent, safety).items():
            self._used.labels(name).set(used)
            self._limit.labels(name).set(limit)

    def key(self, balance: int) -> None:
        """Note the balance in wei of the key."""
        self._balance.set(balance / ETHER)

    def kill_switch(self, *, killed: bool) -> None:
        """Note whether the kill file exists."""
        self._kill.set(killed)

    def leads(self, *, leads: bool) -> None:
        """Note whether this keeper sends."""
        self._leads.set(leads)

    def job(self, job: str, result: str) -> None:
        """Count a run of a job."""
        self._runs.labels(job, result).inc()

    def told(self, alert: str, stage: str) -> None:
        """Count a message about an alert."""
        self._told.labels(alert, stage).inc()

    def active(self, alerts: Iterable[str]) -> None:
        """Note which alerts are told and not over."""
        standing = set(alerts)
        for name in ALERTS:
            self._active.labels(name).set(name in standing)

    def state(self, *, ready: bool, healthy: bool) -> None:
        """Note what `/ready` and `/health` say."""
        self._ready.set(ready)
        self._healthy.set(healthy)

    def fault(self) -> None:
        """Count a mistake of our own."""
        self._faults.inc()

    def counted_elsewhere(
        self, name: str, words: str, labels: tuple[str, ...], read: Callable[[], Counts]
    ) -> None:
        """Export counts that somebody else keeps, as they are at the scrape."""
        family = partial(CounterMetricFamily, f"hedgevault_{name}", words, labels=labels)
        self.registry.register(_Elsewhere(family, read))

    def measured_elsewhere(
        self, name: str, words: str, labels: tuple[str, ...], read: Callable[[], Counts]
    ) -> None:
        """Export amounts that somebody else knows, as they are at the scrape."""
        family = partial(GaugeMetricFamily, f"hedgevault_{name}", words, labels=labels)
        self.registry.register(_Elsewhere(family, read))

    def text(self) -> bytes:
        """Return the exposition."""
        return generate_latest(self.registry)

    def _gauge(self, name: str, words: str, *labels: str) -> Gauge:
        return Gauge(f"hedgevault_{name}", words, labels, registry=self.registry)

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"hedgevault_{name}", words, labels, registry=self.registry)


class _Elsewhere:
    """A collector of what somebody else keeps."""

    def __init__(
        self,
        family: Callable[[], CounterMetricFamily | GaugeMetricFamily],
        read: Callable[[], Counts],
    ) -> None:
        self._family, self._read = family, read

    def describe(self) -> list[Metric]:
        """Name it without reading."""
        return [self._family()]

    def collect(self) -> list[Metric]:
        """Read it now."""
        family = self._family()
        for values, amount in list(self._read().items()):
            family.add_metric(list(values), amount)
        return [family]


def budgets(spent: Spent, safety: Safety) -> dict[str, tuple[int, int]]:
    """Return what is used and allowed of each budget of `[safety]`."""
    return {
        "reverts in a row": (spent.reverts_in_row, safety.max_reverts_in_row),
        "transactions an hour": (spent.sends_last_hour, safety.max_sends_an_hour),
        "gas a day": (spent.gas_last_day, safety.max_gas_a_day),
        "fees a day, wei": (spent.spend_last_day, safety.max_spend_a_day),
    }


def _figures(vault: VaultSnapshot, risk: Risk | None) -> dict[str, float | None]:
    known: dict[str, float | None] = {"price_ok": vault.price_ok}
    if risk is None:
        return known
    distances = [v.distance_bps for v in risk.venues if v.distance_bps is not None]
    return known | {
        "drift_bps": risk.drift_bps,
        "exposure_bps": risk.exposure_bps,
        "target_exposure_bps": risk.target_exposure_bps,
        "margin_ratio_bps": risk.margin_ratio_bps,
        "liquidation_distance_bps": min(distances, default=None),
        "nav_quote": risk.nav / 10**vault.quote_decimals,
        "equity_assets": risk.equity / 10**vault.asset_decimals,
        "urgent": risk.urgent,
    }
