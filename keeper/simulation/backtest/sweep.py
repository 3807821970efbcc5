# SPDX-License-Identifier: MIT
"""
Many policies on one path, on all cores, into Parquet files, to be taken up again where it ended.

Each policy's figures are one file, named by the hash of what they rest on, written whole or not
at all. A sweep that was interrupted skips what is there; `collect` reads them as one table.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from keeper.policy import Policy, policy_fault
from keeper.simulation.backtest.defaults import Setup
from keeper.simulation.backtest.fast import Bars, play
from keeper.simulation.backtest.figures import figures

SCHEMA: Final = 1  # of the files; another number is another sweep
_loaded: dict[str, Any] = {}  # of a worker: path and setup, sent once


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
    on_done: Callable[[int, int], None] = lambda *_: None,
) -> pa.Table:
    """
    Return the figures of every policy, one row each, computing those that are not in `folder`.

    Parameters
    ----------
    workers : int, optional
        Processes; as many as cores by default.
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
        with ProcessPoolExecutor(workers, initializer=_load, initargs=(path, setup)) as pool:
            jobs = [pool.submit(_run, policy, files[policy]) for policy in missing]
            for n, job in enumerate(as_completed(jobs), len(policies) - len(missing) + 1):
                job.result()
                on_done(n, len(policies))
    return collect(files.values())


def collect(files: Iterator[Path] | Sequence[Path] | Any) -> pa.Table:
    """Return the rows of the files as one table."""
    return pa.concat_tables([pq.read_table(file) for file in files])


def _load(path: Bars, setup: Setup) -> None:
    _loaded.update(path=path, setup=setup)


def _run(policy: Policy, file: Path) -> None:
    """Play one policy and write its row; a file appears only when it is complete."""
    result = play(_loaded["path"], _loaded["setup"], policy)
    one = figures(result, "all", 0, len(result.spot) - 1)
    row: dict[str, Any] = {name: getattr(policy, name) for name in policy.__slots__}
    row |= {
        "hedged": one.hedged,
        "drawdown": one.hedged_drawdown,
        "effectiveness": one.effectiveness,
        **one.causes,
        **one.counts,
    }
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
