"""A configuration as YAML: whatever a value is, it stays a value."""

from typing import Any

import yaml

Part = dict[str, Any]


class PlainDumper(yaml.SafeDumper):
    """Writes no anchors, and a text of several lines as such."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Return true for everything."""
        return True


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


PlainDumper.add_representer(str, _represent)


def yaml_text(head: str, config: Part) -> str:
    """Return a configuration below a comment of one line."""
    return f"# {head}\n" + yaml.dump(config, Dumper=PlainDumper, sort_keys=False, width=120, allow_unicode=False)
