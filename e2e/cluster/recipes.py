"""What is in each image. A layer is made once and kept in a folder that everything it is made of names."""

import py_compile
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib.util import cache_from_source
from pathlib import Path
from py_compile import PycInvalidationMode

from e2e.cluster.build import key_of, module_folder
from e2e.cluster.errors import Failed
from e2e.cluster.images import Image, archive, layer, layer_of_tree
from e2e.cluster.place import PROJECT, SOURCES, Place
from e2e.cluster.run import run
from e2e.cluster.versions import COREDNS, DEBIAN, HUB, ISTIO, METRICS_SERVER, PYTHON
from tests.support import previous_release
from tests.support.previous_release import PACKAGES

PAUSE = f"{HUB}/pause:1"
MODEL = f"{HUB}/model:1"
METRICS = f"{HUB}/metrics-server:{METRICS_SERVER}"
TIDEGATE = "docker.io/library/tidegate:0.1.0"
"""As the shipped manifests name it."""
TIDEGATE_PREVIOUS = "docker.io/library/tidegate:previous"
"""The release that installations upgrade from."""
_ISTIO_USER = b"root:x:0:0:root:/root:/bin/false\nistio-proxy:x:1337:1337::/:/bin/false\n"
_PYTHON_HOME = f"usr/local/lib/python{PYTHON}/dist-packages"
_NOT_NEEDED = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man", "var/log")


def images(place: Place, programs: dict[str, Path], go: Path, envoy: Path) -> dict[str, Path]:
    """Return the archive of every image by its reference, making what is not in the cache."""
    python = _python(place)
    libraries = _libraries(place, python)
    wanted = [
        Image(PAUSE, (_single(place, programs["pause"]),), ("/pause",)),
        Image(f"{HUB}/coredns:{COREDNS}", (_single(place, programs["coredns"]),), ("/coredns",)),
        Image(METRICS, (_single(place, programs["metrics-server"]),), ("/metrics-server",)),
        Image(f"{HUB}/pilot:{ISTIO}", (_pilot(place, programs),), ("/usr/local/bin/pilot-discovery",), "1337"),
        Image(f"{HUB}/proxyv2:{ISTIO}", (_proxy(place, programs, go, envoy),), ("/usr/local/bin/pilot-agent",), "1337"),
        Image(MODEL, (python, _model(place)), ("/usr/bin/python3", "/model/server.py"), "65532"),
        _manager(TIDEGATE, (python, libraries, _tidegate(place, PROJECT))),
        _manager(TIDEGATE_PREVIOUS, (python, libraries, _tidegate(place, _previous(place)))),
    ]  # fmt: skip
    return {image.reference: _archived(place, image) for image in wanted}


def single(place: Place, reference: str, program: Path, name: str, user: str = "") -> Path:
    """Return the archive of an image of one program, which is linked to nothing and gets this name; `user` is a
    number."""
    inside = _layer(place, name, program.parent.name, lambda part: layer(part, [(name, program, 0o755)], {}))
    return _archived(place, Image(reference, (inside,), (f"/{name}",), user))


def _manager(reference: str, layers: tuple[Path, ...]) -> Image:
    env = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return Image(reference, layers, ("/usr/bin/python3", "-m", "k8s_manager.cli.main"), "65532", env)


def _previous(place: Place) -> Path:
    return previous_release.unpack(place.cache / f"release-{previous_release.COMMIT[:12]}")


def _archived(place: Place, image: Image) -> Path:
    words = [image.reference, *image.entrypoint, image.user, *(str(path) for path in image.layers)]
    target = place.cache / "images" / f"{key_of(words, [])}.tar"
    return target if target.exists() else _made(target, lambda part: archive(image, part))


