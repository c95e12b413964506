"""Studies: their configuration, their cells, the same bits for any number of workers, and kills in the middle."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from joblib.externals.loky import reusable_executor

from tngd_hw.hardware import HardwareSpec, presets
from tngd_hw.outcome import MisuseError
from tngd_hw.storage import load_dataset
from tngd_hw.studies.sweeps.cells import PARTS, expand
from tngd_hw.studies.sweeps.figures import study_figure
from tngd_hw.studies.sweeps.file import read_study
from tngd_hw.studies.sweeps.matrices import MatrixSource
from tngd_hw.studies.sweeps.named import NAMED_STUDIES, named_study
from tngd_hw.studies.sweeps.output import write_study
from tngd_hw.studies.sweeps.results import study_dataset, study_series
from tngd_hw.studies.sweeps.store import Store, canonical_json
from tngd_hw.studies.sweeps.study import Study, StudyEngine
from tngd_hw.studies.sweeps.sweep import STORE_NAME, FinishedCell, run_study

SMALL = Study(
    name="small", quantity="resistors.tolerance_dtod", values=(0.01, 0.1), topologies=("integrator", "passive_rc"),
    matrices=(MatrixSource.parse("wishart_2n"), MatrixSource.parse("laplacian")), sizes=(6,), chips=3, repetitions=2,
    kappa=1e-4, seed=7,
)  # fmt: skip

PROGRAM = """
import sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, {here!r})
from test_sweep import LONG
from tngd_hw.studies.sweeps.sweep import run_study
run_study(LONG, Path(sys.argv[1]), workers=int(sys.argv[2]))
"""

LONG = replace(SMALL, values=tuple(k / 1000 for k in range(1, 31)), sizes=(8,), topologies=("integrator",))


def numbers(cells: tuple[FinishedCell, ...]) -> list[str]:
    return [canonical_json(cell.record.result) for cell in cells]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[FinishedCell, ...]]:
    out = tmp_path_factory.mktemp("small")
    return out, run_study(SMALL, out, workers=1)


def test_cells_are_all_combinations() -> None:
    cells = list(expand(SMALL))
    assert len(cells) == 2 * 2 * 2 * 2
    assert [(c.topology, str(c.source), c.value, c.repetition) for c in cells[:3]] == [
        ("integrator", "wishart_2n", 0.01, 0),
        ("integrator", "wishart_2n", 0.01, 1),
        ("integrator", "wishart_2n", 0.1, 0),
    ]
    assert cells[2].hardware.resistors.tolerance_dtod == 0.1
    assert len({canonical_json(cell.configuration()) for cell in cells}) == len(cells)


@pytest.mark.parametrize(
    ("quantity", "values", "field"),
    [("kappa", (1e-6, 1e-3), "kappa"), ("duration_tau", (1.0, 9.0), "duration_tau"), ("samples", (1, 50), "samples")],
)
def test_quantities_of_the_run_are_swept(quantity: str, values: tuple[float, ...], field: str) -> None:
    cells = list(expand(replace(SMALL, quantity=quantity, values=values)))
    assert {getattr(cell.reading, field) for cell in cells} == set(values)
    assert {cell.hardware.hash for cell in cells} == {presets.ideal().hash}


def test_errors_grow_with_the_tolerance_on_the_same_dies(tmp_path: Path) -> None:
    """To first order the error of a die is proportional to the tolerance: the draws are the same at every value."""
    tiny = run_study(replace(SMALL, values=(1e-6, 2e-6)), tmp_path, workers=1)
    one, two = (np.array(tiny[k].record.result["systematic"]) for k in (0, 2))
    assert two / one == pytest.approx(2, rel=1e-4)


def test_a_matrix_that_does_not_fit_is_kept(small: tuple[Path, tuple[FinishedCell, ...]]) -> None:
    refused = [c for c in small[1] if c.cell.topology == "passive_rc" and str(c.cell.source) == "wishart_2n"]
    assert len(refused) == 4
    for cell in refused:
        assert cell.record.result["outcomes"] == ["not_realizable"] * 3
        assert "dominance" in cell.record.result["detail"]
        assert cell.record.result["total"] == [None] * 3


@pytest.mark.parametrize("workers", [2, 4])
def test_the_same_bits_for_any_number_of_workers(
    small: tuple[Path, tuple[FinishedCell, ...]], tmp_path: Path, workers: int
) -> None:
    assert numbers(run_study(SMALL, tmp_path, workers=workers)) == numbers(small[1])


def test_a_finished_study_is_not_run_again(small: tuple[Path, tuple[FinishedCell, ...]]) -> None:
    calls: list[tuple[int, int]] = []
    again = run_study(SMALL, small[0], resume=True, progress=lambda done, total: calls.append((done, total)))
    assert calls == []
    assert [cell.record for cell in again] == [cell.record for cell in small[1]]


@pytest.mark.slow
def test_kill_9_of_the_parent_and_resume(tmp_path: Path) -> None:
    """What is committed stays as it is, what is missing is run, and the numbers are those of a run without a kill."""
    out = tmp_path / "killed"
    program = PROGRAM.format(here=str(Path(__file__).parent))
    process = subprocess.Popen([sys.executable, "-c", program, str(out), "2"], start_new_session=True)
    try:
        assert wait_for(lambda: rows(out) >= 10, 60)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert wait_for(lambda: not group_members(process.pid), 30), "workers survive their parent"
    finally:
        with_group_killed(process.pid)
    total = len(list(expand(LONG)))
    with Store.open(out / STORE_NAME) as store:
        kept = store.records()
    assert 10 <= len(kept) < total
    calls: list[tuple[int, int]] = []
    resumed = run_study(LONG, out, workers=2, resume=True, progress=lambda done, of: calls.append((done, of)))
    assert calls == [(done, total) for done in range(len(kept), total + 1)]  # exactly the missing ones
    with Store.open(out / STORE_NAME) as store:
        after = store.records()
    assert {key: after[key] for key in kept} == kept  # time stamps too
    assert numbers(resumed) == numbers(run_study(LONG, tmp_path / "whole", workers=1))


@pytest.mark.slow
def test_kill_9_of_a_worker(small: tuple[Path, tuple[FinishedCell, ...]], tmp_path: Path) -> None:
    """The cells of the worker that died are run again; none is lost, none is there twice."""
    killed: list[int] = []

    def kill_one(done: int, total: int) -> None:
        del total
        executor = reusable_executor._executor
        if done == 3 and not killed and executor is not None:
            killed.append(next(iter(executor._processes)))
            os.kill(killed[0], signal.SIGKILL)

    assert numbers(run_study(SMALL, tmp_path, workers=2, progress=kill_one)) == numbers(small[1])
    assert killed


def test_interrupt_keeps_what_is_finished(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        del total
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(SMALL, tmp_path, workers=1, progress=interrupt)
    with Store.open(tmp_path / STORE_NAME) as store:
        assert len(store.records()) == 5


def rows(out: Path) -> int:
    if not (out / STORE_NAME).exists():
        return 0
    try:
        with Store.open(out / STORE_NAME) as store:
            return len(store.records())
    except MisuseError:  # it is just being created
        return 0


def group_members(group: int) -> list[int]:
    """Processes of this process group that run."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            state, _, of_group = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:3]
        except (OSError, ValueError, IndexError):
            continue
        if entry.name.isdigit() and int(of_group) == group and state != "Z":
            found.append(int(entry.name))
    return found


