import gzip
import hashlib
import io
import sys
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from real_data import needs_data

from tngd_hw.outcome import MisuseError
from tngd_hw.tasks import (
    DATA_VARIABLE,
    MNIST_FILES,
    SQUAD_SAMPLE,
    DataFile,
    cache_directory,
    find_data,
    obtain_data,
    verified_content,
)

CONTENT = b"seven bytes, and some more"
PACKED = gzip.compress(CONTENT)
SERVED = {
    "/right/small.gz": PACKED,
    "/repacked/small.gz": gzip.compress(CONTENT, compresslevel=1, mtime=7),
    "/other/small.gz": gzip.compress(CONTENT[::-1]),
    "/page/small.gz": b"<html>log in first</html>",
    "/cut/small.gz": PACKED[:-5],
    "/lost/small.gz": PACKED[:-5],
    "/endless/small.gz": PACKED + bytes(100_000),
}


def _small(*mirrors: str, name: str = "small.gz") -> DataFile:
    return DataFile("set", name, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), mirrors)


class _Files(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = SERVED.get(self.path)
        self.send_response(404 if body is None else 200)
        lost = 5 if "/lost/" in self.path else 0  # announced and not given, as when a connection breaks
        self.send_header("Content-Length", str(len(body or b"") + lost))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the library's
        """Nothing on the terminal."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Generator[str]:
    """Address of a server on this machine."""
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Files) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, so that the machine's cache and data play no part."""
    for name in (DATA_VARIABLE, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "USERPROFILE", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return tmp_path / "home"


def _put(directory: Path, place: str = "set/small.gz", content: bytes = PACKED) -> Path:
    path = directory / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_first_the_argument_then_the_variable_then_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = _small()
    assert find_data(file) is None
    in_cache = _put(cache_directory())
    assert find_data(file) == in_cache
    in_variable = _put(tmp_path / "variable")
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "variable"))
    assert find_data(file) == in_variable
    in_argument = _put(tmp_path / "argument")
    assert find_data(file, tmp_path / "argument") == find_data(file, str(tmp_path / "argument")) == in_argument
    in_argument.unlink()
    assert find_data(file, tmp_path / "argument") == in_variable
    in_variable.unlink()
    assert obtain_data([file], tmp_path / "argument") == (in_cache,)


def test_within_a_folder(tmp_path: Path):
    places = ["small", "small.gz", "set/small", "set/small.gz"]  # each one beats those before it
    for place in places:
        path = _put(tmp_path, place, CONTENT if place.endswith("small") else PACKED)
        assert find_data(_small(), tmp_path) == path
        assert verified_content(_small(), path) == CONTENT


@pytest.mark.skipif(sys.platform != "linux", reason="the custom of Linux")
def test_cache_by_the_custom_of_linux(home: Path, monkeypatch: pytest.MonkeyPatch):
    assert cache_directory() == home / ".cache" / "tngd_hw"
    monkeypatch.setenv("XDG_CACHE_HOME", "/fast/cache")
    assert cache_directory() == Path("/fast/cache/tngd_hw")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, by the XDG rules
    assert cache_directory() == home / ".cache" / "tngd_hw"


