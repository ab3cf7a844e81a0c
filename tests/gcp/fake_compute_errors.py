"""How Compute Engine says no: in the call by status and reason, in an operation by code."""

from tests.gcp.fake_errors import Json


class ComputeError(Exception):
    """A call, or an operation, that ends with an error."""

    def __init__(self, http: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.http = http
        self.reason = reason
        """Of a call `notFound`, of an operation `QUOTA_EXCEEDED`."""
        self.message = message

    def body(self) -> Json:
        """As the body of an answer."""
        one = {"message": self.message, "domain": "global", "reason": self.reason}
        return {"error": {"code": self.http, "message": self.message, "errors": [one]}}


def not_found(name: str) -> ComputeError:
    """There is no such thing."""
    return ComputeError(404, "notFound", f"The resource '{name}' was not found")


def exists(name: str) -> ComputeError:
    """The name is taken."""
    return ComputeError(409, "alreadyExists", f"The resource '{name}' already exists")


def forbidden(name: str) -> ComputeError:
    """Not yours."""
    text = f"Required 'compute.instances.get' permission for '{name}'"
    return ComputeError(403, "forbidden", text)


def unauthorized(why: str) -> ComputeError:
    """Credentials that do not hold."""
    return ComputeError(401, "authError", f"Invalid Credentials: {why}")


def invalid(message: str) -> ComputeError:
    """A request that can never be right."""
    return ComputeError(400, "invalid", message)


def condition_not_met(message: str) -> ComputeError:
    """Somebody else was faster."""
    return ComputeError(412, "conditionNotMet", message)


def backend() -> ComputeError:
    """The service is not there for a moment."""
    return ComputeError(503, "backendError", "Internal error. Please try again")


def rate() -> ComputeError:
    """Too many calls in a minute."""
    text = "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute'"
    return ComputeError(403, "rateLimitExceeded", text)


def stockout(project: str, zone: str) -> ComputeError:
    """No machine to be had; told in the operation."""
    text = (
        f"The zone 'projects/{project}/zones/{zone}' does not have enough resources available to "
        "fulfill the request. Try a different zone, or try again later."
    )
    return ComputeError(503, "ZONE_RESOURCE_POOL_EXHAUSTED", text)


def quota(metric: str, limit: float, region: str) -> ComputeError:
    """Over quota; told in the operation."""
    text = f"Quota '{metric}' exceeded.  Limit: {limit} in region {region}."
    return ComputeError(403, "QUOTA_EXCEEDED", text)
