"""The MLflow client with short timeouts; translates MLflow's errors to errors of this project."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from moderation.errors import (
    ConfigurationError,
    ModerationError,
    NotInRegistry,
    RegistryRefused,
    RegistryUnavailable,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

REQUEST_SECONDS = 10
RETRIES = 2
_ABSENT = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"}
_MALFORMED = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST"}
_UNAUTHENTICATED, _FORBIDDEN = 401, 403
_STATUS = re.compile(r"\b(?:error code (401|403)\b|(401|403) Client Error\b)")
_ACCOUNT = "MODERATION_MLFLOW_USERNAME and MODERATION_MLFLOW_PASSWORD"


class Connection:
    """An MLflow server.

    The first instance imports MLflow, which takes seconds, and sets defaults of MLflow; environment variables
    (``MLFLOW_HTTP_REQUEST_TIMEOUT`` …) override them. MLflow knows one account for each process, see
    :func:`use_account`.

    Args:
        tracking_uri: ``http`` or ``https`` address, without user and password.

    Raises:
        ConfigurationError: another kind of address, or MLflow is not installed.
    """

    def __init__(self, tracking_uri: str) -> None:
        parts = urlsplit(tracking_uri)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                "the registry's address", "it is not an http or https address", "Set the address of the MLflow server."
            )
        if "@" in parts.netloc:  # MLflow's messages repeat the address
            raise ConfigurationError(
                "the registry's address",
                "it contains a user or a password",
                f"Set {_ACCOUNT} instead.",
            )
        self.name = f"registry {tracking_uri}"
        self.uri = tracking_uri
        self.client: MlflowClient = _client(tracking_uri)

    @contextlib.contextmanager
    def asking(self, thing: str) -> Iterator[None]:
        """Translate errors of MLflow while the block runs.

        Args:
            thing: name of the requested thing, for messages.

        Raises:
            NotInRegistry: the named version, alias or run does not exist.
            ConfigurationError: MLflow does not accept a name, or the password of the account.
            RegistryRefused: the account may not do that.
            RegistryUnavailable: any other error.
        """
        from mlflow.exceptions import MlflowException
        from requests import RequestException

        try:
            yield
        except MlflowException as error:
            if error.error_code in _ABSENT:
                raise NotInRegistry(
                    thing, f"{self.name} does not have it", "Name an existing one; see the MLflow UI."
                ) from error
            if error.error_code in _MALFORMED:
                raise ConfigurationError(thing, _first_line(error), "Fix the named value.") from error
            if (refusal := self._refusal(thing, _status(error))) is not None:
                raise refusal from error
            raise self._unavailable(thing, error) from error
        except RequestException as error:
            if (refusal := self._refusal(thing, _status(error))) is not None:
                raise refusal from error
            raise self._unavailable(thing, error) from error

    def _refusal(self, thing: str, status: int | None) -> ModerationError | None:
        """Return the error for a response that refuses the account; None for any other response."""
        account = _account()
        if status == _UNAUTHENTICATED:
            cause = "its password is wrong, or there is no such account" if account else "it needs an account"
            return ConfigurationError(
                f"{self.name}, {f'account {account}' if account else 'no account'}", cause, f"Set {_ACCOUNT}."
            )
        if status == _FORBIDDEN:
            return RegistryRefused(
                f"{self.name}, account {account or 'none'}",
                f"it may not do this with {thing}",
                f"Use another account: set {_ACCOUNT}. Workers have the account worker, the batch layer batch; see "
                "mlflow/README.md. A server that refuses every account does not know the host name of the address.",
            )
        return None

    def _unavailable(self, thing: str, error: Exception) -> RegistryUnavailable:
        cause = f"no answer about {thing} ({_system_error(error) or _first_line(error)})"
        return RegistryUnavailable(self.name, cause, "Check that the MLflow server runs, and its log; then try again.")


def _system_error(error: BaseException | None) -> str | None:
    """The error of the operating system, e.g. connection refused, that other errors wrap."""
    from requests import RequestException

    while error is not None:
        if isinstance(error, OSError) and not isinstance(error, RequestException):
            return str(error)
        error = error.__cause__ or error.__context__
    return None


def _status(error: BaseException) -> int | None:
    """Return 401 or 403 if an error reports that the server refused the account; None otherwise.

    Downloads report the errors of their threads as text only.
    """
    from mlflow.exceptions import MlflowException

    response = getattr(error, "response", None)
    if response is not None:
        status = int(response.status_code)
    elif isinstance(error, MlflowException) and error.error_code in ("PERMISSION_DENIED", "UNAUTHENTICATED"):
        status = _UNAUTHENTICATED if error.error_code == "UNAUTHENTICATED" else _FORBIDDEN
    else:
        found = _STATUS.search(str(error))
        status = int(found[1] or found[2]) if found else 0
    return status if status in (_UNAUTHENTICATED, _FORBIDDEN) else None


def use_account(username: str | None, password: str | None) -> None:
    """Let MLflow's clients of this process log in with an account. MLflow has no other way than variables.

    Args:
        username: the account; None keeps what the variables of the environment say.
        password: its password.

    Raises:
        ConfigurationError: one of the two is missing.
    """
    if username is None and password is None:
        return
    if not username or not password:
        missing = "USERNAME" if not username else "PASSWORD"
        raise ConfigurationError(
            f"MODERATION_MLFLOW_{missing}", "it is not set, and the other of the two is", f"Set {_ACCOUNT}."
        )
    variables = _variables()
    variables.MLFLOW_TRACKING_USERNAME.set(username)
    variables.MLFLOW_TRACKING_PASSWORD.set(password)


def _account() -> str | None:
    name: str | None = _variables().MLFLOW_TRACKING_USERNAME.get()
    return name


def _variables() -> Any:
    try:
        import mlflow.environment_variables as variables
    except ModuleNotFoundError as error:
        raise _not_installed(error) from error
    return variables


def _not_installed(error: ModuleNotFoundError) -> ConfigurationError:
    return ConfigurationError(
        "the registry", f"{error.name} is not installed", "Install comment-moderation[batch] or [stream]."
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _client(tracking_uri: str) -> MlflowClient:
    try:
        import mlflow.environment_variables as variables
        from mlflow import MlflowClient
        from mlflow.telemetry import set_telemetry_client
    except ModuleNotFoundError as error:
        raise _not_installed(error) from error
    variables.MLFLOW_HTTP_REQUEST_TIMEOUT.default = REQUEST_SECONDS
    variables.MLFLOW_HTTP_REQUEST_MAX_RETRIES.default = RETRIES
    variables.MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR.default = 1
    # Output of commands is machine-readable: MLflow must not print addresses or progress into it.
    variables.MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.default = True
    variables.MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.default = False
    # A model must not depend on the folder it was registered from.
    variables.MLFLOW_UV_AUTO_DETECT.default = False
    variables.MLFLOW_DISABLE_TELEMETRY.default = True
    # Files come through the server: clients may have no route to its artifact store. MLflow asks the server which way
    # to take unless these are set; another default is not enough.
    for direct in (variables.MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD, variables.MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD):
        if not direct.is_set():  # type: ignore[no-untyped-call]
            direct.set(False)  # type: ignore[no-untyped-call]
    set_telemetry_client()  # type: ignore[no-untyped-call]
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("mlflow.utils.environment").setLevel(
        logging.ERROR
    )  # it warns that an environment of uv has no pip
    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
