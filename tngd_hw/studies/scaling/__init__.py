"""Time of a step against the sizes of the network: ``python -m tngd_hw.studies.scaling.runtime OUT``."""
