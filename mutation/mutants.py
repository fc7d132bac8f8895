"""What can be changed in a module: small edits of its source, found in its syntax tree.

An edit replaces the text of one node by other text on as many lines, so that line numbers stay those of the
original and coverage tells which tests reach it. Left alone, because no test should notice: docstrings,
messages for people, values of enumerations, annotations, ``__all__``, ``__slots__``, blocks for typing.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CODE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")
WORD = re.compile(r"[A-Za-z0-9_.:-]{1,40}")
COMPARISONS = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE,),
    ast.LtE: (ast.Lt,),
    ast.Gt: (ast.GtE,),
    ast.GtE: (ast.Gt,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
MESSAGE_KEYWORDS = frozenset({"action", "reason", "message", "help"})
RECORDERS = {"fail": 2, "failed": 2, "not_checked": 2, "not_applicable": 1}
QUIET_NAMES = frozenset({"__all__", "__slots__"})


@dataclass(frozen=True, slots=True)
class Mutant:
    """One edit.

    Attributes:
        path: The file, relative to the project.
        scope: The function or class that holds the edit, dotted; ``<module>`` outside of both.
        line: First line of the statement that holds the replaced text.
        last_line: Last line of the replaced text.
        runs_at_import: True when the text is executed while the module is imported.
        start: Offset of the replaced text in the file, in characters.
        end: Offset behind it.
        original: The replaced text, on one line.
        replacement: What stands there instead.
        number: Tells equal edits in one scope apart, from 0.
    """

    path: str
    scope: str
    line: int
    last_line: int
    runs_at_import: bool
    start: int
    end: int
    original: str
    replacement: str
    number: int

    @property
    def id(self) -> str:
        """A name that stays as long as the edited statement does."""
        again = f" #{self.number}" if self.number else ""
        return f"{self.path}:{self.scope}: {self.original} -> {self.replacement}{again}"

    def apply(self, source: str) -> str:
        """Return the module with the edit, every other line where it was."""
        lost = source.count("\n", self.start, self.end) - self.replacement.count("\n")
        return source[: self.start] + self.replacement + _filler(lost) + source[self.end :]


def _filler(lines: int) -> str:
    return "\\\n" * lines


def mutants(path: str, source: str) -> list[Mutant]:
    """Return every edit of a module, in the order of the source."""
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    found: list[Mutant] = []
    seen: dict[tuple[str, str, str], int] = {}
    tree = ast.parse(source)
    statements = _statement_lines(tree)
    for scope, at_import, node, replacement in _edits(tree):
        start = _offset(starts, lines, node.lineno, node.col_offset)
        end = _offset(starts, lines, node.end_lineno or node.lineno, node.end_col_offset or 0)
        original = re.sub(r"\s+", " ", source[start:end])
        key = (scope, original, replacement)
        number = seen[key] = seen.get(key, -1) + 1
        found.append(
            Mutant(
                path,
                scope,
                statements[node],
                node.end_lineno or node.lineno,
                at_import,
                start,
                end,
                original,
                replacement,
                number,
            )
        )
    found.sort(key=lambda mutant: (mutant.start, mutant.end, mutant.replacement))
    return [mutant for mutant in found if _compiles(mutant, source)]


def _statement_lines(tree: ast.Module) -> dict[ast.AST, int]:
    """Return for each node the first line of the innermost statement around it."""
    found: dict[ast.AST, int] = {}

    def walk(node: ast.AST, line: int) -> None:
        line = node.lineno if isinstance(node, ast.stmt) else line
        found[node] = line
        for child in ast.iter_child_nodes(node):
            walk(child, line)

    walk(tree, 1)
    return found


def _compiles(mutant: Mutant, source: str) -> bool:
    try:
        compile(mutant.apply(source), mutant.path, "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def _offset(starts: list[int], lines: list[str], line: int, column: int) -> int:
    text = lines[line - 1]
    return starts[line - 1] + len(text.encode()[:column].decode())


Edit = tuple[str, bool, ast.expr | ast.stmt, str]


def _edits(tree: ast.Module) -> Iterator[Edit]:
    yield from _block(tree.body, "<module>", at_import=True)


def _block(body: Sequence[ast.stmt], scope: str, *, at_import: bool) -> Iterator[Edit]:
    for index, statement in enumerate(body):
        if index == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        yield from _statement(statement, scope, at_import=at_import)


def _statement(node: ast.stmt, scope: str, *, at_import: bool) -> Iterator[Edit]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            inner = name if scope == "<module>" else f"{scope}.{name}"
            for default in (*node.args.defaults, *(item for item in node.args.kw_defaults if item)):
                yield from _expression(default, inner, at_import=at_import)
            yield from _block(node.body, inner, at_import=False)
        case ast.ClassDef(name=name):
            inner = name if scope == "<module>" else f"{scope}.{name}"
            if any(isinstance(base, ast.Name) and base.id.endswith("Enum") for base in node.bases):
                functions = [item for item in node.body if isinstance(item, ast.FunctionDef)]
                yield from _block(functions, inner, at_import=at_import)
                return
            yield from _block(node.body, inner, at_import=at_import)
        case ast.Import() | ast.ImportFrom() | ast.Global() | ast.Nonlocal():
            return
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return
        case ast.Assign(targets=[ast.Name(id=name)]) if name in QUIET_NAMES:
            return
        case _:
            for edit in _removals(node):
                yield (scope, at_import, node, edit)
            yield from _inside(node, scope, at_import=at_import)


def _removals(node: ast.stmt) -> Iterator[str]:
    """Yield what replaces a whole statement."""
    match node:
        case ast.Expr(value=ast.Constant()):
            return
        case ast.Expr() | ast.Raise() | ast.AugAssign():
            yield "pass"
        case ast.Return(value=value) if value is not None and not _is_none(value):
            yield "return None"
        case ast.Continue():
            yield "break"
        case ast.Break():
            yield "continue"


def _inside(node: ast.stmt, scope: str, *, at_import: bool) -> Iterator[Edit]:
    if isinstance(node, ast.If | ast.While):
        yield (scope, at_import, node.test, f"not ({ast.unparse(node.test)})")
    for name, value in ast.iter_fields(node):
        if name == "annotation":
            continue
        for item in value if isinstance(value, list) else [value]:
            match item:
                case ast.stmt():
                    yield from _statement(item, scope, at_import=at_import)
                case ast.expr():
                    yield from _expression(item, scope, at_import=at_import)
                case ast.ExceptHandler(body=body) | ast.match_case(body=body):
                    guard = getattr(item, "guard", None)
                    if guard is not None:
                        yield (scope, at_import, guard, f"not ({ast.unparse(guard)})")
                        yield from _expression(guard, scope, at_import=at_import)
                    for inner in body:
                        yield from _statement(inner, scope, at_import=at_import)
                case ast.withitem(context_expr=context):
                    yield from _expression(context, scope, at_import=at_import)


def _expression(node: ast.expr, scope: str, *, at_import: bool) -> Iterator[Edit]:
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal":
        return  # the name of a type, as an annotation is
    for replacement in _replacements(node):
        yield (scope, at_import, node, replacement)
    quiet = _messages(node)
    for child in _children(node):
        if child not in quiet:
            yield from _expression(child, scope, at_import=at_import)


def _children(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.JoinedStr):
        return
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.expr():
                yield child
            case ast.keyword(value=value):
                yield value
            case ast.comprehension(iter=source, ifs=tests):
                yield source
                yield from tests


def _messages(node: ast.expr) -> set[ast.expr]:
    """Return the arguments of a call that are sentences for people."""
    if not isinstance(node, ast.Call):
        return set()
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    quiet = {keyword.value for keyword in node.keywords if keyword.arg in MESSAGE_KEYWORDS}
    if name == "CheckSpec":
        quiet |= set(node.args[1:])
    elif name.endswith("Error"):
        quiet |= set(node.args[1:]) if len(node.args) > 1 else set(node.args)
    elif name in RECORDERS:
        quiet |= set(node.args[RECORDERS[name] :])
    elif name == "cast":
        quiet |= set(node.args[:1])
    elif name in ("TypeVar", "getLogger"):
        quiet |= set(node.args)
    return quiet


def _replacements(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            for index, operator in enumerate(ops):
                for other in COMPARISONS[type(operator)]:
                    changed = [*ops[:index], other(), *ops[index + 1 :]]
                    yield f"({ast.unparse(ast.Compare(left, changed, comparators))})"
        case ast.BoolOp(op=operator, values=values):
            opposite = ast.Or() if isinstance(operator, ast.And) else ast.And()
            yield f"({ast.unparse(ast.BoolOp(opposite, values))})"
            if len(values) > 2:
                for index in range(len(values)):
                    kept = [*values[:index], *values[index + 1 :]]
                    yield f"({ast.unparse(ast.BoolOp(operator, kept))})"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield f"({ast.unparse(operand)})"
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield f"({ast.unparse(operand)})"
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in OPERATORS:
            if not (isinstance(operator, ast.Mod | ast.Add) and (_is_text(left) or _is_text(right))):
                yield f"({ast.unparse(ast.BinOp(left, OPERATORS[type(operator)](), right))})"
        case ast.IfExp(test=test, body=body, orelse=orelse):
            negated = ast.UnaryOp(ast.Not(), test)
            yield f"({ast.unparse(ast.IfExp(negated, body, orelse))})"
        case ast.Constant(value=bool(value)):
            yield repr(not value)
        case ast.Constant(value=int(value)):
            yield repr(value + 1)
        case ast.Constant(value=bytes(value)):
            yield repr(value + b"X")
        case ast.Constant(value=str(value)) if CODE.fullmatch(value) or WORD.fullmatch(value):
            yield repr(f"X{value}")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
