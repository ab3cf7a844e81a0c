"""A cluster's file for another machine: with what proves the tokens in place of the tokens.

Whatever a machine of a cloud is told, everybody can read who may look at the project. The controller needs
no token of anybody to know it again, so it gets none.
"""

import json
from typing import Any

from iris.cluster.controller.auth import digest_of
from iris.config import Auth, Secret
from iris.yaml_source import Document


def sealed(document: Document, auth: Auth) -> str:
    """The text of a file that says the same, and holds no secret.

    Args:
        document: the file, which was found right.
        auth: what it says of tokens.

    Raises:
        ValueError: a secret's source, a variable or a file, is missing.
    """
    told: dict[str, Any] = {"admins": list(auth.admins)}
    told["tokens"] = {user: _proof(word, f"auth.tokens.{user}") for user, word in auth.tokens}
    if auth.worker_token is not None:
        told["worker_token"] = _proof(auth.worker_token, "auth.worker_token")
    return json.dumps({**document.data, "auth": told}, indent=1)


def _proof(secret: Secret, key: str) -> dict[str, str]:
    return {"sha256": digest_of(secret, key)}
