"""Container images without a registry: a folder tree becomes a layer, layers become a docker archive.

The format is the one of `docker save`: a tar with one tar for each layer, a configuration and a manifest
(github.com/moby/docker-image-spec, v1.2).
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Image:
    """An image: its reference, its layers from the lowest up, and how a container of it starts."""

    reference: str
    layers: tuple[Path, ...]
    entrypoint: tuple[str, ...] = ()
    user: str = ""
    env: Mapping[str, str] = field(default_factory=dict)


def layer(target: Path, entries: Iterable[tuple[str, Path | bytes, int]], folders: Mapping[str, int]) -> Path:
    """Write a layer of single files: (path in the image, a file or its content, mode); `folders` gives modes."""
    with tarfile.open(target.with_suffix(".part"), "w") as tar:
        for name, mode in folders.items():
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, mode
            tar.addfile(info)
        for name, content, mode in entries:
            data = content if isinstance(content, bytes) else content.read_bytes()
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), mode
            tar.addfile(info, io.BytesIO(data))
    return target.with_suffix(".part").rename(target)


def layer_of_tree(target: Path, root: Path, below: str = "") -> Path:
    """Write a layer of a whole folder, put at `below` in the image."""
    with tarfile.open(target.with_suffix(".part"), "w") as tar:
        for path in sorted(root.iterdir()):
            tar.add(path, arcname=f"{below}/{path.name}".lstrip("/"), filter=_owned_by_root if below else None)
    return target.with_suffix(".part").rename(target)


def archive(image: Image, target: Path) -> Path:
    """Write an image as a docker archive."""
    names = [f"{digest_of(path)}/layer.tar" for path in image.layers]
    config = _config(image)
    name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = [{"Config": name, "RepoTags": [image.reference], "Layers": names}]
    with tarfile.open(target, "w") as tar:
        for path, inside in zip(image.layers, names, strict=True):
            tar.add(path, arcname=inside)
        _add(tar, name, config)
        _add(tar, "manifest.json", json.dumps(manifest).encode())
    return target


def digest_of(file: Path) -> str:
    """Return the sha256 of a file, kept beside it: layers are large and never change."""
    kept = file.with_suffix(".sha256")
    if not kept.exists():
        with file.open("rb") as content:
            kept.write_text(hashlib.file_digest(content, "sha256").hexdigest())
    return kept.read_text()


def _config(image: Image) -> bytes:
    started: dict[str, Any] = {
        "Entrypoint": list(image.entrypoint),
        "User": image.user,
        "Env": [f"{name}={value}" for name, value in image.env.items()],
        "WorkingDir": "/",
    }
    root = {"type": "layers", "diff_ids": [f"sha256:{digest_of(path)}" for path in image.layers]}
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": started,
        "rootfs": root,
        "history": _history(image.layers),
    }
    return json.dumps(config, sort_keys=True).encode()


def _history(layers: Sequence[Path]) -> list[dict[str, str]]:
    return [{"created_by": path.stem} for path in layers]


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _owned_by_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info
