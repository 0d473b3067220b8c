"""Of all tests: hypothesis draws the same examples in every run, and a disk can be full."""

import resource
from contextlib import contextmanager

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60,
                          database=None)
settings.load_profile("repeatable")


@pytest.fixture
def full_disk():
    """A block in which no file can be written, not even by processes that begin there."""

    @contextmanager
    def limited():
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
