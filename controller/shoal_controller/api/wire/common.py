"""Structures that several resources have: users, files, start tasks, failures, metadata."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any, Final

from shoal_controller.api.wire.table import (
    Document,
    Property,
    Structure,
    list_of,
    listed,
    pairs,
    record_of,
    written_pairs,
)
from shoal_controller.api.wire.values import (
    boolean,
    filled_text,
    integer_in,
    one_of,
    text,
    text_up_to,
)
from shoal_controller.core.errors import Refused, invalid_property, missing_property
from shoal_protocol.specs import (
    AutoUserScope,
    ElevationLevel,
    FailureInfo,
    OutputFile,
    ResourceFile,
    StartTaskSpec,
    UploadCondition,
    UserAccount,
    UserIdentity,
)

USER_NAME_CHARACTERS_MAX: Final = 20
START_TASK_CHARACTERS_MAX: Final = 32_768
METADATA_CHARACTERS_MAX: Final = 32_768
_FILE_MODE: Final = re.compile(r"(0o?)?[0-7]{1,4}\Z")
_URL: Final = re.compile(r"https?://[^/?#\s]+[^\s]*\Z", re.IGNORECASE)

# --- metadata, environment ------------------------------------------------------------------------

read_environment: Final = pairs(value_required=False, names_filled="InvalidPropertyValue")
_read_metadata: Final = pairs(value_required=True, names_filled="EmptyMetadataKey")


def read_metadata(value: Any, name: str) -> tuple[tuple[str, str], ...]:
    """Return metadata; its order is kept."""
    metadata = _read_metadata(value, name)
    if sum(len(key) + len(held) for key, held in metadata) > METADATA_CHARACTERS_MAX:
        raise Refused("MetadataTooLarge", MaxLimit=str(METADATA_CHARACTERS_MAX))
    return metadata


# --- users ----------------------------------------------------------------------------------------

_AUTO_USER: Final = Structure(
    (
        Property("scope", "scope", one_of(AutoUserScope)),
        Property("elevationLevel", "elevation", one_of(ElevationLevel)),
    )
)
_IDENTITY: Final = Structure(
    (
        Property("username", "user_name", filled_text),
        Property("autoUser", "auto_user", _AUTO_USER.read),
    )
)


def read_identity(value: Any, name: str) -> UserIdentity:
    """Return who is to run a task; a named user and an auto user exclude each other."""
    values = _IDENTITY.read(value, name)
    if len(values) == 2:
        raise invalid_property(name, "", "Only one of username and autoUser can be given.")
    return UserIdentity(values.get("user_name"), **values.get("auto_user", {}))


def write_identity(user: UserIdentity) -> Document:
    """Return who runs a task."""
    if user.user_name is not None:
        return {"username": user.user_name}
    return {"autoUser": {"scope": user.scope, "elevationLevel": user.elevation}}


_LINUX_USER: Final = Structure(
    (
        Property("uid", "uid", integer_in(0)),
        Property("gid", "gid", integer_in(0)),
        Property("sshPrivateKey", "ssh_private_key", text),
    )
)
_USER_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")


def read_user_name(value: Any, name: str) -> str:
    """Return the name of a user that can be made on a node."""
    if len(text(value, name)) > USER_NAME_CHARACTERS_MAX or not _USER_NAME.match(value):
        raise invalid_property(
            name,
            value,
            f"A user name has 1 to {USER_NAME_CHARACTERS_MAX} letters, digits, '_', '.' or '-' "
            "and does not begin with a digit, '.' or '-'.",
        )
    return value


_USER_ACCOUNT: Final = Structure(
    (
        Property("name", "name", read_user_name, is_required=True),
        Property("password", "password", text, is_required=True),
        Property("elevationLevel", "elevation", one_of(ElevationLevel)),
        Property("linuxUserConfiguration", "linux", _LINUX_USER.read),
    ),
    not_built=frozenset({"windowsUserConfiguration"}),
)


def read_user_account(value: Any, name: str) -> UserAccount:
    """Return a named user of a pool."""
    values = _USER_ACCOUNT.read(value, name)
    linux = values.pop("linux", {})
    if ("uid" in linux) != ("gid" in linux):
        raise invalid_property(
            "linuxUserConfiguration", "", "uid and gid must be given together or not at all."
        )
    return UserAccount(**values, **linux)


def write_user_account(user: UserAccount) -> Document:
    """Return a named user; secrets are never told."""
    document: Document = {"name": user.name, "elevationLevel": user.elevation}
    if user.uid is not None and user.gid is not None:
        document["linuxUserConfiguration"] = {"uid": user.uid, "gid": user.gid}
    return document


# --- files ----------------------------------------------------------------------------------------


def read_url(value: Any, name: str) -> str:
    """Return an http(s) URL."""
    if not _URL.match(text(value, name)):
        raise invalid_property(name, value, "It must be an absolute http or https URL.")
    return value


def read_inner_path(value: Any, name: str) -> str:
    """Return a path that stays inside of the directory it is relative to."""
    path = PurePosixPath(filled_text(value, name).replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise invalid_property(
            name, value, "It must be relative to the task's working directory and stay inside it."
        )
    return value


def read_file_mode(value: Any, name: str) -> str:
    """Return the mode of a file as octal text."""
    if not _FILE_MODE.match(text(value, name)):
        raise invalid_property(name, value, "It must be an octal number, such as 0755.")
    return value


_RESOURCE_FILE: Final = Structure(
    (
        Property("httpUrl", "http_url", read_url),
        Property("storageContainerUrl", "storage_container_url", read_url),
        Property("blobPrefix", "blob_prefix", text),
        Property("filePath", "file_path", read_inner_path),
        Property("fileMode", "file_mode", read_file_mode),
    ),
    not_built=frozenset({"autoStorageContainerName", "identityReference"}),
)


def read_resource_file(value: Any, name: str) -> ResourceFile:
    """Return what to fetch before a command starts; exactly one source."""
    file = ResourceFile(**_RESOURCE_FILE.read(value, name))
    if (file.http_url is None) == (file.storage_container_url is None):
        raise invalid_property(
            name, "", "Exactly one of httpUrl and storageContainerUrl must be given."
        )
    if file.http_url is not None:
        if file.file_path is None:
            raise missing_property("filePath")
        if file.blob_prefix is not None:
            raise invalid_property("blobPrefix", file.blob_prefix, "It needs a container.")
    return file


read_resource_files: Final = list_of(read_resource_file, 10_000)
write_resource_files: Final = listed(_RESOURCE_FILE.write)

_UPLOAD_CONDITIONS: Final = {
    UploadCondition.TASK_SUCCESS: "TaskSuccess",
    UploadCondition.TASK_FAILURE: "TaskFailure",
    UploadCondition.TASK_COMPLETION: "TaskCompletion",
}
_CONTAINER: Final = Structure(
    (
        Property("containerUrl", "container_url", read_url, is_required=True),
        Property("path", "path", text),
        Property(
            "uploadHeaders",
            "upload_headers",
            pairs(value_required=False, names_filled="InvalidPropertyValue"),
        ),
    ),
    not_built=frozenset({"identityReference"}),
)
_DESTINATION: Final = Structure(
    (Property("container", "container", _CONTAINER.read, is_required=True),)
)
_UPLOAD_OPTIONS: Final = Structure(
    (Property("uploadCondition", "condition", one_of(UploadCondition), is_required=True),)
)
_OUTPUT_FILE: Final = Structure(
    (
        Property("filePattern", "file_pattern", filled_text, is_required=True),
        Property("destination", "destination", _DESTINATION.read, is_required=True),
        Property("uploadOptions", "options", _UPLOAD_OPTIONS.read, is_required=True),
    )
)


def read_output_file(value: Any, name: str) -> OutputFile:
    """Return which files to upload when a task has ended."""
    values = _OUTPUT_FILE.read(value, name)
    return OutputFile(
        values["file_pattern"], **values["destination"]["container"], **values["options"]
    )


def write_output_file(file: OutputFile) -> Document:
    """Return an output file; its condition is spelled as the service spells it."""
    container: Document = {"containerUrl": file.container_url}
    if file.path is not None:
        container["path"] = file.path
    if file.upload_headers:
        container["uploadHeaders"] = written_pairs(file.upload_headers)
    return {
        "filePattern": file.file_pattern,
        "destination": {"container": container},
        "uploadOptions": {"uploadCondition": _UPLOAD_CONDITIONS[file.condition]},
    }


read_output_files: Final = list_of(read_output_file, 10_000)
write_output_files: Final = listed(write_output_file)

# --- start task -----------------------------------------------------------------------------------

_START_TASK: Final = Structure(
    (
        Property("commandLine", "command_line", filled_text, is_required=True),
        Property("resourceFiles", "resource_files", read_resource_files, write_resource_files),
        Property("environmentSettings", "environment", read_environment, written_pairs),
        Property("userIdentity", "user", read_identity, write_identity),
        Property("maxTaskRetryCount", "retry_count_max", integer_in(-1)),
        Property("waitForSuccess", "wait_for_success", boolean),
    ),
    not_built=frozenset({"containerSettings"}),
)
_read_start_task: Final = record_of(_START_TASK, StartTaskSpec)


def read_start_task(value: Any, name: str) -> StartTaskSpec:
    """Return a pool's start task."""
    task: StartTaskSpec = _read_start_task(value, name)
    characters = (
        len(task.command_line)
        + sum(len(key) + len(held) for key, held in task.environment)
        + sum(
            len(source or "") + len(file.file_path or "")
            for file in task.resource_files
            for source in (file.http_url, file.storage_container_url)
        )
    )
    if characters > START_TASK_CHARACTERS_MAX:
        raise invalid_property(
            name, "", f"A start task has at most {START_TASK_CHARACTERS_MAX} characters."
        )
    return task


write_start_task: Final = _START_TASK.write

# --- outcomes -------------------------------------------------------------------------------------


def write_failure(failure: FailureInfo) -> Document:
    """Return why a task failed. `details` is always a list: clients iterate it."""
    return {
        "category": failure.category,
        "code": failure.code,
        "message": failure.message,
        "details": written_pairs(failure.details),
    }


read_display_name: Final = text_up_to(1024)
