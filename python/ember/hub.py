"""Pretrained weights from the network, kept in a folder, and models of local repositories."""

from __future__ import annotations

import builtins
import hashlib
import importlib.util
import os
import re
import sys
import types
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from . import serialization
from .serialization import replacing

__all__ = [
    "download_url_to_file",
    "get_dir",
    "help",
    "list",
    "load",
    "load_state_dict_from_url",
    "set_dir",
]

# `resnet18-f37072fd.pth` promises that its SHA-256 begins with f37072fd.
HASH_REGEX = re.compile(r"-([a-f0-9]+)\.")
_CHUNK = 1 << 17  # bytes

_directory: str | None = None


def get_dir() -> str:
    """Return the folder downloads are kept in.

    What `set_dir` said, else ``$TORCH_HOME/hub``, else ``$XDG_CACHE_HOME/torch/hub``, else
    ``~/.cache/torch/hub``: PyTorch's own, so that nothing is fetched twice.
    """
    return _directory if _directory is not None else os.path.join(_get_torch_home(), "hub")


def _get_torch_home() -> str:
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return os.path.expanduser(os.environ.get("TORCH_HOME", os.path.join(cache, "torch")))


def set_dir(d: str | os.PathLike) -> None:
    """Keep downloads in the folder `d`."""
    global _directory
    _directory = os.path.expanduser(d)


def download_url_to_file(
    url: str, dst: str | os.PathLike, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Fetch `url` into the file `dst`, which is either there whole afterwards or as it was.

    Parameters
    ----------
    url : str
        What urllib opens.
    dst : str or path
        Where the file is to be; its folder exists.
    hash_prefix : str, optional
        The first hexadecimal digits of the contents' SHA-256.
    progress : bool
        Show a bar on standard error, where tqdm is installed.

    Raises
    ------
    RuntimeError
        The download ended early, or its digest begins otherwise.
    OSError
        The network or the disk failed; ``urllib.error.URLError`` is one.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "ember.hub"})
    digest = hashlib.sha256()
    with urllib.request.urlopen(request) as source, replacing(os.path.expanduser(dst)) as file:
        length = source.headers.get("Content-Length")
        bar = _progress_bar(length and int(length)) if progress else None
        while chunk := source.read(_CHUNK):
            file.write(chunk)
            digest.update(chunk)
            if bar is not None:
                bar.update(len(chunk))
        if bar is not None:
            bar.close()
        if length is not None and file.tell() != int(length):
            raise RuntimeError(
                f"download_url_to_file: expected {length} bytes, got {file.tell()} from {url}"
            )
        if hash_prefix is not None and not digest.hexdigest().startswith(hash_prefix):
            raise RuntimeError(
                f"download_url_to_file: expected a SHA-256 beginning with {hash_prefix}, "
                f"got {digest.hexdigest()} from {url}"
            )


def _progress_bar(total: int | None) -> Any:
    if importlib.util.find_spec("tqdm") is None:
        return None
    from tqdm import tqdm

    return tqdm(total=total, unit="B", unit_scale=True, unit_divisor=1024)


def load_state_dict_from_url(
    url: str,
    model_dir: str | os.PathLike | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Any:
    """Load what is saved at `url`, which is fetched once.

    Parameters
    ----------
    url : str
        Of a file that `ember.load` reads.
    model_dir : str or path, optional
        Where the file is kept; ``get_dir() + "/checkpoints"`` unless told.
    map_location
        As of `ember.load`.
    progress : bool
        Show a bar while fetching.
    check_hash : bool
        The name ends in ``-<digits>.<ending>`` with the first digits of the contents' SHA-256,
        which must be so.
    file_name : str, optional
        The file's name; the last part of the URL unless told.
    weights_only : bool
        As of `ember.load`, which runs no code of the file.

    Raises
    ------
    RuntimeError, OSError
        As of `download_url_to_file`.
    """
    folder = Path(model_dir) if model_dir is not None else Path(get_dir(), "checkpoints")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (file_name or Path(urlparse(url).path).name)
    if not path.exists():
        promised = HASH_REGEX.search(path.name) if check_hash else None
        download_url_to_file(url, path, promised[1] if promised else None, progress)
    return serialization.load(path, map_location=map_location, weights_only=weights_only)


def load(
    repo_or_dir: str | os.PathLike, model: str, *args: Any, source: str = "github", **kwargs: Any
) -> Any:
    """Call the function `model` of the folder's ``hubconf.py`` with the other arguments.

    Parameters
    ----------
    repo_or_dir : str or path
        A folder.
    model : str
        The name of a function of its ``hubconf.py``.
    source : str
        ``"local"``: code is not fetched from the network to be run.

    Raises
    ------
    NotImplementedError
        Another `source`.
    RuntimeError
        ``hubconf.py`` lacks the function.
    FileNotFoundError
        The folder has no ``hubconf.py``.
    """
    for name in ("trust_repo", "force_reload", "verbose", "skip_validation"):
        kwargs.pop(name, None)
    return _entry(_hubconf("load", repo_or_dir, source), model)(*args, **kwargs)


def list(
    github: str | os.PathLike, *args: Any, source: str = "github", **kwargs: Any
) -> builtins.list[str]:
    """Return the names of the functions that `load` finds; arguments and errors as there."""
    module = _hubconf("list", github, source)
    return [
        name for name, value in vars(module).items() if callable(value) and not name.startswith("_")
    ]


def help(
    github: str | os.PathLike, model: str, *args: Any, source: str = "github", **kwargs: Any
) -> str | None:
    """Return the docstring of a function that `load` finds; arguments and errors as there."""
    return _entry(_hubconf("help", github, source), model).__doc__


def _hubconf(operation: str, folder: str | os.PathLike, source: str) -> types.ModuleType:
    if source != "local":
        raise NotImplementedError(
            f'hub.{operation}: only source="local" is there, a folder that was cloned, '
            f"got source={source!r}"
        )
    path = Path(folder, "hubconf.py")
    if not path.is_file():
        raise FileNotFoundError(f"hub.{operation}: expected a file {path}")
    spec = importlib.util.spec_from_file_location("hubconf", path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


def _entry(module: types.ModuleType, model: str) -> Callable[..., Any]:
    entry = getattr(module, model, None)
    if not callable(entry):
        raise RuntimeError(f"hub: {module.__file__} has no function {model!r}")
    return entry
