"""A real Flink in a process of its own: the jars by Maven, once, then one script at a time."""

import subprocess
from pathlib import Path

from tests.pipeline.jars import jars
from tests.support.bounds import hung

HERE = Path(__file__).parent / "flink"
_OPEN = [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in ("util", "lang")]
_JAVA = ["java", "-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *_OPEN]


def run_script(script: Path) -> None:
    """Run a script until it has ended; raise `AssertionError` with what Flink says where it fails."""
    command = [*_JAVA, "-cp", f"{jars(HERE / 'pom.xml', 'flink')}/*", str(HERE / "FlinkSql.java"), str(script)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=5 * hung())
    assert done.returncode == 0, done.stderr[-4000:]
