"""Decks that were good before a seed changed them, for the reader: ``python tests/mutated_decks.py 10000`` is the soak.

Each seed takes one of the decks in tests/ and netlists/, and cuts, repeats, swaps, and puts in scraps of other cards,
up to 12 times.  The reader has to answer each in a second with a deck that can be written and read again to the same
text, or a MisuseError.
"""

from __future__ import annotations

import collections
import random
import sys
import time
from pathlib import Path

from tngd_hw.netlist import read_deck
from tngd_hw.outcome import MisuseError

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*ROOT.glob("tests/*/decks/*.cir"), *ROOT.glob("netlists/**/*.cir")])
LARGEST = 20_000
SCRAPS = [
    "", " ", "\n", "\n+", "\r", "\r\n", "*", "*#", ";", "$", "(", ")", "{", "}", "{{", "'", ",", "=", "v(", "v(a,",
    "1e999", "nan", "inf", "-", "**", "0", ".ends", "\n.ends\n", "\n.subckt a b\n", "\nx1 1 a\n", "\n.param a={a}\n",
    " poly(1) ", " ic=", "\0", "1/0", " gnd ", "\\", "`", "\t", "é", "\u212a", "\n.end\n", " params: ", " temp=-400 ",
    " noisy=0 ", " ac ", " pwl(0 0 ", " sin(", "\n.tran 1n 1u uic\n", "\n.ac dec 1e999 1 2\n", "\n.ic v(a)=1\n",
    "\n.model m sw(ron=0)\n", "1e-400", "9" * 400, "(" * 200, "\n.options temp=", " tanh(v(a))", "\n.save ",
    "\n.noise v(a) v1 dec 1 1 2\n", "\n.temp 1e308\n",
]  # fmt: skip
HOW_MANY = [1, 1, 1, 1, 2, 2, 3, 5, 12]
"""Changes of a deck: one alone still gives a deck now and then, and what is read is where a mistake could hide."""


def mutated(seed: int) -> str:
    """The deck of a seed, the same on every machine."""
    rng = random.Random(seed)
    text = rng.choice(SOURCES).read_text(encoding="utf-8")[:LARGEST]
    lines = text.split("\n")
    for _ in range(rng.choice(HOW_MANY)):
        k = rng.randrange(len(lines))
        at = rng.randint(0, len(lines[k]))
        match rng.randrange(6):
            case 0:
                lines[k] = lines[k][:at] + rng.choice(SCRAPS) + lines[k][at:]
            case 1:
                lines[k] = lines[k][:at] + lines[k][at + rng.randint(1, 12) :]
            case 2:
                lines[k] = (
                    lines[k][:at] + chr(rng.choice([rng.randrange(128), rng.randrange(0x500)])) + lines[k][at + 1 :]
                )
            case 3:
                lines.insert(k, rng.choice(lines))
            case 4:
                j = rng.randrange(len(lines))
                lines[j], lines[k] = lines[k], lines[j]
            case _:
                words = lines[k].split(" ")
                words.insert(rng.randrange(len(words) + 1), rng.choice(rng.choice(lines).split(" ")))
                lines[k] = " ".join(words)
    return "\n".join([*lines, ""])


def answer(text: str) -> str:
    """``read`` or ``refused``; AssertionError where reading and writing again gives another text, or takes a second."""
    begun = time.process_time()
    try:
        written = read_deck(text).text()
    except MisuseError:
        outcome = "refused"
    else:
        assert read_deck(written).text() == written
        outcome = "read"
    assert time.process_time() - begun < 1
    return outcome


def main(count: int) -> int:
    """All seeds below ``count``: progress on stderr, counts on stdout; 1 where any went wrong."""
    counts: collections.Counter[str] = collections.Counter()
    for seed in range(count):
        try:
            counts[answer(mutated(seed))] += 1
        except Exception as error:  # every other one is what is looked for
            counts["wrong"] += 1
            print(f"\nseed {seed}: {type(error).__name__}: {str(error)[:200]}")
        if seed % 100 == 99:
            print(f"\rsoak: {seed + 1} of {count}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(f"soak: {count} mutated decks: {counts['read']} read, {counts['refused']} refused, {counts['wrong']} wrong")
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
