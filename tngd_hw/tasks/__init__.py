"""Data and models to train on."""

from tngd_hw.tasks.classification import ClassificationTask, minibatches
from tngd_hw.tasks.digits import DIGITS_SPLIT_SEED, digits_split, digits_task, make_network

__all__ = [
    "DIGITS_SPLIT_SEED",
    "ClassificationTask",
    "digits_split",
    "digits_task",
    "make_network",
    "minibatches",
]
