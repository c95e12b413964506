"""What a chip is made of: parts with their numbers, their draw and their action on elements.

The ground          elements (components by role), layout, fields (checked numbers), draws (keyed streams), effects
Once a chip         chip (a die), spec (the tree of parts), presets, dotted (paths into the tree)
What holds values   resistors, capacitors, inductors, transconductors, amplifiers
How values are set  programming (preferred_values), memory (memory_models), damping
What moves them     mismatch, temperature, wiring (wire_resistance)
Noise               noise (thermal), generator (injected); amplifiers have their own
At the edges        converters (DAC, ADC), reset

A part is a frozen model with ``draw(die)`` (once a chip, ``_dtod``), for some ``draw_write(die)`` (every programming,
``_std``), and ``apply(elements, draws)``, batched over chips.  ``HardwareSpec.parts()`` is the order in which they act.
"""

from tngd_hw.hardware import presets
from tngd_hw.hardware.amplifiers import Amplifiers
from tngd_hw.hardware.capacitors import Capacitors
from tngd_hw.hardware.chip import Chip, draw_chip
from tngd_hw.hardware.converters import Adc, Dac, Range, quantised
from tngd_hw.hardware.damping import Damping, DampingDevice
from tngd_hw.hardware.draws import Die, Draws, draws_of
from tngd_hw.hardware.elements import AmplifierBank, Component, Elements, Inventory, PartKind, Role, roles_of
from tngd_hw.hardware.inductors import Inductors
from tngd_hw.hardware.layout import Encoding, Layout
from tngd_hw.hardware.memory import Memory
from tngd_hw.hardware.memory_models import Device
from tngd_hw.hardware.mismatch import Corner, Mismatch, corners
from tngd_hw.hardware.presets import load_hardware
from tngd_hw.hardware.programming import ErrorLaw, ErrorScaling, Programming, Spacing, present
from tngd_hw.hardware.reset import Reset
from tngd_hw.hardware.resistors import Resistors
from tngd_hw.hardware.spec import HardwareSpec
from tngd_hw.hardware.temperature import Temperature
from tngd_hw.hardware.transconductors import Transconductors

__all__ = [
    "Adc",
    "AmplifierBank",
    "Amplifiers",
    "Capacitors",
    "Chip",
    "Component",
    "Corner",
    "Dac",
    "Damping",
    "DampingDevice",
    "Device",
    "Die",
    "Draws",
    "Elements",
    "Encoding",
    "ErrorLaw",
    "ErrorScaling",
    "HardwareSpec",
    "Inductors",
    "Inventory",
    "Layout",
    "Memory",
    "Mismatch",
    "PartKind",
    "Programming",
    "Range",
    "Reset",
    "Resistors",
    "Role",
    "Spacing",
    "Temperature",
    "Transconductors",
    "corners",
    "draw_chip",
    "draws_of",
    "load_hardware",
    "present",
    "presets",
    "quantised",
    "roles_of",
]
