"""Every code that Ark documents, the class of trouble it is, and the input it is about."""

import pytest

from provider_adapter.providers.ark.errors import CODES, Complaint, field_of, trouble_of_submit, trouble_of_task
from provider_adapter.providers.remote.trouble import Trouble
from testkit.providers.files import picture
from testkit.providers.trials import BytesSource

T = Trouble

#: Status, code, class of a submit, class of a task that failed.
DOCUMENTED = [
    (400, "MissingParameter", T.INVALID, T.INVALID),
    (400, "MissingParameter.content", T.INVALID, T.INVALID),
    (400, "InvalidParameter", T.INVALID, T.INVALID),
    (400, "InvalidParameter.duration", T.INVALID, T.INVALID),
    (400, "InvalidParameter.UnsupportedParameter", T.INVALID, T.INVALID),
    (400, "InvalidImageURL.EmptyURL", T.INVALID, T.INVALID),
    (400, "InvalidImageURL.InvalidFormat", T.INVALID, T.INVALID),
    (400, "InputTextSensitiveContentDetected", T.INPUT_MODERATED, T.INPUT_MODERATED),
    (400, "InputTextSensitiveContentDetected.PolicyViolation", T.INPUT_MODERATED, T.INPUT_MODERATED),
    (400, "InputImageSensitiveContentDetected", T.INPUT_MODERATED, T.INPUT_MODERATED),
    (400, "InputImageSensitiveContentDetected.PrivacyInformation", T.INPUT_MODERATED, T.INPUT_MODERATED),
    (400, "InputVideoSensitiveContentDetected.PrivacyInformation", T.INPUT_MODERATED, T.INPUT_MODERATED),
    (400, "InputAudioSensitiveContentDetected", T.INPUT_MODERATED, T.INPUT_MODERATED),
    (400, "OutputImageSensitiveContentDetected", T.OUTPUT_MODERATED, T.OUTPUT_MODERATED),
    (400, "OutputVideoSensitiveContentDetected.PolicyViolation", T.OUTPUT_MODERATED, T.OUTPUT_MODERATED),
    (400, "OutputTextSensitiveContentDetected", T.OUTPUT_MODERATED, T.OUTPUT_MODERATED),
    (400, "InputTextRiskDetection", T.INPUT_MODERATED, T.INPUT_MODERATED),
    (400, "InputImageRiskDetection", T.INPUT_MODERATED, T.INPUT_MODERATED),
    (400, "OutputTextRiskDetection", T.INPUT_MODERATED, T.INPUT_MODERATED),
    (400, "SensitiveContentDetected", T.INPUT_MODERATED, T.INPUT_MODERATED),
    (400, "SensitiveContentDetected.SevereViolation", T.INPUT_MODERATED, T.INPUT_MODERATED),
    (400, "SensitiveContentDetected.Violence", T.INPUT_MODERATED, T.INPUT_MODERATED),
    (400, "ContentSecurityDetectionError", T.UNAVAILABLE, T.BROKEN),
    (401, "AuthenticationError", T.ACCOUNT, T.ACCOUNT),
    (401, "InvalidAccountStatus", T.ACCOUNT, T.ACCOUNT),
    (403, "AccessDenied", T.ACCOUNT, T.ACCOUNT),
    (403, "OperationDenied.PermissionDenied", T.ACCOUNT, T.ACCOUNT),
    (403, "AccountOverdueError", T.ACCOUNT, T.ACCOUNT),
    (404, "InvalidEndpointOrModel.NotFound", T.ACCOUNT, T.ACCOUNT),
    (404, "ModelNotOpen", T.ACCOUNT, T.ACCOUNT),
    (404, "NotFound.Asset", T.INVALID, T.INVALID),
    (429, "RateLimitExceeded.EndpointRPMExceeded", T.THROTTLED, T.BROKEN),
    (429, "RateLimitExceeded.EndpointTPMExceeded", T.THROTTLED, T.BROKEN),
    (429, "ModelAccountRpmRateLimitExceeded", T.THROTTLED, T.BROKEN),
    (429, "ModelAccountTpmRateLimitExceeded", T.THROTTLED, T.BROKEN),
    (429, "ModelAccountIpmRateLimitExceeded", T.THROTTLED, T.BROKEN),
    (429, "APIAccountRpmRateLimitExceeded", T.THROTTLED, T.BROKEN),
    (429, "AccountRateLimitExceeded", T.THROTTLED, T.BROKEN),
    (429, "RequestBurstTooFast", T.THROTTLED, T.BROKEN),
    (429, "ServerOverloaded", T.THROTTLED, T.BROKEN),
    (429, "InflightBatchsizeExceeded", T.THROTTLED, T.BROKEN),
    (429, "QuotaExceeded", T.THROTTLED, T.BROKEN),
    (429, "SetLimitExceeded", T.ACCOUNT, T.ACCOUNT),
    (500, "InternalServiceError", T.UNAVAILABLE, T.BROKEN),
]


@pytest.mark.parametrize(("status", "code", "of_submit", "of_task"), DOCUMENTED)
def test_documented_code_is_of_its_class(status: int, code: str, of_submit: Trouble, of_task: Trouble) -> None:
    complaint = Complaint(code=code, message="")
    assert trouble_of_submit(status, complaint) is of_submit
    assert trouble_of_task(complaint) is of_task


def test_table_has_no_code_that_is_not_tried_here() -> None:
    tried = {code for _, code, _, _ in DOCUMENTED} | {code.partition(".")[0] for _, code, _, _ in DOCUMENTED}
    assert set(CODES) <= tried


@pytest.mark.parametrize(
    ("status", "code", "trouble"),
    [
        (400, "SomethingNew", T.INVALID),
        (429, "SomethingNew", T.THROTTLED),
        (403, "SomethingNew", T.ACCOUNT),
        (200, "SomethingNew", T.UNUSABLE),
        (502, "InternalServiceError", T.NO_ANSWER),
        (504, "InvalidParameter", T.NO_ANSWER),
        (408, "InvalidParameter", T.NO_ANSWER),
    ],
)
def test_status_decides_when_the_code_is_new_or_a_gateway_speaks(status: int, code: str, trouble: Trouble) -> None:
    assert trouble_of_submit(status, Complaint(code=code, message="")) is trouble


def test_failed_task_without_a_known_code_is_broken() -> None:
    assert trouble_of_task(None) is T.BROKEN
    assert trouble_of_task(Complaint(code="SomethingNew.Else", message="")) is T.BROKEN


def test_field_is_named_when_the_code_tells_of_one() -> None:
    data = picture()
    one, film, other = (BytesSource(data, mime_type=mime) for mime in ("image/png", "video/mp4", "image/jpeg"))
    one.field, film.field, other.field = "inputs[0]", "inputs[1]", "inputs[2]"
    assert field_of("InputTextRiskDetection", [one]) == "prompt"
    assert field_of("InputImageSensitiveContentDetected.PrivacyInformation", [one, film]) == "inputs[0]"
    assert field_of("InvalidImageURL.InvalidFormat", [film, other]) == "inputs[2]"
    assert field_of("InputVideoSensitiveContentDetected", [one, film, other]) == "inputs[1]"
    assert field_of("InputImageSensitiveContentDetected", [one, film, other]) == ""
    assert field_of("InputAudioSensitiveContentDetected", [one]) == ""
    assert field_of("SensitiveContentDetected", [one]) == ""


@pytest.mark.parametrize("holder", [None, [], "x", {}, {"error": None}, {"error": "x"}, {"error": {"code": 7}}])
def test_no_complaint_is_found_where_there_is_none(holder: object) -> None:
    assert Complaint.find(holder) is None
