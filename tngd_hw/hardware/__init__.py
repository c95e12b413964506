"""What a chip is made of: parts with their numbers, their draw and their action on elements."""

from tngd_hw.hardware import presets
from tngd_hw.hardware.amplifiers import Amplifiers
from tngd_hw.hardware.capacitors import Capacitors
from tngd_hw.hardware.chip import Chip, draw_chip
from tngd_hw.hardware.elements import AmplifierBank, Component, Elements, Inventory, PartKind, Role, roles_of
from tngd_hw.hardware.inductors import Inductors
from tngd_hw.hardware.layout import Encoding, Layout
from tngd_hw.hardware.presets import load_hardware
from tngd_hw.hardware.resistors import Resistors
from tngd_hw.hardware.spec import HardwareSpec
from tngd_hw.hardware.transconductors import Transconductors

__all__ = [
    "AmplifierBank",
    "Amplifiers",
    "Capacitors",
    "Chip",
    "Component",
    "Elements",
    "Encoding",
    "HardwareSpec",
    "Inductors",
    "Inventory",
    "Layout",
    "PartKind",
    "Resistors",
    "Role",
    "Transconductors",
    "draw_chip",
    "load_hardware",
    "presets",
    "roles_of",
]
