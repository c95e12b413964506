import base64
import math
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tngd_hw.outcome import MisuseError
from tngd_hw.report import TrainingComparison, draw_cell, save_figure, training_figure
from tngd_hw.report.markup import number, span

VOID = {"meta", "img"}
Write = Callable[..., str]


class Page(HTMLParser):
    """Collects links, names and text, and checks that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = {key: value or "" for key, value in attrs}
        assert not any(key.startswith("on") for key in given)
        self.names += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        self.sources += [given["src"]] if "src" in given else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)


@pytest.fixture
def pictures(comparison: TrainingComparison, tmp_path: Path) -> dict[str, Path]:
    shown = save_figure(training_figure(comparison.records), tmp_path / "training.png")
    svg, _ = draw_cell("integrator", tmp_path / "cell")
    return {"training": shown, "settling": shown, "agreement": shown, "schematic": svg}


def test_the_page_needs_nothing_beside_it(write: Write, comparison: TrainingComparison, pictures: dict[str, Path]):
    text = write(comparison, pictures)
    page = Page(text)
    assert len(page.sources) == 4
    assert all(source.startswith("data:image/") for source in page.sources)
    assert {link for link in page.links if not link.startswith("#")} == {"https://arxiv.org/abs/2405.13817"}
    assert not {"script", "link", "iframe", "object"} & page.tags
    assert not re.search(r"url\(|@import", text)
    embedded = page.sources[-1].split(",")[1]
    assert base64.b64decode(embedded) == pictures["agreement"].read_bytes()


def test_the_contents_list_points_at_sections(write: Write, comparison: TrainingComparison):
    page = Page(write(comparison))
    inside = [link[1:] for link in page.links if link.startswith("#")]
    assert sorted(inside) == sorted(page.names)
    assert len(set(page.names)) == len(page.names)


def test_light_dark_and_print(write: Write, comparison: TrainingComparison):
    text = write(comparison)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_the_numbers_of_the_run_are_in_it(write: Write, comparison: TrainingComparison):
    text = Page(write(comparison)).text
    for expected in (
        "2,410 parameters",
        "1,400 samples to learn from and 397 held out",
        "an array of 80 operational-amplifier integrators, the circuit was simulated with ngspice 39",
        "read once, after 50 τ",
        "0.67 % of it is still missing",  # e^-5
        "“TNGD, ngspice” reached the required 90.0 %: it ended at 91.2 %",
        "“SGD” ended 7.8 points below it; “Adam” ended level with it",
        "stayed below the gate of 0.001 at all 30 steps; the largest value is 4.2 × 10⁻⁶",
        "κ = 0.001",
        "5 mV to 20 mV",  # v0 sqrt(kappa/lambda)
        "1.81 × 10⁸ K to 2.9 × 10⁹ K",
        "about 777 to 3,109 times less",  # sqrt(T_eff / 300 K)
        "4.1 points below",
        "LT1801/LT1802",
        "187 s on Linux, 2 cores",
        "4,034 sit on the inverted rail",
        "300 mV to 900 mV",
        "25 µs",
        "diverged",  # a rate of the search
        "Chosen: 0.316.",
        "0.910",
        "2 runs a rate",
        "last_step.cir",
        "θ ← θ − 0.125 x",
    ):
        assert expected in text, expected
    assert comparison.metrics["hardware"]["hash"] in text


def test_one_standard_error_is_that_of_a_difference_of_two_binomials(write: Write, comparison: TrainingComparison):
    # p = 0.912, n = 397: sqrt(2 p (1 - p)/n) = 2.01 points
    assert "differences below about 4.0 points can be chance" in Page(write(comparison)).text


def test_the_ends_of_the_solve(write: Write, comparison: TrainingComparison):
    # simulator 1e-3 above the exact end; the digital answer is 1.25 of it: (1.25 - 1.001)/1.25
    text = Page(write(comparison)).text
    assert "within 0.1 % of the exact solution of the circuit and within 20 % of the digital answer" in text


def test_hostile_names_are_escaped(write: Write, comparison: TrainingComparison):
    evil = "<script>alert('x')</script>{0}{name}"
    records = (replace(comparison.records[0], name=evil), *comparison.records[1:])
    runs = {**comparison.metrics["runs"], evil: comparison.metrics["runs"]["TNGD, ngspice"]}
    hostile: dict[str, Any] = {
        "runs": runs,
        "note": evil,
        "command": evil,
        "machine": evil,
        "gated_difference": evil,
        "versions": {evil: evil},
        "seeds": {evil: 1},
        "files": {evil: evil},
        "hardware": {**comparison.metrics["hardware"], "name": evil, "source": evil, "values": {evil: evil}},
        "task": {**comparison.metrics["task"], "description": evil, "network": evil},
        "training": {**comparison.metrics["training"], "choice": evil},
    }
    text = write(
        comparison,
        facts=hostile,
        records=records,
        main=evil,
        differences={evil: (1e-6,)},
        settling=replace(comparison.settling, simulator=evil),
    )
    assert "<script" not in text
    page = Page(text)
    assert "script" not in page.tags
    assert page.text.count(evil) > 12


def test_a_diverged_control(write: Write, comparison: TrainingComparison):
    wild = replace(comparison.records[3], loss=(2.0, math.nan), accuracy=(math.nan,), accuracy_steps=(2,))
    text = Page(write(comparison, records=(*comparison.records[:3], wild, comparison.records[4]))).text
    assert "“SGD” diverged" in text
    assert "diverged unknown" not in text
    assert "nan" not in text.lower()


def test_a_noisy_run_that_diverged(write: Write, comparison: TrainingComparison):
    wild = replace(comparison.records[2], loss=(2.0, math.inf), accuracy=(), accuracy_steps=())
    records = (*comparison.records[:2], wild, *comparison.records[3:])
    text = Page(write(comparison, records=records)).text
    assert "With this noise the training diverged." in text


def test_without_ngspice(write: Write, comparison: TrainingComparison):
    runs = {**comparison.metrics["runs"]}
    text = Page(
        write(
            comparison,
            facts={
                "runs": runs,
                "gated_difference": None,
                "versions": {"tngd_hw": "0.1.0"},
                "note": "ngspice was not found.",
            },
            records=comparison.records[1:],
            main="TNGD, exact circuit",
            differences={"circuit against the ideal filter": (0.02,)},
            settling=replace(comparison.settling, simulator="state_space"),
        )
    ).text
    assert "ngspice was not found." in text
    assert "solved exactly (no SPICE simulator was used)" in text
    assert "No SPICE simulator took part" in text
    assert "stayed below" not in text
    assert "simulated with" not in text


@pytest.mark.parametrize("bad", [2e-3, math.nan, math.inf])
def test_a_missed_gate_is_said(write: Write, comparison: TrainingComparison, bad: float):
    gated = comparison.metrics["gated_difference"]
    text = Page(write(comparison, differences={gated: (1e-6, bad, 1e-6)})).text
    assert "missed the gate of 0.001 at 1 of 3 steps" in text
    assert "stayed below" not in text
    assert "✗" in text


def test_missed_accuracy_is_said(write: Write, comparison: TrainingComparison):
    text = Page(write(comparison, facts={"accuracy_gate": 0.95})).text
    assert "“TNGD, ngspice” missed the required 95.0 %" in text
    assert "✗" in text


def test_without_noise_searches_controls_and_pictures(write: Write, comparison: TrainingComparison):
    text = Page(
        write(
            comparison,
            facts={"noise": None, "learning_rate_searches": [], "files": {}},
            records=comparison.records[:1],
            differences={comparison.metrics["gated_difference"]: (1e-6,)},
        )
    ).text
    assert "No noise was injected" in text
    assert "No learning rate was searched for." in text
    assert "digital controls" not in text
    assert "ideal filter is no error" not in text


def test_a_cold_run_makes_no_claim_about_room_temperature(write: Write, comparison: TrainingComparison):
    noise = {**(comparison.metrics["noise"] or {}), "effective_temperature_kelvin": [200.0, 400.0]}
    text = Page(write(comparison, facts={"noise": noise})).text
    assert "200 K to 400 K" in text
    assert "times less" not in text


def test_an_ideal_chip_has_no_voltage_limit(write: Write, comparison: TrainingComparison):
    mapping = {**comparison.metrics["mapping"], "voltage_limit_volt": None}
    assert "voltage limit of the amplifiers (last step)none" in Page(write(comparison, facts={"mapping": mapping})).text


def test_pictures_that_cannot_be_embedded(write: Write, comparison: TrainingComparison, tmp_path: Path):
    with pytest.raises(MisuseError, match=r"neither \.png nor \.svg"):
        write(comparison, {"training": tmp_path / "x.gif"})
    with pytest.raises(MisuseError, match="cannot be read"):
        write(comparison, {"training": tmp_path / "x.png"})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"), (0.1, "0.1"), (25.4166, "25.4"), (999.7, "1,000"), (3109.4, "3,109"), (-0.00123, "-0.00123"),
        (2.2176e-6, "2.22 × 10⁻⁶"), (1e-3, "0.001"), (1e9, "10⁹"), (2.5e12, "2.5 × 10¹²"), (9.999e-7, "10⁻⁶"),
        (math.nan, "not finite"), (math.inf, "not finite"),
    ],
)  # fmt: skip
def test_numbers(value: float, expected: str):
    assert number(value) == expected


def test_a_span_of_one_value():
    assert span(0.2, 0.2000001, "mV") == "0.2 mV"
    assert span(0.1, 0.2) == "0.1 to 0.2"
