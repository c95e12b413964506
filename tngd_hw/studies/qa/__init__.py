"""Question answering with LoRA: ``python -m tngd_hw.studies.qa.curves OUT``."""
