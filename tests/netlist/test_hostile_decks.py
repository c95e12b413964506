"""Decks that mean harm, through ``tngd-hw simulate`` in a process of its own: a named error, and nothing else happens.

The process is a fork of one that has loaded the program, with 1 GB above what that needs and 5 s of processor time.
Python's audit events say which files it opens and which processes it starts; a listing before and after says what it
wrote.  Each deck asks for ngspice, so that a card that slipped through would reach it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tngd_hw import MisuseError
from tngd_hw.netlist import Kind, NetlistBuilder, OperatingPoint, write_deck
from tngd_hw.netlist.cells import parse_cell

WATCHED = """
import io, json, os, resource, sys
from contextlib import redirect_stderr, redirect_stdout
from tngd_hw.cli.app import app
import tngd_hw.engines, tngd_hw.netlist, tngd_hw.storage, scipy.linalg

EVENTS = ("open", "subprocess.Popen", "os.", "socket.", "ctypes.dlopen", "shutil.", "import")
QUIET = ("os.listdir", "os.scandir", "os.walk", "os.putenv", "os.unsetenv")

def child(path, engine):
    opened, out, err = [], io.StringIO(), io.StringIO()
    size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 30),) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
    def watch(event, arguments):
        if event.startswith(EVENTS) and event not in QUIET and len(opened) < 50:
            opened.append((event, repr(arguments[0]) if arguments else ""))
    sys.addaudithook(watch)
    code, failure = 0, ""
    with redirect_stdout(out), redirect_stderr(err):
        try:
            app(["simulate", path, "--engine", engine], standalone_mode=True)
        except SystemExit as end:
            code = end.code
        except BaseException as error:
            failure = type(error).__name__
    return {"code": code, "failure": failure, "out": out.getvalue(), "err": err.getvalue(), "events": list(opened)}

with redirect_stdout(io.StringIO()):  # what is imported late is imported now
    app(["simulate", sys.argv[1]], standalone_mode=False)
