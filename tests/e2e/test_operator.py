"""The operator's RPCs: clients, credentials, wallets, jobs, webhooks, the books."""

from typing import Any

import grpc
import pytest

from atelier.billing.v1 import wallet_service_pb2 as wallet_pb2
from atelier.billing.v1 import wallet_service_pb2_grpc as wallet_grpc
from atelier.common.v1 import money_pb2
from atelier.gateway.v1 import client_admin_service_pb2 as admin_pb2
from atelier.gateway.v1 import client_admin_service_pb2_grpc as admin_grpc
from atelier.gateway.v1 import client_pb2
from atelier.jobs.v1 import attempt_pb2, job_pb2
from atelier.jobs.v1 import job_admin_service_pb2 as jobs_pb2
from atelier.jobs.v1 import job_admin_service_pb2_grpc as job_admin_grpc
from kit.errors import (
    ClientNotFound,
    InsufficientFunds,
    InvalidArgument,
    JobNotFound,
    NotFound,
    PermissionDenied,
    RequestIdReused,
)
from testkit.deployments import Deployment
from testkit.openclient import OpenClient
from testkit.waiting import until
from testkit.web import Site, respond

TIMEOUT_S = 10.0
SMALL = {"capability": "image.generate", "prompt": "山", "width": 64, "height": 64}


async def _status(partner: OpenClient) -> int:
    return (await partner.get("/balance")).status_code


async def test_client_is_made_read_and_listed(house: Deployment) -> None:
    clients = house.operator().clients
    record = client_pb2.Client(id="ops-made", user_id="9001", weight=3, limits=client_pb2.Limits(jobs_in_flight=5))

    first = await clients.PutClient(admin_pb2.PutClientRequest(client=record), timeout=TIMEOUT_S)
    again = await clients.PutClient(admin_pb2.PutClientRequest(client=record), timeout=TIMEOUT_S)
    read = await clients.GetClient(admin_pb2.GetClientRequest(client_id="ops-made"), timeout=TIMEOUT_S)

    assert (first.created, again.created) == (True, False)
    assert read.client == first.client
    assert read.client.limits.jobs_in_flight == 5
    listed, token = [], ""
    while True:
        page = await clients.ListClients(admin_pb2.ListClientsRequest(page_size=2, page_token=token), timeout=TIMEOUT_S)
        listed += [client.id for client in page.clients]
        token = page.next_page_token
        if not token:
            break
    assert listed == sorted(set(listed))
    assert "ops-made" in listed
    with pytest.raises(ClientNotFound):
        await clients.GetClient(admin_pb2.GetClientRequest(client_id="nobody"), timeout=TIMEOUT_S)
    with pytest.raises(InvalidArgument):
        await clients.PutClient(
            admin_pb2.PutClientRequest(client=client_pb2.Client(id="No Such Form")), timeout=TIMEOUT_S
        )


async def test_revoked_key_stops_working_and_the_other_goes_on(house: Deployment, partner: OpenClient) -> None:
    clients = house.operator().clients
    added = await clients.AddCredential(
        admin_pb2.AddCredentialRequest(client_id=partner.client_id, kind=client_pb2.CREDENTIAL_KIND_API_KEY),
        timeout=TIMEOUT_S,
    )
    async with OpenClient(house.url, added.secret) as second:
        assert await _status(second) == 200

        for _ in range(2):  # Idempotent.
            await clients.RevokeCredential(
                admin_pb2.RevokeCredentialRequest(credential_id=added.credential.id), timeout=TIMEOUT_S
            )

        await until(lambda: _status(second), lambda status: status == 401, timeout_s=6)
    assert await _status(partner) == 200
    listed = await clients.ListCredentials(
        admin_pb2.ListCredentialsRequest(client_id=partner.client_id), timeout=TIMEOUT_S
    )
    assert added.secret not in str(listed)
    assert len(listed.credentials) == 2


