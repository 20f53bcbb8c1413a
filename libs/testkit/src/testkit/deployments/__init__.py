"""Whole deployments of Atelier for tests and the local stack: the embedded one, and six services on real servers."""

from testkit.deployments.deployment import Deployment, Operator
from testkit.deployments.partners import NewPartner, new_partner
from testkit.deployments.ports import ReservedPort
from testkit.deployments.process import OrphansLeft, ServiceProcess
from testkit.deployments.stack import StackDeployment
from testkit.deployments.standalone import StandaloneDeployment

__all__ = [
    "Deployment",
    "NewPartner",
    "Operator",
    "OrphansLeft",
    "ReservedPort",
    "ServiceProcess",
    "StackDeployment",
    "StandaloneDeployment",
    "new_partner",
]
