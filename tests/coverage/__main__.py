# SPDX-License-Identifier: MIT
"""
Run the tests of the contracts, and report which statements and branches they ran.

``--report`` only reads what earlier runs recorded; name tests to record only these anew.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from tests.coverage.recorder import ROOT
from tests.coverage.report import (
    coverage_of,
    deployed_files,
    explanations,
    lines_with_code,
    read_records,
    report,
)

TESTS = ("tests/unit/contracts", "tests/property/contracts", "tests/incidents", "tests/stateful")


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.coverage", description=__doc__)
    options.add_argument("tests", nargs="*", default=TESTS)
    options.add_argument("--report", action="store_true", help="run nothing")
    chosen = options.parse_args()
    if not chosen.report:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.coverage.recorder"]
        subprocess.run([*command, *chosen.tests], cwd=ROOT, check=True)
    lines, outcomes = read_records()
    with_code = lines_with_code()
    covered = [coverage_of(file, with_code, lines, outcomes) for file in deployed_files()]
    text, complaints = report(covered, explanations())
    print(text)
    return bool(complaints)


if __name__ == "__main__":
    sys.exit(main())
