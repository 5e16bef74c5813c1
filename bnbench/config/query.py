"""Conditions on the columns of a table, which say what rows a figure or a panel shows.

    batch_size in [2, 64] and (epochs != 4 or `optim.lr_scaling` == 'linear')

A query has names of columns (in backticks where they have dots), numbers, texts, True and False,
comparisons, `in` and `not in` with lists of constants, `and`, `or` and `not` (also &, | and ~). It
means what it means to `pandas.DataFrame.eval`, which however runs any code that stands in it: here
Python's parser makes a syntax tree, and what of it is no such condition (a call, an attribute,
arithmetic) is refused. How long a query takes is bounded.

Nothing here imports pandas. A query is checked before training by the settings of the arms, and by
the same rules again when it is asked of a table.
"""

import ast
import operator
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from math import inf, isnan
from typing import TYPE_CHECKING, Any, Literal

from bnbench.config.checks import RequestError

if TYPE_CHECKING:
    from pandas import DataFrame, Series

MAX_LENGTH = 4000  # characters of a query
MAX_DEPTH = 20  # of conditions in each other
MAX_TERMS = 100  # comparisons
MAX_LIST = 500  # constants of a list
MAX_INTEGER = 2**63 - 1  # what a column of integers holds

PIECE = re.compile(  # of a query where it is not Python as it stands
    r"""(?<!\w)(?P<text>'(?:[^'\\]|\\['"\\])*'|"(?:[^"\\]|\\['"\\])*")
    | `(?P<column>[^`]*)`
    | (?P<sign>[&|])
    | (?P<space>\s)
    | (?P<foreign>[^\w.()\[\],<>=!~+-])""",
    re.VERBOSE,
)
EQUAL: dict[str, Callable[[Any, Any], Any]] = {"==": operator.eq, "!=": operator.ne}
ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
COMPARE = [ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn]
SIGNS: dict[Any, str] = dict(zip(COMPARE, (*EQUAL, *ORDER, "in", "not in"), strict=True))
JOINED: dict[str, Callable[[Any, Any], Any]] = {"and": operator.and_, "or": operator.or_}
OF_LISTS = {"==": "in", "!=": "not in", "in": "in", "not in": "not in"}
EXAMPLE = "expected a comparison such as batch_size == 64"
LANGUAGE = "names, values, lists of values, comparisons such as ==, and, or, not, in"
TOO_DEEP = f"expected a query of columns at most {MAX_DEPTH} levels deep"

Kind = Literal["number", "flag", "text"]  # what a column holds; None where that is nothing


@dataclass(frozen=True)
class Column:
    """The name of a column."""

    name: str


@dataclass(frozen=True)
class Term:
    """A condition: `and`, `or` and `not` of others, a comparison, or a column of True and False."""

    op: str
    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Query:
    """A query as it was read: which columns it names, and the condition on them."""

    names: frozenset[str]
    condition: Term

    def check(self, kinds: Mapping[str, Kind | None]) -> None:
        """Refuse comparisons that have no answer (`RequestError`): `model.name < 3`.

        Args:
            kinds: what each named column holds.
        """
        _check(self.condition, kinds)

    def rows(self, frame: "DataFrame") -> "Series":
        """The condition in every row of a table that has the named columns, as booleans.

        A comparison with a missing value is false, but for `!=` and `not in`.

        Raises:
            RequestError: a comparison has no answer, given what the columns hold.
        """
        columns = {name: frame[name] for name in self.names}
        columns = {n: c.astype(object) if c.dtype == "category" else c for n, c in columns.items()}
        self.check({n: kind_of(c.dropna().unique().tolist()) for n, c in columns.items()})
        try:
            return _rows(self.condition, columns)
        except TypeError as error:  # a column that holds numbers and texts
            raise RequestError(f"values that cannot be compared ({error})") from None


def parse(text: str, columns: Collection[str]) -> Query:
    """Read a query over some columns.

    Raises:
        RequestError: it is no query, it is longer or deeper than one may be, or it names a column
            that there is not; what to type instead.
    """
    if len(text) > MAX_LENGTH:
        raise RequestError(f"expected a query of at most {MAX_LENGTH} characters")
    try:
        with warnings.catch_warnings(action="ignore"):  # of `1or`, which is as good as `1 or`
            tree = ast.parse(PIECE.sub(in_python, text).strip(), mode="eval").body
        names, terms = set[str](), 0
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                name = ast.unparse(node)
                raise RequestError(f"{name}: expected a name with dots in backticks, `{name}`")
            if (name := column_name(node)) and name not in columns:
                known = ", ".join(column for column in map(str, columns) if "/" not in column)
                raise RequestError(f"{name}: expected a column, one of {known}")
            names |= {name} if name else set()
            terms += len(node.ops) if isinstance(node, ast.Compare) else 0
        if terms > MAX_TERMS:
            raise RequestError(f"expected a query of at most {MAX_TERMS} comparisons")
        return Query(frozenset(names), condition(tree))
    except (SyntaxError, UnicodeError) as error:
        reason = getattr(error, "msg", "a character that is none")
        raise RequestError(f"expected a query of columns: {LANGUAGE} ({reason})") from None
    except (MemoryError, RecursionError):  # Python's own, of hundreds of levels
        raise RequestError(TOO_DEEP) from None


