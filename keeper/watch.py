# SPDX-License-Identifier: MIT
"""
What surrounds a keeper that runs as a service: metrics, health, alerts, systemd.

Put together from the configuration, begun before the first job and ended after the last.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from keeper import __version__, systemd
from keeper.alarm import Alarm, told_before
from keeper.alerts import Alerts
from keeper.chain import Chain
from keeper.config import ETHER, Config
from keeper.delivery import Delivery, Target, open_targets
from keeper.endpoints import Endpoints, routes
from keeper.errors import ConfigInvalid, Halt
from keeper.health import Health
from keeper.jobs import Jobs
from keeper.journal import Journal
from keeper.metrics import Metrics
from keeper.observer import Observer, Pulse
from keeper.redaction import Redactor
from keeper.sending import Orders

FAREWELL_SECS: Final = 2.0  # at the end, for alerts that wait


class Watch:
    """
    The observer of a keeper with all that it needs.

    Raises
    ------
    ConfigInvalid
        If an alert target is unknown.
    """

    def __init__(
        self,
        config: Config,
        *,
        chain: Chain,
        journal: Journal,
        orders: Orders,
        hide: Redactor,
        log: Any,
    ) -> None:
        self._config, self._log = config, log
        self._metrics = Metrics(version=__version__, mode="live" if orders.live else "dry run")
        delivery = Delivery(targets(config, hide, log))
        self.tells = [target.name for target in delivery.targets]
        section, jobs = config.alerts, config.jobs
        alerts = Alerts(
            after_secs=section.after_secs,
            remind_secs=section.remind_secs,
            told=told_before(config.alerts_path),
        )
        wall = config.chain.clock == "wall"
        self._health = Health(
            head_secs=config.chain.head_max_age_secs if wall else None,
            good_tick_secs=2 * jobs.tick_secs + jobs.tick_deadline_secs,
        )
        self.observer = Observer(
            metrics=self._metrics,
            alarm=Alarm(alerts, delivery, log=log, path=config.alerts_path),
            health=self._health,
            journal=journal,
            orders=orders,
            low_balance=int(section.low_balance_ether * ETHER),
            log=log,
        )
        _export(self._metrics, chain, delivery, self._health)

    @contextmanager
    def over(self, jobs: Jobs) -> Iterator[None]:
        """Serve, alert and beat while jobs run; tell when they halt."""
        self._health.late = jobs.late
        endpoints = self._serve()
        pulse = Pulse(self._beat)
        try:
            systemd.notify("READY=1")
            yield
        except Halt as halt:
            self.observer.halted(str(halt))
            raise
        finally:
            systemd.notify("STOPPING=1")
            pulse.stop()
            self.observer.close(FAREWELL_SECS)
            if endpoints is not None:
                endpoints.close()

    def _beat(self) -> None:
        self.observer.pulse()
        if self.observer.health().good:
            systemd.notify("WATCHDOG=1")

    def _serve(self) -> Endpoints | None:
        section = self._config.http
        if section.port == 0:
            return None
        paths = routes(self._metrics.text, self.observer.health, self.observer.ready)
        endpoints = Endpoints(section.host, section.port, paths)
        self._log.info("serving", host=section.host, port=endpoints.port, paths=list(paths))
        return endpoints


def alert_urls(config: Config) -> list[str]:
    """
    Return the URLs of the alert targets.

    Raises
    ------
    ConfigInvalid
        If what the configuration names is not there, or is empty.
    """
    section = config.alerts
    if section.url_env is not None:
        field, text = "alerts.url_env", os.environ.get(section.url_env, "")
        source = section.url_env
    elif section.url_file is not None:
        field, path = "alerts.url_file", config.folder / section.url_file
        source = str(path)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as fault:
            words = (fault.strerror or str(fault)).lower()
            raise ConfigInvalid(f"{field}: {path}: {words}") from fault
        except UnicodeDecodeError as fault:
            raise ConfigInvalid(f"{field}: {path}: is not UTF-8 text") from fault
    else:
        return []
    urls = [line.strip() for line in text.splitlines()]
    urls = [url for url in urls if url and not url.startswith("#")]
    if not urls:
        raise ConfigInvalid(f"{field}: {source} holds no URL")
    return urls


def targets(config: Config, hide: Redactor, log: Any) -> list[Target]:
    """Return the places to which alerts go."""
    field = "alerts.url_env" if config.alerts.url_env is not None else "alerts.url_file"
    sender = f"hedgevault chain {config.chain.chain_id}"
    return open_targets(alert_urls(config), field=field, sender=sender, hide=hide, log=log)


def _export(metrics: Metrics, chain: Chain, delivery: Delivery, health: Health) -> None:
    """Let the scraper read what others count."""
    metrics.counted_elsewhere(
        "rpc_requests",
        "HTTP requests by node",
        ("node",),
        lambda: {
            (place.removeprefix("the node at "),): count
            for place, count in chain.requests_by_node.items()
        },
    )
    metrics.counted_elsewhere(
        "rpc_errors",
        "Faults of nodes, also where another node stood in, and of what was asked, by class",
        ("kind",),
        lambda: {(kind,): count for kind, count in chain.faults.items()},
    )
    metrics.counted_elsewhere(
        "alert_deliveries",
        "Tries to deliver an alert",
        ("target", "result"),
        lambda: {
            (target.name, result): count
            for target in delivery.targets
            for result, count in list(target.counts.items())
        },
    )
    metrics.measured_elsewhere(
        "alerts_waiting",
        "Messages that a target has not taken yet",
        ("target",),
        lambda: {(target.name,): target.waiting for target in delivery.targets},
    )
    metrics.measured_elsewhere(
        "job_late",
        "1 for each job that is not within its deadlines",
        ("job",),
        lambda: {(job,): 1 for job in health.late()},
    )
