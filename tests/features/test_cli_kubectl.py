"""The command line as people know it from kubectl: kinds, namespaces, forms, what a write did, waiting, describing."""

import asyncio
import json
import os
import sys

import pytest
import yaml

from istio_templates.documents.crd import PLURALS, SHORT_NAMES
from k8s_manager.cli.kinds import KINDS
from tests.features.conftest import make_search
from tests.features.test_cli import tidegate
from tests.support.bounds import hung
from tests.support.command import run_command
from tests.support.documents import gateway, labels, model, tenant
from tests.support.waiting import until


@pytest.fixture
async def server(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await make_search(fleet)
        yield f"http://127.0.0.1:{rest._session._base_url.port}"


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_has_the_names_that_kubectl_takes(server, kind: str):
    word = KINDS[kind].value
    spellings = [
        word,
        f"{word}s",
        kind.lower(),
        PLURALS[kind],
        SHORT_NAMES[kind],
        kind,
        f"{PLURALS[kind]}.tidegate.dev",
    ]
    answers = {await tidegate("get", name, "-o", "json", server=server) for name in spellings}
    assert len(answers) == 1
    ((code, out, error),) = answers
    found = json.loads(out)
    assert (code, error) == (0, "") and (found["apiVersion"], found["kind"]) == ("v1", "List")


async def test_a_namespace_is_a_tenants_and_stands_before_or_after_the_command(fleet, server):
    await fleet.apply(tenant("ads", namespace="ads-prod", hosts=[{"name": "ads.models.example.com"}]))
    await until(lambda: fleet.get("Namespace", "ads-prod"), "the namespace")
    other = model("ranker", "ads-prod", routes=[{"host": "ads.models.example.com", "path": "/v2", "port": 8080}])
    await fleet.apply(other)
    for words in (
        ["-n", "ads-prod", "get", "models"],
        ["get", "models", "-n", "ads-prod"],
        ["get", "mdl", "--namespace=ads-prod"],
        ["get", "model", "ranker", "-nads-prod"],
        ["get", "model/ranker", "-n=ads-prod"],
        ["get", "model/ads/ranker"],
        ["get", "models", "ranker", "-t", "ads"],
    ):
        code, out, error = await tidegate(*words, "-o", "jsonpath={..metadata.namespace}", server=server)
        assert (code, out, error) == (0, "ads-prod", ""), words
    for words in (
        ["-A", "get", "models"],
        ["get", "models", "-A"],
        ["get", "models", "-n", "ads-prod", "--all-namespaces"],
    ):
        code, out, _ = await tidegate(*words, "-o", "jsonpath={.items[*].metadata.namespace}", server=server)
        assert (code, sorted(out.split())) == (0, ["ads-prod", "search"]), words
    for command in (["limit"], ["explain"], ["scale"], ["history", "model"]):
        words = [*command, "ranker", *(["v1", "2"] if command == ["scale"] else []), "-n", "ads-prod"]
        assert (await tidegate(*words, server=server))[0] == 0, words
    code, _, error = await tidegate("get", "models", "-n", "nowhere", server=server)
    assert code == 2 and "namespace nowhere" in error and "tidegate get tenants" in error
    code, _, error = await tidegate("limit", "ranker", server=server)
    assert code == 2 and "-n NAMESPACE" in " ".join(error.split())


FORMS = {
    "name": lambda out: out.strip() and all("/" in line for line in out.split()),
    "json": json.loads,
    "yaml": yaml.safe_load,
    "jsonpath={.*}": lambda out: out,
    "wide": lambda out: out,
}
READS = [
    ["get", "models"], ["get", "gateway", "shared"], ["get", "tenants,models"], ["events", "--no-follow"], ["claims"],
    ["history", "model", "search/ranker"], ["whoami"], ["limit", "search/ranker"], ["explain", "search/ranker"],
    ["describe", "model", "search/ranker"], ["override", "list"], ["apply", "-f", "-"], ["scale", "search/ranker", "v1", "2"],
    ["traffic", "search/ranker", "v1=100", "--force"],
    ["pause", "search/ranker", "--reason", "a test"], ["resume", "search/ranker"],
]  # fmt: skip


@pytest.mark.parametrize("words", READS, ids=" ".join)
async def test_every_command_shows_every_form(server, words: list[str]):
    for form, read in FORMS.items():
        code, out, error = await tidegate(*words, "-o", form, server=server, stdin=yaml.safe_dump(model()))
        assert (code, error) == (0, ""), (words, form)
        assert words == ["override", "list"] or read(out), (words, form, out)
    code, _, error = await tidegate(*words, "-o", "jsonpath={.a[}", server=server, stdin=yaml.safe_dump(model()))
    assert code == 2 and "has no closing" in error
    code, _, error = await tidegate(*words, "-o", "xml", server=server)
    assert code == 2 and "is no format" in " ".join(error.split())


async def test_a_write_says_what_it_did_to_each_document(server):
    more = tenant("ads", hosts=[{"name": "ads.models.example.com"}])
    text = yaml.safe_dump_all([gateway(), tenant(), model(rateLimit={"perReplicaQps": 33}), more])

    async def written(*words: str) -> list[str]:
        code, out, error = await tidegate("apply", "-f", "-", *words, server=server, stdin=text)
        assert (code, error) == (0, "")
        return [line for line in out.splitlines() if not line.startswith(" ")]

    expected = ["InferenceGateway shared unchanged", "Tenant search unchanged", "Tenant ads created",
                "Model search/ranker configured"]  # fmt: skip
    assert await written("--dry-run") == [f"{line} (dry run)" for line in expected]
    assert await written() == expected
    assert {line.rpartition(" ")[2] for line in await written()} == {"unchanged"}


@pytest.mark.parametrize("form", ["yaml", "json"])
async def test_what_get_prints_is_applied_and_changes_nothing(server, form: str):
    for kinds in ("gateways,tenants,models", "model/search/ranker"):
        _, out, _ = await tidegate("get", kinds, "-o", form, server=server)
        assert "resourceVersion" in out and "uid" in out and "status" in out
        code, said, error = await tidegate("apply", "-f", "-", server=server, stdin=out)
        assert (code, error) == (0, "") and {line.split()[-1] for line in said.splitlines()} == {"unchanged"}
    live = json.loads((await tidegate("get", "model/search/ranker", "-o", "json", server=server))[1])
    live["metadata"]["managedFields"] = [{"manager": "kubectl", "operation": "Apply"}]
    live["metadata"]["selfLink"] = "/apis/x"
    live["spec"]["rateLimit"] = {"perReplicaQps": 9}
    code, said, error = await tidegate("apply", "-f", "-", server=server, stdin=json.dumps(live))
    assert (code, said, error) == (0, "Model search/ranker configured\n", "")


async def test_documents_of_files_are_deleted_dependents_first(fleet, server, tmp_path):
    (tmp_path / "a.yaml").write_text(yaml.safe_dump_all([gateway(), tenant()]))
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(model()))
    code, _, error = await tidegate("delete", "-f", str(tmp_path / "a.yaml"), "--dry-run", server=server)
    assert code == 2 and "Model search/ranker depend on it and are not in the files" in error
    code, out, error = await tidegate("delete", "-f", str(tmp_path), "--dry-run", server=server)
    assert (code, error) == (0, "") and "Tenant search would be deleted" in out
    code, out, _ = await tidegate("delete", "-f", str(tmp_path), "--wait", server=server)
    deleted = [line for line in out.splitlines() if not line.startswith("  ")]
    assert (code, deleted) == (
        0, [f"{name} is being deleted" for name in ("Model search/ranker", "Tenant search", "InferenceGateway shared")]
    )  # fmt: skip
    assert "  Namespace inference-gw stays, as Tidegate did not make it" in out
    assert await fleet.get("InferenceGateway", "shared") is None
    text = yaml.safe_dump(model())
    code, _, error = await tidegate("delete", "-f", "-", server=server, stdin=text)
    assert code == 2 and "there is no" in error
    assert (await tidegate("delete", "-f", "-", "--ignore-not-found", server=server, stdin=text))[0] == 0
    for words, said in ((["delete"], "say what to delete"), (["delete", "model"], "name the model")):
        code, _, error = await tidegate(*words, server=server)
        assert code == 2 and said in " ".join(error.split())


