"""A standalone's collector keeps rows in files where that is asked for."""

from pathlib import Path

import pytest

from k8s_manager.standalone.supervisor import Standalone, StateFolder


@pytest.mark.parametrize("keeps_history", [True, False])
def test_the_collector_gets_a_folder_for_rows_where_history_is_asked_for(tmp_path: Path, keeps_history: bool) -> None:
    standalone = Standalone(StateFolder(tmp_path, ("127.0.0.1", 8700), keeps_history), True, lambda *_: None)
    words = standalone._collector_command()
    assert (words[-2:] == ["--sink", f"parquet:{tmp_path}/rows"]) == ("--sink" in words) == keeps_history
