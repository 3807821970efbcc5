# SPDX-License-Identifier: MIT
"""
Measure anew and keep what was measured for the page of numbers.

    python -m scripts.docs_numbers
    python -m scripts.docs_numbers tests/bench/bench_dashboard.py
    python -m scripts.docs_numbers gas

Runs each bench alone and writes what it prints, with when and on what, into `docs/measured`; the
gas of README's table is always brought to that of the snapshot, by `gas` nothing else is done.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from scripts.docs_reference import GAS

ROOT: Final = Path(__file__).resolve().parents[1]
BENCHES: Final = ROOT / "tests" / "bench"
MEASURED: Final = ROOT / "docs" / "measured"
README: Final = ROOT / "README.md"
GAS_ROW: Final = re.compile(
    r"^\| (?P<what>[^|]+) \| [\d, /]+ \| (?P<target>[^|]*)\|$", re.MULTILINE
)
GAS_NAMES: Final = {  # what README calls the snapshot's figures
    "with margin": "rebalance with margin",
    "with spot": "rebalance with spot",
    "request a redemption": "request",
    "fill one": "fill one request",
    "fill fifty": "fill fifty requests",
    "propose to the owner": "propose",
    "execute a new hedge ratio": "execute set_hedge_ratio",
    "trade at the venue, opening": "trade, opening",
    "more": "trade, more",
    "in full": "liquidate in full",
    "deleverage three": "deleverage three accounts",
    "five accounts": "deleverage five accounts",
}
PROGRESS: Final = re.compile(r"^[.s]+$|^\d+ (passed|skipped|deselected)\b.*$")  # pytest's own


def main(paths: Sequence[str]) -> None:
    """Run the benches, all by default; one that fails leaves what it had."""
    README.write_text(with_gas(README.read_text("utf-8")), "utf-8")
    if list(paths) == ["gas"]:
        return
    MEASURED.mkdir(exist_ok=True)
    failed = [
        path for path in paths or sorted(map(str, BENCHES.glob("bench_*.py"))) if not _run(path)
    ]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def with_gas(readme: str) -> str:
    """Return README with the snapshot's gas in its table."""
    gas: dict[str, int] = json.loads(GAS.read_text("utf-8"))

    def row(found: re.Match[str]) -> str:
        names = [part.strip() for part in found["what"].split(" / ")]
        values = " / ".join(f"{gas[GAS_NAMES.get(name, name)]:,}" for name in names)
        return f"| {found['what']} | {values} | {found['target']}|"

    head, mark, rest = readme.partition("| function | gas | target |")
    table, gap, rest = rest.partition("\n\n")
    return head + mark + GAS_ROW.sub(row, table) + gap + rest


def measured() -> str:
    """Return everything that was measured last, bench by bench, as Markdown."""
    parts = []
    for path in sorted(MEASURED.glob("*.txt")):
        parts += [f"### {path.stem.replace('_', ' ')}", f"```text\n{path.read_text('utf-8')}```"]
    return "\n\n".join(parts)


def _run(path: str) -> bool:
    name = Path(path).stem.removeprefix("bench_")
    print(f"{name} ...", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-c", str(ROOT / "pyproject.toml")]
    load = os.getloadavg()[0]
    done = subprocess.run(
        [*command, "-o", "python_files=bench_*.py", "-o", "norecursedirs=", path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stdout[-2_000:] + done.stderr[-2_000:])
        return False
    said = printed(done.stdout)
    when = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {load:.1f} before"
    (MEASURED / f"{name}.txt").write_text(f"{when}\n{said}\n", "utf-8")
    return True


def printed(output: str) -> str:
    r"""
    Return what benches printed, without pytest's own lines.

    >>> printed("\\nidle tick: 7.4 ms\\n.\\n1 passed in 2.00s\\n")
    'idle tick: 7.4 ms'
    """
    lines = [line.rstrip() for line in output.splitlines()]
    return "\n".join(line for line in lines if line and not PROGRESS.match(line))


if __name__ == "__main__":
    main(sys.argv[1:])