async def test_a_condition_a_value_and_an_end_are_waited_for(fleet, server):
    waiting = [
        ["--for=condition=Ready", "model/search/ranker"],
        ["--for", "condition=ready=true", "model", "ranker", "-n", "search", "--timeout=20"],
        ["--for=condition=Limited=True", "models", "-n", "search", "--timeout", "20s"],
        ["--for=jsonpath={.status.limit.total}=20", "mdl", "search/ranker"],
    ]
    started = [asyncio.create_task(tidegate("wait", *words, server=server)) for words in waiting]
    await fleet.pod("inference-gw", {"istio": "shared"})
    await fleet.pod("search", labels())
    for words, (code, out, error) in zip(waiting, await asyncio.gather(*started), strict=True):
        assert (code, error) == (0, "") and "condition met" in out, words
    code, _, error = await tidegate(
        "wait", "--for=condition=Enforced", "model/search/ranker", "--timeout=0.1", server=server
    )
    assert code == 1 and "timed out waiting for condition Enforced on model search/ranker" in error
    gone = asyncio.create_task(tidegate("wait", "--for=delete", "model/search/ranker", server=server))
    await tidegate("delete", "model", "search/ranker", server=server)
    assert await gone == (0, "model search/ranker deleted\n", "")
    code, _, error = await tidegate("wait", "model/search/ranker", server=server)
    assert code == 1 and "there is no model search/ranker" in error
    for text in ("condition=", "Ready", "jsonpath=", "condition=Ready=maybe"):
        assert (await tidegate("wait", f"--for={text}", "tenant/search", server=server))[0] == 2, text
    assert (await tidegate("wait", "tenant/search", "--timeout=soon", server=server))[0] == 2


