"""Contexts: kept for their owner alone, behind flags and the environment, and their tokens go nowhere else."""

import stat
import sys

import pytest

from istio_templates.errors import Invalid
from k8s_manager.cli import contexts
from k8s_manager.cli.connection import DEMO, connect
from k8s_manager.cli.contexts import Context, Contexts
from k8s_manager.cli.main import arranged, main

TOKEN = "a-secret-that-nobody-prints"
LAB = Context("lab", "https://lab.example.com", token=TOKEN, namespace="search")


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    for name in ("SERVER", "TOKEN", "TOKEN_FILE", "STATE", "CONTEXT", "NAMESPACE", "TIMEOUT"):
        monkeypatch.setenv(f"TIDEGATE_{name}", "")
        monkeypatch.delenv(f"TIDEGATE_{name}")
    monkeypatch.setenv("TIDEGATE_CONFIG", str(tmp_path / "deep" / "config"))
    monkeypatch.setattr(sys, "argv", ["tidegate"])
    return tmp_path / "deep" / "config"


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tidegate", *words])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


def test_contexts_are_read_back_and_are_their_owners_alone(file):
    other = Context("other", "http://127.0.0.1:1", token_file="/x")
    found = Contexts("lab", {"lab": LAB, "other": other})
    contexts.save(found)
    assert contexts.load() == found
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == ["config"]


def test_flags_and_the_environment_win_over_the_context(monkeypatch, tmp_path):
    contexts.save(Contexts("lab", {"lab": LAB, "other": Context("other", "http://other.example.com")}))
    own = connect(None, None, DEMO)
    assert (own.server, own.token) == ("https://lab.example.com", TOKEN)
    assert connect("http://127.0.0.1:1", None, DEMO).token == ""
    (tmp_path / "address").write_text("127.0.0.1:2")
    assert connect(None, None, tmp_path).server == "http://127.0.0.1:2"
    monkeypatch.setenv("TIDEGATE_TOKEN", "another")
    assert connect(None, None, DEMO).token == "another"
    monkeypatch.setenv("TIDEGATE_CONTEXT", "other")
    assert connect(None, None, DEMO).server == "http://other.example.com"
    assert contexts.namespace() == ""
    monkeypatch.setenv("TIDEGATE_NAMESPACE", "ads")
    assert contexts.namespace() == "ads"


def test_contexts_are_made_listed_chosen_and_forgotten(run):
    assert run("config", "set-context", "lab", "--server", "https://lab.example.com/")[:2] == (
        0,
        "context lab created\n",
    )
    assert run("config", "use-context", "lab")[:2] == (0, "context lab is current\n")
    assert run("config", "set-context", "-n", "search")[:2] == (0, "context lab modified\n")
    _, out, _ = run("config", "get-contexts")
    assert out.splitlines()[1].split() == ["*", "lab", "https://lab.example.com", "-", "search"]
    assert run("config", "current-context")[1] == "lab\n"
    assert run("config", "get-contexts", "-o", "name")[1] == "lab\n"
    assert run("config", "delete-context", "lab")[0] == 0 and contexts.load() == Contexts()
    for words in (["use-context", "none"], ["delete-context", "none"], ["current-context"], ["set-context"],
                  ["set-context", "x", "--server", "lab"]):  # fmt: skip
        code, _, error = run("config", *words)
        assert code == 2 and error, words


def test_a_token_is_shown_only_when_asked_for(run):
    contexts.save(Contexts("lab", {"lab": LAB}))
    assert TOKEN not in run("config", "view")[1] and "REDACTED" in run("config", "view")[1]
    assert TOKEN in run("config", "view", "--raw")[1]
    assert TOKEN not in run("config", "get-contexts", "-o", "json")[1]


@pytest.mark.parametrize("text", [f"token: [{TOKEN}", "- a", "contexts: 5", "contexts: [{server: x}]",
                                  f"contexts: [{{name: a, tokn: {TOKEN}}}]", "contexts: [{name: a, token: 5}]"])  # fmt: skip
def test_a_file_that_holds_no_contexts_is_told_and_not_shown(file, text: str):
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(Invalid) as error:
        contexts.load()
    assert str(file) in error.value.subject and TOKEN not in str(error.value)


def test_a_login_that_the_manager_does_not_know_keeps_nothing(run, file, monkeypatch):
    monkeypatch.setenv("TIDEGATE_TOKEN", TOKEN)
    code, out, error = run("login", "http://127.0.0.1:1")
    assert code == 3 and TOKEN not in out + error and not file.exists()


@pytest.mark.parametrize(
    "words, expected",
    [
        ("-n a get models", "-n a|get models"),
        ("get models -n a", "-n a|get models"),
        ("get models -na -A", "-n a|get models -A"),
        ("-A get models", "|get models -A"),
        ("get models -n=a --timeout 5", "-n a --timeout 5|get models"),
        ("wait x --timeout 5 --context c", "--context c|wait x --timeout 5"),
        ("--timeout 3 wait x --timeout 5", "--timeout 3|wait x --timeout 5"),
        ("get model wait --timeout 5", "--timeout 5|get model wait"),
        ("--server s get x", "|get x --server s"),
        ("warmup run -- -n a", "|warmup run -- -n a"),
    ],
)
def test_options_of_every_command_stand_before_it_or_after_it(words: str, expected: str):
    first, rest = expected.split("|")
    assert arranged(words.split()) == (first.split(), rest.split())
