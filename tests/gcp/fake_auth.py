"""Who may call: tokens that a service account signed itself, and those that the fake gave out."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.gcp.fake_errors import Json, unauthenticated
from tests.gcp.fake_knobs import Knobs

TOKEN_STEM: Final = "ya29.fake-"
"""How the access tokens begin that the metadata server gives out."""

TOKEN_ENDPOINT: Final = "https://oauth2.googleapis.com/token"
"""For whom google-auth signs, wherever the key file sends it."""

TOKEN_S: Final = 3_599
"""How long such a token holds, in seconds."""

_KEY: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def service_account(path: Path, project: str, token_uri: str) -> Path:
    """Write the key file of a service account that the fake knows, for GOOGLE_APPLICATION_CREDENTIALS.

    The TPU client signs its own tokens with it; who asks for scopes changes one at `token_uri`.
    """
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
        "token_uri": token_uri,
    }
    path.write_text(json.dumps(account))
    return path


def access_token(name: str) -> str:
    """The token that a VM's metadata server gives out."""
    return TOKEN_STEM + sha256(name.encode()).hexdigest()[:32]


def exchanged(form: bytes) -> Json:
    """The answer of a token endpoint to a JWT that the service account signed.

    Raises:
        ApiError: UNAUTHENTICATED, with the reason.
    """
    assertion = dict(parse_qsl(form.decode())).get("assertion", "")
    try:
        claims = jwt.decode(
            assertion, _KEY.public_key(), algorithms=["RS256"], audience=TOKEN_ENDPOINT
        )
    except jwt.InvalidTokenError as error:
        raise unauthenticated(str(error)) from error
    token = access_token(str(claims["iss"]))
    return {"access_token": token, "expires_in": TOKEN_S, "token_type": "Bearer"}


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
        if knobs.token_age_s > TOKEN_S:
            raise unauthenticated("the access token has expired")
        return
    try:
        jwt.decode(
            token,
            _KEY.public_key(),
            algorithms=["RS256"],
            audience=knobs.audience,
            leeway=-knobs.token_age_s,
            options={"verify_iat": False, "verify_nbf": False},
        )
    except jwt.InvalidTokenError as error:
        raise unauthenticated(str(error)) from error
