"""Manifests as YAML: block style, keys in the order in which they were rendered, no anchors."""

from collections.abc import Iterable

import yaml

from istio_templates.facts import Manifest


class _Dumper(yaml.CSafeDumper):
    """Writes what is shared twice instead of pointing to it: people read these files."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        """Never point."""
        return True


def yaml_text(objects: Iterable[Manifest]) -> str:
    """Return manifests as one YAML text."""
    text: str = yaml.dump_all(list(objects), Dumper=_Dumper, sort_keys=False, width=120)
    return text
