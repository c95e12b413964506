"""The main job, end to end: a network learns real digits with natural gradients read from a circuit in ngspice."""

from tngd_hw.demo.run import DemoOptions, run_demo

__all__ = ["DemoOptions", "run_demo"]
