# SPDX-License-Identifier: MIT
"""
Many policies on one path, on all cores, into Parquet files, to be taken up again where it ended.

Each policy's figures are one file, named by the hash of what they rest on, written whole or not
at all. A sweep that was interrupted skips what is there; `collect` reads them as one table.
Workers are processes of this machine, or those of a Dask cluster (`distributed`): path and system
are sent to each once, rows come back, and only this process writes files.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from keeper.policy import Policy, policy_fault
from keeper.simulation.backtest.defaults import Setup
from keeper.simulation.backtest.fast import Bars, play
from keeper.simulation.backtest.figures import figures

Row = dict[str, Any]

SCHEMA: Final = 2  # of the files; another number is another sweep
LOCAL: Final = "local"
CONNECT_SECS: Final = 10.0
_loaded: dict[str, Any] = {}  # of a worker: path and setup, sent once


class ClusterUnavailable(Exception):
    """There is no cluster to work on; the text says why, in one line."""


def grid(base: Policy, axes: Mapping[str, Sequence[int]]) -> list[Policy]:
    """
    Return every combination of the fields' values; those that make no sense are left out.

    Raises
    ------
    ValueError
        If none makes sense.
    """
    made = [
        replace(base, **dict(zip(axes, values, strict=True)))
        for values in itertools.product(*axes.values())
    ]
    good = [policy for policy in made if policy_fault(policy) is None]
    if not good:
        raise ValueError(f"no policy of {len(made)} makes sense: {policy_fault(made[0])}")
    return good


def sweep(
    path: Bars,
    setup: Setup,
    policies: Sequence[Policy],
    folder: Path,
    *,
    workers: int | None = None,
    cluster: str | None = None,
    on_done: Callable[[int, int], None] = lambda *_: None,
) -> pa.Table:
    """
    Return the figures of every policy, one row each, computing those that are not in `folder`.

    Parameters
    ----------
    workers : int, optional
        Processes; as many as cores by default.
    cluster : str, optional
        Address of a Dask scheduler, ``tcp://host:8786``, or ``local`` for one of `workers` here.
    on_done : callable
        Told how many are done of how many.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = _fingerprint(path, setup)
    files = {policy: folder / f"{_key(about, policy)}.parquet" for policy in policies}
    missing = [policy for policy, file in files.items() if not file.exists()]
    on_done(len(policies) - len(missing), len(policies))
    if missing:
        workers = min(workers or os.cpu_count() or 1, len(missing))
        rows = (
            _on_processes(path, setup, missing, workers)
            if cluster is None
            else _on_cluster(path, setup, missing, cluster, workers)
        )
        for done, (policy, row) in enumerate(rows, len(policies) - len(missing) + 1):
            _write(row, files[policy])
            on_done(done, len(policies))
    return collect(files.values())


def _on_processes(
    path: Bars, setup: Setup, policies: Sequence[Policy], workers: int
) -> Iterator[tuple[Policy, Row]]:
    """Yield policies with their rows as they are done, by processes of this machine."""
    with ProcessPoolExecutor(workers, initializer=_load, initargs=(path, setup)) as pool:
        jobs = {pool.submit(_loaded_row, policy): policy for policy in policies}
        for job in as_completed(jobs):
            yield jobs[job], job.result()


def _on_cluster(
    path: Bars, setup: Setup, policies: Sequence[Policy], address: str, workers: int
) -> Iterator[tuple[Policy, Row]]:
    """
    Yield policies with their rows as they are done, by the workers of a Dask cluster.

    Raises
    ------
    ClusterUnavailable
        If `distributed` is not installed or the scheduler does not answer.
    """
    try:
        from distributed import Client, LocalCluster  # noqa: PLC0415 - an extra, slow to load
        from distributed import as_completed as as_done  # noqa: PLC0415 - the same
    except ImportError:
        raise ClusterUnavailable("distributed is not installed: extra `simulation`") from None
    with ExitStack() as closing:
        if address == LOCAL:
            address = closing.enter_context(
                LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
            )
        try:
            client = closing.enter_context(Client(address, timeout=CONNECT_SECS))
        except (OSError, ValueError, TimeoutError) as fault:
            raise ClusterUnavailable(f"no Dask scheduler at {address}: {fault}") from None
        sent = client.scatter((path, setup), broadcast=True)
        jobs = {client.submit(_row_of, sent, policy, pure=False): policy for policy in policies}
        for job in as_done(jobs):
            yield jobs[job], job.result()


def collect(files: Iterator[Path] | Sequence[Path] | Any) -> pa.Table:
    """Return the rows of the files as one table."""
    return pa.concat_tables([pq.read_table(file) for file in files])


def _load(path: Bars, setup: Setup) -> None:
    _loaded.update(path=path, setup=setup)


def _loaded_row(policy: Policy) -> Row:
    return _row(_loaded["path"], _loaded["setup"], policy)


def _row_of(sent: tuple[Bars, Setup], policy: Policy) -> Row:
    return _row(*sent, policy)


def _row(path: Bars, setup: Setup, policy: Policy) -> Row:
    """Play one policy and return its row."""
    result = play(path, setup, policy)
    one = figures(result, "all", 0, len(result.spot) - 1)
    return {
        **{name: getattr(policy, name) for name in policy.__slots__},
        "hedged": one.hedged,
        "drawdown": one.hedged_drawdown,
        "effectiveness": one.effectiveness,
        **one.causes,
        **one.counts,
    }


def _write(row: Row, file: Path) -> None:
    """Write a row; a file appears only when it is complete."""
    partial = file.with_suffix(f".{os.getpid()}.partial")
    pq.write_table(pa.table({name: [value] for name, value in row.items()}), partial)
    partial.replace(file)


def _fingerprint(path: Bars, setup: Setup) -> bytes:
    digest = hashlib.sha256(repr((SCHEMA, setup)).encode())
    for column in path:
        digest.update(column.tobytes())
    return digest.digest()


def _key(about: bytes, policy: Policy) -> str:
    return hashlib.sha256(about + policy.encode()).hexdigest()[:24]
