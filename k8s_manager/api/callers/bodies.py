"""What calls about tokens send, and what they are answered."""

from pydantic import Field

from istio_templates.documents.callers.caller import TokenId
from istio_templates.documents.callers.token_lifetime import TokenLifetime
from istio_templates.documents.fields import Spec
from istio_templates.documents.override import Moment
from k8s_manager.api.schemas.answer import ApiAnswer, optional


class TokenRequest(Spec):
    """For how long a token is good, such as `90d` or `12h`: 1 minute to 366 days, and never longer than its caller."""

    ttl: TokenLifetime


class RevocationRequest(Spec):
    """The id of a token that is no longer good, and when it would have expired; without that the longest that a token
    of Tidegate's can be good."""

    id: TokenId
    expires: Moment | None = None


class RotationRequest(Spec):
    """Whether the tokens issued so far are good no more from `now` on; without it they are until they expire."""

    now: bool = Field(default=False, strict=True)


class TokenAnswer(ApiAnswer):
    """A token, which is shown this once. A dry run has neither token nor id."""

    token: str = optional(description="What the caller shows: Authorization: Bearer TOKEN.")
    id: str = optional(description="By which the token is revoked.")
    expires: str


class KeyAnswer(ApiAnswer):
    """A key that verifies tokens; without `until` it is the one that signs."""

    id: str
    until: str = optional()


class RotationAnswer(ApiAnswer):
    """The keys of a tenant, the new one first; a dry run has no new one."""

    keys: list[KeyAnswer]
