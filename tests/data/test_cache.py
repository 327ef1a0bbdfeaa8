import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from lit_hf.data.cache import cache_folder, cached, code_stamp, key_of
from lit_hf.errors import InputError


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIT_HF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_cached__builds_once() -> None:
    built = []

    def build(folder: Path) -> None:
        built.append(folder)
        (folder / "x").write_text("content")

    first = cached(key_of("a"), build)
    assert (first / "x").read_text() == "content"
    assert first.stat().st_mode & 0o077 == 0  # nobody else's
    assert cached(key_of("a"), build) == first
    assert cached(key_of("b"), build) != first
    assert len(built) == 2


def test_cached__failed_build_leaves_nothing(own_folder: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached("key", build)
    assert [path.name for path in own_folder.iterdir()] == ["key.lock"]


def _count(folder: Path) -> None:
    (folder / "rows").write_bytes(bytes(range(256)) * 1000)


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "more"])
def test_cached__corrupt_since_is_built_again(
    damage: str, own_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cached("key", _count)
    rows = own_folder / "key" / "rows"
    content = bytearray(rows.read_bytes())
    content[70_000] ^= 1
    if damage == "flipped":
        rows.write_bytes(content)
    elif damage == "cut":
        rows.write_bytes(content[:5])
    elif damage == "more":
        (own_folder / "key" / "other").write_text("")
    else:
        rows.unlink()
    cached("key", _count)
    assert "key: corrupt, so these rows are prepared again" in caplog.text
    assert rows.read_bytes() == bytes(range(256)) * 1000
    assert sorted(path.name for path in rows.parent.iterdir()) == ["checksums.json", "rows"]


def test_cached__full_disk_is_told(own_folder: Path) -> None:
    script = (
        "import resource, sys\n"
        "from lit_hf.data.cache import cached\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
        "def build(folder):\n"
        "    with (folder / 'rows').open('wb', buffering=0) as out:\n"
        "        while True: out.write(bytes(1000))\n"
        "cached('key', build)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "or set LIT_HF_CACHE" in done.stderr
    assert f"WriteError: {own_folder / 'key'}: cannot be written: File too" in done.stderr
    assert [path.name for path in own_folder.iterdir()] == ["key.lock"]


def test_cached__orphan_of_a_killed_builder_is_swept(own_folder: Path) -> None:
    """Whichever rows it has prepared."""
    script = (
        "import os\n"
        "from lit_hf.data.cache import cached\n"
        "cached('other', lambda folder: os._exit(9))\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    assert any(path.suffix == ".tmp" for path in own_folder.iterdir())
    cached("key", lambda folder: None)
    assert not any(path.suffix == ".tmp" for path in own_folder.iterdir())


def test_cached__two_processes_build_once(own_folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "build.py"
    script.write_text(
        "import time, sys\n"
        "from pathlib import Path\n"
        "from lit_hf.data.cache import cached\n"
        "def build(folder):\n"
        "    with open(sys.argv[1], 'a') as log: log.write('built\\n')\n"
        "    time.sleep(0.5); (folder / 'x').write_text('whole')\n"
        "assert (cached('shared', build) / 'x').read_text() == 'whole'\n"
    )
    log = tmp_path / "log"
    command = [sys.executable, str(script), str(log)]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    assert log.read_text() == "built\n"


def test_cache_folder__cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIT_HF_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(InputError, match="Set LIT_HF_CACHE"):
        cache_folder()


def test_cached__is_read_where_the_folder_cannot_be_written(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached("key", _count)

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lit_hf.data.cache.tempfile.TemporaryFile", refuse)
    assert cached("key", _count) == own_folder / "key"
    with pytest.raises(InputError, match="prepared data cannot be written here"):
        cached("other", _count)


def test_code__that_changes_gives_other_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that other code has prepared are not taken for those of this one."""
    stamps = []
    for number, content in enumerate(["x = 1", "x = 2", "x = 1"]):
        file = tmp_path / str(number) / "data" / "rows" / "text.py"
        file.parent.mkdir(parents=True)
        file.write_text(content)
        stamps.append(code_stamp(tmp_path / str(number)))
    assert stamps[0] == stamps[2] != stamps[1]
    before = key_of("a")
    monkeypatch.setattr("lit_hf.data.cache.code_stamp", lambda package: "other code")
    assert key_of("a") != before


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_cached__on_a_disk_without_locks_tells_it(
    number: int, own_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(lock: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(FileLock, "acquire", refuse)
    assert (cached("key", _count) / "rows").is_file()
    assert "cannot be locked" in caplog.text
    caplog.clear()
    cached("key", lambda _: pytest.fail("built anew"))  # what is there needs none
    assert not caplog.text


def test_cached__tells_that_it_waits(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waits = []

    def acquire(lock: FileLock, timeout: float | None = None) -> None:
        waits.append(timeout)
        if timeout is not None:
            raise Timeout(lock.lock_file)

    monkeypatch.setattr(FileLock, "acquire", acquire)
    assert (cached("key", _count) / "rows").is_file()
    assert waits[-1] is None
    assert "waiting for another process" in caplog.text
