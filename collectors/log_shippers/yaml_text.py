"""A configuration as YAML: whatever a value is, it stays a value."""

from typing import Any

import yaml

Part = dict[str, Any]


class PlainDumper(yaml.SafeDumper):
    """Writes no anchors: what stands in two places is written twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Return true for everything."""
        return True


def yaml_text(head: str, config: Part) -> str:
    """Return a configuration below a comment of one line."""
    return f"# {head}\n" + yaml.dump(config, Dumper=PlainDumper, sort_keys=False, width=120, allow_unicode=False)
