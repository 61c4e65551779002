"""Who is calling and whether they may: SharedKey or SAS, then the letters an operation needs."""

from collections.abc import Sequence

from shoal_controller.blobgateway import sas, sharedkey
from shoal_controller.blobgateway.errors import StorageError
from shoal_controller.blobgateway.web.call import Call, Gateway, Route, StorageAccount, Target


def authenticate(call: Call) -> None:
    """Set the call's account and grant, or raise NoAuthenticationInformation or a 403."""
    target = call.target
    account = call.gateway.accounts.get(target.account)
    # An unknown account fails like a wrong key, so nobody can find out which accounts there are.
    keys = () if account is None else account.keys
    if "authorization" in call.headers:
        sharedkey.verify(target.account, keys, call.signed_parts(), call.now)
    elif any(name == "sig" for name, _ in target.query):
        call.grant = _verify_sas(target, keys, call)
    else:
        raise StorageError(
            "NoAuthenticationInformation",
            "Server failed to authenticate the request. Please refer to the information in the "
            "www-authenticate header.",
        )
    assert account is not None, "nothing verifies under no keys"
    call.account = account


def authorize(call: Call, route: Route) -> None:
    """Let the call do what `route` does, or raise Authorization...Mismatch."""
    if call.grant is None:
        return
    if call.grant.resource_types is None:
        letters = route.service_sas
    else:
        letters = route.account_sas
        if route.resource_type not in call.grant.resource_types:
            raise StorageError(
                "AuthorizationResourceTypeMismatch",
                "This request is not authorized to perform this operation using this resource "
                "type.",
            )
    allowed = set(letters) & set(call.grant.permissions)
    if not allowed:
        raise StorageError(
            "AuthorizationPermissionMismatch",
            "This request is not authorized to perform this operation using this permission.",
        )
    call.create_only = "w" in letters and allowed == {"c"}


def authorize_source(call: Call, source: Target) -> StorageAccount:
    """The account a copy reads from on this gateway; the source URL must itself allow reading.

    A caller with the account's key may read that account without more.
    raises  CannotVerifyCopySource, status 403
    """
    gateway: Gateway = call.gateway
    account = gateway.accounts.get(source.account)
    if account is not None and account is call.account and call.grant is None:
        return account
    keys = () if account is None else account.keys
    try:
        grant = _verify_sas(source, keys, call)
    except StorageError as error:
        detail = error.details.get("AuthenticationErrorDetail", error.message)
        raise _cannot_read(detail) from None
    types = grant.resource_types
    if account is None or "r" not in grant.permissions or (types is not None and "o" not in types):
        raise _cannot_read("The signature does not allow reading.")
    return account


def _verify_sas(target: Target, keys: Sequence[bytes], call: Call) -> sas.Grant:
    return sas.verify(
        target.account,
        keys,
        target.container,
        target.blob,
        target.query,
        call.now,
        remote=call.remote,
        secure=call.secure,
    )


def _cannot_read(detail: str) -> StorageError:
    return StorageError(
        "CannotVerifyCopySource",
        "Server failed to authenticate the request for the copy source.",
        status=403,
        AuthenticationErrorDetail=detail,
    )
