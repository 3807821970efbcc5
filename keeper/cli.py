# SPDX-License-Identifier: MIT
"""
`hedgevault`: the keeper's command line.

Exit codes: 0 done; 1 this cycle failed, trying again may help (a node or the journal is out of
reach, a disk is full, another keeper works); 2 usage or configuration; 3 a person must look (also
at a damaged journal). Errors are one line on stderr. Nothing is sent without `--live`.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import structlog
import typer
from rich.console import Console

from keeper import __version__, backtest_command, kill_command, ratio_command, replay_command
from keeper.alerts import ALERTS, Message, Stage
from keeper.caretaker import Caretaker, Chores
from keeper.chain import Chain, Node
from keeper.collect import VaultEvidence, collect
from keeper.config import GWEI, Config, SignerSection, load_config
from keeper.deadline import Deadline
from keeper.delivery import Delivery
from keeper.doctor import Finding, Mark, examine, examine_sender, examine_signer, worst
from keeper.endpoint import place_of
from keeper.errors import ConfigInvalid, Fault, Halt, JournalDamaged
from keeper.explain import Line, recompute
from keeper.jobs import Job, Jobs
from keeper.journal import DecisionRow, Journal, TxState
from keeper.lease import Lease, held
from keeper.plan import plan_hash
from keeper.redaction import Redactor
from keeper.remote_signer import RemoteSigner
from keeper.replay_command import made_again
from keeper.rpc import secrets_of
from keeper.runner import Keeper, outcome_words
from keeper.sending import Fees, Orders
from keeper.signer import (
    Signer,
    password_in,
    password_typed,
    signer_from_key,
    signer_from_keystore,
)
from keeper.snapshot import Address
from keeper.strategy import Rebalance
from keeper.template import template
from keeper.watch import Watch, alert_urls, targets

OK: Final = 0
FAULT: Final = 1
USAGE: Final = 2
HALT: Final = 3
LOGS_TIMEOUT_SECS: Final = 60.0  # a long history is one answer
LEASE_SHARE: Final = 0.75  # of a tick without a sign of life, until another takes over in the next
TEST_PATIENCE_SECS: Final = 15.0  # for a target to take a test

ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="Configuration file.")]
DEFAULT_CONFIG: Final = Path("hedgevault.toml")
Standby = Annotated[
    bool, typer.Option("--standby", help="Watch while another keeper leads, and take over from it.")
]
Live = Annotated[bool, typer.Option("--live", help="Send transactions; without it, dry run.")]

app = typer.Typer(
    help=f"Keeper of hedging vaults. {(__doc__ or '').split(chr(10) * 2, 1)[1]}",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line."""
    app()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit(OK)


