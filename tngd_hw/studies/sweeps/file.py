"""A study from a TOML file: every key is a field of :class:`~tngd_hw.studies.sweeps.study.Study`, nothing else.

For example:

    quantity = "resistors.tolerance_dtod"
    values = [0.001, 0.01, 0.1]
    topologies = ["integrator", "passive_rc"]
    matrices = ["wishart_4n", "ill_conditioned:1e4", "mine.npy"]
    sizes = [16]

``hardware`` is a preset, a TOML file beside this one, or a table ``[hardware]``.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from tngd_hw.hardware import HardwareSpec, load_hardware
from tngd_hw.hardware.presets import PRESETS
from tngd_hw.outcome import MisuseError
from tngd_hw.studies.sweeps.matrices import MatrixSource
from tngd_hw.studies.sweeps.study import Study, StudyEngine

__all__ = ["read_study"]


def read_study(path: Path, hardware: HardwareSpec | None = None) -> Study:
    """The study in a TOML file; its name is the file's unless it says another.

    Args:
        path: The file.
        hardware: Takes the place of what the file says.

    Raises:
        MisuseError: The file cannot be read, an unknown key (with the nearest known one), or a field that cannot be
            meant, by its dotted path.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MisuseError(f"study = {path}: cannot be read ({error.strerror}); check the path") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MisuseError(f"study = {path}: not readable as TOML ({error})") from None
    known = [f.name for f in fields(Study)]
    for key in document:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            offer = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(known)}"
            raise MisuseError(f"study.{key}: unknown key in {path}; {offer}")
    for key in ("quantity", "values"):
        if key not in document:
            raise MisuseError(f"study.{key}: missing in {path}; a study sweeps one quantity over values")
    given: dict[str, Any] = {"name": path.stem}
    given |= {key: _read(key, value, path.parent) for key, value in document.items()}
    if hardware is not None:
        given["hardware"] = hardware
    return Study(**given)


def _read(key: str, value: object, folder: Path) -> Any:
    """One field from its TOML form; numbers go on as they are, for Study to check."""
    readers: dict[str, Callable[[], Any]] = {
        "name": lambda: _text("name", value),
        "quantity": lambda: _text("quantity", value),
        "values": lambda: _list("values", value),
        "sizes": lambda: _list("sizes", value),
        "samples": lambda: _list("samples", value),
        "topologies": lambda: tuple(_text("topologies", entry) for entry in _list("topologies", value)),
        "matrices": lambda: tuple(
            MatrixSource.parse(_text("matrices", entry), folder) for entry in _list("matrices", value)
        ),
        "hardware": lambda: _hardware(value, folder),
        "engine": lambda: _engine(value),
    }
    return readers.get(key, lambda: value)()


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise MisuseError(f"study.{key} = {value!r}: expected text in quotation marks")
    return value


def _list(key: str, value: object) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise MisuseError(f"study.{key} = {value!r}: expected a list, for example [1, 2]")
    return tuple(cast("list[Any]", value))


def _hardware(value: object, folder: Path) -> HardwareSpec:
    if isinstance(value, dict):
        return HardwareSpec.from_dict(cast("dict[str, Any]", value))
    name = _text("hardware", value)
    return load_hardware(name if name in PRESETS or not name.endswith((".toml", ".json")) else str(folder / name))


def _engine(value: object) -> StudyEngine:
    word = _text("engine", value)
    try:
        return StudyEngine(word)
    except ValueError:
        known = ", ".join(engine.value for engine in StudyEngine)
        raise MisuseError(f"study.engine = {word!r}: a study needs equations of whole batches; use {known}") from None