print("ready", flush=True)
for line in sys.stdin:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        with os.fdopen(write, "w") as pipe:
            json.dump(child(*json.loads(line)), pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    print(text or json.dumps({"code": -1, "failure": f"killed, wait status {status}", "events": []}), flush=True)
"""

Watch = Callable[..., dict]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """``watched(deck, engine)``: what came of it, with ``files``, the names of what is new in its cwd and its home."""
    home, tools = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("tools")
    for name in ("sh", "bash", "touch", "id", "cat"):
        (tools / name).write_text(f"#!/bin/sh\n: > '{home}/{name}-ran'\n")
        (tools / name).chmod(0o755)
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(home), "PATH": f"{tools}:{os.environ['PATH']}"}
    path = tmp_path_factory.mktemp("deck") / "evil.cir"
    path.write_text(BASE + ".tran 1n 10n\n.ac dec 1 1 10\n")
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHED, str(path)], cwd=home, env=environment, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    def call(deck: bytes, engine: str = "ngspice") -> dict:
        assert process.stdin is not None
        assert process.stdout is not None
        path.write_bytes(deck)
        before = set(home.rglob("*"))
        process.stdin.write(json.dumps([str(path), engine]) + "\n")
        process.stdin.flush()
        found = json.loads(process.stdout.readline())
        found["files"] = sorted(str(name.relative_to(home)) for name in set(home.rglob("*")) - before)
        found["opened"] = [what for event, what in found["events"] if event == "open" and what != repr(str(path))]
        found["other"] = [event for event, _ in found["events"] if event not in ("open", "import")]
        return found

    with process:  # which closes the pipes, so that the process ends
        yield call


BASE = "a title\nv1 a 0 1\nr1 a 0 1k\n"
SHELL = "shell touch owned"


def nested(levels: int, width: int, leaf: str = "r1 n 0 1") -> str:
    cells = [f".subckt s0 n\n{leaf}\n.ends"]
    for k in range(1, levels + 1):
        cells.append(f".subckt s{k} n\n" + "\n".join(f"x{i} n s{k - 1}" for i in range(width)) + "\n.ends")
    return BASE + "\n".join([*cells, f"x1 a s{levels}", ".end", ""])


def diamond(levels: int) -> str:
    """Two cells a level, each with both of the level below: 2^levels paths through few cards."""
    cells = [f".subckt {q}0 n\nr1 n 0 1\n.ends" for q in "pq"]
    cells += [f".subckt {q}{k} n\nx1 n p{k - 1}\nx2 n q{k - 1}\n.ends" for k in range(1, levels) for q in "pq"]
    return BASE + "\n".join([*cells, f"x1 a p{levels - 1}", ".end", ""])


LARGE = [f".param p{k}={{p{k + 1}+1}}" for k in range(9_000)]

HOSTILE: dict[str, str | bytes | Callable[[], str | bytes]] = {
    # commands
    "control block": BASE + f".control\n{SHELL}\n.endc\n.end\n",
    "control block in upper case, indented": BASE + f"  .CONTROL\n{SHELL}\n.ENDC\n",
    "control block with a tab": BASE + f".control\t\n{SHELL}\n.endc\n",
    "control block behind .end": BASE + f".end\n.control\n{SHELL}\n.endc\n",
    "control block inside a subcircuit": BASE + f".subckt u n\n.control\n{SHELL}\n.endc\n.ends\n",
    "control lines in comments": BASE + f"*#{SHELL}\n",
    "control lines in comments, with spaces": BASE + f"   * # {SHELL}\n",
    "script in the title": f"*ng_script\n{SHELL}\n",
    "script further down": BASE + f"*ng_script\n{SHELL}\n",
    "script in the title, byte order mark": f"\ufeff*ng_script\n{SHELL}\n",
    "command as the title": f".control\n{SHELL}\n.endc\n",
    "plain shell line": BASE + f"{SHELL}\n",
    "shell escape": BASE + "!touch owned\n",
    "system of a control language": BASE + ".system touch owned\n",
    "exec": BASE + '.exec "touch owned"\n',
    "backquotes in a value": BASE + "r2 a 0 `touch owned`\n",
    "backquotes in a name": BASE + "r`id` a 0 1\n",
    "dollar of the shell": BASE + "r2 a 0 $(touch owned)\n",
    "dollar variable": BASE + "r2 a$HOME 0 1\n",
    "semicolon and pipe in a value": BASE + "r2 a 0 1|touch${IFS}owned\n",
    "write card": BASE + ".write owned v(a)\n",
    "output option": BASE + ".options logfile=owned\n",
    "measurement to a file": BASE + ".meas tran x param='1' file=owned\n",
    # other files
    "include": BASE + ".include /etc/passwd\n",
    "include in quotes": BASE + '.include "../../etc/passwd"\n',
    "inc": BASE + ".inc other.cir\n",
    "include inside a subcircuit": BASE + ".subckt u n\n.include /etc/passwd\n.ends\nx1 a u\n",
    "include of itself": BASE + ".include evil.cir\n",
    "library": BASE + ".lib /etc/passwd tt\n",
    "library without a section": BASE + ".lib models.lib\n",
    "compiled model": BASE + ".pre_codemodel evil.cm\n",
    "compiled model as a command": BASE + "pre_codemodel evil.cm\n",
    "osdi": BASE + ".osdi evil.osdi\n",
    "pre_osdi": BASE + ".pre_osdi evil.osdi\n",
    "verilog": BASE + ".hdl evil.va\n",
    "A device that reads": BASE + 'a1 %v([a]) fs\n.model fs filesource (file="/etc/passwd")\n',
    "A device that loads a library": BASE + 'a1 [a] [b] c\n.model c d_cosim simulation="evil.so"\n',
    "A device that starts a process": BASE + 'a1 [a] [b] p\n.model p d_process process_file="evil"\n',
    "source from a file": BASE + "v2 b 0 pwl(file=/etc/passwd)\n",
    "source from a file in quotes": BASE + 'v2 b 0 pwl file="/etc/passwd"\n',
    "wave file": BASE + "v2 b 0 wavefile=/etc/passwd chan=0\n",
    "table from a file": BASE + "b2 b 0 v=tablefile(/etc/passwd,v(a))\n",
    "load of a raw file": BASE + ".load /etc/passwd\n",
    "S parameters": BASE + "n1 a 0 model=/etc/passwd\n",
    "cell that is a path": BASE + "x1 a /etc/passwd\n",
    "cell that climbs": BASE + ".subckt ../../setup n\nr1 n 0\n.ends\n",
    "model that is a path": BASE + "s1 a 0 a 0 /etc/passwd\n",
    # continuations and comments that assemble a card
    "continued command": BASE + ".\n+control\n",
    "continued include": BASE + ".inc\n+lude /etc/passwd\n",
    "continuation of the title": f"title\n+ .control\n{SHELL}\n",
    "comment between continuations": BASE + f".con\n* between\n+ trol\n{SHELL}\n",
    "comment that ends early": BASE + f"r2 b 0 1 ; x\r.control\r{SHELL}\r\n",
    "command inside a name": BASE + "r*#shell a 0 1 2\n",
    "comment inside a name": BASE + "r2;x a 0 1\n",
    "carriage returns alone": BASE.replace("\n", "\r") + f".control\r{SHELL}\r.endc\r",
    "carriage return in a comment": BASE + f"* harmless\r.control\r{SHELL}\r\n",
    "vertical tab and form feed": BASE + f".control\x0b{SHELL}\x0c\n",
    "unicode line separator": BASE + f"* x\u2028.control\u2028{SHELL}\n",
    "next line character": BASE + f"* x\x85.control\x85{SHELL}\n",
    # encodings
    "null bytes": BASE.encode() + b".\0c\0o\0n\0t\0r\0o\0l\0\n",
    "utf-16": (BASE + ".control\n").encode("utf-16"),
    "utf-8 cut short": BASE.encode() + b"r2 a\xe2\x82 0 1\n",
    "binary junk": bytes((37 * k * k + 11 * k) % 256 for k in range(20_000)),
    "an ELF header": b"\x7fELF\x02\x01\x01" + bytes(64) + b"\n" * 3,
    "full-width letters": BASE + "\uff52\uff12 a 0 1\n",
    "full-width dot": BASE + f"\uff0econtrol\n{SHELL}\n",
    "dotless i": BASE + ".\u0131nclude /etc/passwd\n",
    "cyrillic a": BASE + "r2 \u0430 0 1\n",
    "digits of another script": BASE + "r2 a 0 \u0661\u0662\n",
    "right-to-left override": BASE + "r2 a 0 1\u202e\n",
    "escape sequence in the title": f"\x1b]0;owned\x07\n{BASE}",
    "empty file": b"",
    "title alone": "a title\n",
    # sizes
    "line of 100 MB": lambda: BASE + "r2 a 0 " + "1" * 100_000_000 + "\n",
    "line of 100 MB of words": lambda: BASE + "r2 a 0" + " 1" * 50_000_000 + "\n",
    "line of 100 MB of spaces": lambda: BASE + "r2 a 0" + " " * 100_000_000 + "x=1\n",
    "comment of 100 MB": lambda: BASE + "r2 b 0 nothing\n* " + "x" * 100_000_000 + "\n",
    "file of 130 MB": lambda: b"* x\n" * (34 << 20),
    "a number of many digits": BASE + "r2 a 0 " + "1" * 3_900 + "_\n",
    "words of many digits": BASE + "r2 a 0 1\n" + f"r3 a 0 {'1' * 3_900}_\n" * 2,
    "300,000 continuations": lambda: BASE + "r2 a 0 1" + "\n+ 1" * 300_000 + "\n",
    "a million parameters": lambda: BASE + "\n".join(f".param p{k}=1" for k in range(500_000)) + "\n",
    "a chain of parameters, and a circle": "\n".join([BASE, *LARGE, ".param p9000={p0}", ""]),
    "a parameter of 3,000 characters": BASE + ".param p={" + "1+" * 1_500 + "1}\n",
    "parentheses 900 deep": BASE + "r2 a 0 {" + "(" * 900 + "1" + ")" * 900 + "}\n",
    "signs 9,000 deep": BASE + "b2 b 0 v=" + "-" * 3_900 + "1*v(a)*" + "-" * 3_900 + "1\n",
    "a power of powers": BASE + "r2 a 0 {9**9**9}\n",
    "a huge power": BASE + "r2 a 0 {9e99**9e99}\n",
    "an exponent past all numbers": BASE + "r2 a 0 1e99999\n",
    "a parameter in terms of itself": BASE + ".param p={p+1}\nr2 a 0 {p}\n",
    "doubling parameters of a cell": BASE + "\n".join(
        [".subckt c a", "r1 a 0 {p59}", ".param p0=1", *(f".param p{k}={{p{k - 1}+p{k - 1}}}" for k in range(1, 60)),
         ".ends", "x1 a c", ""]
    ),
    "1e9 instances": nested(9, 10),
    "1e30 instances": nested(30, 10),
    "1e9 instances of nothing": nested(9, 10, leaf="* nothing"),
    "2^60 paths": diamond(60),
    "cells 3,000 deep": nested(3_000, 1),
    "cells 3,000 deep, the outermost first": BASE + "\n".join(
        f".subckt s{k} n\n" + (f"x1 n s{k - 1}" if k else "r1 n 0 1") + "\n.ends" for k in reversed(range(3_000))
    ) + "\nx1 a s2999\n",
    "a cell in itself": BASE + ".subckt u n\nx1 n u\n.ends\nx1 a u\n",
    "cells in a circle": BASE + ".subckt u n\nx1 n w\n.ends\n.subckt w n\nx1 n u\n.ends\nx1 a u\n",
    "20,000 subcircuits": BASE + "".join(f".subckt s{k} n\n.ends\n" for k in range(20_000)),
    "infinitely many points": BASE + ".ac dec 1e999 1 2\n",
    "a sweep of 1e15 points": BASE + ".ac lin 1e15 1 2\n",
    "a noise sweep of 1e15 points": BASE + ".noise v(a) v1 dec 1e15 1 2\n",
    "1e30 time points": BASE + ".tran 1e-30 1\n",
    "an endless transient": BASE + ".tran 1 1e999\n",
    "an infinite temperature": BASE + ".temp 1e999\n",
    "no time at all": BASE + ".tran 0 0\n",
}  # fmt: skip


def as_bytes(deck: str | bytes | Callable[[], str | bytes]) -> bytes:
    made = deck() if callable(deck) else deck
    return made.encode() if isinstance(made, str) else made


@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_hostile_deck_gets_a_named_error_and_nothing_else_happens(name: str, watched: Watch) -> None:
    engine = (
        "state_space" if "instances" in name or "paths" in name else "ngspice"
    )  # ngspice is asked its version first
    found = watched(as_bytes(HOSTILE[name]), engine)
    assert (found["failure"], found["code"], found["out"]) == ("", 2, ""), found
    assert found["files"] == []
    assert found["other"] == []
    assert all(what.endswith(".lib'") for what in found["opened"]), found["opened"]
    assert any(piece in found["err"] for piece in ("evil.cir", "deck 'a title'", "netlist 'a title'", "deck ''"))
    assert found["err"].count("\n") == 1
    assert len(found["err"]) < 3_000


TAMED = {
    "redirection": BASE + ".print tran v(a) > owned\n.tran 1n 10n\n",
    "save to a file": BASE + ".save all file=owned\n",
    "harmless until it is run again": "shell touch owned\nv1 a 0 1\nr1 a 0 1k\n",
}
"""Decks that are read, since the piece in question is left out or stands where it does nothing."""


@pytest.mark.parametrize("name", list(TAMED))
def test_what_is_read_leaves_nothing_behind(name: str, watched: Watch) -> None:
    found = watched(TAMED[name].encode(), "state_space")
    assert (found["failure"], found["code"]) == ("", 0), found
    assert (found["files"], found["other"], found["opened"]) == ([], [], [])


@pytest.mark.ngspice
def test_the_watch_sees_a_process_and_a_file(watched: Watch) -> None:
    """A good deck under ngspice starts one process and writes its deck: what the other tests say never happens."""
    found = watched(BASE.encode())
    assert found["code"] == 0, found
    assert "subprocess.Popen" in found["other"]
    assert any("deck.cir" in what for what in found["opened"])


NAMES = [
    "a\n.control", "a b", "../x", "/etc/passwd", "a;b", "a$b", "`id`", "A", "a\r", "a\0", "", "\u0430", "a\n", "*#a",
]  # fmt: skip


def written(title: str = "a title", node: str = "a", element: str = "r") -> str:
    build = NetlistBuilder(title)
    build.add(Kind.RESISTOR, [element], [[build.nodes([node])[0], 0]], 1.0)
    return write_deck(build.netlist([], []), OperatingPoint())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["node", "element"])
def test_names_given_in_python_cannot_become_cards(name: str, where: str) -> None:
    assert "ra a 0 1.0" in written(element="a")
    with pytest.raises(MisuseError, match="name"):
        written(**{where: name})


@pytest.mark.parametrize("title", ["a\n.control", "a\r.control", "a\0", "a\u2028.control"])
def test_a_title_given_in_python_is_one_line(title: str) -> None:
    with pytest.raises(MisuseError, match="title"):
        written(title=title)


@pytest.mark.parametrize("line", [".control", "*#shell id", "* x\r.control", ".include /etc/passwd", "* x\n*ng_script"])
def test_a_cell_given_in_python_holds_nothing_but_elements(line: str) -> None:
    with pytest.raises(MisuseError):
        parse_cell(f".subckt u n\nr1 n 0 1\n{line}\n.ends\n", "cell")
