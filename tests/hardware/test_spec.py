"""HardwareSpec: read strictly, written and read back, hashed by its numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tngd_hw import HardwareSpec, MisuseError, presets
from tngd_hw.hardware import load_hardware
from tngd_hw.hardware.presets import PRESETS

AMPLIFIERS = {"open_loop_gain": 1e5, "gain_bandwidth_hz": 1e7, "output_swing_volt": 2.0, "output_current_ampere": 0.01}


@pytest.mark.parametrize("name", list(PRESETS))
@pytest.mark.parametrize("ending", ["toml", "json"])
def test_round_trip(name: str, ending: str, tmp_path: Path) -> None:
    spec = load_hardware(name)
    spec.to_file(tmp_path / f"chip.{ending}")
    again = load_hardware(str(tmp_path / f"chip.{ending}"))
    assert again == spec
    assert again.hash == spec.hash
    assert again.name == name


def test_presets_have_the_paper_figures() -> None:
    for spec in (presets.ideal(), presets.pcb_1k_1n()):
        assert spec.resistors.resistance_ohm == 1e3
        assert spec.capacitors.capacitance_farad == 1e-9
    assert presets.ideal().amplifiers is None
    assert presets.ideal().resistors.tolerance_dtod == 0
    assert presets.pcb_1k_1n().amplifiers is not None


@pytest.mark.parametrize(("text", "value"), [("10k", 1e4), ("4.7 kOhm", 4.7e3), (2200, 2200.0)])
def test_si_text_is_a_resistance(text: object, value: float) -> None:
    assert (
        HardwareSpec.from_dict({"name": "x", "resistors": {"resistance_ohm": text}}).resistors.resistance_ohm == value
    )


@pytest.mark.parametrize("text", ["1n", "1 nF", "1000p"])
def test_si_text_is_a_capacitance(text: str) -> None:
    spec = HardwareSpec.from_dict({"name": "x", "capacitors": {"capacitance_farad": text}})
    assert spec.capacitors.capacitance_farad == pytest.approx(1e-9, rel=1e-15)


def test_units_of_amplifier_fields_are_known() -> None:
    text = {"gain_bandwidth_hz": "75 MHz", "offset_volt_dtod": "125 uV", "output_current_ampere": "20 mA"}
    found = HardwareSpec.from_dict({"name": "x", "amplifiers": AMPLIFIERS | text}).amplifiers
    assert found is not None
    assert found.gain_bandwidth_hz == pytest.approx(75e6)
    assert found.offset_volt_dtod == pytest.approx(125e-6)
    assert found.output_current_ampere == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"resistors": {"resistance_ohm": "1 V"}}, r"hardware\.resistors\.resistance_ohm = '1 V': unit 'V' where ohm"),
        ({"resistors": {"resistance_ohm": -5.0}}, r"hardware\.resistors\.resistance_ohm = -5.0: .*greater than 0"),
        ({"resistors": {"resistance_ohm": 0}}, r"hardware\.resistors\.resistance_ohm = 0: .*greater than 0"),
        ({"resistors": {"resistance_ohm": True}}, r"hardware\.resistors\.resistance_ohm = True: .*valid number"),
        ({"resistors": {"resistance_ohm": None}}, r"hardware\.resistors\.resistance_ohm = None: .*valid number"),
        ({"resistors": {"resistance_ohm": [1.0]}}, r"hardware\.resistors\.resistance_ohm = \[1.0\]"),
        ({"resistors": {"resistance_ohm": float("nan")}}, r"hardware\.resistors\.resistance_ohm = nan: "),
        ({"resistors": {"resistance_ohm": float("inf")}}, r"resistance_ohm = inf: .*finite"),
        ({"resistors": {"tolerance_dtod": "1%"}}, r"hardware\.resistors\.tolerance_dtod = '1%': .*valid number"),
        ({"resistors": {"tolerance_dtod": 1.0}}, r"hardware\.resistors\.tolerance_dtod = 1.0: .*less than 1"),
        ({"resistors": {"tolerance_dtod": -0.1}}, r"hardware\.resistors\.tolerance_dtod = -0.1"),
        (
            {"resistors": {"largest_ohm": 500.0}},
            r"hardware\.resistors = .*largest_ohm = 500 is not above resistance_ohm = 1000",
        ),
        ({"resistors": {"largest_ohm": 1000.0}}, r"largest_ohm = 1000 is not above resistance_ohm = 1000"),
        ({"resistors": {"resistance": 1e3}}, r"resistors\.resistance = 1000.0: unknown key; .*mean 'resistance_ohm'\?"),
        ({"resistors": {"tolerence_dtod": 0.1}}, r"resistors\.tolerence_dtod = 0.1: .*mean 'tolerance_dtod'\?"),
        ({"resistorz": {}}, r"^hardware\.resistorz = \{\}: unknown key; did you mean 'resistors'\?$"),
        ({"zzz": 1}, r"hardware\.zzz = 1: unknown key; known are name, resistors, capacitors, "),
        ({"programming": {"bits": 0}}, r"hardware\.programming\.bits = 0: .*greater than or equal to 1"),
        ({"programming": {"bits": 65}}, r"hardware\.programming\.bits = 65: .*less than or equal to 64"),
        ({"programming": {"bits": 8.0}}, r"hardware\.programming\.bits = 8.0: .*integer"),
        ({"programming": {"spacing": "cubic"}}, r"hardware\.programming\.spacing = 'cubic': .*'logarithmic'"),
        ({"capacitors": {"capacitance_farad": 0}}, r"hardware\.capacitors\.capacitance_farad = 0: .*greater than 0"),
        ({"inductors": {"inductance_henry": "-10 uH"}}, r"inductors\.inductance_henry = '-10 uH': .*greater than 0"),
        ({"temperature": {"kelvin": -300.0}}, r"hardware\.temperature\.kelvin = -300.0: .*greater than 0"),
        ({"temperature": {"kelvin": 0}}, r"hardware\.temperature\.kelvin = 0: .*greater than 0"),
        ({"mismatch": {"gradient_dtod": -0.1}}, r"hardware\.mismatch\.gradient_dtod = -0.1: .*or equal to 0"),
        ({"mismatch": {"resistance_corner": 0}}, r"hardware\.mismatch\.resistance_corner = 0: .*greater than 0"),
        ({"mismatch": {"shared_arrays": 1}}, r"hardware\.mismatch\.shared_arrays = 1: .*boolean"),
        ({"resistors": 3}, r"hardware\.resistors = 3: "),
        ({"name": 3}, r"hardware\.name = 3: .*valid string"),
        ({"amplifiers": {}}, r"hardware\.amplifiers\.open_loop_gain: required"),
        ({"amplifiers": AMPLIFIERS | {"offset_volt_dtod": -1e-6}}, r"hardware\.amplifiers\.offset_volt_dtod = -1e-06"),
    ],
)
def test_bad_documents_are_refused_by_dotted_path_and_value(document: dict[str, object], says: str) -> None:
    with pytest.raises(MisuseError, match=says) as caught:
        HardwareSpec.from_dict({"name": "x"} | document)
    assert "\n" not in str(caught.value)


def test_document_that_is_no_table() -> None:
    with pytest.raises(MisuseError, match=r"^hardware = \[1\]: .*dictionary"):
        HardwareSpec.from_dict([1])  # pyright: ignore[reportArgumentType] - the point of the test


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"hardware = .*missing\.toml: cannot be read \(No such file"):
        load_hardware(str(tmp_path / "missing.toml"))
    for name, content in {"bad.toml": b"name = ", "bad.json": b"{", "latin.toml": b'name = "\xff"'}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MisuseError, match="not readable as TOML or JSON"):
            load_hardware(str(tmp_path / name))


def test_unknown_preset_offers_the_nearest() -> None:
    with pytest.raises(MisuseError, match=r"hardware = 'pcb_1k1n': .*ideal, pcb_1k_1n, .*did you mean 'pcb_1k_1n'\?"):
        load_hardware("pcb_1k1n")
    for name, near in {
        "pcb": "pcb_1k_1n",
        "cmos": "cmos_sky130",
        "rram": "rram_1t1r",
        "spu8board": "spu8_board",
    }.items():
        with pytest.raises(MisuseError, match=rf"did you mean '{near}'\?"):
            load_hardware(name)


def leaves(document: dict[str, object], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for key, value in document.items():
        found += leaves(value, (*path, key)) if isinstance(value, dict) else [(*path, key)]
    return found


def with_input_capacitance() -> HardwareSpec:
    """A spec in which every number may be changed alone: an output resistance takes an input capacitance, INL steps."""
    document = presets.pcb_1k_1n().to_dict()
    document["amplifiers"] |= {"input_farad": 2e-12, "voltage_noise_volt_per_rthz": 4e-9}
    document["dac"]["bits"] = document["adc"]["bits"] = 8
    return HardwareSpec.from_dict(document)


def another(value: object, path: tuple[str, ...]) -> object:
    """A value that differs as little as it can."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            choices = HardwareSpec.model_fields[path[0]].default
            return value + "x" if path == ("name",) else list(type(getattr(choices, path[-1])))[-1].value
        case _:
            return value * (1 + 1e-15 * 2) or 1e-300