def with_group_killed(group: int) -> None:
    for pid in group_members(group):
        os.kill(pid, signal.SIGKILL)


def wait_for(condition, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 8}, r"seed \(there 7, here 8\)"),
        ({"chips": 4}, r"chips \(there 3, here 4\)"),
        ({"hardware": presets.pcb_1k_1n()}, r"hardware\.amplifiers\.\w+ \(there None, here"),
        ({"values": (0.01,)}, r"values \(there \[0\.01, 0\.1\], here \[0\.01\]\)"),
    ],
)
def test_another_study_is_refused(
    small: tuple[Path, tuple[FinishedCell, ...]], change: dict[str, object], said: str
) -> None:
    with pytest.raises(MisuseError, match=said):
        run_study(replace(SMALL, **change), small[0], resume=True)


def test_a_store_is_not_taken_without_resume(small: tuple[Path, tuple[FinishedCell, ...]]) -> None:
    with pytest.raises(MisuseError, match="exists; give --resume"):
        run_study(SMALL, small[0])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"values": ()}, r"values = \(\)"),
        ({"values": (0.1, 0.01)}, "sort them"),
        ({"values": (0.1, math.nan)}, "finite"),
        ({"values": (-0.1, 0.1)}, r"hardware\.resistors\.tolerance_dtod = -0\.1"),
        ({"quantity": "resistors.tolerance"}, r"hardware\.resistors\.tolerance = 0\.01: unknown key"),
        ({"quantity": "capacitor.tolerance_dtod"}, "did you mean 'capacitors'"),
        ({"quantity": "samples", "values": (1.5,)}, "whole number"),
        ({"quantity": "kappa", "values": (-1.0,)}, "0 or more"),
        ({"quantity": "duration_tau", "values": (0.0, 1.0)}, "above 0"),
        ({"topologies": ("integrater",)}, "did you mean 'integrator'"),
        ({"topologies": ("gm_c", "gm_c")}, "twice"),
        ({"chips": 0}, "chips = 0"),
        ({"sizes": (0,)}, "sizes = 0"),
        ({"repetitions": True}, "repetitions = True"),
        ({"kappa": -1.0}, "kappa = -1.0"),
        ({"seed": -1}, "seed = -1"),
        ({"spacing_tau": 0.0}, "spacing_tau"),
        ({"duration_tau": math.inf}, "duration_tau"),
    ],
)
def test_wrong_fields(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(MisuseError, match=sentence):
        replace(SMALL, **change)


def test_workers_below_one(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="workers = 0"):
        run_study(SMALL, tmp_path, workers=0)


FILE = """
quantity = "capacitors.tolerance_dtod"
values = [0.01, 0.1]
matrices = ["ill_conditioned:100", "mine.npy"]
sizes = [2]
engine = "state_space"
hardware = "chip.toml"
samples = [1, 4]
duration_tau = 3.0
"""


def test_a_study_from_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", np.eye(2))
    presets.pcb_1k_1n().to_file(tmp_path / "chip.toml")
    (tmp_path / "own.toml").write_text(FILE)
    study = read_study(tmp_path / "own.toml")
    assert (study.name, study.values, study.sizes, study.samples) == ("own", (0.01, 0.1), (2,), (1, 4))
    assert study.engine is StudyEngine.STATE_SPACE
    assert study.hardware == presets.pcb_1k_1n()
    assert [str(source).split()[0] for source in study.matrices] == ["ill_conditioned:100", "mine.npy"]
    table = tmp_path / "table.toml"
    table.write_text(
        'quantity = "kappa"\nvalues = [0.1]\n[hardware]\nname = "own"\n[hardware.resistors]\nlargest_ohm = 1e6'
    )
    assert read_study(table).hardware == HardwareSpec.from_dict({"name": "own", "resistors": {"largest_ohm": 1e6}})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("quantity = ", "not readable as TOML"),
        ("values = [1]", r"study\.quantity: missing"),
        ('quantity = "kappa"\nvalues = [1]\nchip = 3', r"study\.chip: unknown key .* did you mean chips"),
        ('quantity = "kappa"\nvalues = 1', r"study\.values = 1: expected a list"),
        ("quantity = 3\nvalues = [1]", r"study\.quantity = 3: expected text"),
        ('quantity = "kappa"\nvalues = ["1"]', "no finite number"),
        ('quantity = "kappa"\nvalues = [1]\nengine = "ngspice"', r"study\.engine = 'ngspice'"),
        ('quantity = "kappa"\nvalues = [1]\nchips = "3"', "chips = '3'"),
        ('quantity = "kappa"\nvalues = [1]\nhardware = "ideel"', "did you mean 'ideal'"),
        ('quantity = "kappa"\nvalues = [1]\n[hardware]\nname = "x"\ncolour = 3', r"hardware\.colour = 3: unknown key"),
        ('quantity = "kappa"\nvalues = [1]\nmatrices = ["fisher"]', "the families are"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(MisuseError, match=sentence):
        read_study(tmp_path / "own.toml")


def test_the_file_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="cannot be read"):
        read_study(tmp_path / "own.toml")


HAS_PROGRAMMING = "programming" in HardwareSpec.model_fields


@pytest.mark.parametrize("name", ["mismatch", "noise", "settling"] + ["precision"] * HAS_PROGRAMMING)
def test_named_studies_are_studies(name: str) -> None:
    study = named_study(name)
    assert study.name == name
    assert len(study.values) >= 6
    assert len(list(expand(study))) < 1200


def test_unknown_name() -> None:
    with pytest.raises(MisuseError, match="the studies are precision, mismatch, noise, settling"):
        named_study("precission")
    assert list(NAMED_STUDIES) == ["precision", "mismatch", "noise", "settling"]


def test_the_dataset_is_labelled(small: tuple[Path, tuple[FinishedCell, ...]], tmp_path: Path) -> None:
    study_dataset(SMALL, small[1])
    write_study(SMALL, small[1], tmp_path)
    data = load_dataset(tmp_path / "result.nc", "study")
    for cell in small[1]:
        place = {
            "topology": cell.cell.topology, "matrix": str(cell.cell.source), "value": cell.cell.value, "size": 6,
            "samples": 1, "repetition": cell.cell.repetition,
        }  # fmt: skip
        for part in PARTS:
            wanted = np.array(cell.record.result[part], dtype=float)
            assert np.array_equal(data[part].sel(place).values, wanted, equal_nan=True)
        assert data["outcome"].sel(place).values.tolist() == cell.record.result["outcomes"]
    assert data["value"].attrs["quantity"] == "resistors.tolerance_dtod"
    assert {path.name for path in tmp_path.iterdir()} == {
        "result.nc", "summary.json", "table.txt", "figure.png", "figure.svg",
    }  # fmt: skip


def test_the_summary_is_of_all_chips_and_matrices(small: tuple[Path, tuple[FinishedCell, ...]]) -> None:
    first = study_series(SMALL, small[1])[0]
    both = np.concatenate([small[1][k].record.result["total"] for k in (0, 1)])
    point = first.points[0]
    assert point.outcomes == {"ok": 6}
    assert point.errors["total"].mean == pytest.approx(both.mean())
    assert point.errors["total"].std == pytest.approx(both.std())
    assert point.errors["total"].median == pytest.approx(np.median(both))


def test_the_figure_shows_every_part_and_every_refusal(small: tuple[Path, tuple[FinishedCell, ...]]) -> None:
    figure = study_figure(SMALL, study_series(SMALL, small[1]))
    drawn = {line.get_label() for chart in figure.axes for line in chart.lines}
    assert drawn == set(PARTS)
    words = [text.get_text() for chart in figure.axes for text in chart.texts]
    assert sum("not_realizable" in text for text in words) == 1
    assert figure.axes[-1].get_xlabel() == "resistors.tolerance_dtod (1)"
