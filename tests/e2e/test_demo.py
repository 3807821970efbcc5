# SPDX-License-Identifier: MIT
"""What `make demo` runs, short, on both nodes and as its own process."""

import datetime
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[2]
HOURS = 8
TIMEOUT = 300  # seconds; it takes 15, more while the contracts are compiled first
FIGURES = ("nav", "exposure", "basis", "margin", "costs")

pytestmark = [pytest.mark.node, pytest.mark.slow]


def _demo(*words, timeout=TIMEOUT):
    command = [sys.executable, "-m", "scripts.demo", *words]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.mark.parametrize("node", ["anvil", "ganache"])
def test_demo__short__ends_hedged_proven_and_reported(node, tmp_path):
    done = _demo("--node", node, "--hours", str(HOURS), "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stdout + done.stderr
    table = done.stdout
    assert "FAILED" not in table
    for row in (
        "drawdown, hedged",
        "drawdown, unhedged",
        "transactions failed on chain           0",
        "RPC requests per idle tick             1.0",  # a busy machine may cost a repetition
        "state and audit head",
        "restarted; exit code 0",
        "8/8 hours",
        f"hedgevault dashboard --config {tmp_path / 'run' / 'hedgevault.toml'}",
    ):
        assert " ".join(row.split()) in " ".join(table.split()), row
    folder = tmp_path / "run"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(FIGURES)
    assert "all checks passed" in page
    for name in FIGURES:
        assert (folder / f"{name}.png").stat().st_size > 10_000
    _assert_journal(folder / "journal.sqlite")


def _assert_journal(path):
    """Every transaction ended, none failed, and each hour has a tick."""
    journal = sqlite3.connect(path)
    states = journal.execute("SELECT state, succeeded FROM transactions").fetchall()
    ticks = journal.execute("SELECT count(DISTINCT block_at / 3600) FROM ticks").fetchone()[0]
    journal.close()
    assert len(states) >= 3
    assert all(state in {"final", "failed"} and succeeded != 0 for state, succeeded in states)
    assert ticks >= HOURS


def test_demo__file_with_a_gap__one_line_and_no_traceback(tmp_path):
    start = datetime.datetime(2024, 8, 5, tzinfo=datetime.UTC)
    hours = [start + datetime.timedelta(hours=i) for i in range(20) if i != 7]
    rows = [f"{hour:%Y-%m-%dT%H:%M:%SZ},2500,2501" for hour in hours]
    path = tmp_path / "gap.csv"
    path.write_text("\n".join(["timestamp_utc,spot,perp", *rows]) + "\n", encoding="utf-8")
    done = _demo("--data", str(path), "--out", str(tmp_path / "run"), timeout=60)
    assert done.returncode == 1
    assert done.stderr == (
        "demo: gap.csv, line 9, column timestamp_utc: gap: 1 hours are missing before it\n"
    )


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (["--hours", "3"], "8 to 8784, not '3'"),
        (["--seed", "-1"], "a whole number from 0"),
        (["--from", "2024-8-1"], "a day as 2024-08-01"),
        (["--node", "geth"], "invalid choice"),
    ],
)
def test_demo__bad_option__refused_before_anything_starts(words, fact):
    done = _demo(*words, timeout=60)
    assert done.returncode == 2
    assert fact in done.stderr
    assert "Traceback" not in done.stderr


def test_demo__days_without_a_file__refused():
    done = _demo("--from", "2024-08-01", timeout=60)
    assert (done.returncode, done.stderr) == (
        1,
        "demo: --from and --to choose from a file: name it with --data\n",
    )


def test_demo__interrupted__leaves_no_process_behind(tmp_path):
    command = [
        sys.executable,
        "-m",
        "scripts.demo",
        "--hours",
        "96",
        "--out",
        str(tmp_path / "run"),
    ]
    demo = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        _wait_for((tmp_path / "run" / "journal.sqlite").exists, demo)
        children = _family(demo.pid)
        assert len(children) >= 2  # node and keeper
        demo.send_signal(signal.SIGINT)
        said, errors = demo.communicate(timeout=60)
    finally:
        demo.kill()
    assert demo.returncode == 130, said + errors
    assert "Traceback" not in said + errors
    deadline = time.monotonic() + 10
    while any(_alive(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in children if _alive(pid)]


def test_demo__live__shown_while_it_runs_and_until_ctrl_c(tmp_path):
    command = [sys.executable, "-m", "scripts.demo", "--live", "--hours", str(HOURS)]
    demo = subprocess.Popen(
        [*command, "--out", str(tmp_path / "run")],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        where = _line_with("dashboard: http", demo).split()[-1]
        assert "Hedge vault" in requests.get(where, timeout=10).text
        _line_with("until Ctrl-C", demo)
        page = requests.get(where, timeout=10).text
        assert "Live" in page
        assert "In order" in page
        demo.send_signal(signal.SIGINT)
        said, errors = demo.communicate(timeout=60)
    finally:
        demo.kill()
        demo.communicate()
    assert demo.returncode == 0, said + errors
    with pytest.raises(requests.ConnectionError):
        requests.get(where, timeout=5)


def _line_with(words, demo):
    for line in demo.stdout:
        if words in line:
            return line
    raise AssertionError(f"never said {words!r}: {demo.stderr.read()}")


def _wait_for(there, demo):
    deadline = time.monotonic() + TIMEOUT
    while not there():
        assert demo.poll() is None, "the demo ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _family(pid):
    """Return the processes that `pid` has started, with theirs."""
    listed = subprocess.run(
        ["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    parents = {int(child): int(parent) for child, parent in map(str.split, listed.splitlines())}
    found, pending = [], [pid]
    while pending:
        parent = pending.pop()
        born = [child for child, its_parent in parents.items() if its_parent == parent]
        found += born
        pending += born
    return found


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z")