def _made(target: Path, make: Callable[[Path], Path]) -> Path:
    """Make a file beside its place and move it there, so that what is in its place is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        make(Path(folder) / "layer.tar").rename(target)
    return target


def _layer(place: Place, name: str, key: str, make: Callable[[Path], Path]) -> Path:
    target = place.cache / "layers" / f"{name}-{key}.tar"
    return target if target.exists() else _made(target, make)


def _single(place: Place, program: Path) -> Path:
    entries = [(program.name, program, 0o755)]
    return _layer(place, program.name, program.parent.name, lambda part: layer(part, entries, {}))


def _pilot(place: Place, programs: dict[str, Path]) -> Path:
    program = programs["pilot-discovery"]
    files = [("usr/local/bin/pilot-discovery", program, 0o755), ("etc/passwd", _ISTIO_USER, 0o644)]
    return _layer(place, "pilot", program.parent.name, lambda part: layer(part, files, {"tmp": 0o1777}))


def _proxy(place: Place, programs: dict[str, Path], go: Path, envoy: Path) -> Path:
    """Return Istio's agent with an Envoy, the libraries that this Envoy is linked to, and Istio's bootstrap."""
    agent = programs["pilot-agent"]
    bootstrap = module_folder(go, "istio", "istio.io/istio") / "tools/packaging/common/envoy_bootstrap.json"
    files: list[tuple[str, Path | bytes, int]] = [
        ("usr/local/bin/pilot-agent", agent, 0o755),
        ("usr/local/bin/envoy", envoy, 0o755),
        ("var/lib/istio/envoy/envoy_bootstrap_tmpl.json", bootstrap, 0o644),
        ("etc/passwd", _ISTIO_USER, 0o644),
        *((str(path).lstrip("/"), path, 0o755) for path in _linked(envoy)),
    ]
    key = key_of([agent.parent.name, run(envoy, "--version")], [])
    return _layer(place, "proxyv2", key, lambda part: layer(part, files, {"tmp": 0o1777}))


def _linked(program: Path) -> list[Path]:
    return [Path(found) for found in re.findall(r"(/\S+) \(0x", run("ldd", program))]


def _python(place: Place) -> Path:
    """Return a small Debian with its Python."""

    def make(part: Path) -> Path:
        print(f"making a {DEBIAN} root with Python (once)", flush=True)
        root = part.parent / "root"
        run("debootstrap", "--variant=minbase", "--include=python3,ca-certificates", DEBIAN, root)
        for name in _NOT_NEEDED:
            shutil.rmtree(root / name, ignore_errors=True)
        return layer_of_tree(part, root)

    return _layer(place, f"python-{DEBIAN}", key_of(["python3", "ca-certificates", *_NOT_NEEDED], []), make)


def _libraries(place: Place, python: Path) -> Path:
    """Return what Tidegate needs, as the lock file says, compiled by the Python of the image."""
    lock = PROJECT / "requirements-image.lock"

    def make(part: Path) -> Path:
        root = part.parent / "root"
        root.mkdir()
        run("tar", "-xf", python, "-C", root)
        run(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
            "--only-binary=:all:", "--no-compile", "--no-deps", "--python-version", PYTHON,
            "--target", root / _PYTHON_HOME, "--requirement", lock)  # fmt: skip
        run("chroot", root, "/usr/bin/python3", "-m", "compileall", "-q", f"/{_PYTHON_HOME}")
        return layer_of_tree(part, root / _PYTHON_HOME, _PYTHON_HOME)

    return _layer(place, "libraries", key_of([PYTHON, python.name], [lock]), make)


def _tidegate(place: Place, source: Path) -> Path:
    """Return Tidegate as it stands in the work tree, or in another folder."""
    files = sorted(path for package in PACKAGES for path in (source / package).rglob("*") if _shipped(path))
    if not files:
        raise Failed(f"there is no Tidegate in {source}")
    entries: list[tuple[str, Path | bytes, int]] = [
        (f"{_PYTHON_HOME}/{path.relative_to(source)}", path, 0o644) for path in files
    ]
    entries += [_compiled(path, path.relative_to(source)) for path in files if path.suffix == ".py"]
    command = b"#!/usr/bin/python3\nfrom k8s_manager.cli.main import main\n\nmain()\n"
    entries_all = [*entries, ("usr/local/bin/tidegate", command, 0o755)]
    return _layer(place, "tidegate", key_of(["compiled"], files), lambda part: layer(part, entries_all, {}))


def _compiled(path: Path, inside: Path) -> tuple[str, bytes, int]:
    """Return a module's bytecode, valid whatever the file's time: a pod does not compile at each start. It is for this
    Python; one of another version does without."""
    name = f"{_PYTHON_HOME}/{inside}"
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "compiled"
        py_compile.compile(
            str(path), str(target), f"/{name}", doraise=True, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
        )
        return cache_from_source(name), target.read_bytes(), 0o644


def _shipped(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def _model(place: Place) -> Path:
    files = sorted(path for path in (SOURCES / "model").glob("*.py"))
    entries = [(f"model/{path.name}", path, 0o644) for path in files]
    return _layer(place, "model", key_of([], files), lambda part: layer(part, entries, {}))
