# SPDX-License-Identifier: MIT
"""Statements and branches of a Vyper file, by line."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from vyper import ast as vyper_ast
from vyper.ast.parse import parse_to_ast

STATEMENTS = (
    vyper_ast.AnnAssign,
    vyper_ast.Assert,
    vyper_ast.Assign,
    vyper_ast.AugAssign,
    vyper_ast.Break,
    vyper_ast.Continue,
    vyper_ast.Expr,
    vyper_ast.For,
    vyper_ast.If,
    vyper_ast.Log,
    vyper_ast.Pass,
    vyper_ast.Raise,
    vyper_ast.Return,
)
WITHOUT_CODE = (vyper_ast.Pass, vyper_ast.Break, vyper_ast.Continue)


@dataclass(frozen=True)
class Branch:
    """
    An ``if``: the lines of its body and of the other way, and whether the body is silent.

    A body that only jumps says nothing: the compiler's map gives it no code of its own, or code
    that runs whichever way it goes. Any line after it but one of the other way says that it ran;
    the heads of what stands around it, where ways meet again, say nothing either.
    """

    body: range
    otherwise: range
    around: frozenset[int]
    silent: bool

    def went(self, line: int | None) -> bool:
        """Tell which way it was from the line that ran next in its function, if one did."""
        return line not in self.otherwise if self.silent else line in self.body

    def tells(self, line: int) -> bool:
        """Tell whether a line that runs after the condition says which way it went."""
        return not (self.silent and (line in self.body or line in self.around))


@dataclass(frozen=True)
class ContractSource:
    """What a file has to run; `statement_at` says which statement, by first line, a line is of."""

    statements: frozenset[int]
    statement_at: dict[int, int]
    function_at: dict[int, int]
    branches: dict[int, Branch]

    @property
    def outcomes(self) -> frozenset[tuple[int, bool]]:
        """Return both ways out of each condition."""
        return frozenset((line, way) for line in self.branches for way in (True, False))


@lru_cache
def contract_source(path: Path) -> ContractSource:
    """Read a file; what generates no code of its own is left out."""
    statements: set[int] = set()
    statement_at: dict[int, int] = {}
    function_at: dict[int, int] = {}
    branches: dict[int, Branch] = {}
    for function in parse_to_ast(path.read_text()).get_children(vyper_ast.FunctionDef):
        for line in range(_first_line(function), function.end_lineno + 1):
            function_at[line] = function.lineno
        found = function.get_descendants(STATEMENTS)
        # Outer statements first, so that inner ones take their lines over.
        for node in sorted(found, key=lambda node: (node.lineno, -node.end_lineno)):
            if isinstance(node.get_ancestor(), vyper_ast.For) and _is_loop_variable(node):
                continue
            for line in range(node.lineno, node.end_lineno + 1):
                statement_at[line] = node.lineno
            if not isinstance(node, WITHOUT_CODE) and not _is_bare_return(node):
                statements.add(node.lineno)
            if isinstance(node, vyper_ast.If):
                body = range(node.body[0].lineno, node.body[-1].end_lineno + 1)
                silent = _is_silent(node.body[0])
                branches[node.lineno] = Branch(body, _otherwise(node), _around(node), silent)
    return ContractSource(frozenset(statements), statement_at, function_at, branches)


def _is_loop_variable(node: Any) -> bool:
    return node is getattr(node.get_ancestor(), "target", None)


def _is_silent(node: Any) -> bool:
    if isinstance(node, vyper_ast.Return):
        value = node.value
        parts = value.elements if isinstance(value, vyper_ast.Tuple) else [value]
        return all(map(_is_fixed, parts))
    return isinstance(node, WITHOUT_CODE)


def _is_fixed(value: Any) -> bool:
    """Tell whether a value is one that the compiler writes without a line of its own."""
    if isinstance(value, vyper_ast.Call):
        return getattr(value.func, "id", "") == "empty"
    return value is None or isinstance(value, vyper_ast.Constant)


def _is_bare_return(node: Any) -> bool:
    return isinstance(node, vyper_ast.Return) and node.value is None


def _otherwise(node: Any) -> range:
    """Return the lines after a false condition: to the block's end, or of the loop or function."""
    if node.orelse:
        return range(node.orelse[0].lineno, node.orelse[-1].end_lineno + 1)
    while True:
        above = node.get_ancestor()
        for block in (above.body, getattr(above, "orelse", [])):
            after = [other for other in block if other.lineno > node.end_lineno]
            if node in block and after:
                return range(after[0].lineno, after[-1].end_lineno + 1)
        if isinstance(above, vyper_ast.For):  # the next round; after the last one nothing tells
            return range(above.lineno, above.end_lineno + 1)
        if not isinstance(above, vyper_ast.If):
            return range(above.lineno, above.lineno + 1)
        node = above


def _around(node: Any) -> frozenset[int]:
    """Return the heads of the conditions and of the function that a condition stands in."""
    heads = []
    while not isinstance(node, vyper_ast.FunctionDef):
        node = node.get_ancestor()
        if not isinstance(node, vyper_ast.For):
            heads.append(node.lineno)
    return frozenset(heads)


def _first_line(function: Any) -> int:
    return min([function.lineno, *(node.lineno for node in function.decorator_list)])
