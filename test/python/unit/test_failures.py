"""What is told of an exception."""

from tsdask_mpi import failures


def test_an_endless_text_is_told_by_its_beginning_and_end() -> None:
    told = failures.failed(ValueError("begin" + "x" * 70_000 + "end"))
    message = told["message"]
    assert len(message) < 4096
    assert message.startswith("begin")
    assert message.endswith("end")
