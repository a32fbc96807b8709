"""What becomes of Dask's log records before they are written."""

import io
import logging

from tsdask_mpi import logs


def written(error: Exception, text: str) -> str:
    """Return what Dask's logger for folders writes of an error that it has caught."""
    stream = io.StringIO()
    logger = logging.getLogger("distributed.diskutils")
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    logs.shorten_folder_troubles()
    try:
        raise error
    except Exception:
        logger.exception(text)
    finally:
        logger.removeHandler(handler)
        for one in list(logger.filters):
            logger.removeFilter(one)
    return stream.getvalue()


def test_a_folder_that_cannot_be_written_is_a_line() -> None:
    """Neither a traceback nor a path that Dask has left out."""
    said = written(
        PermissionError(1, "Operation not permitted", "/t/100%s/purge.lock"), "Failed to clean up in path: %s "
    )
    assert said == "Failed to clean up: [Errno 1] Operation not permitted: '/t/100%s/purge.lock'\n"


def test_any_other_trouble_keeps_its_traceback() -> None:
    """What is no word of the system's is a fault to be seen whole."""
    assert "Traceback" in written(ValueError("x"), "Failed")
