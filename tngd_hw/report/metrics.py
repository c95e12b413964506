"""The facts of a run that a report shows beside its curves; plain data, ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

__all__ = ["HardwareFacts", "Metrics", "NoiseFacts", "RunFacts", "TaskFacts", "TrainingFacts"]


class TaskFacts(TypedDict):
    """What was learnt.

    Keys:
        description: The data in a few words, as "scikit-learn's digits: 8 x 8 grey images of handwritten digits".
        train_samples: Samples to learn from.
        test_samples: Held-out samples.
        network: As "64-32-10 network with tanh".
        parameters: Number of parameters, N.
    """

    description: str
    train_samples: int
    test_samples: int
    network: str
    parameters: int


class TrainingFacts(TypedDict):
    """Settings that all analog runs share.

    Keys:
        steps: Updates.
        batch_size: Samples a step.
        learning_rate: Of the natural-gradient runs.
        damping: lambda.
        duration_tau: Analog time t of one solve in units of tau.
        choice: How learning rate and damping were chosen, one sentence.
    """

    steps: int
    batch_size: int
    learning_rate: float
    damping: float
    duration_tau: float
    choice: str


class RunFacts(TypedDict):
    """One run, beside its record.

    Keys:
        engine: "ngspice", "state_space", "ideal" ...; the optimizer's name for a digital control.
        learning_rate: The rate used.
        kappa: Injected noise; 0 without.
        wall_time_s: Seconds that the run took on this machine.
    """

    engine: str
    learning_rate: float
    kappa: float
    wall_time_s: float


class NoiseFacts(TypedDict):
    """The run with injected noise.

    Keys:
        record: Name of its record.
        kappa: Cov(y) -> kappa A^-1.
        v0_volt: Smallest and largest v0 of the run.
        effective_temperature_kelvin: Smallest and largest T_eff = kappa v0^2 C/k_B of the run.
    """

    record: str
    kappa: float
    v0_volt: Sequence[float]
    effective_temperature_kelvin: Sequence[float]


class HardwareFacts(TypedDict):
    """The chip; :func:`tngd_hw.report.hardware_facts` fills this from a HardwareSpec.

    Keys:
        name: Name of the preset or the user's own.
        hash: Hash of the specification.
        text: ``str(spec)``.
        values: Dotted field name -> value with unit.
        source: Where the numbers come from.
        seed: Seed of the die.
    """

    name: str
    hash: str
    text: str
    values: Mapping[str, str]
    source: str
    seed: int


class Metrics(TypedDict):
    """Facts of the run, JSON-able, finite numbers only.

    Keys:
        task: See TaskFacts.
        training: See TrainingFacts.
        runs: Name of a record -> RunFacts, one for every record.
        noise: See NoiseFacts; None without such a run.
        hardware: See HardwareFacts.
        mapping: ``MappingReport.to_dict()`` of the last step of the main run.
        learning_rate_searches: ``LearningRateSearch.as_dict()`` of every digital control.
        gated_difference: Key of ``differences`` that must stay below the gate; None if nothing was gated (no ngspice).
        accuracy_gate: Held-out accuracy that the main run must reach, a fraction; None for a run too short to be gated.
        seeds: What is seeded -> seed.
        versions: Program -> version (tngd_hw, python, torch, numpy, ngspice ...).
        machine: Operating system and processor in a few words, without the machine's name.
        wall_time_s: Seconds of the whole demonstration.
        command: How to do it again, as "tngd-hw demo --out results/demo".
        note: A sentence the reader must see first, as "ngspice was not found ..."; absent if there is none.
        files: File name -> what it is, the other files beside the page.
    """

    task: TaskFacts
    training: TrainingFacts
    runs: Mapping[str, RunFacts]
    noise: NoiseFacts | None
    hardware: HardwareFacts
    mapping: Mapping[str, Any]
    learning_rate_searches: Sequence[Mapping[str, Any]]
    gated_difference: str | None
    accuracy_gate: float | None
    seeds: Mapping[str, int]
    versions: Mapping[str, str]
    machine: str
    wall_time_s: float
    command: str
    note: NotRequired[str]
    files: NotRequired[Mapping[str, str]]
