"""Ways to a repository: HTTPS with a password and an authority of one's own, ssh."""

import asyncio
import os
from pathlib import Path

import pytest

from istio_templates.errors import Invalid
from k8s_manager.gitops.layout import HEADER
from k8s_manager.gitops.repository import Access, CommitInfo, NotTaken, Repository, Unreachable
from k8s_manager.runtime.git_address import Address
from tests.support.git_https import TOKEN, USER, git_over_https
from tests.support.git_server import files, git

TREE = {"kustomization.yaml": HEADER + "resources: []\n", "tenants/search/a.yaml": HEADER + "a: 1\n"}
WHY = CommitInfo("why", "Ada <ada@example.com>")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    found = tmp_path / "tree.git"
    git("init", "-q", "--bare", "-b", "main", str(found), at=tmp_path)
    git("config", "http.receivepack", "true", at=found)
    return found


async def put(repository: Repository) -> str:
    return (await asyncio.to_thread(repository.put, TREE, WHY)).commit


async def test_https_with_a_token_and_an_authority_of_ones_own(tmp_path: Path, place: Path):
    async with git_over_https(tmp_path) as (base, trusted):
        url = f"{base}/tree.git"
        access = Access.of(
            {"TIDEGATE_GIT_USER": USER, "TIDEGATE_GIT_TOKEN": TOKEN, "TIDEGATE_GIT_CA_FILE": str(trusted)}
        )
        commit = await put(Repository(url, "main", access=access))
        assert files(place) == TREE and git("rev-parse", "main", at=place) == commit
        assert await put(Repository(url, "main", access=access)) == commit
        wrong = Access.of(
            {"TIDEGATE_GIT_USER": USER, "TIDEGATE_GIT_TOKEN": "old-token", "TIDEGATE_GIT_CA_FILE": str(trusted)}
        )
        with pytest.raises(NotTaken, match="these credentials have no right; give others") as refused:
            await put(Repository(url, "main", access=wrong))
        assert "old-token" not in str(refused.value)
        with pytest.raises(Unreachable, match="certificate verify failed"):
            await put(Repository(url, "main", access=Access((USER, TOKEN))))
        with pytest.raises(NotTaken, match="no such repository"):
            await put(Repository(f"{base}/none.git", "main", access=access))


async def test_ssh_by_the_program_that_one_names(tmp_path: Path, place: Path):
    said = tmp_path / "said"
    program = tmp_path / "ssh"
    program.write_text(f'#!/bin/sh\necho "$@" > {said}\nfor last; do :; done\nexec sh -c "$last"\n')
    program.chmod(0o755)
    access = Access.of({"GIT_SSH_COMMAND": f"{program} -o BatchMode=yes", "PATH": os.environ["PATH"]})
    await put(Repository(f"ssh://git@git.example.com{place}", "main", access=access))
    assert files(place) == TREE
    assert "-o BatchMode=yes" in said.read_text() and "git@git.example.com" in said.read_text()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (Address("http://example.com/a.git"), "URL: 'http://example.com/a.git' is no address of a repository"),
        (Address("https://ada:secret@example.com/a.git"), "may hold a password before @ or behind ?; put it into"),
        (Address("ftp://ada:secret@example.com/a.git"), "'ftp:...example.com/a.git' is no address"),
        (Address("https://secret@example.com/a.git"), "may hold a password"),
        (Address("https://ada:pa/secret@example.com/a.git"), "may hold a password"),
        (Address("https://example.com/a.git?private_token=secret"), "may hold a password"),
        (Address("-x@example.com:a.git"), "is no address"),
        (Address("https://example.com/a.git", "a..b"), "BRANCH: 'a..b' is no name of a branch"),
        (Address("https://example.com/a.git", "-f"), "'-f' is no name"),
        (Address("https://example.com/a.git", "a/.lock"), "is no name"),
        (Address("https://example.com/a.git", "a//b"), "is no name"),
        (Address("https://example.com/a.git", "main", "../up"), "FOLDER: '../up' is no folder"),
        (Address("https://example.com/a.git", "main", "/etc"), "is no folder"),
        (Address("https://example.com/a.git", "main", "a/.git"), "is no folder"),
    ],
)
def test_an_address_that_is_none_is_named_without_its_secret(address: Address, said: str):
    with pytest.raises(Invalid) as wrong:
        address.require("URL", "BRANCH", "FOLDER")
    told = "; ".join(map(str, wrong.value.problems))
    assert said in told and "secret" not in told


def test_addresses_that_are_some():
    for url in ("https://git.example.com/a.git", "ssh://git@example.com:22/a", "git@example.com:a/b.git", "/srv/a.git"):
        Address(url, "release/1.2", "clusters/eu").require("URL", "BRANCH", "FOLDER")
