"""MNIST trained through circuits: ``python -m tngd_hw.studies.circuit.in_loop OUT``."""
