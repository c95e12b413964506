"""Expressions of B elements: their values by hand, and closed to everything else."""

from __future__ import annotations

import numpy as np
import pytest

from tngd_hw import MisuseError
from tngd_hw.netlist import parse_behavioral
from tngd_hw.netlist.behavioral import substituted_behavioral


def test_value_pairs_and_normal_form() -> None:
    found = parse_behavioral(" I = {k}*TANH( V(a, b)/100m ) - max(v(b), min(v(a,b), -2))/4 + --1 ", {"k": -3.0})
    assert found.is_current
    assert found.voltages == (("a", "b"), ("b", "0"))
    assert found.text == "i=((-3.0))*tanh(v(a,b)/0.1)-max(v(b),min(v(a,b),-2.0))/4.0+--1.0"
    d, b = np.array([0.05, -3.0]), np.array([-2.5, 1.0])
    by_hand = [-3 * 0.46211715726 - (-2.0 / 4) + 1, 3 * 1.0 - 1 / 4 + 1]
    np.testing.assert_allclose(found.value([d, b]), by_hand, rtol=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "", "v", "v=", "x=1", "q=v(a)", "v=v(a)^2", "v=v(a)**2", "v=sin(v(a))", "v=tanh(1,2)", "v=min(1)", "v=i(v1)",
        "v=time", "v=v(a,b,c)", "v=v()", "v=1 1", "v=v(a", "v=__import__('os')", "v=v(a).real", "v=1e999", "i=v(a)//2",
        "v=" + "(" * 3000 + "1" + ")" * 3000, "v=`id`", "v=v(a)if 1 else 2", "v=tanh", "v=v0",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(MisuseError, match="expression"):
        parse_behavioral(text)


def test_parameters_of_a_cell_stand_in_braces_once() -> None:
    text = substituted_behavioral("v={gm*vlin}*v(gm,q)+{gm}-w", {"w": "(2*gm)"}, {"gm", "vlin"})
    assert text == "v=({gm}*{vlin})*v(gm,q)+{gm}-(2*{gm})"
    assert substituted_behavioral(text, {}, {"gm", "vlin"}) == text
