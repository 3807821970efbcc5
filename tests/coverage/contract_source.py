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
    """An ``if``: its first line, the last one of its condition, and the lines of its body."""

    line: int
    condition_end: int
    body: range


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
            if not isinstance(node, WITHOUT_CODE):
                statements.add(node.lineno)
            if isinstance(node, vyper_ast.If):
                body = range(node.body[0].lineno, node.body[-1].end_lineno + 1)
                branches[node.lineno] = Branch(node.lineno, node.test.end_lineno, body)
    return ContractSource(frozenset(statements), statement_at, function_at, branches)


def _is_loop_variable(node: Any) -> bool:
    return node is getattr(node.get_ancestor(), "target", None)


def _first_line(function: Any) -> int:
    return min([function.lineno, *(node.lineno for node in function.decorator_list)])
