"""The port map of a deck: where every unknown is read, where it is driven, and the scales between x, b and volts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tngd_hw.netlist import Netlist
    from tngd_hw.topologies import LoadedChip

__all__ = ["port_map"]


def port_map(loaded: LoadedChip, netlist: Netlist, *, duration: float, seed: int) -> dict[str, Any]:
    """One entry an unknown: x_i = volts at ``output`` times ``x_per_volt``; its source ``source_per_b`` b_i."""
    scales, drive = loaded.scales, loaded.drive()
    kinds = {name: table.kind.value.lower() for table in netlist.tables for name in table.names}
    scaling = [1.0] * loaded.n if loaded.scaling is None else [float(d) for d in loaded.scaling]
    values, starts = ([float(value) for value in tensor] for tensor in (drive.inputs, drive.initial_volt))
    ports = [
        {
            "unknown": i,
            "output": f"v({node})",
            "source": f"{kinds[source]}{source}",
            "source_value": values[i],
            "source_unit": "volt" if kinds[source] == "v" else "ampere",
            "initial_volt": starts[i],
            "x_per_volt": scaling[i] / scales.voltage_volt,
            "source_per_b": scales.input_gain * scales.voltage_volt * scaling[i],
        }
        for i, (node, source) in enumerate(zip(netlist.outputs, netlist.inputs, strict=True))
    ]
    return {
        "deck": "deck.cir",
        "topology": loaded.chip.topology,
        "hardware": loaded.chip.hardware.name,
        "hardware_hash": loaded.chip.hardware.hash,
        "seed": seed,
        "tau_s": loaded.tau,
        "duration_s": duration,
        "conductance_scale_siemens": scales.conductance_siemens,
        "voltage_scale_volt": scales.voltage_volt,
        "ports": ports,
    }
