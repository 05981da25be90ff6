"""Whatever a command is given, it answers in sentences and with an exit code, never with a traceback."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.core import TyperArgument

from k8s_manager import client
from k8s_manager.cli.files import document_files
from k8s_manager.cli.main import build, main
from tests.support.documents import gateway, model, tenant

TOKEN = "a-secret-that-nobody-prints"
SCALED = {"autoscale": ["--max", "3"]}
CHOSEN = {"selection dry-run": ["--strategy", "manual"]}
STANDING = {"serve", "standalone", "warmup agent"}  # these run until they are stopped
Answer = tuple[int, str, str]


def leaves(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command with its words."""
    inner = getattr(command, "commands", None)
    for name in sorted(inner or ()):
        yield from leaves(inner[name], (*words, name))
    if words and (inner is None or command.invoke_without_command):
        yield words, command


COMMANDS = {" ".join(words): command for words, command in leaves(typer.main.get_command(build([])))}
ASKING = [
    name
    for name, command in COMMANDS.items()
    if any("--state" in p.opts for p in command.params) and name not in STANDING
]
READING = [name for name, command in COMMANDS.items() if any("--filename" in p.opts for p in command.params)]
VALUES = {
    "what": "model/search/ranker", "shell": "bash",
    "shares": "v1=100", "model": "search/ranker", "name": "search", "host": "a.example.com", "tenant": "search",
    "reason": "why it is", "server": "tfs", "address": "127.0.0.1:1", "ttl": "1h", "to": "/nowhere", "version": "v1",
    "caller": "search/app1",
}  # fmt: skip


def words_of(name: str, given: dict[str, str]) -> list[str]:
    """Return a command with all that it requires, and what is `given` by the names of its parameters."""
    words = name.split()
    for parameter in COMMANDS[name].params:
        value = given.get(str(parameter.name))
        if value is None:
            if not parameter.required:
                continue
            value = _value(parameter)
        words += [value] if isinstance(parameter, TyperArgument) else [parameter.opts[-1], value]
    return words + {
        "caller rotate-keys": ["search"],
        "override set": ["search/ranker", "--total", "1"],
        "doctor": ["--manager"],
        **CHOSEN,
        **SCALED,
    }.get(name, [])


def _value(parameter: Any) -> str:
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return str(next(iter(kind)).value)
    return "1" if kind in (int, float) else VALUES.get(str(parameter.name), "x")


@pytest.fixture
def run(monkeypatch, capsys) -> Callable[..., Answer]:
    def run(*words: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["tidegate", *words])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        out = capsys.readouterr()
        return code, out.out, out.err

    for name in (
        "TIDEGATE_TOKEN",
        "TIDEGATE_SERVER",
        "TIDEGATE_TOKEN_FILE",
        "TIDEGATE_STATE",
        "TIDEGATE_TIMEOUT",
        "TIDEGATE_CONFIG",
        "TIDEGATE_CONTEXT",
        "TIDEGATE_NAMESPACE",
    ):
        monkeypatch.setenv(name, "")  # so that it is taken back at the end, whatever a command sets
        monkeypatch.delenv(name)
    return run


@pytest.fixture
def good(tmp_path) -> dict[str, str]:
    file = tmp_path / "good.yaml"
    file.write_text(yaml.safe_dump_all([gateway(), tenant(), model()]))
    return {"filename": str(file), "state": str(tmp_path)}


def is_told(answer: Answer, *words: str) -> None:
    code, _, error = answer
    assert code != 0, answer
    assert error.strip() and "Traceback" not in error and "this command failed" not in error, answer
    assert TOKEN not in error and TOKEN not in answer[1]
    for word in words:
        assert word in error, answer


def test_every_command_is_looked_at():
    assert {"apply", "claims give", "override set", "measure", "render", "doctor", *STANDING} <= COMMANDS.keys()
    assert len(ASKING) > 20 and len(READING) >= 6


ADDRESSES = {
    "ftp://127.0.0.1:1": "http:// or https://",
    "127.0.0.1:8700": "http:// or https://",
    "manager": "http:// or https://",
    "http://": "no host",
    "http://:8700": "no host",
    "http://127.0.0.1:99999": "port",
    "http://127.0.0.1:abc": "port",
    "http://[::1": "address",
    "http://a b": "address",
    "http://host/?x=1": "address",
    f"http://me:{TOKEN}@127.0.0.1:1": "password",
    "http://127.0.0.1:1": "no answer from http://127.0.0.1:1",
    "https://127.0.0.1:1": "no answer from https://127.0.0.1:1",
    "http://nowhere.invalid": "no answer from http://nowhere.invalid",
}


