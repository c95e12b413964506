"""The tables of README.md from the numbers of results.json."""

from __future__ import annotations

from typing import Any

__all__ = ["document"]

_HEAD = """# Measured comparisons

Written by `make bench` (`python -m benchmarks`), numbers in `results.json`.  Times are medians of five calls (of three
in the low-rank and chain rows) after one that is not counted; every ratio compares two programs in the same run.
The peer thermox runs in an interpreter of its own, named by `THERMOX_PYTHON`; without it its columns say so.

Machine: {cores} cores of a shared {processor} machine, no GPU used, {threads} threads, torch {torch}.  Peer: {peer}.
Other programs on the cores slow threaded eigen-decompositions far more than anything else: run it on an idle machine.
"""


_MANY_RUNS_NOTE = """
A run is from deck to array.  Wanted of the library: ratio >= {wanted:g}, and a difference of at most 1e-12.  It is told
another right-hand side by `alter`, which rounds the last digit of numbers with an exponent otherwise than the deck's
reader, and another matrix as a new deck.  Growth: the memory of a worker over its runs.
"""


_TRAINING_NOTE = """
The rivals have the error {error:g} of their own exact answers.  Wanted: at most {cg:g} times the time of NGD-CG, at
least {euler:g} times faster than Euler's method, a product within {product:g} times a hand-written jvp-vjp pair.
Processor time on one thread, medians of pairs that take turns.  Euler's largest stable step is coarser than the steps
above: it takes {stable} steps, at an error of {coarse}.
"""


def document(results: dict[str, Any]) -> str:
    """README.md as text."""
    rows = results["linear_sde"]
    parts = [_HEAD.format(**rows["machine"], peer=rows["peer"])]
    parts += [_paths(rows), _correctness(rows), _krylov(rows), _low_rank(rows), _chains(rows)]
    circuits = results["circuits"]
    parts += [_large(circuits), _agreement(circuits), _noise(circuits), _engines(results.get("engines", []))]
    parts += [_many_runs(results.get("many_runs", {"rows": []})), _montecarlo(results.get("montecarlo", []))]
    parts += [_training(results.get("training", {"rows": []}))]
    return "".join(parts)