@app.callback()
def _options(
    version: Annotated[  # the callback prints it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def init(
    config: ConfigPath = DEFAULT_CONFIG,
    rpc_url: Annotated[str, typer.Option(help="The node.")] = "http://127.0.0.1:8545",
    chain_id: Annotated[int, typer.Option(help="Its chain.")] = 31337,
    deployment: Annotated[
        str | None, typer.Option(help="What `deploy` wrote, relative to the new file.")
    ] = None,
) -> None:
    """Write a configuration file with every key explained. Overwrites nothing."""
    text = template(rpc_url=rpc_url, chain_id=chain_id, deployment=deployment)
    with _one_line():
        try:
            with config.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise ConfigInvalid(f"{config}: exists already") from None
        except OSError as fault:
            raise ConfigInvalid(f"{config}: {(fault.strerror or str(fault)).lower()}") from fault
    typer.echo(
        f"Written: {config}. Then: hedgevault doctor, hedgevault once, hedgevault run --live"
    )


@app.command()
def run(config: ConfigPath = DEFAULT_CONFIG, live: Live = False, standby: Standby = False) -> None:
    """Keep the vaults hedged until SIGTERM or SIGINT."""
    with _one_line(), _session(config, live=live, standby=standby) as session:
        watch = _watch(session)
        jobs = _jobs(session, watch)
        session.lease.healthy = lambda: not jobs.late()
        jobs.stop_on_signals()
        jobs.end_process_in_time()
        with watch.over(jobs):
            session.log.info(
                "started",
                version=__version__,
                mode="live" if live else "dry run",
                sender=session.keeper.sender,
                vaults=list(session.config.vaults),
                journal=session.journal.place,
                alerts_to=watch.tells,
            )
            jobs.run()
        session.log.info("stopped", counts=dict(jobs.counts))


@app.command()
def once(config: ConfigPath = DEFAULT_CONFIG, live: Live = False) -> None:
    """Run one cycle and say what came of it. Exit 1 if a transaction failed."""
    with _one_line(), _session(config, live=live) as session:
        deadline = Deadline(session.config.jobs.tick_deadline_secs)
        report = session.keeper.tick(deadline, job="once")
        for verdict in report.verdicts:
            typer.echo(f"{verdict.snapshot.vault.vault} {outcome_words(verdict)}")
        failed = any(tx.state is TxState.FAILED for tx in report.sent)
    if failed:
        raise typer.Exit(FAULT)


@app.command()
def status(
    config: ConfigPath = DEFAULT_CONFIG,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.1, max=3_600, help="Seconds between looks.")] = 2.0,
) -> None:
    """Show the vaults as they are on the chain now."""
    from keeper import terminal  # noqa: PLC0415 - no part of the keeper's run

    with _one_line():
        settings, console = load_config(config), Console(highlight=False)
        with closing(terminal.eye(_chain(settings), settings)) as eye:
            if watch:
                terminal.watch(eye.glance, every, console)
            else:
                terminal.show(eye.look_hard(), console)


@app.command()
def explain(
    decision: Annotated[
        str, typer.Argument(help="Row number, the first digits of its id, or `last`.")
    ] = "last",
    config: ConfigPath = DEFAULT_CONFIG,
) -> None:
    """Print the sum behind a decision, made again from its recorded inputs."""
    with _one_line():
        settings = load_config(config)
        with closing(_journal(settings)) as journal:
            found = journal.find_decisions(decision)
        if not found:
            raise Fault(f"no decision {decision} in {journal.place}")
        ids = {row.decision_id for row in found}
        if len(ids) > 1:
            raise Fault(f"{decision} fits {len(ids)} decisions, give more digits")
        same = _explain(found[-1])  # ticks on one block make one decision again: the newest
    if not same:
        raise typer.Exit(HALT)


@app.command()
def doctor(config: ConfigPath = DEFAULT_CONFIG) -> None:
    """Probe the node for traps and say what the keeper adapts to. Only reads."""
    with _one_line():
        settings = load_config(config)
        signer = _signer(settings) if settings.signer is not None else None
        findings, hide = [], Redactor(_secrets(settings))
        if isinstance(signer, RemoteSigner):
            findings = [examine_signer(signer)]
            _show(signer.place, findings, hide)
            signer.close()
        whole = _node(settings)
        for url in (*whole.urls, *filter(None, [whole.send_url])):
            with closing(Chain(whole.alone(url))) as chain:
                if url in whole.urls:
                    found = examine(chain, settings, signer.address if signer else None)
                else:
                    found = examine_sender(chain, settings)
            _show(place_of(url), found, hide)
            findings += found
    if worst(findings) is Mark.BAD:
        raise typer.Exit(FAULT)


@app.command()
def alerts(
    config: ConfigPath = DEFAULT_CONFIG,
    test: Annotated[bool, typer.Option("--test", help="Send one to each target.")] = False,
) -> None:
    """List the alerts, with what to do. Exit 1 if a test did not arrive."""
    if not test:
        for name, rule in ALERTS.items():
            typer.echo(f"{name} ({rule.severity}): {rule.means} {rule.remedy}")
        return
    with _one_line():
        settings = load_config(config)
        hide = _redactor(settings)
        found = targets(settings, hide, _logger(settings, hide))
        if not found:
            raise ConfigInvalid("alerts: give url_env or url_file")
        delivery = Delivery(found)
        delivery.put(
            Message(alert="test", subject="", stage=Stage.RAISED, words="A test.", secs=0.0)
        )
        delivery.close(TEST_PATIENCE_SECS)
        missed = [target.name for target in found if not target.counts["delivered"]]
        if missed:
            raise Fault(f"not delivered to {', '.join(missed)}")