@pytest.mark.parametrize("name", ASKING)
def test_an_address_that_leads_nowhere_is_told(name, run, good):
    for address, said in ADDRESSES.items():
        is_told(run(*words_of(name, {**good, "server": address})), said)


def written(tmp_path: Path, content: bytes) -> str:
    file = tmp_path / "token-file"
    file.write_bytes(content)
    return str(file)


TOKENS = {
    "a newline inside": f"{TOKEN}\n{TOKEN}".encode(),
    "a latin byte": TOKEN.encode() + b"\xe9",
    "a letter that is no ASCII": f"{TOKEN}€".encode(),
    "a space inside": f"Bearer {TOKEN}".encode(),
    "a control character": TOKEN.encode() + b"\x00\x01",
    "nothing": b"",
    "a line feed alone": b"\n",
    "a binary": bytes(range(256)),
}


@pytest.mark.parametrize("what", TOKENS)
@pytest.mark.parametrize("name", ["get", "apply", "scale", "events", "claims", "override list"])
def test_a_token_that_cannot_be_one_is_told_and_not_shown(name, what, run, good, tmp_path):
    words = words_of(name, {**good, "token_file": written(tmp_path, TOKENS[what]), "server": "http://127.0.0.1:1"})
    is_told(run(*words), "token-file", "token")


@pytest.mark.parametrize("name", ASKING)
def test_a_token_file_that_cannot_be_read_is_told(name, run, good, tmp_path):
    for file in (tmp_path, tmp_path / "none", tmp_path / "good.yaml" / "x"):
        is_told(run(*words_of(name, {**good, "token_file": str(file)})), str(file))


def test_a_token_of_the_environment_is_checked_too(run, good, monkeypatch):
    monkeypatch.setenv("TIDEGATE_TOKEN", f"{TOKEN}\nx")
    is_told(run(*words_of("get", good)), "TIDEGATE_TOKEN")


def test_a_state_folder_whose_files_are_odd_is_told(run, tmp_path):
    (tmp_path / "address").write_bytes(b"\xff\xfe")
    is_told(run("get", "tenant", "--state", str(tmp_path)), "address")
    (tmp_path / "address").unlink()
    (tmp_path / "address").mkdir()
    is_told(run("get", "tenant", "--state", str(tmp_path)), "address")


ANSWERS = {
    "text": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    "bytes": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n\xff\xfe",
    "nothing": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "a list": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]",
    "null": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnull",
    "less than promised": b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\nConnection: close\r\n\r\n{}",
    "a page for an error": b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>",
    "an error cut off": b"HTTP/1.1 500 Oh\r\nContent-Length: 60\r\nConnection: close\r\n\r\n{",
    "no HTTP": b"SSH-2.0-OpenSSH_9\r\n\r\n",
    "a hang-up": b"",
}
OTHER_JSON = {
    "an empty object": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    "an object of others": b'HTTP/1.1 200 OK\r\nContent-Length: 25\r\nConnection: close\r\n\r\n{"items":"a","changes":1}',
}


def is_asked(received: bytes) -> bool:
    """Tell whether a whole head of HTTP, or the beginning of a TLS handshake, has come."""
    return b"\r\n\r\n" in received or received.startswith(b"\x16")


@pytest.fixture
def answering():
    """Return a function that starts a server which answers everything alike; None: it takes calls and is silent."""
    stopped: list[socket.socket] = []

    def start(answer: bytes | None) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        stopped.append(listener)

        def serve() -> None:
            silent = []
            while True:
                try:
                    call, _ = listener.accept()
                except OSError:
                    return
                if answer is None:
                    silent.append(call)
                    continue
                with call:
                    call.settimeout(2)
                    try:
                        received = b""
                        while not is_asked(received) and (more := call.recv(65536)):
                            received += more
                        call.sendall(answer)
                        call.shutdown(socket.SHUT_WR)
                        while call.recv(65536):
                            pass
                    except OSError:
                        pass

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in stopped:
        listener.close()


