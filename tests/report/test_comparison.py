import json
import math
from dataclasses import replace

import pytest

from tngd_hw.hardware import presets
from tngd_hw.outcome import MisuseError
from tngd_hw.report import TrainingComparison, hardware_facts


def test_the_document_is_json_even_when_a_run_diverged(comparison: TrainingComparison):
    wild = replace(comparison.records[3], loss=(math.nan, math.inf), accuracy=(0.1,), accuracy_steps=(2,))
    changed = replace(comparison, records=(*comparison.records[:3], wild, comparison.records[4]))
    document = json.loads(json.dumps(changed.as_dict(), allow_nan=False))
    assert document["final_loss"]["SGD"] is None
    assert document["records"][3]["loss"] == [None, None]
    assert document["final_accuracy"]["TNGD, ngspice"] == 0.912
    gated = comparison.metrics["gated_difference"]
    assert document["agreement"]["largest"][gated] == 4.2e-6
    assert document["agreement"]["gate"] == 1e-3
    assert document["seeds"] == {"network": 11, "die": 7}
    assert document["main"] == "TNGD, ngspice"


def test_a_nan_difference_is_not_hidden_by_the_others(comparison: TrainingComparison):
    gated = str(comparison.metrics["gated_difference"])
    spoilt = replace(comparison, differences={gated: (1e-6, math.nan, 1e-6)})
    document = spoilt.as_dict()
    assert math.isnan(spoilt.largest_difference(gated))
    assert document["agreement"]["largest"][gated] is None


def test_misuse_is_named(comparison: TrainingComparison):
    with pytest.raises(MisuseError, match="no record 'other'"):
        replace(comparison, main="other")
    with pytest.raises(MisuseError, match="its own name"):
        replace(comparison, records=(comparison.records[0],) * 2)
    with pytest.raises(MisuseError, match="gated_difference = "):
        replace(comparison, differences={})
    stranger = replace(comparison.records[0], name="stranger")
    with pytest.raises(MisuseError, match="no entry for the record 'stranger'"):
        replace(comparison, records=(*comparison.records, stranger))


def test_hardware_facts_of_a_preset():
    spec = presets.pcb_1k_1n()
    facts = hardware_facts(spec, seed=7)
    assert facts["hash"] == spec.hash
    assert facts["values"]["resistors.resistance_ohm"] == "1 kOhm"
    assert facts["values"]["resistors.tolerance_dtod"] == "0.1 %"
    assert facts["values"]["amplifiers.gain_bandwidth_hz"] == "75 MHz"
    assert facts["values"]["amplifiers.offset_volt_dtod"] == "125 uV"
    assert facts["values"]["amplifiers.open_loop_gain"] == "75000"
    assert "LT1801" in facts["source"]
    assert "75 MHz, large-signal" in facts["source"]  # unwrapped


def test_a_changed_preset_does_not_keep_its_source():
    spec = presets.pcb_1k_1n()
    changed = spec.model_copy(update={"resistors": spec.resistors.model_copy(update={"tolerance_dtod": 0.05})})
    assert hardware_facts(changed, seed=7)["source"] == "numbers chosen by the user"