@app.command()
def audit(
    config: ConfigPath = DEFAULT_CONFIG,
    first_block: Annotated[int | None, typer.Option(help="Where to begin.")] = None,
) -> None:
    """Replay all events; compare with state and audit head. Exit 3 if they differ."""
    with _one_line():
        settings = load_config(config)
        faults = 0
        for found in _evidence(settings, first_block):
            faults += len(found.verdict.faults)
            typer.echo(
                f"vault {found.vault}: {len(found.verdict.events)} events to block "
                f"{found.verdict.block}"
            )
            for line in (found.verdict.ledger.owner_words(), *found.verdict.faults):
                typer.echo(f"  {line}")
        typer.echo("state and audit head follow from the events" if not faults else "NOT proven")
    if faults:
        raise typer.Exit(HALT)


@app.command()
def report(
    config: ConfigPath = DEFAULT_CONFIG,
    folder: Annotated[Path, typer.Option("--folder", help="Where to write.")] = Path("report"),
    first_block: Annotated[int | None, typer.Option(help="Where to begin.")] = None,
) -> None:
    """Write an HTML report with plots from journal and chain, one folder a vault."""
    with _one_line():
        settings = load_config(config)
        for found in _evidence(settings, first_block):
            typer.echo(f"Written: {found.write(folder / found.vault)}")


@app.command()
def dashboard(
    config: ConfigPath = DEFAULT_CONFIG,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any free one.")] = 8800,
    name: Annotated[
        list[str] | None, typer.Option(help="A host name under which it is asked for, too.")
    ] = None,
    every: Annotated[float, typer.Option(min=0.1, max=3_600, help="Seconds between looks.")] = 2.0,
) -> None:
    """Show vaults, decisions, venues and the keeper in a browser. Only reads, needs no key."""
    from keeper.web.command import serve  # noqa: PLC0415 - no part of the keeper's run

    with _one_line():
        settings = load_config(config)
        serve(
            settings, _node(settings), host=host, port=port, names=name or (), every_secs=every,
            announce=lambda where: typer.echo(f"Dashboard: {where} (Ctrl-C ends it)"),
        )  # fmt: skip


# Building blocks


class _Session:
    def __init__(self, config: Config, lease: Lease, *, live: bool) -> None:
        self.config, self.lease = config, lease
        self.hide = _redactor(config)
        self.log = _logger(config, self.hide)
        self.signer = signer = _signer(config) if config.signer is not None else None
        if live and signer is None:
            raise ConfigInvalid("signer: --live needs a key")
        self.chain = Chain(_node(config), log=self.log)
        self.journal = Journal(config.journal, config.chain.chain_id)
        self.orders = _orders(config, live=live)
        self.keeper = Keeper(
            chain=self.chain,
            journal=self.journal,
            orders=self.orders,
            signer=signer,
            lease=lease,
            log=self.log,
        )

    def close(self) -> None:
        if isinstance(self.signer, RemoteSigner):
            self.signer.close()
        self.chain.close()
        self.journal.close()


@contextmanager
def _session(path: Path, *, live: bool, standby: bool = False) -> Iterator[_Session]:
    config = load_config(path)
    patience_secs = LEASE_SHARE * config.jobs.tick_secs
    with held(config.journal, patience_secs, standby=standby) as lease:
        session = _Session(config, lease, live=live)
        try:
            yield session
        finally:
            session.close()


