# SPDX-License-Identifier: MIT
"""
The reference pages of the documentation: contracts from their natspec, keys from their schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from keeper.config import ConfigFile
from keeper.errors import REASONS
from keeper.template import NOTES, template

ROOT: Final = Path(__file__).resolve().parents[1]
CONTRACTS: Final = ROOT / "contracts"
GAS: Final = ROOT / "tests" / "gas_snapshot.json"
SPECIAL: Final = re.compile(r"([*_>\[\]|])")
ITEM: Final = re.compile(r"\n\s*(?=\d\. )")  # of a numbered list
TAG: Final = re.compile(r"^\s*@(custom:\w+|\w+)\s*", re.MULTILINE)
HIDDEN: Final = ("__default__", "__init__")
FUNCTION: Final = re.compile(
    r"^@external\n(?P<marks>(?:@\w+\n)*)def (?P<head>\w+\(.*?\)(?: -> .+?)?):\n"
    r"(?:    \"\"\"(?P<doc>.*?)\"\"\")?",
    re.DOTALL | re.MULTILINE,
)
EVENT: Final = re.compile(
    r"^event (?P<name>\w+):(?P<note>[^\n]*)\n(?P<body>(?:    .*\n)+)", re.MULTILINE
)
CONTRACTS_WORDS: Final = (
    "Made from the natspec of the sources while this page was built. A function that a contract "
    "exports from a module is described at the module."
)
CONFIGURATION_WORDS: Final = (
    "Made from the schema that checks `hedgevault.toml`. `hedgevault init` writes the file with "
    "all of it explained; unknown keys are refused, and every mistake is one clause that names "
    "the field."
)
SECTION_WORDS: Final = {
    "title": "", "notice": "", "dev": "How it works", "custom:units": "Units",
    "custom:rounding": "Rounding", "custom:halt": "How it is stopped, and what still works",
}  # fmt: skip


# Contracts


def contracts_page() -> str:
    """Return all deployed contracts with their functions and events."""
    parts = ["# Contract reference", CONTRACTS_WORDS]
    for path in sorted(CONTRACTS.glob("*.vy")):
        parts += _contract(path)
    parts += ["## Modules", "Mechanism without policy; the contracts above decide who may call it."]
    for path in sorted((CONTRACTS / "modules").glob("*.vy")):
        parts += _head(path, "###")
    return "\n\n".join(parts) + "\n"


def _contract(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    interface = CONTRACTS / "interfaces" / f"I{path.stem}.vyi"
    promised = interface.read_text(encoding="utf-8") if interface.exists() else ""
    told = {_name(found): found["doc"] or "" for found in FUNCTION.finditer(promised)}
    yield from _head(path, "##")
    for found in FUNCTION.finditer(text):
        if _name(found) in HIDDEN:
            continue
        marks = [mark for mark in re.findall(r"\w+", found["marks"]) if mark != "external"]
        yield f"### {path.stem}.{_escaped(_name(found))}"
        yield f"```vyper\n{_signature(found['head'])}\n```"
        if marks:
            yield f"*{', '.join(marks)}*"
        yield from _tags(found["doc"] or told.get(_name(found), ""), bare=True)
    yield from _events(path.stem, promised)


def _signature(head: str) -> str:
    """Return a function's head with one space where the source breaks the line."""
    return _one_line(head).replace("( ", "(").replace(", )", ")")


def _name(function: re.Match[str]) -> str:
    return function["head"].partition("(")[0]


def _head(path: Path, level: str) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    found = re.search(r'^"""(.*?)"""', text, re.DOTALL | re.MULTILINE)
    yield f"{level} {path.stem}"
    yield from _tags(found[1] if found else "", bare=False)


def _tags(doc: str, *, bare: bool) -> Iterator[str]:
    """Yield what each tag of a docstring says; `bare` leaves the tags' own headings out."""
    pieces = TAG.split(doc)
    for tag, words in zip(pieces[1::2], pieces[2::2], strict=True):
        said = _escaped(_one_line(words)) if tag != "dev" or bare else _escaped_blocks(words)
        if not said:
            continue
        if tag == "custom:access":
            yield _access_table(words)
        elif tag == "param":
            name, _, rest = said.partition(" ")
            yield f"- `{name}`: {rest}"
        elif tag == "return":
            yield f"- returns: {said}"
        elif bare or not SECTION_WORDS.get(tag):
            yield f"**{said}**" if tag == "title" else said
        else:
            yield f"**{SECTION_WORDS[tag]}.** {said}"


def _access_table(words: str) -> str:
    """Return the table of who may do what, whose columns stand two spaces or more apart."""
    rows = ["| call | who | when |", "|---|---|---|"]
    for line in words.strip().splitlines():
        cells = [_escaped(cell) for cell in re.split(r" {2,}", line.strip())]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _events(name: str, text: str) -> Iterator[str]:
    found = list(EVENT.finditer(text))
    if not found:
        return
    yield f"### {name}: events"
    rows = ["| event | fields |", "|---|---|"]
    for event in found:
        body = re.sub(r"#.*", "", event["body"])
        fields = ", ".join(f"`{line.strip()}`" for line in body.splitlines() if line.strip())
        note = _escaped(event["note"].strip(" #"))
        rows.append(f"| `{event['name']}` {note} | {fields} |")
    yield "\n".join(rows)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _escaped(text: str) -> str:
    """Return words of a comment such that Markdown leaves all but `code` alone."""
    pieces = text.split("`")
    even = len(pieces) % 2  # a lone backtick quotes nothing
    return "`".join(
        piece.replace("|", "\\|")
        if i % 2 and even
        else SPECIAL.sub(r"\\\1", piece).replace("<", "&lt;")
        for i, piece in enumerate(pieces)
    )


