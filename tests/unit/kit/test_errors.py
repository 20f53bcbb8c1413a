"""Tests of the one error type: its mirror of the proto, its tables, its defaults."""

import pickle

import grpc
import pytest

from atelier.common.v1 import error_reason_pb2
from kit import errors
from kit.error_reason import REASONS_OF_BARE_STATUS, STATUSES
from kit.errors import AppError, ErrorReason

PREFIX = "ERROR_REASON_"


def class_of(reason: ErrorReason) -> type[AppError]:
    name = "".join(part.capitalize() for part in reason.split("_"))
    found: type[AppError] = getattr(errors, name)
    assert issubclass(found, AppError)
    return found


def test_reasons_equal_the_proto_except_the_one_never_sent() -> None:
    in_proto = {name.removeprefix(PREFIX) for name in dict(error_reason_pb2.ErrorReason.items())}
    assert {reason.value for reason in ErrorReason} == in_proto - {"UNSPECIFIED"}
    assert all(reason.name == reason.value for reason in ErrorReason)


@pytest.mark.parametrize("reason", list(ErrorReason))
def test_every_reason_has_a_class_a_sentence_and_two_statuses(reason: ErrorReason) -> None:
    kind = class_of(reason)
    assert kind.reason is reason
    assert kind().message == kind.__doc__
    assert kind().message.endswith(".")
    assert type(AppError.of(reason)) is kind
    assert errors.grpc_status(reason) is not grpc.StatusCode.OK
    assert 400 <= errors.http_status(reason) <= 599


def test_status_table_has_no_stranger() -> None:
    assert set(STATUSES) == set(ErrorReason)
    assert set(REASONS_OF_BARE_STATUS) == set(grpc.StatusCode) - {grpc.StatusCode.OK}


def test_only_calls_that_may_simply_be_sent_again_are_unavailable() -> None:
    unavailable = {r for r in ErrorReason if errors.grpc_status(r) is grpc.StatusCode.UNAVAILABLE}
    assert unavailable == {ErrorReason.DEPENDENCY_UNAVAILABLE, ErrorReason.NOT_SERVING}


def test_facts_are_kept_as_text_when_given_as_numbers() -> None:
    error = errors.InsufficientFunds("Too poor.", points_requested=30, unit="points")
    assert error.message == "Too poor."
    assert str(error) == "Too poor."
    assert error.metadata == {"points_requested": "30", "unit": "points"}
    assert error.field is None
    assert error.retry_after_s is None


def test_long_texts_are_cut_when_they_would_not_fit_the_trailers() -> None:
    error = errors.InvalidArgument("长" * 10_000, field="prompt", value="x" * 10_000)
    assert len(error.message) == errors.MESSAGE_CHARS_MAX
    assert len(error.metadata["value"]) < 1000


def test_error_comes_back_whole_when_pickled() -> None:
    error = errors.RateLimited("Wait.", field="prompt", retry_after_s=1.5, limit=50)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is errors.RateLimited
    assert (copy.message, copy.field, copy.retry_after_s, copy.metadata) == (
        "Wait.",
        "prompt",
        1.5,
        {"limit": "50"},
    )


def test_a_services_own_error_inherits_reason_and_has_its_own_sentence() -> None:
    class QuotaOfModel(errors.DailyQuotaExceeded):
        """The quota of this model is used up."""

    assert QuotaOfModel.reason is ErrorReason.DAILY_QUOTA_EXCEEDED
    assert QuotaOfModel().message == "The quota of this model is used up."
    assert type(AppError.of(ErrorReason.DAILY_QUOTA_EXCEEDED)) is errors.DailyQuotaExceeded


def test_generic_error_keeps_metadata_whose_names_are_parameters() -> None:
    error = AppError.of(ErrorReason.CONFLICT, metadata={"message": "a", "field": "b"})
    assert error.metadata == {"message": "a", "field": "b"}