@pytest.mark.parametrize("path", leaves(with_input_capacitance().to_dict()), ids=".".join)
def test_hash_changes_with_every_value(path: tuple[str, ...]) -> None:
    document = with_input_capacitance().to_dict()
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = another(place[path[-1]], path)
    assert HardwareSpec.from_dict(document).hash != with_input_capacitance().hash


def test_hash_does_not_depend_on_the_order_of_keys_or_on_int_and_float() -> None:
    document = presets.pcb_1k_1n().to_dict()
    turned = json.loads(json.dumps(document), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert HardwareSpec.from_dict(turned).hash == presets.pcb_1k_1n().hash
    document["resistors"]["resistance_ohm"] = 1000
    assert HardwareSpec.from_dict(document).hash == presets.pcb_1k_1n().hash


def test_hash_is_pinned() -> None:
    """It is written into results: it may not change by accident."""
    assert presets.ideal().hash == "cf3c5b5a995441d1"
    assert presets.pcb_1k_1n().hash == "1db0924e60a1196a"


def test_printed_by_what_differs() -> None:
    assert str(presets.ideal()) == "ideal: as the preset"
    assert str(HardwareSpec(name="mine")) == "mine: all defaults"
    spec = HardwareSpec.from_dict({"name": "mine", "resistors": {"tolerance_dtod": 0.02}})
    assert str(spec) == "mine: resistors(tolerance_dtod=0.02)"
    changed = presets.pcb_1k_1n().with_value("resistors.largest_ohm", "2 MOhm").with_value("programming.spacing", "e24")
    assert str(changed) == "pcb_1k_1n: resistors(largest_ohm=2e+06), programming(spacing=e24)"
    assert str(changed.with_value("amplifiers", None)).endswith("amplifiers=None")


def test_differences_are_dotted_paths_with_both_values() -> None:
    mine, other = presets.pcb_1k_1n(), presets.ideal().with_value("resistors.largest_ohm", 1e6)
    found = mine.differences(other)
    assert found["resistors.tolerance_dtod"] == (1e-3, 0.0)
    assert found["resistors.largest_ohm"] == (None, 1e6)
    assert found["amplifiers.gain_bandwidth_hz"] == (75e6, None)
    assert {path.split(".")[0] for path in found} == {"resistors", "capacitors", "amplifiers"}
    assert {path: pair[::-1] for path, pair in found.items()} == other.differences(mine)
    assert not mine.differences(presets.pcb_1k_1n())


def test_parts_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        presets.ideal().name = "other"
