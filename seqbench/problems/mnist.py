"""The MNIST database: from a folder, or downloaded once into a cache; read and checked.

Source: LeCun, Cortes & Burges; 60,000 training and 10,000 test images, 28 x 28, idx files.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import urllib.request
import zlib
from pathlib import Path

import numpy as np

from seqbench.errors import InputError

URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
# SHA-256 of the files as they are when unpacked: how they are packed differs between copies.
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
TIMEOUT = 30  # seconds without an answer


def cache() -> Path:
    """Where downloads are kept: seqbench/mnist in $XDG_CACHE_HOME, or in ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "seqbench" / "mnist"


def load(name: str, data_dir: str | None = None) -> np.ndarray:
    """One of the four files as an array of bytes, [N, 28, 28] or [N].

    Args:
        name: one of FILES.
        data_dir: a folder that has it, packed (.gz) or not; None: the cache, which is filled first
            if it has to be.

    Raises:
        InputError: it is not there and can't be had, or is not the file that it should be.
    """
    file = _given(data_dir, name) if data_dir else _find(cache(), name) or _download(name)
    try:
        content = file.read_bytes()
        content = gzip.decompress(content) if file.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{file}: can't be read: {error}\nallowed: {name}, packed or not"
        ) from None
    if hashlib.sha256(content).hexdigest() != FILES[name]:
        raise InputError(
            f"{file}: not the file of MNIST: its SHA-256 is another\n"
            f"allowed: {name} with {FILES[name]} when it is unpacked; remove this one"
        )
    return parse(content)


def parse(content: bytes) -> np.ndarray:
    """An idx file: two zeros, the type (8: bytes), the number of axes, their sizes, the data."""
    sizes = np.frombuffer(content, ">u4", count=content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(sizes)


def _given(data_dir: str, name: str) -> Path:
    file = _find(Path(data_dir).expanduser(), name)
    if file is None:
        raise InputError(
            f"problem.data_dir = {data_dir!r}: there is no {name}.gz\n"
            f"allowed: a folder with the four files of MNIST, {', '.join(FILES)}, with or without "
            ".gz"
        )
    return file


def _find(folder: Path, name: str) -> Path | None:
    return next((file for end in (".gz", "") if (file := folder / (name + end)).is_file()), None)


def _download(name: str) -> Path:
    """From the network into the cache, under its own name only when it is whole."""
    target = cache() / f"{name}.gz"
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(URL + target.name, timeout=TIMEOUT) as answer:
            part.write_bytes(answer.read())
        os.replace(part, target)
    except OSError as error:
        raise InputError(
            f"MNIST can't be downloaded from {URL}: {error}\n"
            f"allowed: the files {', '.join(f'{name}.gz' for name in FILES)} in {cache()}, or in a "
            "folder that problem.data_dir names"
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return target