@pytest.mark.parametrize("what", ANSWERS)
def test_an_answer_that_is_not_the_managers_is_told(what, run, good, answering):
    server = answering(ANSWERS[what])
    for name in ASKING:
        is_told(run(*words_of(name, {**good, "server": server})))


@pytest.mark.parametrize("what", OTHER_JSON)
def test_json_of_another_program_is_told_where_it_is_read(what, run, good, answering):
    server = answering(OTHER_JSON[what])
    for name in ASKING:
        code, _, error = run(*words_of(name, {**good, "server": server}))
        assert "Traceback" not in error and (error.strip() or code == 0 or name == "git"), (name, code, error)


@pytest.mark.parametrize("code", [401, 404, 502])
def test_an_error_of_another_program_is_told_as_such(code, run, good, answering):
    server = answering(b"HTTP/1.1 %d Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % code)
    for name in ("get", "scale", "whoami"):
        is_told(run(*words_of(name, {**good, "server": server})), "no manager answered", "check the address")


def test_every_difference_has_colours_on_a_terminal(run, good, answering, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    plan = json.dumps({"documents": [], "effects": [], "changes": [{"diff": "--- a\n+++ b\n-x\n+y\n"}]}).encode()
    server = answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(plan), plan))
    _, shown, _ = run(*words_of("diff", {**good, "server": server}))
    assert "\x1b[32m+y" in shown and "\x1b[31m-x" in shown
    _, shown, _ = run("render", "--check", "-f", good["filename"], "-d", str(tmp_path / "tree"))
    assert "\x1b[32m+kind" in shown


def test_https_where_http_is_spoken_is_told(run, good, answering):
    server = answering(ANSWERS["text"]).replace("http://", "https://")
    for name in ASKING:
        is_told(run(*words_of(name, {**good, "server": server})), "no answer from https://")


@pytest.mark.parametrize("name", ASKING)
def test_a_manager_that_is_silent_is_not_waited_for(name, run, good, answering, monkeypatch):
    for patience in ("PATIENCE", "READ_PATIENCE"):
        monkeypatch.setattr(client, patience, 1e6)  # a call that takes no notice of --timeout hangs
    server = answering(None)
    is_told(run(*words_of(name, {**good, "server": server}), "--timeout=0.2"), "no answer from")


def test_the_time_to_wait_stands_before_a_command_too(run, good, answering):
    is_told(run("--timeout", "0.2", *words_of("get", {**good, "server": answering(None)})), "no answer from")


@pytest.mark.parametrize(
    ("word", "said"), [("events", "tidegate events"), ("ev", "tidegate events"), ("po", "describe")]
)
def test_what_kubectl_gets_and_tidegate_shows_elsewhere_is_named(word, said, run):
    is_told(run("get", word), said)


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf", ""])
def test_a_timeout_that_is_none_is_told(text, run, good):
    is_told(run("--timeout", text, *words_of("get", good)), "timeout")


def test_options_of_the_connection_stand_before_a_command_or_after_it(run, good):
    before = run("--server", "http://127.0.0.1:1", "--state", good["state"], "get", "tenant")
    assert before == run("get", "tenant", "--server", "http://127.0.0.1:1", "--state", good["state"])
    is_told(before, "no answer from http://127.0.0.1:1")


def test_the_version_is_told(run):
    code, out, _ = run("--version")
    assert code == 0 and out.startswith("tidegate ") and out.strip()[-1].isdigit()
    assert run("get", "--version") == (code, out, "")


def unreadable(tmp_path: Path) -> dict[str, str]:
    binary, empty, comment = tmp_path / "binary", tmp_path / "empty.yaml", tmp_path / "comment.yaml"
    binary.write_bytes(bytes(range(256)) * 8)
    empty.write_bytes(b"")
    comment.write_text("# nothing yet\n---\n")
    (tmp_path / "folder").mkdir()
    found = {
        "a binary": str(binary),
        "an empty file": str(empty),
        "comments": str(comment),
        "an empty folder": str(tmp_path / "folder"),
        "nothing": str(tmp_path / "none.yaml"),
        "a file as a folder": str(binary / "x.yaml"),
        "a long name": "x" * 5000,
    }
    if os.geteuid():
        (locked := tmp_path / "locked.yaml").write_text("a: b")
        locked.chmod(0)
        found["no right"] = str(locked)
    return found


