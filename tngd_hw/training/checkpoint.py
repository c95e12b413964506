"""Checkpoints: a run that was stopped goes on with the same bits, and nothing is lost on the way.

A checkpoint holds network, optimizer (with the damping, the device's state and the number of solves), the record so
far, and what the run was asked for; a run that was asked for something else refuses it.  It is written whole or not at
all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import nn

from tngd_hw.outcome import MisuseError
from tngd_hw.storage import atomic_path
from tngd_hw.training.record import TrainingRecord, check_count

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]

_FORMAT: Final = "tngd_hw training checkpoint 1"


@dataclass(frozen=True)
class Checkpoint:
    """Where a run keeps its state; a file that is there already is where it goes on.

    Attributes:
        path: The file.
        every: Updates between two writings; the end of a run is always written.

    Raises:
        MisuseError: ``every`` below 1.
    """

    path: Path
    every: int = 50

    def __post_init__(self) -> None:
        check_count(self.every, "every")


def save_checkpoint(
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    record: TrainingRecord,
    asked: Mapping[str, object],
) -> None:
    """Write the state of a run after ``record.steps`` updates; ``asked`` is plain data that the run depends on."""
    document = {
        "format": _FORMAT,
        "asked": json.dumps(_identity(network, optimizer, asked), sort_keys=True),
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "record": record.as_dict(),
    }
    with atomic_path(path) as temporary:
        torch.save(document, temporary)


def load_checkpoint(
    path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, asked: Mapping[str, object]
) -> TrainingRecord:
    """Put network and optimizer where the checkpoint left them; returns the record so far.

    Raises:
        MisuseError: A file that is no checkpoint or is damaged, or one of another network, optimizer or run: the first
            difference is named, and neither network nor optimizer is changed.
    """
    document = _read(path)
    held, wanted = json.loads(document["asked"]), _identity(network, optimizer, asked)
    for name in sorted({*held, *wanted}):
        if held.get(name) != wanted.get(name):
            raise MisuseError(
                f"{path}: is the checkpoint of another run ({name} = {_short(held.get(name))}, here "
                f"{_short(wanted.get(name))}); give another file, or delete it to start anew"
            )
    network.load_state_dict(document["network"])
    optimizer.load_state_dict(document["optimizer"])
    kept = document["record"]
    extra = {name: tuple(values) for name, values in kept["extra"].items()}
    return TrainingRecord(
        kept["name"], tuple(kept["loss"]), tuple(kept["accuracy"]), tuple(kept["accuracy_steps"]), extra
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        document: object = torch.load(path, weights_only=True)
    except Exception as error:  # bytes of any kind run torch's reader into errors of any kind
        reason = str(error).strip().splitlines()[0].split(". ")[0] if str(error).strip() else type(error).__name__
        raise MisuseError(f"{path}: cannot be read as a checkpoint ({reason}); delete it to start anew") from None
    if not isinstance(document, dict) or cast("dict[str, Any]", document).get("format") != _FORMAT:
        raise MisuseError(f"{path}: is not a checkpoint of this version; delete it to start anew")
    return cast("dict[str, Any]", document)


def _identity(network: nn.Module, optimizer: torch.optim.Optimizer, asked: Mapping[str, object]) -> dict[str, object]:
    parameters = {name: [*p.shape, str(p.dtype)] for name, p in network.named_parameters()}
    return {**asked, "network": parameters, "optimizer": type(optimizer).__name__}


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
