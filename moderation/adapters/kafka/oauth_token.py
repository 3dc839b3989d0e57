"""Tokens for SASL/OAUTHBEARER by OAuth 2.0 client credentials (RFC 6749, section 4.4), for aiokafka.

librdkafka requests its tokens itself (``sasl.oauthbearer.method=oidc``).
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError

_REQUEST_SECONDS = 5.0
_RENEWED_AT_RATIO = 0.8
"""Share of a token's life after which another one is requested."""
_DEFAULT_LIFE_SECONDS = 300.0
_MOST_BYTES = 256 * 1024


class TokenRefused(AuthenticationFailedError):  # type: ignore[misc]
    """The issuer refuses the client, or answers without a token.

    Attributes:
        setting: the setting to correct.
    """

    def __init__(self, setting: str, cause: str) -> None:
        self.setting = setting
        super().__init__(cause)


class TokenProvider(AbstractTokenProvider):  # type: ignore[misc]
    """Requests tokens and reuses them until most of their life is over. Thread-safe.

    Args:
        endpoint: URL of the issuer.
        client_id: account at the issuer.
        client_secret: its secret.
        scope: scope of the tokens; None for the issuer's default.
        settings: names of the settings with the URL and the secret, for messages.
    """

    def __init__(
        self, endpoint: str, client_id: str, client_secret: str, scope: str | None, settings: tuple[str, str]
    ) -> None:
        self._endpoint = endpoint
        self._account = f"{urllib.parse.quote(client_id)}:{urllib.parse.quote(client_secret)}"
        self._scope = scope
        self._settings = settings
        self._lock = threading.Lock()
        self._token = ""
        self._renewed_at = float("-inf")

    async def token(self) -> str:
        """Return a valid token.

        Raises:
            TokenRefused: the issuer refuses the client.
            KafkaConnectionError: the issuer does not answer.
        """
        return await asyncio.get_running_loop().run_in_executor(None, self.current_token)

    def current_token(self) -> str:
        """Return a valid token, like :meth:`token`; blocks while it is requested."""
        with self._lock:
            if time.monotonic() >= self._renewed_at:
                answer = self._request()
                self._token = str(answer["access_token"])
                life = float(answer.get("expires_in", _DEFAULT_LIFE_SECONDS))
                self._renewed_at = time.monotonic() + life * _RENEWED_AT_RATIO
            return self._token

    def _request(self) -> dict[str, Any]:
        url_setting, secret_setting = self._settings
        if not self._endpoint.startswith(("https://", "http://")):
            raise TokenRefused(url_setting, f"{self._endpoint} is no http or https URL")
        fields = {"grant_type": "client_credentials", **({"scope": self._scope} if self._scope else {})}
        request = urllib.request.Request(  # noqa: S310 - http or https, see above
            self._endpoint,
            urllib.parse.urlencode(fields).encode(),
            {
                "Authorization": f"Basic {base64.b64encode(self._account.encode()).decode()}",
                "Accept": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=_REQUEST_SECONDS) as response:  # noqa: S310
                answer = json.loads(response.read(_MOST_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                cause = f"the issuer of tokens answers with status {error.code}"
            if error.code >= 500 or error.code == 429:
                raise KafkaConnectionError(cause) from error
            setting = secret_setting if error.code in (400, 401, 403) else url_setting
            raise TokenRefused(setting, cause) from error
        except OSError as error:
            raise KafkaConnectionError(f"the issuer of tokens does not answer: {error}") from error
        except ValueError as error:
            raise TokenRefused(url_setting, "the issuer of tokens answers without JSON") from error
        if not isinstance(answer, dict) or not answer.get("access_token"):
            raise TokenRefused(url_setting, "the answer of the issuer of tokens has no access_token")
        return answer
