# SPDX-License-Identifier: MIT
"""
Write the ABIs that the keeper ships: `python -m scripts.export_abi`.

Only the front end of the compiler runs, so this takes seconds. The result is sorted, hence a change
of an ABI shows as a small difference in version control.
"""

import json
import sysconfig
from pathlib import Path
from typing import Any

import vyper
from vyper.compiler.input_bundle import FilesystemInputBundle

from keeper.abi import CONTRACTS, PARTS, joined

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "contracts"
TARGET = ROOT / "keeper" / "abi"


def interface(contract: str) -> list[dict[str, Any]]:
    """Return the ABI of a contract, or of all that answer at its address."""
    if contract in PARTS:
        return joined(compiled_abi(part) for part in PARTS[contract])
    return compiled_abi(contract)


def compiled_abi(contract: str) -> list[dict[str, Any]]:
    """Return the ABI of `contracts/<contract>.vy`, sorted by kind and name."""
    return sorted(read_abi(contract), key=lambda entry: (entry["type"], entry.get("name", "")))


def read_abi(contract: str) -> list[dict[str, Any]]:
    """Return the ABI as the front end of the compiler gives it."""
    bundle = FilesystemInputBundle([Path(sysconfig.get_path("purelib")), ROOT, SOURCES])
    source = bundle.load_file(SOURCES / f"{contract}.vy")
    output = vyper.compile_from_file_input(source, input_bundle=bundle, output_formats=["abi"])
    entries: list[dict[str, Any]] = output["abi"]
    return entries


def as_text(abi: list[dict[str, Any]]) -> str:
    """Return one entry a line."""
    lines = ",\n".join(json.dumps(entry, separators=(",", ":"), sort_keys=True) for entry in abi)
    return f"[\n{lines}\n]\n"


def main() -> None:
    """Write every ABI and say which changed."""
    for contract in CONTRACTS:
        path = TARGET / f"{contract}.json"
        text = as_text(interface(contract))
        changed = not path.exists() or path.read_text(encoding="utf-8") != text
        path.write_text(text, encoding="utf-8")
        print(f"{contract}: {'written' if changed else 'unchanged'}")


if __name__ == "__main__":
    main()
