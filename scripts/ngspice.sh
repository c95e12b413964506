#!/bin/sh
# Install ngspice if it is missing and a package manager can do it unasked.  Never fails: everything but the engines
# ngspice and pyspice works without it.  A failed attempt is remembered (.venv/ngspice.log): only `make setup` tries again.
set -u
cd "$(dirname "$0")/.."
log=.venv/ngspice.log

found() { command -v ngspice >/dev/null 2>&1; }

# A stale list may still do, so a failed update does not end it; libngspice0 (for the engine pyspice) is not everywhere.
with_apt() {
    apt="$* env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120"
    $apt update
    $apt install -y ngspice libngspice0 || $apt install -y ngspice
}

install_ngspice() {
    if command -v apt-get >/dev/null 2>&1; then
        if [ "$(id -u)" -eq 0 ]; then
            with_apt
        elif command -v sudo >/dev/null 2>&1 && sudo -n true; then
            with_apt sudo -n
        else
            echo "apt-get needs root, or sudo without a password"
            return 1
        fi
    elif command -v brew >/dev/null 2>&1; then
        brew install ngspice
    else
        echo "neither apt-get nor brew here"
        return 1
    fi
}

if found; then exit 0; fi
mkdir -p .venv
if [ ! -e "$log" ]; then
    echo "setup: ngspice"
    install_ngspice >"$log" 2>&1 </dev/null
fi
if found; then
    rm -f "$log"
else
    echo "setup: no ngspice (why: $log); get it with 'apt-get install ngspice libngspice0' or 'brew install ngspice';" \
        "until then everything works but the engines ngspice and pyspice"
fi
exit 0
