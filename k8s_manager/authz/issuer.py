"""Whose OpenID Connect tokens are taken."""

from dataclasses import dataclass

from istio_templates.errors import Invalid, Problem

ASYMMETRIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose tokens are taken, and how they are read."""

    url: str
    audience: str
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    user_claim: str = "sub"
    groups_claim: str = "groups"
    keys_url: str | None = None
    """URL of its keys; absent: its discovery document has it."""

    def __post_init__(self) -> None:
        wrong = [name for name in self.algorithms if name not in ASYMMETRIC]
        if wrong or not self.algorithms:
            said = f"{', '.join(wrong) or 'none'} is not taken; choose of {', '.join(ASYMMETRIC)}"
            raise Invalid("--oidc-algorithms", [Problem("", said)])
        if not self.audience:
            raise Invalid(
                "--oidc-audience", [Problem("", "is missing; name the audience that tokens must be issued for")]
            )
