"""The operator's commands: call, print, say whether it went well."""

from typing import Final

from rich.console import Console

from atelier.billing.v1 import wallet_service_pb2 as wallet_pb2
from atelier.gateway.v1 import client_admin_service_pb2 as admin_pb2
from atelier.gateway.v1 import client_pb2
from atelier.jobs.v1 import attempt_pb2, job_pb2
from atelier.jobs.v1 import job_admin_service_pb2 as jobs_pb2
from standalone.bootstrap import CALL_TIMEOUT_S
from standalone.operator import stubs
from standalone.place import Place
from standalone.tables import print_table
from standalone.times import from_moment

STATES: Final = {
    "queued": job_pb2.JOB_STATE_QUEUED,
    "running": job_pb2.JOB_STATE_RUNNING,
    "succeeded": job_pb2.JOB_STATE_SUCCEEDED,
    "failed": job_pb2.JOB_STATE_FAILED,
    "expired": job_pb2.JOB_STATE_EXPIRED,
    "cancelled": job_pb2.JOB_STATE_CANCELLED,
}
VERIFY_TIMEOUT_S: Final = 600.0  # Every posting is read once.
CLIENTS_PAGE: Final = 1000

_out = Console()


def _state(attempt: attempt_pb2.Attempt) -> str:
    return attempt_pb2.AttemptState.Name(attempt.state).removeprefix("ATTEMPT_STATE_").lower()


def _outcome(attempt: attempt_pb2.Attempt) -> str:
    return attempt_pb2.AttemptOutcome.Name(attempt.outcome).removeprefix("ATTEMPT_OUTCOME_").lower()


async def list_clients(place: Place) -> None:
    async with stubs(place) as operator:
        answer = await operator.clients.ListClients(
            admin_pb2.ListClientsRequest(page_size=CLIENTS_PAGE), timeout=CALL_TIMEOUT_S
        )
    rows = [
        (client.id, "disabled" if client.disabled else "enabled", client.user_id, from_moment(client.create_time))
        for client in answer.clients
    ]
    print_table(("client", "state", "user id", "made"), rows)


async def add_client(place: Place, client_id: str, *, user_id: str) -> None:
    async with stubs(place) as operator:
        await operator.clients.PutClient(
            admin_pb2.PutClientRequest(client=client_pb2.Client(id=client_id, user_id=user_id)), timeout=CALL_TIMEOUT_S
        )
        made = await operator.clients.AddCredential(
            admin_pb2.AddCredentialRequest(client_id=client_id, kind=client_pb2.CREDENTIAL_KIND_API_KEY),
            timeout=CALL_TIMEOUT_S,
        )
    _out.print(f"{client_id}: API key {made.secret}", soft_wrap=True, highlight=False)
    _out.print("It is shown this once.")


async def set_disabled(place: Place, client_id: str, *, disabled: bool) -> None:
    async with stubs(place) as operator:
        answer = await operator.clients.GetClient(
            admin_pb2.GetClientRequest(client_id=client_id), timeout=CALL_TIMEOUT_S
        )
        client = client_pb2.Client()
        client.CopyFrom(answer.client)
        client.disabled = disabled
        await operator.clients.PutClient(admin_pb2.PutClientRequest(client=client), timeout=CALL_TIMEOUT_S)
    _out.print(f"{client_id}: {'disabled' if disabled else 'enabled'}")


async def list_jobs(place: Place, *, client_id: str, state: str, limit: int) -> None:
    if state and state not in STATES:
        raise ValueError(f"state must be one of {', '.join(STATES)}")
    async with stubs(place) as operator:
        answer = await operator.jobs.ListAllJobs(
            jobs_pb2.ListAllJobsRequest(client_id=client_id, states=[STATES[state]] if state else [], page_size=limit),
            timeout=CALL_TIMEOUT_S,
        )
    names = {number: name for name, number in STATES.items()}
    rows = [
        (job.id, job.client_id, job.model, names[job.state], f"{job.progress} %", from_moment(job.create_time))
        for job in answer.jobs
    ]
    print_table(("job", "client", "model", "state", "progress", "accepted"), rows)


async def show_job(place: Place, job_id: str) -> None:
    async with stubs(place) as operator:
        answer = await operator.jobs.InspectJob(jobs_pb2.InspectJobRequest(job_id=job_id), timeout=CALL_TIMEOUT_S)
    _out.print(str(answer.job).rstrip(), highlight=False)
    rows = [
        (
            attempt.id,
            attempt.provider,
            attempt.upstream_task_id,
            _state(attempt),
            "" if attempt.outcome == attempt_pb2.ATTEMPT_OUTCOME_UNSPECIFIED else _outcome(attempt),
            from_moment(attempt.begin_time),
        )
        for attempt in answer.attempts
    ]
    print_table(("attempt", "provider", "task", "state", "outcome", "begun"), rows)


async def resolve_attempt(place: Place, attempt_id: str, *, outcome: str, upstream_task_id: str) -> None:
    request = jobs_pb2.ResolveAttemptRequest(
        attempt_id=attempt_id, outcome=f"ATTEMPT_OUTCOME_{outcome}", upstream_task_id=upstream_task_id
    )
    async with stubs(place) as operator:
        attempt = (await operator.jobs.ResolveAttempt(request, timeout=CALL_TIMEOUT_S)).attempt
    _out.print(f"{attempt.id} of {attempt.job_id}: {_state(attempt)}", highlight=False)


async def verify_ledger(place: Place, *, books_only: bool) -> bool:
    """Print the proof or the faults; return whether the books are proven."""
    async with stubs(place) as operator:
        proof = await operator.wallets.VerifyLedger(
            wallet_pb2.VerifyLedgerRequest(books_only=books_only), timeout=VERIFY_TIMEOUT_S
        )
    for fault in proof.faults:
        _out.print(f"{fault.rule}: {fault.subject}: {fault.detail}", highlight=False, markup=False, soft_wrap=True)
    verdict = f"{len(proof.faults)} faults" if proof.faults else "the books are proven"
    _out.print(
        f"{verdict}: {proof.transactions} transactions, {proof.postings} postings, {proof.accounts} accounts, "
        f"{proof.holds_open} open holds"
        + ("" if books_only else f", {proof.jobs} finished jobs ({proof.jobs_under_way} being settled)"),
        highlight=False,
        soft_wrap=True,
    )
    return not proof.faults
