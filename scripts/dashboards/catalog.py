"""All dashboards, by the name of their file."""

from scripts.dashboards.gateway import GATEWAY
from scripts.dashboards.kafka import KAFKA
from scripts.dashboards.manager import MANAGER
from scripts.dashboards.model import MODEL
from scripts.dashboards.platform import PLATFORM
from scripts.dashboards.tenant import TENANT

BOARDS = (PLATFORM, GATEWAY, TENANT, MODEL, MANAGER, KAFKA)


def files() -> dict[str, str]:
    """Return the text of each file of `manifests/monitoring/dashboards`."""
    return {f"{board.name}.json": board.text() for board in BOARDS}