def _engines(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return ""
    fields = ("ours_s", "ngspice_s", "ratio", "wanted", "again_s", "again_ratio", "difference")
    lines: list[list[Any]] = []
    for row in rows:
        name = f"{row['ngspice']}{', KLU' if row['klu'] else ''}"
        matrix = "1 % mismatch" if row.get("mismatched") else "symmetric"
        if "skipped" in row:
            lines.append([row["n"], matrix, name, row["ours_s"], row["skipped"], *["-"] * 5])
            continue
        wanted = "-" if row["wanted"] is None else f">= {row['wanted']}"
        lines.append([row["n"], matrix, name, *(wanted if field == "wanted" else row[field] for field in fields)])
    head = [
        "N",
        "matrix",
        "ngspice",
        "state_space, s",
        "ngspice, s",
        "ratio",
        "wanted",
        "once more, s",
        "ratio",
        "difference at the end",
    ]
    text = _section("gm_c of N nodes, 200 points over 5 tau: state_space and ngspice, set-up included", head, lines)
    return text + "\nOnce more: the same circuit, another b; wanted there: ten times that.  Difference: at the end.\n"


def _montecarlo(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return ""
    fields = ("hardware", "chips", "states", "made_s", "settled_s", "total_s", "wanted_s", "ngspice_s", "ratio")
    lines = [[row.get(field, "-") for field in (*fields, "difference")] for row in rows]
    head = ["hardware", "chips", "states", "made, s", "settled, s", "total, s", "wanted, s below"]
    head += ["ngspice, all chips, s", "ratio", "difference"]
    text = _section("Settled answers and noise of a batch of chips, 32 nodes", head, lines)
    return text + "\nngspice: without noise, extrapolated from three chips, from rest to 1e-6.\n"


def _many_runs(found: dict[str, Any]) -> str:
    if not found["rows"]:
        return f"\n## Many small runs\n\nNot measured: {found['skipped']}.\n" if "skipped" in found else ""
    fields = ("topology", "changes", "workers", "process_ms", "library_ms", "ratio", "process_cpu_ms")
    fields += ("library_cpu_ms", "cpu_ratio", "difference", "growth_mb")
    lines = [[row.get(field, "-") for field in fields] for row in found["rows"]]
    head = ["topology", "changes", "at a time", "process, ms", "library, ms", "ratio", "processor: process, ms"]
    head += ["library, ms", "ratio", "difference", "growth, MB"]
    title = f"{found['runs']} runs of 16 nodes over 50 tau: ngspice {found['ngspice']}, a process each, or its library"
    return _section(title, head, lines) + _MANY_RUNS_NOTE.format(**found)


def _training(found: dict[str, Any]) -> str:
    rows = found["rows"]
    if not rows:
        return f"\n## One TNGD step\n\nNot measured: {found['skipped']}.\n" if "skipped" in found else ""
    fields = ("adam_steps", "products", "error", "step_s", "cg_iterations", "cg_s", "cg_ratio")
    fields += ("euler_steps", "euler_s", "euler_ratio")
    head = ["after steps of Adam", "products", "error", "TNGD, s", "CG iterations", "NGD-CG, s", "TNGD over CG"]
    head += ["Euler steps", "Euler, s", "Euler over TNGD"]
    title = f"One TNGD step, MNIST, N = {rows[0]['parameters']}, batch 64, lambda = 0.01, t = 50 tau"
    text = _section(title, head, [[row[field] for field in fields] for row in rows])
    fields = ("adam_steps", "product_s", "product_anew_s", "product_anew_ratio", "product_recorded_s")
    head = ["after steps of Adam", "ours, s", "jvp-vjp, s", "ratio", "jvp, recorded vjp, s", "ratio"]
    lines = [[row[field] for field in (*fields, "product_recorded_ratio")] for row in rows]
    text += _section("A curvature product of that network", head, lines)
    stable, coarse = (" and ".join(_text(row[field]) for row in rows) for field in ("stable_steps", "error_at_stable"))
    return text + _TRAINING_NOTE.format(**found["wanted"], error=found["error"], stable=stable, coarse=coarse)


def _large(circuits: dict[str, Any]) -> str:
    row = circuits["large"]
    lines = [[row["netlist_s"], row["write_s"], row["read_s"], row["equations_s"]]]
    head = ["netlist, s", "deck written, s", "deck read, s", "state equations, s"]
    text = _section("gm_c of 512 nodes, 262,144 transconductors", head, lines)
    return text + "\nWanted: written under 1 s, read under 5 s, state equations under 2 s.\n"


def _agreement(circuits: dict[str, Any]) -> str:
    lines = [
        [row["case"], row["topology"], row["engine"], row["path"], row["end"], row["seconds"]]
        for row in circuits["agreement"]
    ]
    head = ["matrix, 64 nodes", "topology", "engine", "path", "end", "seconds"]
    title = f"state_space against other engines, real parts, from x0, 20 tau (ngspice {circuits['ngspice']})"
    text = _section(title, head, lines)
    return text + "\nLargest difference over the largest voltage.  Wanted: 1e-4 along the path, 1e-5 at the end.\n"


def _noise(circuits: dict[str, Any]) -> str:
    lines = [[row["topology"], row["diagonal"], row["projections"], row["seconds"]] for row in circuits["noise"]]
    head = ["topology, 64 nodes", "every variance", "10 random projections", "seconds"]
    text = _section("Stationary covariance against ngspice's integrated .noise, relative difference", head, lines)
    return text + "\nWanted: 0.2 %.\n"


def _paths(rows: dict[str, Any]) -> str:
    goals, fields = {64: 2, 256: 5, 1000: 8}, ("n", "equal_noise_s", "unequal_noise_s", "floor_s", "thermox_s", "ratio")
    lines = [[*(row[field] for field in fields), f">= {goals[row['n']]}"] for row in rows["paths"]]
    head = ["n", "equal noise, s", "unequal noise, s", "variates + one product, s", "thermox, s", "ratio", "wanted"]
    return _section("10,000 samples of a path, symmetric drift", head, lines)


def _correctness(rows: dict[str, Any]) -> str:
    lines = [[row["system"], row["ours"], row["thermox"]] for row in rows["correctness"]]
    head = ["system", "tngd_hw", "thermox"]
    return _section("Relative error of the stationary covariance against dense Lyapunov equations", head, lines)


def _krylov(rows: dict[str, Any]) -> str:
    mean, noise = rows["krylov"], rows["krylov_noise"]
    text = _section(
        "Matrix-free mean, N = 1000, t = 50 tau, at the error of Euler's method at its largest stable step or below",
        ["method", "products", "error"],
        [
            ["Euler", mean["euler_products"], mean["euler_error"]],
            ["krylov_mean", mean["krylov_products"], mean["krylov_error"]],
            ["conjugate gradients, for A^-1 b instead", mean["cg_products"], mean["cg_error"]],
        ],
    )
    text += f"\nEuler needs {_text(mean['ratio'])} times the products (wanted: >= 10).\n"
    text += _section(
        "Matrix-free noise, N = 1000, t = 50 tau, two arrays 2 % apart (not symmetric): error of the covariance",
        ["method", "products with F and F^T", "error"],
        [
            ["krylov_noise", noise["products"], f"at most {_text(noise['covariance_error'])}"],
            ["Euler-Maruyama, largest stable step", noise["euler_products"], noise["euler_error"]],
            ["Euler-Maruyama, our error", noise["euler_products_for_our_error"], noise["euler_error_then"]],
        ],
    )
    ratio, seconds = _text(noise["ratio"]), _text(noise["seconds"])
    return text + f"\nEuler-Maruyama needs {ratio} times the products; the draw took {seconds} s.\n"


def _low_rank(rows: dict[str, Any]) -> str:
    lines = [
        [row["n"], row["rank"], "two" if row["two_arrays"] else "one", row["ours_s"], row["cg20_s"], row["ratio"]]
        for row in rows["low_rank"]
    ]
    head = ["N", "r", "arrays", "mean + sample, s", "20 CG iterations, s", "ratio"]
    text = _section("Low rank: set-up, one exact mean and one exact sample", head, lines)
    text += f"\nWanted: N = 1,000,000 under 3 s and 3 GB (largest memory of the run: {_text(rows['peak_GB'])} GB);\n"
    return text + "N = 37,000 at most 1.2 times the CG iterations with one array, 20 times with two.\n"


def _chains(rows: dict[str, Any]) -> str:
    row = rows["chains"]
    head = ["equal noise, s", "unequal noise, s", "the normal variates alone, s"]
    lines = [[row["equal_noise_s"], row["unequal_noise_s"], row["normal_variates_s"]]]
    return _section("1,000 chains of 64 nodes, 1,000 steps, one batch", head, lines)


def _section(title: str, head: list[str], lines: list[list[Any]]) -> str:
    rows = [head, ["---"] * len(head), *([_text(entry) for entry in line] for line in lines)]
    return f"\n## {title}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _text(entry: object) -> str:
    return f"{entry:.3g}" if isinstance(entry, float) else str(entry)
