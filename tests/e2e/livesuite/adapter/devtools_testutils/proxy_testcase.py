"""Names of the recording program that tests import and, when they run live, do not call."""

from devtools_testutils.recording import (
    _nothing as get_test_id,
)
from devtools_testutils.recording import (
    _nothing as start_record_or_playback,
)
from devtools_testutils.recording import (
    _nothing as stop_record_or_playback,
)
from devtools_testutils.recording import (
    _nothing as transform_request,
)

__all__ = [
    "get_test_id",
    "start_record_or_playback",
    "stop_record_or_playback",
    "transform_request",
]
