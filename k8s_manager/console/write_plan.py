"""Every write in two steps: the page shows what the API says that it would do, and applies that and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from istio_templates.errors import TidegateError
from k8s_manager.console import ROOT
from k8s_manager.console.api_client import ApiClient, ApiRefusal, ApiReply
from k8s_manager.console.page import page
from k8s_manager.console.sign_in import wanted_page
from k8s_manager.console.site import ConsoleSite, form_of, reader_of

METHODS = ("PUT", "PATCH", "POST", "DELETE")
CHANGED = (409, 412)


class Unplanned(TidegateError):
    """A call that wrote where a plan was asked for: a fault of this console or of the API."""


@dataclass(frozen=True, slots=True)
class WriteIntent:
    """A call of the API that writes: in words, as it is sent, and where its author goes on. A `body` that is a text is
    YAML; `match` is the version that is replaced."""

    title: str
    method: str
    path: str
    body: Any
    back: str
    match: str = ""
    reason: str = ""
    query: str = ""
    """More of the query, such as `force=true`."""

    def form(self) -> dict[str, str]:
        """Return the fields that carry it through a form."""
        is_yaml = isinstance(self.body, str)
        text = self.body if is_yaml else orjson.dumps(self.body).decode()
        given = {
            "title": self.title,
            "method": self.method,
            "path": self.path,
            "body": text,
            "yaml": "yes" if is_yaml else "",
            "back": self.back,
            "match": self.match,
            "reason": self.reason,
            "query": self.query,
        }
        return {name: value for name, value in given.items() if value}

    async def send(self, api: ApiClient, **query: str) -> ApiReply:
        """Make the call."""
        more = dict(pair.split("=", 1) for pair in self.query.split("&") if "=" in pair)
        said = {"reason": self.reason} if self.reason else {}
        body = self.body
        if self.path.endswith("/rollback"):
            body, said = {**body, **said}, {}
        headers = {"If-Match": self.match} if self.match else {}
        return await api.call(self.method, self.path, {**more, **said, **query}, body, headers)


def intent_of(form: Mapping[str, str]) -> WriteIntent:
    """Return what a form of a plan carries; raises `HTTPException` for what no page has made."""
    text, path = form.get("body", ""), form.get("path", "")
    try:
        body = text if form.get("yaml") else orjson.loads(text) if text else None
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, "this form is broken; go back, and send it again") from error
    if form.get("method") not in METHODS or not path.startswith("/v1/") or ".." in path or "?" in path:
        raise HTTPException(400, "this form is broken; go back, and send it again")
    return WriteIntent(
        form.get("title", "Change"),
        form["method"],
        path,
        body,
        wanted_page(form.get("back", "")),
        form.get("match", ""),
        form.get("reason", ""),
        form.get("query", ""),
    )


def routes(site: ConsoleSite) -> list[Route]:
    """Return the routes."""
    return [Route(f"{ROOT}/apply", site.write(apply), methods=["POST"])]


async def propose(request: Request, intent: WriteIntent, notice: str = "") -> Response:
    """Show what a write would do; raises `ApiRefusal` where the API does not take it."""
    reply = (await intent.send(reader_of(request).api, dryRun="true")).required()
    if reply.body.get("dryRun") is not True:
        raise Unplanned(f"{intent.method} {intent.path} did what should only have been planned; look at its history")
    changes = reply.body.get("changes") or []
    return page(
        request,
        "plan.html",
        title=intent.title,
        intent=intent,
        plan=reply.body,
        changes=changes,
        notice=notice,
        fields={**intent.form(), "fingerprint": reply.body.get("fingerprint", "")},
    )


async def apply(request: Request) -> Response:
    """Do what was shown, if it would still be that."""
    form, api = form_of(request), reader_of(request).api
    intent = intent_of(form)
    if form.get("why"):
        intent = replace(intent, reason=form["why"].strip())
    reply = await intent.send(api, plan=form.get("fingerprint", ""))
    if reply.is_good:
        sign = "&" if "?" in intent.back else "?"
        return RedirectResponse(f"{intent.back}{sign}done=1", 303)
    if reply.status not in CHANGED or intent.match:
        return _kept(request, intent, form.get("fingerprint", ""), reply.refusal)
    return await propose(request, intent, f"Not applied: {reply.refusal.detail} This is what it would do now.")


def _kept(request: Request, intent: WriteIntent, fingerprint: str, refusal: ApiRefusal) -> Response:
    """Show why nothing was done, with all that was typed: a document goes back to where it was typed, another write
    can be sent again."""
    again, words = (f"{ROOT}/apply", {**intent.form(), "fingerprint": fingerprint}), "Try it again"
    if isinstance(intent.body, str) and intent.match:
        fields = {"text": intent.body, "match": intent.match, "reason": intent.reason}
        again, words = (f"{intent.back}/document", fields), "Back to what was typed"
    given = {"title": refusal.title, "detail": refusal.detail, "problems": refusal.problems}
    return page(request, "problem.html", refusal.status, **given, again=again, again_words=words)
