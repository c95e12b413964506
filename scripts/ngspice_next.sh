#!/bin/sh
# Unpack the newest ngspice of Debian's backports into build/ngspice-next and print the path of its program (its library is beside it).
# The machine's own ngspice, package lists and package database stay as they are: apt works in directories of our own,
# and the packages are unpacked, not installed.  A second call finds what the first one unpacked and needs no network.
set -eu
cd "$(dirname "$0")/.."
place=$(pwd -P)/build/ngspice-next
program=$place/bin/ngspice

give_up() {
    echo "ngspice-next: $1" >&2
    exit 1
}

if [ -x "$program" ] && [ -e "$place/bin/libngspice.so.0" ] && "$program" --version >/dev/null 2>&1; then
    echo "$program"
    exit 0
fi
for tool in apt-get dpkg-deb; do
    command -v "$tool" >/dev/null 2>&1 || give_up "no $tool here: this works on Debian; elsewhere set TNGD_NGSPICE to an ngspice >= 42"
done

# The mirror is that of the machine's own sources, whichever form they have (.list or .sources).
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v suite="$suite" '$2 == suite && $3 == "main" { print $1; exit }')
[ -n "$mirror" ] || give_up "apt knows no list of the suite '$suite': run apt-get update once, as root"

rm -rf "$place"
mkdir -p "$place/apt/lists/partial" "$place/apt/cache/archives/partial" "$place/packages" "$place/root" "$place/bin"
log=$place/log
echo "deb $mirror $suite-backports main" >"$place/apt/sources.list"
cat >"$place/apt/apt.conf" <<END
Acquire { Retries "3"; http::Timeout "30"; Languages "none"; };
APT::Sandbox::User "";
Debug::NoLocking "true";
Dir::Etc { sourcelist "$place/apt/sources.list"; sourceparts "/dev/null"; };
Dir::State::lists "$place/apt/lists";
Dir::Cache "$place/apt/cache";
END
apt() { apt-get -q -c "$place/apt/apt.conf" "$@"; }
fetch() { apt update && cd "$place/packages" && apt download ngspice libngspice0; }
(fetch) >"$log" 2>&1 </dev/null ||
    give_up "$suite-backports gave no ngspice: is there a network? (apt's own words: $log)"
for package in "$place"/packages/*.deb; do
    dpkg-deb -x "$package" "$place/root" || give_up "$package cannot be unpacked"
done

# The start-up file names the code models by where an installed package has them: ours are here.
sed "s| /usr/lib/| $place/root/usr/lib/|" "$place/root/usr/share/ngspice/scripts/spinit" >"$place/spinit"
cat >"$program" <<END
#!/bin/sh
SPICE_SCRIPTS='$place' exec '$place/root/usr/bin/ngspice' "\$@"
END
chmod +x "$program"
library=$(find "$place/root" -name libngspice.so.0 | head -n 1)
[ -n "$library" ] || give_up "the packages hold no libngspice.so.0"
ln -sf "$library" "$place/bin/libngspice.so.0" # of the same version, for the engine pyspice
"$program" --version >>"$log" 2>&1 || give_up "what was unpacked does not run; 'apt-get install ngspice' brings the libraries it needs ($log)"
echo "$program"