def kind_of(values: Iterable[Any]) -> Kind | None:
    """Tell what values hold, missing ones aside; None where there is no other. Lists are texts."""
    there = [v for v in values if v is not None and not (isinstance(v, float) and isnan(v))]
    if all(isinstance(value, bool) for value in there):
        return "flag" if there else None
    return "number" if all(isinstance(value, int | float) for value in there) else "text"


def in_python(piece: re.Match[str]) -> str:
    """Write a piece of a query in Python; a name in backticks as a set, of which there are none.

    Raises:
        RequestError: it is nothing that a query has, such as a brace.
    """
    if piece["foreign"]:
        rest = piece.string[piece.start() :][:20]
        raise RequestError(f"expected a query of columns, not {rest}: {LANGUAGE}")
    if piece["column"] is not None:
        return f" {{{piece['column']!r}}} "
    # a space behind a text, since three quotes in a row are others; no line ends
    return {"&": " and ", "|": " or "}.get(piece[0], f"{piece['text'] or ''} ")


def column_name(node: ast.AST) -> str | None:
    """The name of a column; None for what is none."""
    match node:
        case ast.Name(name) | ast.Set([ast.Constant(str(name))]):
            return name
    return None


def condition(node: ast.expr, depth: int = 0) -> Term:
    """Read a condition, or refuse what is none (`RequestError`)."""
    if depth > MAX_DEPTH:
        raise RequestError(TOO_DEEP)
    match node:
        case ast.BoolOp(op, parts):
            word = "and" if isinstance(op, ast.And) else "or"
            return Term(word, tuple(condition(part, depth + 1) for part in parts))
        case ast.UnaryOp(ast.Not() | ast.Invert(), inner):
            return Term("not", (condition(inner, depth + 1),))
        case ast.Compare(left, ops, others):  # 1 < a <= 3 is two comparisons
            sides = [value(side) for side in (left, *others)]
            return Term("and", tuple(map(compared, sides, ops, sides[1:])))
    column = value(node)
    if not isinstance(column, Column):
        raise RequestError(EXAMPLE)
    return Term("flag", (column,))


def value(node: ast.expr) -> Any:
    """Read a column, a constant or a list of constants, or refuse what is none (`RequestError`)."""
    if name := column_name(node):
        return Column(name)
    try:
        found = ast.literal_eval(node)
    except ValueError:
        found = ...
    has_list = isinstance(found, list | tuple)
    for item in found if has_list else [found]:
        if item is None:
            raise RequestError("None: a missing value equals nothing, not even itself: type x != x")
        if not isinstance(item, int | float | str):
            code = ast.unparse(node).replace("{'", "`").replace("'}", "`")
            raise RequestError(f"expected a column, a value or a list of values, not {code}")
        is_large = isinstance(item, int) and abs(item) > MAX_INTEGER
        if is_large or item in (inf, -inf):
            raise RequestError(f"{item}: expected a number that a column can hold, less than 2^63")
    if has_list and len(found) > MAX_LIST:
        raise RequestError(f"expected a list of at most {MAX_LIST} values")
    return tuple(found) if has_list else found


def compared(left: Any, sign: ast.cmpop, right: Any) -> Term:
    """A comparison of two values; refuses what can have no answer in any table (`RequestError`)."""
    if type(sign) not in SIGNS:
        raise RequestError(f"expected a comparison such as ==, not {type(sign).__name__.lower()}")
    op = SIGNS[type(sign)]
    if not any(isinstance(side, Column) for side in (left, right)):
        raise RequestError(f"expected a column on one side of {op}")
    if isinstance(left, tuple) and op in EQUAL:
        left, right = right, left
    has_list, wants_list = isinstance(right, tuple), op in ("in", "not in")
    if isinstance(left, tuple) or (has_list != wants_list and op not in EQUAL):
        needs = "a list such as [2, 64] behind" if wants_list else "one value on each side of"
        raise RequestError(f"expected {needs} {op}")
    return Term(OF_LISTS[op] if has_list else op, (left, right))


def _check(term: Term, kinds: Mapping[str, Kind | None]) -> None:
    if term.op in ("and", "or", "not"):
        for part in term.parts:
            _check(part, kinds)
    elif term.op == "flag" and kinds[term.parts[0].name] not in ("flag", None):
        raise RequestError(EXAMPLE)
    elif term.op in ORDER:
        found = [kinds[s.name] if isinstance(s, Column) else kind_of([s]) for s in term.parts]
        if len({kind == "text" for kind in found if kind}) > 1:
            sides = [s.name if isinstance(s, Column) else repr(s) for s in term.parts]
            words = f" {term.op} ".join(sides)
            raise RequestError(f"{words}: a text is neither less nor greater than a number")


def _rows(term: Term, columns: Mapping[str, "Series"]) -> Any:
    if term.op in ("and", "or", "not"):
        first, *others = (_rows(part, columns) for part in term.parts)
        return ~first if term.op == "not" else reduce(JOINED[term.op], others, first)
    left, *rest = (columns[s.name] if isinstance(s, Column) else s for s in term.parts)
    if term.op == "flag":
        return left == True  # noqa: E712  it is a column
    (right,) = rest
    if isinstance(right, tuple):
        found = left.isin(list(right))
        return found if term.op == "in" else ~found
    if term.op in EQUAL:
        return EQUAL[term.op](left, right)
    sides = [columns[side.name] for side in term.parts if isinstance(side, Column)]
    there = reduce(operator.and_, (side.notna() for side in sides))
    answer = there.copy()
    answer[there] = ORDER[term.op](
        *(side[there] if hasattr(side, "notna") else side for side in (left, right))
    )
    return answer