def _escaped_blocks(text: str) -> str:
    """Return paragraphs as paragraphs and what is indented deeper as formulas."""
    blocks = [block.strip("\n") for block in re.split(r"\n\s*\n", text)]
    lines = [line for block in blocks for line in block.splitlines()[1:]]
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    out = []
    for block in blocks:
        first = block.splitlines()[0] if block.splitlines() else ""
        deeper = len(first) - len(first.lstrip()) >= margin + 4
        if deeper and block is not blocks[0]:
            out.append(
                "```text\n" + "\n".join(line[margin:] for line in block.splitlines()) + "\n```"
            )
        elif block.strip():
            items = ITEM.split(block)
            out.append("\n".join(_escaped(_one_line(item)) for item in items))
    return "\n\n".join(out)


# Configuration


def configuration_page() -> str:
    """Return every key of `hedgevault.toml` by table."""
    notes = _notes()
    parts = ["# Configuration reference", CONFIGURATION_WORDS]
    parts += _table("The top of the file", "", ConfigFile, notes)
    for name, field in ConfigFile.model_fields.items():
        section = _section_of(field)
        if section is not None:
            title = f"`[[{name}]]`" if name == "vaults" else f"`[{name}]`"
            parts += _table(title, name, section, notes)
    return "\n\n".join(parts) + "\n"


def _section_of(field: FieldInfo) -> type[BaseModel] | None:
    kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)


def _table(
    title: str, table: str, section: type[BaseModel], notes: dict[str, str]
) -> Iterator[str]:
    rows = ["| key | type | default | what it is |", "|---|---|---|---|"]
    for name, field in section.model_fields.items():
        if not table and _section_of(field) is not None:
            continue
        cells = (
            f"`{name}`",
            _kind(field),
            _default(field),
            _escaped(notes.get(f"{table}.{name}", "")),
        )
        rows.append(f"| {' | '.join(cells)} |")
    yield f"## {title}"
    words = (section.__doc__ or "").strip().partition(": ")[2]
    if words and table:
        yield _escaped(words[0].upper() + words[1:])
    yield "\n".join(rows)


def _kind(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(rule, name):,}"
        for rule in field.metadata
        for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
        if getattr(rule, name, None) is not None
    ]
    return f"{_type_words(field.annotation)} {', '.join(bounds)}".strip()


def _type_words(kind: Any) -> str:
    """Return a type as a person names it: `Optional` and `Annotated` are taken off."""
    inside = [part for part in get_args(kind) if part is not type(None)]
    if get_origin(kind) is Literal:
        return " or ".join(f"`{choice}`" for choice in inside)
    if get_origin(kind) is tuple:
        return f"list of {_type_words(inside[0])}"
    if inside:
        return _type_words(inside[0])
    words = {"str": "text", "int": "whole number", "float": "number", "Decimal": "number"}
    name = str(getattr(kind, "__name__", kind))
    return words.get(name, name.lower())


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value: Any = field.default
    return "none" if value is None else f"`{value}`" if str(value) else "none"


def _notes() -> dict[str, str]:
    """Return what the written file says of each key, by `table.key`, lines that go on joined."""
    notes = {f"policy.{name}": note for name, note in NOTES.items()}
    table = last = ""
    for line in template().splitlines():
        head = re.match(r"#? ?\[+(\w+)\]+$", line)
        key = re.match(r"#? ?(\w+) = .*?(?:\s# (.*))?$", line)
        more = re.match(r"#\s{10,}# (.*)", line)
        if head:
            table, last = head[1], ""
        elif key:
            last = f"{table}.{key[1]}"
            notes.setdefault(last, key[2] or "")
        elif more and last:
            notes[last] = f"{notes[last]} {more[1]}"
    return notes


# Reasons and gas


def reasons_page() -> str:
    """Return every reason for which the contracts refuse, in plain words."""
    parts = [
        "# What a refusal means",
        "Scripts, keeper and dashboard say these sentences beside the contracts' own words.",
    ]
    modules = sorted({reason.partition(":")[0] for reason in REASONS})
    for module in modules:
        rows = ["| reason | what it means |", "|---|---|"]
        reasons = sorted(reason for reason in REASONS if reason.startswith(f"{module}:"))
        rows += [f"| `{reason}` | {_escaped(REASONS[reason])} |" for reason in reasons]
        parts += [f"## {module}", "\n".join(rows)]
    return "\n\n".join(parts) + "\n"


def gas_table() -> str:
    """Return the gas of each function as the snapshot test has it."""
    figures: dict[str, int] = json.loads(GAS.read_text(encoding="utf-8"))
    rows = ["| function | gas |", "|---|---:|"]
    return "\n".join([*rows, *(f"| {name} | {gas:,} |" for name, gas in figures.items())])
