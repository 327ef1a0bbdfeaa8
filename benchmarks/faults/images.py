"""Groups 67 and 68: images and archives."""

import io
import tarfile
from pathlib import Path

from PIL import Image

from benchmarks.faults.resume import Outcomes
from benchmarks.faults.stage import Outcome, Stage, Training
from benchmarks.faults.told import refused, told
from tests.images import png, write_folder


def _words(stage: Stage, folder: Path, images: Path) -> list[str]:
    words = stage.command(folder, Training(is_random=True))
    return [str(images) if word.endswith("/images") else word for word in words]


def bad_images(stage: Stage) -> Outcomes:
    """Group 67: all bad ones in one report; odd ones are trained on."""
    home = write_folder(stage.home / "67-bad", 24)
    bad = {
        "cut.png": png(1)[:60],
        "empty.png": b"",
        "page.jpg": b"<html>404</html>",
    }
    for name, content in bad.items():
        (home / "dark" / name).write_bytes(content)
    (home / "dark" / "gone.png").symlink_to("nowhere.png")
    words = _words(stage, stage.home / "67", home)
    yield refused(stage, "four bad images", words, [*bad, "gone.png"])
    home = write_folder(stage.home / "67-odd", 24)
    for mode in ("L", "RGBA", "P", "I;16", "CMYK", "1"):
        suffix = "tif" if mode == "CMYK" else "png"
        path = home / "light" / f"{mode.replace(';', '-')}.{suffix}"
        Image.new(mode, (9, 7)).save(path)
    Image.new("RGB", (1, 1)).save(home / "light" / "dot.png")
    yield told("seven odd images", stage.run(_words(stage, stage.home / "67-run", home)), 0)


def archives(stage: Stage) -> Outcomes:
    """Group 68: archives that lead out, or are cut off; nothing is written."""
    outside = stage.home / "outside.txt"
    for case, name in {
        "a path that leads out": "../outside.txt",
        "an absolute path": str(outside),
    }.items():
        path = stage.home / "cifar-10-binary.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"evil"))
        yield _refused(stage, case, path)
    path.write_bytes(path.read_bytes()[:60])
    yield _refused(stage, "half a download", path)
    if outside.exists():
        yield Outcome("nothing outside", ("silent",), "a file was written")


def _refused(stage: Stage, case: str, path: Path) -> Outcome:
    words = _words(stage, stage.home / "68", path)
    at = words.index("--data.train_file")
    words[at] = "--data.dataset"
    words[words.index("ImageClassificationDataModule")] = "CIFAR10DataModule"
    return refused(stage, case, words, [path.name])


FAULTS = {67: bad_images, 68: archives}
PLAIN: tuple[int, ...] = ()
