#!/bin/sh
# Make .venv and install the pinned dependencies into it.  Called by the Makefile, which decides when it is needed.
# PYTHON names the interpreter; without it the first Python >= 3.11 found is taken, 3.11 first: the pins were resolved on it.
set -eu
cd "$(dirname "$0")/.."
log=.venv/setup.log

usable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        usable "$PYTHON" || { echo "setup: PYTHON=$PYTHON is no Python >= 3.11; name one that is" >&2; return 1; }
        echo "$PYTHON"
        return
    fi
    for candidate in python3.11 python3.12 python3.13 python3 python; do
        if usable "$candidate"; then echo "$candidate"; return; fi
    done
    echo "setup: no Python >= 3.11 found; install one, or name it: make PYTHON=/path/to/python3 setup" >&2
    return 1
}

healthy() { usable .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1; }

# Run pip with its output in the log; show the log's end only when pip fails.
pip_install() {
    if ! .venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt "$@" >>"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "setup: pip could not install $* (whole log: $log)" >&2
        exit 1
    fi
}

# .venv/place says that we made .venv, and where.  One of ours that was moved, copied or left half made is made anew;
# one that someone else made is used as it is, and never removed.
if [ -e .venv/place ]; then
    if [ "$(cat .venv/place)" != "$(pwd -P)" ] || ! healthy; then
        echo "setup: .venv was moved or left half made; making it anew"
        rm -rf .venv
    fi
elif [ -d .venv ] && ! healthy; then
    echo "setup: .venv is there, but is no working environment of Python >= 3.11 with pip; remove it: rm -r .venv" >&2
    exit 1
fi
if [ ! -d .venv ]; then
    python=$(find_python) || exit 1
    echo "setup: .venv with $("$python" --version)"
    mkdir .venv
    pwd -P >.venv/place
    if ! "$python" -m venv .venv; then
        rm -rf .venv
        echo "setup: $python cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2
        exit 1
    fi
fi
pwd -P >.venv/place

: >"$log"
echo "setup: torch (first and alone, so that pip takes a CPU build where one is on offer)"
pip_install torch==2.13.0
echo "setup: the other dependencies, pinned by constraints.txt"
# The build backend comes first, under the constraints too: the build below then needs no environment of its own.
pip_install hatchling editables
pip_install --no-build-isolation -e '.[pyspice,dev]'
echo "setup: done"
