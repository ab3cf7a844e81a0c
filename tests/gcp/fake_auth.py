"""Who may call: tokens that a service account signed itself, and those that the fake gave out."""

import json
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.gcp.fake_errors import unauthenticated
from tests.gcp.fake_knobs import Knobs

TOKEN_STEM: Final = "ya29.fake-"
"""How the access tokens begin that the metadata server gives out."""

_KEY: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def service_account(path: Path, project: str) -> Path:
    """Write the key file of a service account that the fake knows, for GOOGLE_APPLICATION_CREDENTIALS."""
    pem = _KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": f"iris@{project}.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "http://127.0.0.1:1/never-called",
    }
    path.write_text(json.dumps(account))
    return path


def access_token(name: str) -> str:
    """The token that a VM's metadata server gives out."""
    return TOKEN_STEM + sha256(name.encode()).hexdigest()[:32]


def refuse_strangers(headers: Mapping[str, str], knobs: Knobs) -> None:
    """Look at a call's bearer token.

    Raises:
        ApiError: UNAUTHENTICATED, with the reason.
    """
    if not knobs.check_auth:
        return
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer":
        raise unauthenticated("no bearer token")
    if token.startswith(TOKEN_STEM):
        return
    try:
        jwt.decode(
            token,
            _KEY.public_key(),
            algorithms=["RS256"],
            audience=knobs.audience,
            leeway=-knobs.token_age_s if knobs.token_age_s else 10,
        )
    except jwt.InvalidTokenError as error:
        raise unauthenticated(f"{error}, at {time.time():.0f}") from error
