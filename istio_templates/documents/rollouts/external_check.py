"""Checks of a rollout that decide by themselves: an address that is asked, and a Job that is made."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from istio_templates.documents.fields import DnsLabel, Duration, EnvVars, OfKubernetes, Spec, TextPassed, seconds
from istio_templates.text.web_address import MOST_ADDRESS, web_address

SHORTEST_JOB = 10
MOST_ARGUMENTS = 100


def _address(value: str) -> str:
    return web_address(value).text


WebhookAddress = Annotated[
    str, AfterValidator(_address), Field(json_schema_extra={"pattern": "^[Hh][Tt][Tt][Pp]", "maxLength": MOST_ADDRESS})
]
_Texts = Annotated[tuple[TextPassed, ...], Field(max_length=MOST_ARGUMENTS)]


class CheckJob(Spec):
    """A Job that is made in each step below 100 %, in the model's namespace: the check passes when it completes, and
    fails when it does, or when it has not ended within `timeout`. It has no account, but where one is named."""

    image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^\S+$")]
    command: _Texts = ()
    args: _Texts = ()
    env: EnvVars = ()
    resources: OfKubernetes = {}
    timeout: Duration = "10m"
    service_account_name: DnsLabel | None = None

    @model_validator(mode="after")
    def _lasts(self) -> "CheckJob":
        if seconds(self.timeout) < SHORTEST_JOB:
            raise ValueError(f"timeout: {self.timeout} is below {SHORTEST_JOB}s; no pod starts and ends sooner")
        return self
