"""``presets``: listed, printed, and read back."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from tngd_hw.hardware import load_hardware
from tngd_hw.hardware.presets import PRESETS


def test_all_are_listed_with_one_line_each(cli) -> None:
    lines = cli("presets").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(PRESETS)
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("options", [[], ["--toml"]])
def test_toml_goes_round(cli, folder: Path, name: str, options: list[str]) -> None:
    text = cli("presets", name, *options).stdout
    assert tomllib.loads(text)["name"] == name
    (folder / "my.toml").write_text(text)
    assert load_hardware(str(folder / "my.toml")) == PRESETS[name]()


def test_json(cli) -> None:
    every = json.loads(cli("presets", "--json").stdout)["presets"]
    assert [entry["name"] for entry in every] == list(PRESETS)
    one = json.loads(cli("presets", "pcb_1k_1n", "--json").stdout)
    assert one["hardware"]["amplifiers"]["gain_bandwidth_hz"] == 75e6
    assert one["hardware_hash"] == PRESETS["pcb_1k_1n"]().hash


@pytest.mark.parametrize("arguments", [["nobody"], ["--toml"], ["ideal", "--toml", "--json"]])
def test_misuse(refused, arguments: list[str]) -> None:
    assert refused(2, "presets", *arguments).startswith("error: ")
