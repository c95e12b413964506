"""Measured comparisons with peers; ``python -m benchmarks`` runs them all and writes the results next to this file."""
