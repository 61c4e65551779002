"""Why a run failed, in the Batch service's words (pure). Source: reference, semantics 12.1."""

from __future__ import annotations

from typing import Final

from shoal_protocol.specs import ErrorCategory, FailureInfo

_SERVER_CODES: Final = frozenset(
    {
        "BlobDownloadTimedOut",
        "BlobDownloadMiscError",
        "ResourceContainerListTimedOut",
        "ResourceContainerListMiscError",
        "ResourceDownloadTimedOut",
        "ResourceDirectoryCreateFailed",
        "ResourceFileCreateFailed",
        "ResourceFileWriteFailed",
        "DiskFull",
        "FileUploadTimedOut",
        "FileUploadMiscError",
        "Unknown",
    }
)
# Recorded where a recording shows one; the others follow their pattern.
_MESSAGES: Final = {
    "CommandProgramNotFound": "The specified command program is not found",
    "CommandLaunchFailed": "The specified command could not be started",
    "BlobNotFound": "One of the specified Azure Blob(s) is not found",
    "BlobAccessDenied": "Access for one of the specified Azure Blob(s) is denied",
    "BlobDownloadTimedOut": "Timed out while downloading one of the specified Azure Blob(s)",
    "BlobDownloadMiscError": (
        "Miscellaneous error encountered while downloading one of the specified Azure Blob(s)"
    ),
    "ResourceContainerNotFound": "One of the specified Azure container(s) is not found",
    "ResourceContainerAccessDenied": "Access for one of the specified container(s) is denied",
    "ResourceContainerListTimedOut": "Timed out while listing one of the specified container(s)",
    "ResourceContainerListMiscError": (
        "Miscellaneous error encountered while listing one of the specified container(s)"
    ),
    "ResourceDirectoryCreateFailed": "A directory for the resource files could not be created",
    "ResourceFileCreateFailed": "A resource file could not be created",
    "ResourceFileWriteFailed": "A resource file could not be written",
    "DiskFull": "There is not enough disk space on the node",
    "FileUploadContainerNotFound": (
        "One of the specified Azure container(s) was not found while attempting to upload an "
        "output file"
    ),
    "FileUploadAccessDenied": (
        "Access to one of the specified file upload destinations was denied"
    ),
    "FileUploadConflict": "One of the output files could not be uploaded because of a conflict",
    "FileUploadTimedOut": "Timed out while uploading an output file",
    "FileUploadMiscError": "Miscellaneous error encountered while uploading an output file",
    "Unknown": "The node could not run the task",
}


def failure(code: str, **details: str) -> FailureInfo:
    """Return a failure with its documented category and text; details become name/value pairs."""
    category = ErrorCategory.SERVER_ERROR if code in _SERVER_CODES else ErrorCategory.USER_ERROR
    return FailureInfo(category, code, _MESSAGES[code], tuple(details.items()))


def exit_code_failure() -> FailureInfo:
    """The process ended with a code other than 0."""
    return _EXIT_CODE


def wall_clock_failure() -> FailureInfo:
    """The run took longer than its constraint allows."""
    return _WALL_CLOCK


_EXIT_CODE: Final = FailureInfo(
    ErrorCategory.USER_ERROR,
    "FailureExitCode",
    "The task exited with an exit code representing a failure",
    (
        ("Message", "The task process exited with an unexpected exit code"),
        ("AdditionalErrorCode", "FailureExitCode"),
    ),
)
_WALL_CLOCK: Final = FailureInfo(
    ErrorCategory.USER_ERROR,
    "TaskEnded",
    "Task Was Ended by User Request",
    (
        ("Message", "The maximum execution time configured on the task was exceeded"),
        ("AdditionalErrorCode", "TaskEnded"),
    ),
)
