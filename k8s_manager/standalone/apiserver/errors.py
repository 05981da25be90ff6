"""The one way in which the embedded API refuses: a Kubernetes Status."""

from typing import Any


class ApiError(Exception):
    """An answer that is not a success."""

    def __init__(self, code: int, reason: str, message: str, causes: list[dict[str, Any]] | None = None) -> None:
        self.code, self.reason, self.message, self.causes = code, reason, message, causes or []
        super().__init__(message)

    def status(self) -> dict[str, Any]:
        """Return the body of the answer."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": {"causes": self.causes},
            "code": self.code,
        }


def not_found(what: str, name: str) -> ApiError:
    """Return a 404 for one object."""
    return ApiError(404, "NotFound", f'{what} "{name}" not found')