def test_a_named_folder_has_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(MisuseError, match=r"data_dir = .*nowhere: there is no such folder"):
        find_data(_small(), tmp_path / "nowhere")
    monkeypatch.setenv(DATA_VARIABLE, str(_put(tmp_path)))  # a file
    with pytest.raises(MisuseError, match=rf"{DATA_VARIABLE} = .*small\.gz: there is no such folder"):
        find_data(_small())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(CONTENT[::-1]), r"this is not the published small\.gz"),
        (gzip.compress(CONTENT[:-1]), r"this is not the published small\.gz"),
        (gzip.compress(CONTENT + b"!"), "holds more than the 26 bytes expected"),
        (PACKED[:-1], "truncated or corrupt gzip file"),
        (PACKED[:-8] + bytes(4) + PACKED[-4:], "truncated or corrupt gzip file"),  # gzip's own checksum
        (b"", r"this is not the published small\.gz"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_not_passed_over(tmp_path: Path, content: bytes, message: str):
    _put(cache_directory())
    path = _put(tmp_path, content=content)
    assert find_data(_small(), tmp_path) == path
    with pytest.raises(MisuseError, match=f"^{path}: .*{message}"):
        verified_content(_small(), path)


def test_what_is_missing_is_said_in_one_sentence(tmp_path: Path):
    here, missing = _small(name="here.gz"), _small("https://example.org/data/small.gz")
    _put(tmp_path, "set/here.gz")
    with pytest.raises(MisuseError) as caught:
        obtain_data([here, missing, SQUAD_SAMPLE], tmp_path, may_download=False)
    assert str(caught.value) == (
        "data not found: set/small.gz, squad_sample/squad_v2_dev_5_articles.json (downloading is off); "
        f"put them under {cache_directory()}, or under a folder named by data_dir or TNGD_HW_DATA, "
        "from https://example.org/data or a copy of yours"
    )
    with pytest.raises(MisuseError, match=r"small\.gz \(no mirror has it\); put it under .* or TNGD_HW_DATA$"):
        obtain_data([_small()])
    assert not cache_directory().exists()


@pytest.mark.parametrize("folder", ["right", "repacked"])
def test_download_into_the_cache_once(server: str, folder: str):
    file = _small(f"{server}/{folder}/small.gz")
    (path,) = obtain_data([file])
    assert path == cache_directory() / "set" / "small.gz"
    assert path.read_bytes() == SERVED[f"/{folder}/small.gz"]
    assert verified_content(file, path) == CONTENT
    assert obtain_data([_small()]) == (path,)


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("absent", "HTTP 404"),
        ("other", "gave another file, or a broken one"),
        ("page", "gave another file, or a broken one"),
        ("cut", "gave another file, or a broken one"),
        ("lost", ".*"),  # Python's versions differ in what they call it
        ("endless", "gave a longer file"),
    ],
)
def test_the_next_mirror_is_asked_and_nothing_bad_is_kept(server: str, folder: str, reason: str):
    bad, good = (f"{server}/{name}/small.gz" for name in (folder, "right"))
    with pytest.raises(MisuseError, match=rf"small\.gz \({bad}: {reason}\); put it under"):
        obtain_data([_small(bad)])
    assert list((cache_directory() / "set").iterdir()) == []
    (path,) = obtain_data([_small(bad, good)])
    assert path.read_bytes() == PACKED


def test_no_network(server: str):
    closed = "http://127.0.0.1:1/small.gz"
    with pytest.raises(MisuseError, match=rf"data not found: set/small\.gz \({closed}: .*[Rr]efused"):
        obtain_data([_small(closed)])
    (path,) = obtain_data([_small(closed, f"{server}/right/small.gz")])
    assert path.read_bytes() == PACKED


def test_a_cache_that_cannot_be_made(home: Path):
    home.write_text("a file where the home should be")
    with pytest.raises(MisuseError, match=r"small\.gz \(cache = .*: cannot be written .*\); put it under"):
        obtain_data([_small("http://127.0.0.1:1/small.gz")])


def test_a_bar_on_a_terminal_only(server: str, monkeypatch: pytest.MonkeyPatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    file = _small(f"{server}/right/small.gz")
    for stream, is_shown in ((io.StringIO(), False), (Terminal(), True)):
        monkeypatch.setattr(sys, "stderr", stream)
        (path,) = obtain_data([file])
        path.unlink()
        assert ("small.gz" in stream.getvalue()) is is_shown
        assert is_shown or stream.getvalue() == ""


def test_the_published_files():
    sizes = {str(file): file.size_bytes for file in MNIST_FILES}
    assert sizes == {
        "mnist/train-images-idx3-ubyte.gz": 16 + 60_000 * 784,
        "mnist/train-labels-idx1-ubyte.gz": 8 + 60_000,
        "mnist/t10k-images-idx3-ubyte.gz": 16 + 10_000 * 784,
        "mnist/t10k-labels-idx1-ubyte.gz": 8 + 10_000,
    }
    assert all(address.startswith("https://") for file in MNIST_FILES for address in file.mirrors)


@needs_data(SQUAD_SAMPLE)
def test_the_squad_sample(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    (path,) = obtain_data([SQUAD_SAMPLE], may_download=False)
    assert verified_content(SQUAD_SAMPLE, path).startswith(b'{"version": "v2.0"')