async def test_key_of_one_client_cannot_be_given_to_another(house: Deployment, partner: OpenClient) -> None:
    clients = house.operator().clients
    await clients.PutClient(admin_pb2.PutClientRequest(client=client_pb2.Client(id="ops-other")), timeout=TIMEOUT_S)

    with pytest.raises(RequestIdReused):
        await clients.AddCredential(
            admin_pb2.AddCredentialRequest(
                client_id="ops-other", kind=client_pb2.CREDENTIAL_KIND_API_KEY, secret=partner.key
            ),
            timeout=TIMEOUT_S,
        )


async def test_disabled_client_is_refused_everywhere_and_let_in_again(house: Deployment, partner: OpenClient) -> None:
    clients = house.operator().clients
    answer = await clients.GetClient(admin_pb2.GetClientRequest(client_id=partner.client_id), timeout=TIMEOUT_S)
    client = client_pb2.Client()
    client.CopyFrom(answer.client)

    client.disabled = True
    await clients.PutClient(admin_pb2.PutClientRequest(client=client), timeout=TIMEOUT_S)
    await until(lambda: _status(partner), lambda status: status == 403, timeout_s=6)
    assert (await partner.submit(SMALL)).json() == {"error": "This API client is disabled."}

    client.disabled = False
    await clients.PutClient(admin_pb2.PutClientRequest(client=client), timeout=TIMEOUT_S)
    await until(lambda: _status(partner), lambda status: status == 200, timeout_s=6)


async def test_grant_counts_once_however_often_it_is_sent(house: Deployment, partner: OpenClient) -> None:
    wallets = house.operator().wallets
    grant = wallet_pb2.GrantRequest(
        grant_id=f"order-{partner.client_id}",
        client_id=partner.client_id,
        amount=money_pb2.Amount(unit=money_pb2.UNIT_POINTS, value=500),
        note="order",
    )

    first = await wallets.Grant(grant, timeout=TIMEOUT_S)
    again = await wallets.Grant(grant, timeout=TIMEOUT_S)

    assert (first.reused, again.reused) == (False, True)
    assert (await partner.points())["available"] == 1500
    grant.amount.value = 501
    with pytest.raises(RequestIdReused):
        await wallets.Grant(grant, timeout=TIMEOUT_S)


async def test_adjustment_never_goes_below_zero(house: Deployment, partner: OpenClient) -> None:
    wallets = house.operator().wallets

    def adjustment(number: int, delta: int) -> wallet_pb2.AdjustRequest:
        return wallet_pb2.AdjustRequest(
            adjustment_id=f"{partner.client_id}-{number}",
            client_id=partner.client_id,
            unit=money_pb2.UNIT_POINTS,
            delta=delta,
            reason="a mistake",
            author="tests",
        )

    await wallets.Adjust(adjustment(1, -400), timeout=TIMEOUT_S)
    await wallets.Adjust(adjustment(1, -400), timeout=TIMEOUT_S)
    assert (await partner.points())["available"] == 600
    with pytest.raises(InsufficientFunds):
        await wallets.Adjust(adjustment(2, -601), timeout=TIMEOUT_S)
    assert (await partner.points())["available"] == 600


async def test_statement_tells_the_life_of_a_job(house: Deployment, partner: OpenClient) -> None:
    job = await partner.create_job(**SMALL)
    await partner.finished_job(job["id"])
    await until(partner.points, lambda points: points["held"] == 0)

    answer = await house.operator().wallets.ListEntries(
        wallet_pb2.ListEntriesRequest(client_id=partner.client_id, job_id=job["id"]), timeout=TIMEOUT_S
    )

    told = [(entry.kind, entry.account, entry.delta) for entry in answer.entries]
    assert {kind for kind, _, _ in told} == {"hold", "capture"}
    assert ("hold", "available", -30) in told
    assert ("hold", "held", 30) in told
    assert ("capture", "held", -30) in told