async def test_a_rollout_is_followed_and_says_what_it_waits_for(fleet, server):
    following = asyncio.create_task(tidegate("rollout", "status", "search/ranker", "--timeout", "20s", server=server))
    code, out, error = await tidegate(
        "rollout", "status", "ranker", "-n", "search", "--watch", "--timeout=0", server=server
    )
    assert code == 1 and "version v1: " in out and "is not done after 0" in error
    assert (await tidegate("rollout", "status", "model/search/ranker", "--no-watch", server=server))[0] == 0
    deployment = await fleet.get("Deployment", "ranker-v1", "search")
    status = {f"{name}eplicas": 2 for name in ("r", "readyR", "updatedR", "availableR")}
    status["observedGeneration"] = deployment["metadata"]["generation"]
    await fleet.client.merge(_key(deployment), {"status": status}, "status")
    code, out, error = await following
    assert (code, error) == (0, "") and out.splitlines()[-1].endswith("every replica is that of the document")
    _, out, _ = await tidegate("get", "models", server=server)
    assert out.splitlines()[0].split()[:4] == ["NAME", "NAMESPACE", "REPLICAS", "UP-TO-DATE"]
    assert out.splitlines()[1].split()[4] == "2"
    stuck = {"conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]}
    await fleet.client.merge(_key(deployment), {"status": {**stuck, "updatedReplicas": 1}}, "status")

    async def failed():
        code, out, _ = await tidegate("rollout", "status", "search/ranker", "--no-watch", server=server)
        return code == 1 and "progress deadline" in out

    await until(failed, "the failed rollout")


def _key(obj):
    from istio_templates.names import key_of

    return key_of(obj)


async def test_a_document_is_described_with_its_objects_pods_and_events(fleet, server):
    key = await fleet.pod("search", labels(), ready=False)
    waits = {"name": "model", "ready": False, "restartCount": 4,
             "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
             "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}  # fmt: skip
    await fleet.client.merge(key, {"status": {"phase": "Running", "containerStatuses": [waits]}}, "status")

    async def described():
        _, out, _ = await tidegate("describe", "model", "search/ranker", server=server)
        return out if "CrashLoopBackOff" in out else None

    out = await until(described, "the pod's reason")
    assert "Namespace:    search" in out and "perReplicaQps: 20" in out
    for words in ("Accepted ", "Deployment", "VirtualService", "exit code 137", "Conditions:", "Events:"):
        assert words in out, words
    (line,) = [line for line in out.splitlines() if line.split()[:1] == [key.name]]
    assert line.split()[:5] == [key.name, "v1", "no", "CrashLoopBackOff", "4"]
    for words, said in (
        (["gateway", "shared"], "Gateway"),
        (["tenants"], "Namespace"),
        (["models", "-A"], "ranker-v1"),
    ):
        code, out, error = await tidegate("describe", *words, server=server)
        assert (code, error) == (0, "") and said in out, words


async def test_changes_are_shown_as_they_come(fleet, server):
    pipe = asyncio.subprocess.PIPE
    environment = {**os.environ, "TIDEGATE_SERVER": server, "TIDEGATE_TOKEN": "of-the-tests"}
    command = [sys.executable, "-m", "k8s_manager.cli.main", "get", "models", "-w"]
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=environment)
    assert process.stdout is not None
    try:
        assert (await asyncio.wait_for(process.stdout.readline(), hung())).startswith(b"NAME")
        await fleet.pod("search", labels())
        while b"v1 1/2" not in await asyncio.wait_for(process.stdout.readline(), hung()):
            pass
        await tidegate("delete", "model", "search/ranker", server=server)
        while b"Delet" not in await asyncio.wait_for(process.stdout.readline(), hung()):
            pass
    finally:
        process.terminate()
        await process.wait()


async def test_a_rollback_without_a_number_goes_to_the_revision_before(fleet, server):
    for qps in (30, 40):
        await tidegate("apply", "-f", "-", server=server, stdin=yaml.safe_dump(model(rateLimit={"perReplicaQps": qps})))

        async def recorded(qps=qps):
            _, out, _ = await tidegate("history", "mdl/search/ranker", "-o", "json", server=server)
            return json.loads(out)["items"][0]["revision"] == qps / 10 - 1

        await until(recorded, "the revision")
    for expected in (30, 40):
        code, out, _ = await tidegate("rollback", "model", "ranker", "-n", "search", server=server)
        assert (code, out) == (0, "model ranker is as it was before\n")
        form = "jsonpath={.spec.rateLimit.perReplicaQps}"
        assert (await tidegate("get", "model/search/ranker", "-o", form, server=server))[1] == str(expected)

        async def known(expected=expected):
            _, out, _ = await tidegate("history", "model", "search/ranker", "-o", "json", server=server)
            return json.loads(out)["items"][0]["reason"].startswith("back to revision")

        await until(known, "the revision of the rollback")
    code, _, error = await tidegate("rollback", "tenant/search", server=server)
    assert code == 2 and "no revision before this one" in error
    for words in (
        ["history", "model"],
        ["rollback", "model", "search/ranker", "one"],
        ["history", "model", "a/b", "0"],
    ):
        assert (await tidegate(*words, server=server))[0] == 2, words


async def completed(server: str, shell: str, line: str) -> list[str]:
    """Return what a shell is offered for the last word of a line."""
    words = line.split(" ")
    asked = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_TIDEGATE_COMPLETE": "complete_bash"},
        "zsh": {"_TYPER_COMPLETE_ARGS": line, "_TIDEGATE_COMPLETE": "complete_zsh"},
    }[shell]
    environment = {"PATH": "/usr/bin:/bin", "TIDEGATE_SERVER": server, "TIDEGATE_TOKEN": "of-the-tests", **asked}
    _, out, _ = await run_command(environment=environment)
    return out.split()


