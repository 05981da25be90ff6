"""Which kinds of bearer token a manager takes, by its settings."""

from k8s_manager.api.authn.authenticators import Authenticator, Authenticators
from k8s_manager.api.authn.key_fetch import fetcher
from k8s_manager.api.authn.oidc import Oidc
from k8s_manager.api.authn.static_tokens import StaticTokens
from k8s_manager.api.authn.token_review import TokenReviews
from k8s_manager.kube.client import KubeClient
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.settings import Settings


def proofs(settings: Settings, client: KubeClient, clock: Clock, own: Authenticator | None) -> Authenticators:
    """Return the kinds of bearer token that are taken; raises `Invalid` for a file of tokens that cannot be read."""
    found = [own] if own else []
    if settings.tokens_file:
        static = StaticTokens(settings.tokens_file)
        static.read()
        found.append(static)
    if settings.oidc:
        found.append(Oidc(settings.oidc, fetcher(settings.oidc_ca_file), clock))
    if settings.token_review:
        found.append(TokenReviews(client, clock, settings.token_review))
    return Authenticators(found)
