"""Where a tree stands: a folder on a branch of a repository. Pure."""

import re
from dataclasses import dataclass

from istio_templates.errors import Invalid, Problem

_URL = re.compile(r"(https|ssh|git)://[^\s]+|\w[\w.-]*@\w[\w.-]*:[^\s]+|/[^\s]*")
_SECRET = re.compile(r"https://.*[@?]|[a-z]+://[^@]*:[^@]*@")
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,200}")
_FOLDER = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*)?")


@dataclass(frozen=True, slots=True)
class Address:
    """A folder on a branch of a repository; the repository's root is an empty folder."""

    url: str
    branch: str = "main"
    folder: str = ""

    def require(self, url: str, branch: str, folder: str) -> None:
        """Raise `Invalid` where a part is none; the arguments say what each part is called where it was given."""
        wrong = []
        if not _URL.fullmatch(self.url):
            said = f"{_public(self.url)!r} is no address of a repository; give https://, ssh:// or a path from /"
            wrong.append(Problem(url, said))
        elif _SECRET.match(self.url):
            said = "may hold a password before @ or behind ?; put it into TIDEGATE_GIT_USER and TIDEGATE_GIT_TOKEN"
            wrong.append(Problem(url, said))
        parts = self.branch.split("/")
        odd = ".." in self.branch or any(not part or part.endswith((".lock", ".")) for part in parts)
        if not _BRANCH.fullmatch(self.branch) or odd:
            wrong.append(Problem(branch, f"{self.branch!r} is no name of a branch"))
        if not _FOLDER.fullmatch(self.folder):
            wrong.append(Problem(folder, f"{self.folder!r} is no folder of a repository; give it like clusters/eu"))
        if wrong:
            raise Invalid("the repository", wrong)


def _public(url: str) -> str:
    return re.sub(r"(//.*@|\?.*)", "...", url)
