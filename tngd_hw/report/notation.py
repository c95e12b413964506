"""How the parts of a programmed chip are called in derivations: G_ij = g0 A_ij, C, V_i instead of element names.

The names tie parts together that the circuit needs equal, and give an entry its sign: the resistor of a negative entry
comes from the inverted rail and is R = -1/G_ij.  Use them on nominal parts; with tolerances tied parts differ, and
:func:`~tngd_hw.netlist.symbolic.symbolic_equations` refuses them by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from tngd_hw.hardware import Component, Elements, Role
from tngd_hw.outcome import MisuseError
from tngd_hw.topologies import LoadedChip

__all__ = ["readable_names"]

Names = dict[str, str]

_AMPLIFIER: Names = {
    r"g.+\.in": "A_0/r",
    r"r.+\.pole": "r",
    r"c.+\.pole": "A_0/(w_u*r)",
}
"""One pole: A_0 is the open-loop gain, w_u = 2 pi GBW; r is the cell's own and cancels."""

_INVERTER: Names = {
    r"rinv\d+\.(in|f)": "R",
    r"hinv\d+\.out": "-R",
    r"v\(cinv(\d+)\.amp\.pole\)": r"Vbar_\1",
}


def readable_names(loaded: LoadedChip) -> Mapping[str, str]:
    """Patterns for :func:`~tngd_hw.netlist.symbolic.symbolic_equations`.

    integrator, gm_c, amc_inverse: entries G_ij, C, g_in (g_s), states V_i.  passive_rc: entries G_ij, states p_i and
    m_i of the two rails, V_i of a single one.  three_array: J_ki, H_kl in units of the feedback conductance g, the
    transposed array g_T J_ki.  rlc_spu: ground capacitors C_i, coupling C_ij, states V_i and I_i.  With real amplifiers
    V_i is the output of node i, Vbar_i that of its inverter, U_i the voltage of an integrator's capacitor, u_k and w_k
    are the outputs of the two stages of three arrays.

    Raises:
        MisuseError: A topology that has no notation.
    """
    name = loaded.topology.name
    if name not in _NOTATIONS:
        raise MisuseError(f"topology {name!r} has no notation; those that have one are {', '.join(_NOTATIONS)}")
    return _NOTATIONS[name](loaded.elements)


def _places(component: Component) -> list[tuple[int, int, int]]:
    """Row, column and sign of every part."""
    columns = (component.row, component.column, component.sign)
    return list(zip(*(cast("list[int]", column.tolist()) for column in columns), strict=True))


def _entries(component: Component, prefix: str, text: str) -> Names:
    """``prefix_row_column`` becomes ``text`` with the entry's sign before it; {i} and {j} are row and column."""
    names: Names = {}
    for i, j, sign in _places(component):
        names[f"{prefix}_{i}_{j}"] = ("-" if sign < 0 else "") + text.format(i=i, j=j)
    return names


def _integrator(elements: Elements) -> Names:
    names: Names = {r"rb_\d+": "1/g_in"} | _INTEGRATORS | _INVERTER | _AMPLIFIER
    return _array(elements) | names


_INTEGRATORS: Names = {
    r"cint\d+\.int": "C",
    r"v\(cint(\d+)\.amp\.pole\)": r"V_\1",
    r"s\(inoise\d+\)": "S",
}


def _states_of_integrators(elements: Elements) -> Names:
    """The capacitor holds the output where the amplifier is ideal."""
    letter = "U" if Role.INTEGRATOR_AMPLIFIER in elements.amplifiers else "V"
    return {r"v\(cint(\d+)\.int\)": rf"{letter}_\1"}


def _array(elements: Elements) -> Names:
    """The array of :mod:`tngd_hw.topologies.signed_array`; with a reference rail its resistors keep their own names."""
    names = _states_of_integrators(elements)
    if Role.REFERENCE_FEEDBACK not in elements.components:
        names |= _entries(elements.components[Role.ARRAY], "ra", "1/G_{i}{j}")
    return names


def _amc_inverse(elements: Elements) -> Names:
    names: Names = {r"rb_\d+": "1/g_s", r"v\(camp(\d+)\.pole\)": r"V_\1"}
    return _array(elements) | names | _INVERTER | _AMPLIFIER


def _gm_c(elements: Elements) -> Names:
    names: Names = {r"gb_\d+": "g_in", r"cnode\d+": "C", r"v\(cnode(\d+)\)": r"V_\1", r"s\(inoise\d+\)": "S"}
    return _entries(elements.components[Role.TRANSCONDUCTOR], "ga", "G_{i}{j}") | names


def _passive_rc(elements: Elements) -> Names:
    two_rails = elements.components[Role.NODE_CAPACITOR].shape[1] == 2
    names: Names = {r"c[pm]\d+": "C", r"s\(inoise\d+\)": "S/2" if two_rails else "S"}
    names |= {r"v\(c([pm])(\d+)\)": r"\1_\2" if two_rails else r"V_\2"}
    network, to_ground = elements.components[Role.NETWORK], {i: [f"G_{i}{i}"] for i in range(elements.n)}
    seen: set[tuple[int, int]] = set()
    for i, j, sign in _places(network):
        first, second = min(i, j), max(i, j)
        names[f"ra_{i}_{j}"] = ("-" if sign > 0 else "") + f"1/G_{first}{second}"  # joined directly: A_ij < 0
        if (first, second) not in seen:
            for row in (first, second):
                to_ground[row].append(("+" if sign > 0 else "-") + f"G_{first}{second}")
        seen.add((first, second))
    return names | {rf"rg[pm]{i}": f"1/({''.join(terms)})" for i, terms in to_ground.items()}


def _three_array(elements: Elements) -> Names:
    components = elements.components
    names = _entries(components[Role.JACOBIAN], "rj", "1/(g*J_{i}{j})")
    names |= _entries(components[Role.HESSIAN], "rh", "1/(g*H_{i}{j})")
    names |= _entries(components[Role.TRANSPOSE], "rt", "1/(g_T*J_{j}{i})")
    names |= {
        r"rlambda_\d+": "1/g_lambda",
        r"rb_\d+": "1/g_in",
        r"r(jac|hes)\d+\.f": "1/g",
        r"h(jac|hes)\d+\.out": "-1/g",
        r"r(jac|hes)inv\d+\.(in|f)": "R",
        r"h(jac|hes)inv\d+\.out": "-R",
        r"v\(cjac(\d+)\.amp\.pole\)": r"u_\1",
        r"v\(cjacinv(\d+)\.amp\.pole\)": r"ubar_\1",
        r"v\(ches(\d+)\.amp\.pole\)": r"w_\1",
        r"v\(chesinv(\d+)\.amp\.pole\)": r"wbar_\1",
    }
    return names | _INTEGRATORS | _states_of_integrators(elements) | _INVERTER | _AMPLIFIER


def _rlc_spu(elements: Elements) -> Names:
    del elements
    return {
        r"ccell(\d+)\.tank": r"C_\1",
        r"cc_(\d+)_(\d+)": r"C_\1\2",
        r"lcell(\d+)\.tank": r"L_\1",
        r"rcell\d+\.tank": "R",
        r"v\(ccell(\d+)\.tank\)": r"V_\1",
        r"i\(lcell(\d+)\.tank\)": r"I_\1",
        r"s\(inoise\d+\)": "S",
    }


_NOTATIONS: Mapping[str, Callable[[Elements], Names]] = {
    "passive_rc": _passive_rc,
    "gm_c": _gm_c,
    "integrator": _integrator,
    "rlc_spu": _rlc_spu,
    "three_array": _three_array,
    "amc_inverse": _amc_inverse,
}