@contextmanager
def _one_line() -> Iterator[None]:
    """Turn our own errors into one line and an exit code."""
    try:
        yield
    except ConfigInvalid as error:
        _die(USAGE, str(error))
    except (Halt, JournalDamaged) as error:
        _die(HALT, str(error))
    except Fault as error:
        _die(FAULT, str(error))


def _die(code: int, words: str) -> None:
    typer.echo(f"hedgevault: {words}", err=True)
    raise typer.Exit(code)


def _show(place: str, findings: list[Finding], hide: Redactor) -> None:
    typer.echo(f"{place}:")
    for finding in findings:
        adapts = f" -> {finding.adapts}" if finding.adapts else ""
        typer.echo(hide(f"{finding.mark:<5} {finding.what}: {finding.found}{adapts}"))


def _node(config: Config, *, timeout_secs: float | None = None) -> Node:
    section = config.chain
    return Node(
        rpc_url=section.rpc_url,
        chain_id=section.chain_id,
        lens=config.lens,
        timeout_secs=timeout_secs or section.request_timeout_secs,
        attempts=section.attempts,
        other_rpc_urls=section.other_rpc_urls,
        quorum=section.quorum,
        max_lag_blocks=section.max_lag_blocks,
        max_requests_a_sec=section.max_requests_a_sec,
        send_url=section.send_url,
        send_private=section.send_mode == "private",
        head_max_age_secs=section.head_max_age_secs if section.clock == "wall" else None,
    )


def _chain(config: Config, *, timeout_secs: float | None = None) -> Chain:
    """Return the chain to look at; whoever only looks needs no alert target."""
    log = _logger(config, Redactor(_secrets(config)))
    return Chain(_node(config, timeout_secs=timeout_secs), log=log)


def _signer(config: Config) -> Signer | RemoteSigner:
    section, chain_id = config.signer, config.chain.chain_id
    if section is None:
        raise ConfigInvalid("signer: is missing")
    if section.key_env is not None:
        key = os.environ.get(section.key_env)
        if not key:
            raise ConfigInvalid(f"signer.key_env: {section.key_env} is not set")
        return signer_from_key(key, chain_id)
    if section.url is not None and section.address is not None:
        return RemoteSigner(section.url, Address(section.address), chain_id, section.timeout_secs)
    if section.keystore is None:
        raise ConfigInvalid("signer: give one of keystore, key_env and url")
    keystore = config.folder / section.keystore
    return signer_from_keystore(keystore, _password(section, keystore, config.folder), chain_id)


def _password(section: SignerSection, keystore: Path, folder: Path) -> str:
    if section.password_file is not None:
        return password_in(folder / section.password_file)
    if section.password_env is not None:
        password = os.environ.get(section.password_env)
        if password is None:
            raise ConfigInvalid(f"signer.password_env: {section.password_env} is not set")
        return password
    return password_typed(keystore)


def _journal(settings: Config) -> Journal:
    """Return the journal that a keeper has written."""
    return Journal.existing(settings.journal, settings.chain.chain_id)


def _evidence(settings: Config, first_block: int | None) -> list[VaultEvidence]:
    journal = _journal(settings)
    chain = _chain(settings, timeout_secs=LOGS_TIMEOUT_SECS)
    first = settings.first_block if first_block is None else first_block
    try:
        return collect(chain, journal, settings.vaults, first)
    finally:
        chain.close()
        journal.close()


def _orders(config: Config, *, live: bool) -> Orders:
    fees = config.fees
    return Orders(
        vaults=config.vaults,
        policy=config.policy,
        safety=config.safety,
        fees=Fees(
            max_fee=int(fees.max_fee_gwei * GWEI),
            priority_fee=int(fees.priority_fee_gwei * GWEI),
            max_gas=fees.max_gas,
            gas_margin_bps=fees.gas_margin_bps,
            replace_after_secs=fees.replace_after_secs,
            max_replacements=fees.max_replacements,
        ),
        live=live,
        kill_file=config.kill_file,
        confirmations=config.chain.confirmations,
        receipt_wait_secs=config.jobs.receipt_wait_secs,
    )