async def test_job_is_inspected_with_its_attempts(house: Deployment, partner: OpenClient) -> None:
    jobs = house.operator().jobs
    job = await partner.create_job(**SMALL)
    await partner.finished_job(job["id"])

    seen = await jobs.InspectJob(jobs_pb2.InspectJobRequest(job_id=job["id"]), timeout=TIMEOUT_S)
    listed = await jobs.ListAllJobs(
        jobs_pb2.ListAllJobsRequest(client_id=partner.client_id, states=[job_pb2.JOB_STATE_SUCCEEDED]),
        timeout=TIMEOUT_S,
    )

    assert seen.job.client_id == partner.client_id
    (attempt,) = seen.attempts
    assert attempt.provider == "local"
    assert attempt.outcome == attempt_pb2.ATTEMPT_OUTCOME_SUCCEEDED
    assert [one.id for one in listed.jobs] == [job["id"]]
    with pytest.raises(JobNotFound):
        await jobs.InspectJob(jobs_pb2.InspectJobRequest(job_id="job_nobody"), timeout=TIMEOUT_S)


async def test_webhook_is_listed_and_sent_again(house: Deployment, partner: OpenClient, site: Site) -> None:
    site.reply("/hook", respond(b""))
    clients = house.operator().clients
    job = await partner.create_job(**SMALL, webhookUrl=f"http://127.0.0.1:{site.port}/hook")

    async def deliveries() -> list[Any]:
        answer = await clients.ListDeliveries(
            admin_pb2.ListDeliveriesRequest(client_id=partner.client_id, job_id=job["id"]), timeout=TIMEOUT_S
        )
        return list(answer.deliveries)

    (delivery,) = await until(deliveries, lambda seen: bool(seen) and seen[0].state == "delivered")
    assert (delivery.tries, delivery.last_status) == (1, 200)
    await clients.ReplayDelivery(admin_pb2.ReplayDeliveryRequest(delivery_id=delivery.id), timeout=TIMEOUT_S)

    async def requests() -> int:
        return len(site.requests)

    await until(requests, lambda count: count == 2)
    assert {request.headers["webhook-id"] for request in site.requests} == {delivery.id}
    with pytest.raises(NotFound):
        await clients.ReplayDelivery(admin_pb2.ReplayDeliveryRequest(delivery_id="msg_x"), timeout=TIMEOUT_S)


async def test_books_are_proven_with_a_job_under_way(house: Deployment, partner: OpenClient) -> None:
    job = await partner.create_job(capability="image.generate", prompt="山", width=2048, height=2048)

    proof = await house.operator().wallets.VerifyLedger(wallet_pb2.VerifyLedgerRequest(), timeout=60)

    assert not proof.faults
    assert proof.holds_open >= 1
    assert proof.postings >= 2 * proof.transactions
    await partner.finished_job(job["id"])


async def test_operators_rpcs_are_for_the_operator_only(house: Deployment) -> None:
    """Every other signed identity is refused, an edge's too."""
    for name in ("edge", "somebody"):
        clients = admin_grpc.ClientAdminServiceStub(house.channel("gateway", identity=name))
        wallets = wallet_grpc.WalletServiceStub(house.channel("billing", identity=name))
        jobs = job_admin_grpc.JobAdminServiceStub(house.channel("job-orchestrator", identity=name))
        calls = [
            clients.ListClients(admin_pb2.ListClientsRequest(), timeout=TIMEOUT_S),
            wallets.VerifyLedger(wallet_pb2.VerifyLedgerRequest(), timeout=TIMEOUT_S),
            wallets.Grant(
                wallet_pb2.GrantRequest(
                    grant_id="theft", client_id="x", amount=money_pb2.Amount(unit=money_pb2.UNIT_POINTS, value=1)
                ),
                timeout=TIMEOUT_S,
            ),
            jobs.ListAllJobs(jobs_pb2.ListAllJobsRequest(), timeout=TIMEOUT_S),
        ]
        for call in calls:
            with pytest.raises(PermissionDenied):
                await call


async def test_forged_identity_is_refused(house: Deployment) -> None:
    async with grpc.aio.insecure_channel(house.grpc_address("gateway")) as channel:
        stub = admin_grpc.ClientAdminServiceStub(channel)
        for metadata in ((), (("atelier-identity", "operator"),), (("atelier-identity", "eA.eA"),)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.ListClients(admin_pb2.ListClientsRequest(), timeout=TIMEOUT_S, metadata=metadata)
            assert caught.value.code() in {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED}