@pytest.mark.parametrize("name", READING)
def test_a_file_without_an_end_is_told(name, run, good, monkeypatch):
    monkeypatch.setattr(document_files, "LARGEST", 1 << 20)
    is_told(run(*words_of(name, {**good, "filename": "/dev/zero"})), "/dev/zero", "holds more than 1 MiB")


@pytest.mark.parametrize("name", READING)
def test_documents_that_cannot_be_read_are_told_with_their_place(name, run, good, tmp_path):
    for what, file in unreadable(tmp_path).items():
        answer = run(
            *words_of(name, {**good, "filename": file}), *(["--server", "http://127.0.0.1:1"] if name in ASKING else [])
        )
        is_told(answer, file[:50])
        if what == "an empty file":
            is_told(answer, "empty")


@pytest.mark.parametrize(
    "words",
    [
        ("warmup", "check", "FILE"),
        ("warmup", "run", "FILE", "--address", "127.0.0.1:1"),
        ("warmup", "export", "FILE", "--for", "tfs", "--out", "/nowhere"),
        ("measure", "m", "--plan", "FILE", "--address", "127.0.0.1:1"),
        ("simulate", "--trace", "FILE", "--replicas", "2", "--per-replica-qps", "5"),
        ("simulate", "--generate", "bursts", "--settings", "FILE"),
        ("doctor", "--kubeconfig", "FILE"),
    ],
    ids=" ".join,
)
def test_other_files_that_cannot_be_read_are_told(words, run, tmp_path):
    for file in unreadable(tmp_path).values():
        is_told(run(*(file if word == "FILE" else word for word in words)))


def test_places_that_cannot_be_written_are_told(run, good, tmp_path):
    blocked = str(tmp_path / "good.yaml" / "x")
    is_told(run("render", "-f", good["filename"], "-d", blocked), blocked)
    is_told(run("render", "-f", good["filename"], "-d", good["filename"]), good["filename"])
    is_told(
        run("simulate", "--generate", "bursts", "--replicas", "2", "--per-replica-qps", "5", "--picture", blocked),
        blocked,
    )
    is_told(run("push", "-f", good["filename"], "--to", blocked))


def test_of_several_documents_none_is_written_where_one_is_wrong(run, tmp_path):
    wrong = model()
    wrong["spec"]["rutes"] = []
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all([gateway(), tenant(), wrong, {"kind": "Pod"}]))
    for name in ("apply", "plan", "diff"):
        code, out, error = run(name, "-f", str(file), "--server", "http://127.0.0.1:1")
        assert (code, out) == (2, "")
        line = file.read_text().splitlines().index("  rutes: []") + 1
        assert f"{file} (document 3), line {line}: Model search/ranker: spec.rutes: is unknown" in error
        assert f"{file} (document 4), line {line + 10}: Pod: kind: 'Pod' is no kind" in error
        assert "no answer" not in error


def started(*words: str) -> Answer:
    """Run a command that would otherwise stand, in a process of its own."""
    command = [sys.executable, "-m", "k8s_manager.cli.main", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_what_runs_until_it_is_stopped_says_what_it_cannot_start_with(tmp_path):
    files = unreadable(tmp_path)
    binary, empty = files["a binary"], files["an empty file"]
    is_told(started("serve", "--kubeconfig", binary), binary)
    is_told(started("serve", "--kubeconfig", empty), empty)
    is_told(started("serve", "--listen", "nowhere"), "HOST:PORT")
    is_told(started("serve", "--traces", "otel:4317"), "no OTLP/HTTP endpoint")
    is_told(started("collect", "--pods", "--traces", "grpc://otel:4317"), "no OTLP/HTTP endpoint")
    is_told(started("standalone", "--state", binary), binary)
    is_told(started("standalone", "--state", f"{binary}/x"), binary)


def test_a_difference_that_cannot_be_told_is_no_difference(run, monkeypatch):
    def fails(*_: Any) -> None:
        raise OSError(5, "gone", "/x")

    monkeypatch.setattr("k8s_manager.cli.files.document_files.Reading.placed", fails)
    assert run("diff", "-f", "x")[0] > 1
    assert run("apply", "-f", "x")[0] == 1