def _watch(session: _Session) -> Watch:
    watch = Watch(
        session.config,
        chain=session.chain,
        journal=session.journal,
        orders=session.orders,
        hide=session.hide,
        log=session.log,
    )
    session.keeper.witness = watch.observer
    return watch


def _jobs(session: _Session, watch: Watch) -> Jobs:
    section, keeper, upkeep = session.config.jobs, session.keeper, session.config.upkeep
    care = Job(
        name="upkeep",
        every_secs=upkeep.every_secs,
        deadline_secs=upkeep.deadline_secs,
        run=_caretaker(session).run,
    )
    return Jobs(
        [
            *([care] if upkeep.do else []),
            Job(
                name="tick",
                every_secs=section.tick_secs,
                deadline_secs=section.tick_deadline_secs,
                run=keeper.tick,
            ),
            Job(
                name="margin watch",
                every_secs=section.margin_watch_secs,
                deadline_secs=section.margin_watch_deadline_secs,
                run=keeper.watch,
                longest_backoff_secs=section.margin_watch_secs,  # margin does not wait
            ),
        ],
        log=session.log,
        on_result=watch.observer.ran,
    )


def _caretaker(session: _Session) -> Caretaker:
    config, section = session.config, session.config.upkeep
    first = config.first_block if section.first_block is None else section.first_block
    return Caretaker(
        chain=session.chain,
        journal=session.journal,
        orders=session.orders,
        chores=Chores(
            names=frozenset(section.do),
            safety=config.upkeep_safety,
            least_reward=section.least_reward,
            first_block=first,
        ),
        signer=session.signer,
        lease=session.lease,
        log=session.log,
    )


def _redactor(config: Config) -> Redactor:
    """Return what keeps the secrets of this configuration out of words."""
    return Redactor([*_secrets(config), *alert_urls(config)])


def _secrets(config: Config) -> list[str]:
    section, urls = config.signer, config.chain.urls
    key = os.environ.get(section.key_env, "") if section and section.key_env else ""
    if section is not None and section.url is not None:
        urls = (*urls, section.url)
    journal = config.journal
    password = [] if isinstance(journal, Path) or not journal.password else [journal.password]
    return [*urls, *secrets_of(urls), key.removeprefix("0x"), *password]


def _logger(config: Config, hide: Redactor) -> Any:
    """Return a logger that writes one line an event to stderr."""
    plain = config.log.format == "console" or (config.log.format == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=False)
        if plain
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            hide.line,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
    return structlog.get_logger("keeper")


def _explain(row: DecisionRow) -> bool:
    """Print a decision; return whether its recorded inputs give it again."""
    again, same = made_again(row)
    block = row.snapshot.block
    typer.echo(f"decision {row.id}  0x{row.decision_id}")
    typer.echo(f"vault {row.snapshot.vault.vault}  block {block.number}  time {block.at}")
    typer.echo(f"{row.kind}: {row.reason}")
    if row.objection:
        typer.echo(f"not sent: {row.objection}")
    for line in again.lines:
        typer.echo(_sum_line(line))
    if isinstance(again, Rebalance):
        typer.echo(f"plan hash 0x{plan_hash(again.plan).hex()}")
    wrong = recompute(again.lines)
    typer.echo("made again from the recorded inputs: " + ("the same" if same else "DIFFERENT"))
    said = "all right" if wrong is None else f"{wrong.name} WRONG"
    typer.echo(f"each derived line recomputed: {said}")
    return same and wrong is None


def _sum_line(line: Line) -> str:
    source = line.formula if line.formula.startswith(("= ", "search: ")) else f"= {line.formula}"
    return f"  {line.name:<24} {line.value:>36,} {line.unit:<24} {source}".rstrip()


app.command("kill")(_one_line()(kill_command.kill))
app.command("ratio")(_one_line()(ratio_command.ratio))
app.command("replay")(_one_line()(replay_command.replay))
backtest_command.register(app)
