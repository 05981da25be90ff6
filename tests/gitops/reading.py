"""Documents read from files, as `tidegate render` reads them."""

from k8s_manager.cli.files import Reading
from k8s_manager.gitops import sources
from k8s_manager.gitops.findings import Finding
from k8s_manager.gitops.sources import Sources


def read(*places: str) -> Sources:
    """Return the documents in files and folders, and all that is wrong with them."""
    reading = Reading()
    found = sources.of(reading.documents(places))
    broken = tuple(Finding("TG101", place, "", problem) for place, problem in reading.problems)
    return Sources(found.documents, found.places, (*broken, *found.findings))
