"""Which incarnation of a server listens on a port: the sockets it listens on, by their inodes.

A process that starts again opens a new socket, whose inode is another. All containers of a pod share one network
namespace, so `/proc/net` shows the server's sockets to the agent without any right. Source of the format: proc(5).
"""

from pathlib import Path

_LISTEN = "0A"
_TABLES = ("tcp", "tcp6")


def listening(port: int, proc: Path = Path("/proc/net")) -> frozenset[str]:
    """Return the inodes of the sockets that listen on a port; none where no program does."""
    found: set[str] = set()
    for name in _TABLES:
        try:
            lines = (proc / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if words[3] == _LISTEN and int(words[1].rpartition(":")[2], 16) == port:
                found.add(words[9])
    return frozenset(found)
