"""A Git server on loopback, git's own, and git as the judge of what came of it."""

import asyncio
import resource
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from k8s_manager.standalone.node import process as processes
from tests.support.bounds import hung
from tests.support.leftovers import mark
from tests.support.standalone import free_port
from tests.support.waiting import until

OWN = {
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C",
    "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.com",
}  # fmt: skip


def git(*words: str, at: Path, check: bool = True) -> str:
    """Run git in a folder; return what it printed."""
    done = subprocess.run(["git", *words], cwd=at, env={**OWN, **mark()}, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"git {' '.join(words)}: {done.stderr}")
    return done.stdout.strip() if done.returncode == 0 else f"failed: {done.stderr}"


class Server:
    """A folder of bare repositories, served."""

    def __init__(self, folder: Path, port: int, host: str = "127.0.0.1") -> None:
        self.folder, self.port, self.host = folder, port, host

    def url(self, name: str = "tree") -> str:
        """Return the address of a repository."""
        return f"git://{self.host}:{self.port}/{name}.git"

    def make(self, name: str = "tree") -> Path:
        """Make an empty repository that takes no forced push and remembers every push."""
        place = self.folder / f"{name}.git"
        git("init", "-q", "--bare", "-b", "main", str(place), at=self.folder)
        for key, value in (("receive.denyNonFastForwards", "true"), ("core.logAllRefUpdates", "always")):
            git("config", key, value, at=place)
        return place

    def hook(self, name: str, text: str, repository: str = "tree") -> None:
        """Give a repository a hook."""
        file = self.folder / f"{repository}.git" / "hooks" / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)


@asynccontextmanager
async def git_server(folder: Path, full: bool = False, port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[Server]:
    """Serve repositories below a folder; a `full` server can write no byte to its disk."""
    assert shutil.which("git"), "these tests need git: apt-get install -y git"
    server = Server(folder, port or free_port(), host)

    def no_byte() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    process = await asyncio.create_subprocess_exec(
        "git", "daemon", "--reuseaddr", f"--listen={host}", f"--port={server.port}", f"--base-path={folder}", "--export-all",
        "--enable=receive-pack", "--informative-errors",
        env={**OWN, **mark()}, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
        preexec_fn=no_byte if full else None,
    )  # fmt: skip

    async def answers() -> bool:
        try:
            _, writer = await asyncio.open_connection(host, server.port)
        except OSError:
            return False
        writer.close()
        return True

    try:
        await until(answers, "git daemon")
        yield server
    finally:
        await processes.stop(process, hung())  # git starts the daemon as a child: the whole group ends


def files(place: Path, branch: str = "main") -> dict[str, str]:
    """Return the files of a branch."""
    names = git("ls-tree", "-r", "-z", "--name-only", branch, at=place).split("\0")
    return {name: git("show", f"{branch}:{name}", at=place) + "\n" for name in names if name}
