"""Names and sizes that a stranger can rely on: modules are nouns of the field, classes have one meaning."""

import re
from pathlib import Path

import pytest

from scripts import structure

# The field's own nouns, and words of the documents, that end like a participle. Review an addition like code.
NOUNS = {
    "autoscaling",
    "findings",
    "readings",
    "routing",
    "settings",
}
REPLACED = (
    {"anew", "asked", "carrying", "conceding", "housing", "judge", "judging", "keeper", "keeping", "leavable"}
    | {"leaving", "lent", "meant", "moves", "place", "places", "proof", "proofs", "seen", "standing", "tally"}
    | {"teller", "telling", "told", "twins", "wanted", "wanting", "warmth"}
)
FOLDERS = [
    folder
    for package in (*structure.PRODUCT, "scripts", "benchmarks")
    for folder in sorted({file.parent for file in (structure.ROOT / package).rglob("*.py")})
]
MODULES = [file for folder in FOLDERS for file in structure.modules(folder)]


def path_of(path: Path) -> str:
    return str(path.relative_to(structure.ROOT))


@pytest.mark.parametrize("file", MODULES, ids=path_of)
def test_a_module_is_named_by_a_noun_of_the_field(file: Path):
    words = [*file.stem.strip("_").split("_"), file.parent.name]
    assert [word for word in words if re.search(r"(ing|ings|ed)$", word) and word not in NOUNS] == []
    assert [word for word in words if word in REPLACED] == []


@pytest.mark.parametrize("folder", FOLDERS, ids=path_of)
def test_a_folder_can_be_read_at_a_glance(folder: Path):
    assert len(structure.modules(folder)) <= 14


def test_a_class_name_means_one_thing_in_the_whole_product():
    assert {name: places for name, places in structure.class_places().items() if len(places) > 1} == {}


def test_the_figures_of_the_structure_hold_their_bounds():
    assert structure.problems() == []


def test_the_architecture_page_has_a_place_for_the_figures():
    page = structure.page()
    assert page.count(structure.BEGIN) == page.count(structure.END) == 1
