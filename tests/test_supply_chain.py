"""What the checks of the bill of materials and of known vulnerabilities find."""

import pytest

from scripts.supply_chain import LOCKS, missing, pins, unknown, unsafe

HASHED = [{"hashes": [{"alg": "SHA-256", "content": "00"}]}]


def part(name: str, version: str, references: list | None = None) -> dict:
    return {"name": name, "version": version, "externalReferences": HASHED if references is None else references}


def test_every_package_of_the_lock_files_is_known_by_name_and_version():
    lock = "PyYAML==6.0.2 \\\n    --hash=sha256:00\ntyping_extensions==4.1 ; python_version < '3.13' \\\n    --hash=sha256:00\n"
    assert pins(lock) == {"pyyaml": "6.0.2", "typing-extensions": "4.1"}
    for file in LOCKS.values():
        text = file.read_text()
        assert len(pins(text)) == sum(line[:1].isalnum() for line in text.splitlines()) > 40


def test_both_images_have_the_same_version_of_what_both_hold():
    image, extras = (pins(LOCKS[name].read_text()) for name in ("image", "image-extras"))
    assert image.items() < extras.items()
    assert {"duckdb", "confluent-kafka", "opentelemetry-sdk"} <= extras.keys() - image.keys()


@pytest.mark.parametrize(
    ("parts", "lacks"),
    [
        ([part("PyYAML", "6.0.2")], 0),
        ([], 1),
        ([part("pyyaml", "6.0.1")], 1),
        ([part("pyyaml", "6.0.2", [])], 1),
        ([part("pyyaml", "6.0.2", [{"hashes": []}])], 1),
    ],
)
def test_a_package_that_is_missing_or_older_or_without_a_hash_is_told(parts: list, lacks: int):
    assert len(list(missing({"pyyaml": "6.0.2"}, {"components": parts}))) == lacks


def test_a_known_vulnerability_is_told_with_its_mend_and_a_package_nobody_knows_is_no_proof():
    known = {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2", "3"]}]}
    report = {"dependencies": [known, {"name": "b", "skip_reason": "not found"}, {"name": "c", "vulns": []}]}
    assert list(unsafe(report)) == ["a 1: PYSEC-1; mended in 2, 3"]
    assert unknown(report) == ["b"]
