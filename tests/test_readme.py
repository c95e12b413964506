"""The README's Python examples and its command-line example run as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_the_python_example_prints_the_answer_beside_the_digital_one(tmp_path):
    example, _ = blocks("python")
    code = [line for line in example.splitlines() if line]
    assert len(code) <= 12
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "expected loss in x" in done.stdout
    chip, digital = (eval(row.replace(" ", ","), {}) for row in _rows(done.stdout)[:2])
    # The die has 0.1 % resistors and real amplifiers: near the digital answer, and not equal to it.
    assert 0 < max(abs(a - b) for a, b in zip(chip, digital, strict=True)) < 0.05


def test_the_example_of_imperfect_parts_names_every_cause(tmp_path):
    _, example = blocks("python")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for words in ("settling", "sampling", "resistors.tolerance", "programming.levels", "interaction", "200 chips"):
        assert words in done.stdout
    measured = float(re.findall(r"tensor\(\[([-+.e0-9]+)\]", done.stdout)[-1])
    assert abs(measured + 1.130) < 0.15, "log det of the example's matrix"


def _rows(text):
    return [re.sub(r"\s+", " ", row.strip("[] ")).strip() for row in re.findall(r"\[[^\]]*\]", text)]


def test_the_command_line_example_runs(tmp_path):
    (example,) = blocks("sh")
    done = subprocess.run(
        ["sh", "-eu", "-c", example], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "design").is_dir()
    assert '"relative_error"' in done.stdout


def test_the_pictures_are_there():
    pictures = re.findall(r"^!\[[^\]]*\]\(([^)]*)\)", README, flags=re.MULTILINE)
    assert len(pictures) == 2
    for picture in pictures:
        assert (Path(__file__).parents[1] / picture).stat().st_size > 10_000