async def test_a_shell_completes_kinds_and_names(server):
    for line, expected in {
        "tidegate get mod": "models",
        "tidegate get models se": "search/ranker",
        "tidegate get models -n search ra": "ranker",
        "tidegate -n search describe mdl/ra": "mdl/ranker",
        "tidegate limit sea": "search/ranker",
        "tidegate delete tenant s": "search",
        "tidegate desc": "describe",
    }.items():
        assert expected in await completed(server, "bash", line), line
    assert '"search/ranker"' in " ".join(await completed(server, "zsh", "tidegate get models se"))
    assert await completed("http://127.0.0.1:9", "bash", "tidegate get models se") == []
    for shell in ("bash", "zsh"):
        code, out, _ = await tidegate("completion", shell)
        assert code == 0 and f"complete_{shell}" in out


async def test_a_login_is_kept_for_the_calls_after_it(server, tmp_path):
    environment = {"PATH": "/usr/bin:/bin", "TIDEGATE_CONFIG": str(tmp_path / "config")}

    async def run(*words: str, stdin: str = "") -> tuple[int | None, str]:
        code, out, error = await run_command(*words, environment=environment, stdin=stdin)
        return code, out + error

    code, said = await run("login", server, "-n", "search", stdin="of-the-tests\n")
    assert code == 0 and "tidegate:holder" in said and "of-the-tests" not in said
    assert (await run("get", "model", "ranker", "-o", "name")) == (0, "model.tidegate.dev/ranker\n")
    code, said = await run("login", server, "--name", "third", "-o", "json", stdin="of-the-tests\n")
    assert code == 0 and json.loads(said)["context"] == "third" and "of-the-tests" not in said
    code, said = await run("login", server, "--name", "other", stdin="wrong\n")
    assert code == 2 and "other" not in (tmp_path / "config").read_text()


