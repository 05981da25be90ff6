"""Vendored files are what their list says, and bring their licence."""

import json

from k8s_manager.console.assets import FOLDER, assets, name_of
from scripts.console_assets import LIST, integrity

VENDORED = json.loads(LIST.read_text())


def test_vendored_files_are_the_ones_of_the_list():
    assert {name: integrity((FOLDER / name).read_bytes()) for name in VENDORED} == {
        name: said["integrity"] for name, said in VENDORED.items()
    }
    for name, said in VENDORED.items():
        assert said["licence"] in ("MIT", "BSD-2-Clause", "0BSD", "ISC") and said["version"][0].isdigit(), name
        assert said["integrity"].startswith("sha") and name.split(".")[0] in said["package"], name
    assert all((FOLDER / said["licence_file"]).read_text() for said in VENDORED.values())


def test_minified_files_are_vendored_and_a_name_changes_with_its_content():
    minified = {file.name for file in FOLDER.iterdir() if ".min." in file.name}
    assert minified == set(VENDORED)
    assert name_of("console.css") in assets() and name_of("console.css") != "console.css"
    assert not any("LICENSE" in name or name.endswith(".json") for name in assets())
