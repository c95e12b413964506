"""A physics-informed network: ``python -m tngd_hw.studies.poisson.curves OUT``."""