async def test_a_deleted_document_keeps_its_history_and_is_made_again(fleet, server):
    async def lines(*options: str) -> list[dict]:
        code, out, _ = await tidegate("history", "model", "search/ranker", *options, "-o", "json", server=server)
        return json.loads(out)["items"] if code == 0 else []

    await until(lines, "the first revision")
    assert (await tidegate("delete", "model", "search/ranker", "--reason", "not used", server=server))[0] == 0

    async def deleted() -> bool:
        return (await lines())[0]["deletion"] and await fleet.get("Model", "ranker", "search") is None

    await until(deleted, "the deletion")
    code, out, _ = await tidegate("history", "model", "search/ranker", server=server)
    assert code == 0 and "2 (deleted)" in out and "not used" in out
    code, out, _ = await tidegate("rollback", "model", "search/ranker", "1", "--dry-run", server=server)
    assert code == 0 and "would be as it was at revision 1" in out
    code, out, _ = await tidegate("rollback", "model", "search/ranker", server=server)
    assert (code, out.splitlines()[0]) == (0, "model search/ranker is as it was before")
    assert await fleet.get("Model", "ranker", "search")
    assert (await lines("--deleted"))[0]["deletion"]
    code, out, _ = await tidegate("history", "model", "search/ranker", "1", "--deleted", "-o", "yaml", server=server)
    assert code == 0 and yaml.safe_load(out)["spec"] == model()["spec"]
    code, _, error = await tidegate("history", "tenant/search", "--deleted", server=server)
    assert code == 2 and "no history of a deleted Tenant search" in error


async def test_what_short_commands_did_is_told_to_programs_too(fleet, server):
    async def asked(*words: str, form: str = "json", **options) -> str:
        code, out, error = await tidegate(*words, "-o", form, server=server, **options)
        assert (code, error) == (0, ""), words
        return out

    setting = ("override", "set", "search/ranker", "--total", "7", "--reason", "INC-7")
    plan = json.loads(await asked(*setting, "--dry-run"))
    assert plan["dryRun"] and plan["limits"]
    assert await asked(*setting, form="jsonpath={.spec.total}") == "7.0"
    name = await asked(*setting, form="name")
    assert name.startswith("limitoverride.tidegate.dev/")
    assert yaml.safe_load(await asked("override", "end", "search/ranker", form="yaml"))["deleted"]
    host = "new.models.example.com"
    assert json.loads(await asked("claims", "give", host, "search")) == {"host": host, "tenant": "search"}
    assert await asked("claims", "release", host, form="name") == f"host/{host}\n"
    assert json.loads(await asked("claims", "give", host, "search", form="json"))["tenant"] == "search"
    assert json.loads(await asked("claims", "release", host)) == {"released": host}


async def test_a_table_of_models_reads_the_tenants_once(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await make_search(fleet)
        server = f"http://127.0.0.1:{rest._session._base_url.port}"
        for words, reads in (
            (["get", "models", "-A"], 1),
            (["get", "models", "-n", "search"], 1),
            (["get", "model", "search/ranker"], 0),
            (["get", "models", "-t", "search"], 0),
        ):
            before = rest.answers["GET", "/v1/tenants", 200]
            code, out, _ = await tidegate(*words, server=server)
            assert code == 0 and "UP-TO-DATE" in out and "ranker" in out, words
            assert rest.answers["GET", "/v1/tenants", 200] - before == reads, words
