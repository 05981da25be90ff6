"""A real Flink makes the rows of the engine, of the same lines. Needs Java 17 and Maven; `make test` leaves it out."""

from pathlib import Path
from random import Random

import orjson

from collectors.access_log.engine import Engine
from collectors.access_log.outcomes import OUTCOMES
from collectors.access_log.rows import StatsRow
from collectors.access_log.sql.flink_sql import SOURCE, file_tables, flink_sql
from collectors.access_log.windows import OFFLINE
from collectors.request_statistics.row_document import row_of
from tests.collectors.access_log.test_engine import moment
from tests.collectors.access_log.varied_lines import FOREIGN, varied
from tests.pipeline.flink_runner import run_script


def log_of(seed: int, count: int) -> list[bytes]:
    """Return lines that are out of order by seconds, as those of a gateway may be."""
    random = Random(seed)
    lines = [text for text in varied(seed, count) if text not in FOREIGN]
    mixed = sorted(enumerate(sorted(lines, key=moment)), key=lambda pair: pair[0] + random.uniform(0, count / 30))
    foreign = [random.choice(FOREIGN) for _ in range(count // 20)]
    out = [text for _, text in mixed]
    for text in foreign:
        out.insert(random.randrange(len(out)), text)
    return out


def rows_in(folder: Path) -> list[StatsRow]:
    documents = [orjson.loads(text) for file in folder.iterdir() for text in file.read_bytes().splitlines()]
    return sorted(map(row_of, documents), key=lambda row: row.key)


def test_flink_makes_the_rows_of_the_engine(tmp_path: Path):
    logs = [log_of(seed, 20_000) for seed in (1, 2)]
    (tmp_path / "lines").mkdir()
    for number, log in enumerate(logs):
        (tmp_path / "lines" / f"gw-{number}.jsonl").write_bytes(b"".join(text + b"\n" for text in log))
    script = tmp_path / "rows.sql"
    script.write_text(flink_sql(file_tables(str(tmp_path / "lines"), str(tmp_path / "rows")), SOURCE))
    run_script(script)
    engine = Engine(lateness=OFFLINE)
    expected = [*(row for log in logs for row in engine.feed(SOURCE, log)), *engine.end(SOURCE)]
    found = rows_in(tmp_path / "rows")
    assert found == sorted(expected, key=lambda row: row.key)
    platform = [row for row in found if row.key.place.level == "platform"]
    assert all(sum(row.count(name) for row in platform) for name in OUTCOMES), "every outcome is compared"
