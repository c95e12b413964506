"""Where finite bandwidth makes a solver oscillate: ``python -m tngd_hw.studies.stability.map OUT``."""
