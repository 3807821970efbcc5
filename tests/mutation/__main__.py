# SPDX-License-Identifier: MIT
"""
Break the vault's contracts in small ways and report what no test notices.

``python -m tests.coverage`` comes first: it says which tests run which lines.
"""

from __future__ import annotations

import argparse
import sys

from tests.mutation.campaign import Campaign, sample
from tests.mutation.report import explanations, report


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    options.add_argument("--count", type=int, default=200, help="mutants that count (%(default)s)")
    options.add_argument("--seed", type=int, default=4, help="which ones (%(default)s)")
    options.add_argument("--budget", type=float, default=60, help="seconds of tests for a mutant")
    options.add_argument("--timeout", type=int, default=300, help="seconds until it is given up")
    options.add_argument("--file", default="", help="only mutants of files whose name has this")
    options.add_argument("--report", action="store_true", help="try nothing")
    chosen = options.parse_args()
    mutants = [mutant for mutant in sample(chosen.seed) if chosen.file in mutant.file]
    results = []
    campaign = Campaign(chosen.budget, chosen.timeout)
    tried = campaign.stored(mutants) if chosen.report else campaign.carry_out(mutants, chosen.count)
    for result in tried:
        results.append(result)
        mutant = result.mutant
        print(
            f"{len(results):4} {result.outcome:12} {mutant.file}:{mutant.line} {mutant.kind}: "
            f"{mutant.was}  ->  {mutant.now}",
            flush=True,
        )
    text, complaints = report(results, explanations())
    print(text)
    return bool(complaints)


if __name__ == "__main__":
    sys.exit(main())
