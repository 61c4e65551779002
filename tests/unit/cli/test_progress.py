"""Rate, remaining time and the plain line."""

from __future__ import annotations

from shoal_cli.progress import Counts, Progress, line
from shoal_cli.text import span


def counts(active: int, running: int, succeeded: int, failed: int = 0) -> Counts:
    return Counts(active, running, succeeded + failed, succeeded, failed)


def test_nothing_is_promised_after_one_look() -> None:
    progress = Progress()
    progress.add(0.0, counts(10, 0, 0))
    assert progress.rate is None
    assert progress.eta_s is None


def test_rate_and_remaining_time_follow_from_two_looks() -> None:
    progress = Progress()
    progress.add(0.0, counts(10, 0, 0))
    progress.add(2.0, counts(5, 1, 4))
    assert progress.rate == 2.0
    assert progress.eta_s == 3.0


def test_a_standstill_has_no_end_in_sight() -> None:
    progress = Progress()
    progress.add(0.0, counts(10, 0, 4))
    progress.add(2.0, counts(10, 0, 4))
    assert progress.eta_s is None


def test_the_rate_forgets_what_is_long_ago() -> None:
    progress = Progress()
    for second in range(100):
        progress.add(float(second), counts(1000, 1, 0))
    for second in range(100, 140):
        progress.add(float(second), counts(1000, 1, (second - 99) * 10))
    assert progress.rate == 10.0


def test_reactivated_tasks_start_the_count_anew() -> None:
    progress = Progress()
    progress.add(0.0, counts(0, 0, 10))
    progress.add(1.0, counts(5, 0, 5))
    assert progress.rate is None


def test_a_job_without_tasks_is_not_done() -> None:
    assert not counts(0, 0, 0).is_done
    assert not counts(0, 1, 3).is_done
    assert counts(0, 0, 0, failed=1).is_done


def test_the_plain_line_has_it_all() -> None:
    progress = Progress()
    progress.add(0.0, counts(10, 0, 0))
    progress.add(1.0, counts(6, 2, 1, failed=1))
    assert line(progress, span) == (
        "2/10 (20%)  active 6  running 2  succeeded 1  failed 1  2.0/s  ETA 4.0s"
    )
