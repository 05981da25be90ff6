"""An address with its port as one text: the only place that joins and parts them, since IPv6 needs brackets."""


def joined(host: str, port: int | str) -> str:
    """Return `HOST:PORT`, and `[HOST]:PORT` for an IPv6 address."""
    bare = host.strip("[]")
    return f"[{bare}]:{port}" if ":" in bare else f"{host}:{port}"


def parted(text: str) -> tuple[str, str]:
    """Return host and port of a text, without brackets; the port is empty where there is none.

    An IPv6 address without brackets is all host: which of its groups would be the port is not known.
    """
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        return text.strip("[]"), ""
    return host.strip("[]"), port
