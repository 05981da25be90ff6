"""Programs that Debian has ready: unpacked into the cache, not installed."""

import tempfile
from pathlib import Path

from e2e.cluster.errors import Failed
from e2e.cluster.place import Place
from e2e.cluster.run import run
from e2e.cluster.versions import DEBIAN


def unpacked(place: Place, package: str) -> Path:
    """Return the folder of a package's programs, fetching it where it is not in the cache."""
    target = place.cache / "debian" / f"{package}-{DEBIAN}"
    if not target.exists():
        print(f"fetching {package} from Debian (once)", flush=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            _fetch(package, Path(folder))
            (fetched,) = Path(folder).glob("*.deb")
            run("dpkg-deb", "-x", fetched, Path(folder) / "tree")
            (Path(folder) / "tree").rename(target)
    return target / "usr" / "bin"


def _fetch(package: str, folder: Path) -> None:
    try:
        run("apt-get", "download", package, cwd=folder)
    except Failed:
        run("apt-get", "update", "-qq")
        run("apt-get", "download", package, cwd=folder)
