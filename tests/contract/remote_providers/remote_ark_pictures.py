"""Ark on trial with its pictures: the same promises where the answer of the submit is the result."""

import importlib.util
from dataclasses import replace
from pathlib import Path

from testkit.providers.faults import Fault
from testkit.providers.trials import Subject


def subject() -> Subject:
    spec = importlib.util.spec_from_file_location("remote_ark", Path(__file__).with_name("remote_ark.py"))
    assert spec is not None
    assert spec.loader is not None
    films = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(films)
    account: Subject = films.subject()
    return replace(
        account,
        asks=[films.PICTURE, films.FILM],
        without={
            Fault.LOST_TASK: "Pictures come with the answer: there is no task to lose.",
            Fault.POLL_BROKEN: "Pictures come with the answer: there are no questions.",
        },
    )
