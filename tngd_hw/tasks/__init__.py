"""Data and models to train on.

Images               classification (the task), digits, mnist (idx)
Questions            qa_task, qa_model (lora), qa_windows, squad
Physics              poisson
Where data are       data_files (folders, the cache), download
"""

from tngd_hw.tasks.classification import ClassificationTask, minibatches
from tngd_hw.tasks.data_files import (
    DATA_VARIABLE,
    MNIST_FILES,
    SQUAD_SAMPLE,
    DataFile,
    cache_directory,
    find_data,
    obtain_data,
    verified_content,
)
from tngd_hw.tasks.digits import DIGITS_SPLIT_SEED, digits_split, digits_task, make_network
from tngd_hw.tasks.idx import parse_idx, read_idx
from tngd_hw.tasks.lora import LoRALinear, insert_lora
from tngd_hw.tasks.mnist import MNIST_SUBSET_SEED, mnist_network, mnist_subset, mnist_task
from tngd_hw.tasks.poisson import PoissonProblem, PoissonResidual, PoissonTask, TanhNetwork, two_sines
from tngd_hw.tasks.qa_model import ExtractiveQA, qa_network
from tngd_hw.tasks.qa_task import QAScores, QATask, qa_scores, qa_task
from tngd_hw.tasks.squad import Answer, Question, exact_match, f1_score, squad_questions

__all__ = [
    "DATA_VARIABLE",
    "DIGITS_SPLIT_SEED",
    "MNIST_FILES",
    "MNIST_SUBSET_SEED",
    "SQUAD_SAMPLE",
    "Answer",
    "ClassificationTask",
    "DataFile",
    "ExtractiveQA",
    "LoRALinear",
    "PoissonProblem",
    "PoissonResidual",
    "PoissonTask",
    "QAScores",
    "QATask",
    "Question",
    "TanhNetwork",
    "cache_directory",
    "digits_split",
    "digits_task",
    "exact_match",
    "f1_score",
    "find_data",
    "insert_lora",
    "make_network",
    "minibatches",
    "mnist_network",
    "mnist_subset",
    "mnist_task",
    "obtain_data",
    "parse_idx",
    "qa_network",
    "qa_scores",
    "qa_task",
    "read_idx",
    "squad_questions",
    "two_sines",
    "verified_content",
]
