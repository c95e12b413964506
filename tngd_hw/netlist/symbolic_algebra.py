"""The few things that symbolic equations need of sympy, with types (sympy tells its own only in part)."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np

from tngd_hw.netlist.tables import Floats
from tngd_hw.outcome import MisuseError

__all__ = [
    "Expression",
    "Matrix",
    "Symbol",
    "as_numbers",
    "column_of",
    "diagonal",
    "elements_of",
    "factored",
    "gradient",
    "matrix",
    "number",
    "parsed",
    "root_of",
    "solved_exactly",
    "symbols_in",
    "zeros",
]


class Expression(Protocol):
    """What is used of ``sympy.Expr``."""

    def __add__(self, other: Expression | float, /) -> Expression: ...
    def __radd__(self, other: Expression | float, /) -> Expression: ...
    def __sub__(self, other: Expression | float, /) -> Expression: ...
    def __rsub__(self, other: Expression | float, /) -> Expression: ...
    def __mul__(self, other: Expression | float, /) -> Expression: ...
    def __rmul__(self, other: Expression | float, /) -> Expression: ...
    def __truediv__(self, other: Expression | float, /) -> Expression: ...
    def __rtruediv__(self, other: Expression | float, /) -> Expression: ...
    def __pow__(self, other: Expression | float, /) -> Expression: ...
    def __neg__(self) -> Expression: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __float__(self) -> float: ...
    def diff(self, symbol: Symbol, /) -> Expression:
        """Its derivative."""
        ...

    def subs(self, values: Mapping[Any, Any], /) -> Expression:
        """With values for symbols."""
        ...


class Symbol(Expression, Protocol):
    """What is used of ``sympy.Symbol``."""

    @property
    def name(self) -> str:
        """As it is written."""
        ...


class Matrix(Protocol):
    """What is used of sympy's matrices, all the same whether they can be changed."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    @property
    def T(self) -> Matrix:  # noqa: N802 - sympy's name
        """Transposed."""
        ...

    def __mul__(self, other: Matrix | Expression | float, /) -> Matrix: ...
    def __add__(self, other: Matrix, /) -> Matrix: ...
    def __sub__(self, other: Matrix, /) -> Matrix: ...
    def __neg__(self) -> Matrix: ...
    def __getitem__(self, key: tuple[Any, Any], /) -> Any: ...
    def __setitem__(self, key: tuple[Any, Any], value: Any, /) -> None: ...
    def __iter__(self) -> Iterator[Expression]: ...
    def row_join(self, other: Matrix, /) -> Matrix:
        """``other`` to the right of it."""
        ...

    def extract(self, rows: Sequence[int], columns: Sequence[int], /) -> Matrix:
        """Some rows and columns."""
        ...

    def applyfunc(self, function: Callable[[Expression], Expression], /) -> Matrix:
        """The function of every entry."""
        ...

    def subs(self, values: Mapping[Any, Any], /) -> Matrix:
        """With values for symbols."""
        ...


def number(value: float) -> Expression:
    """An integer where it is one, else the float."""
    import sympy

    return cast("Expression", sympy.Integer(int(value)) if float(value).is_integer() else sympy.Float(value))


_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda above, below: above / below,
    ast.Pow: lambda base, power: base**power,
}


def parsed(text: str) -> Expression:
    """Arithmetic such as ``"A_0/(w_u*r)"``; every name is a symbol, whatever sympy has under that name.

    Raises:
        MisuseError: Anything but names, whole numbers, + - * / ** and parentheses.
    """
    try:
        return cast("Expression", _value(ast.parse(text.strip(), mode="eval").body))
    except (SyntaxError, ValueError):
        raise MisuseError(f"{text!r} is no expression: use names, whole numbers, + - * / ** and ()") from None


def _value(node: ast.expr) -> Any:
    import sympy

    match node:
        case ast.Name(id=name):
            return sympy.Symbol(name)
        case ast.Constant(value=int() as value):
            return sympy.Integer(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left), _value(right))
        case _:
            raise ValueError


def symbols_in(expression: Expression) -> list[Symbol]:
    """The symbols of ``expression``, by name."""
    return sorted(cast("Any", expression).free_symbols, key=str)


def root_of(expression: Expression, value: float, unknown: Symbol) -> float | None:
    """The number ``unknown`` with which ``expression`` has ``value``; None unless there is exactly one."""
    import sympy

    if expression == unknown:
        return value
    found: list[Any] = cast("Any", sympy.solve)(expression - value, unknown)
    return float(found[0]) if len(found) == 1 else None


def zeros(rows: int, columns: int) -> Matrix:
    """A matrix of zeros that can be written to."""
    import sympy

    return cast("Matrix", sympy.zeros(rows, columns))


def diagonal(entries: Sequence[Expression]) -> Matrix:
    """A diagonal matrix."""
    found = zeros(len(entries), len(entries))
    for k, entry in enumerate(entries):
        found[k, k] = entry
    return matrix(found)


def matrix(rows: Sequence[Sequence[Expression]] | Matrix) -> Matrix:
    """A matrix that cannot be changed, of lists of rows or of another matrix."""
    import sympy

    return cast("Matrix", sympy.ImmutableDenseMatrix(rows))


def column_of(entries: Sequence[Expression]) -> Matrix:
    """A matrix of one column."""
    import sympy

    return cast("Matrix", sympy.ImmutableDenseMatrix(len(entries), 1, list(entries)))


def factored(value: Matrix) -> Matrix:
    """The matrix with every entry written as a quotient of factors."""
    import sympy

    return matrix(value.applyfunc(cast("Any", sympy.factor)))


def elements_of(value: Matrix) -> list[list[Expression]]:
    """Rows of entries."""
    rows, columns = value.shape
    return [[value[i, j] for j in range(columns)] for i in range(rows)]


def gradient(expressions: Iterable[Expression], symbols: Sequence[Symbol]) -> Matrix:
    """d expression_i / d symbol_j."""
    return matrix([[e.diff(s) for s in symbols] for e in expressions])


def solved_exactly(coefficients: Matrix, right: Matrix) -> Matrix | None:
    """X with coefficients X = right, exactly, in the field of rational functions; None where it is singular.

    Cost: sparse elimination; circuits of two or three nodes take a fraction of a second.
    """
    from sympy.polys.matrices import DomainMatrix

    size, columns = right.shape
    domain = cast("Any", DomainMatrix).from_Matrix(coefficients.row_join(right)).to_field().to_sparse()
    exact, pivots = domain.rref()
    if tuple(pivots) != tuple(range(size)):
        return None
    return matrix(exact.to_Matrix()[:, size : size + columns])


def as_numbers(value: Matrix, numbers: Mapping[Symbol, float]) -> Floats:
    """The matrix with numbers for symbols, float64."""
    import sympy

    if 0 in value.shape:
        return np.zeros(value.shape)
    evaluate = cast("Any", sympy.lambdify)(list(numbers), value, modules="numpy")
    return np.array(evaluate(*numbers.values()), dtype=np.float64).reshape(value.shape)
