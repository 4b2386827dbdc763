"""Upgrades at the cost of the traffic, or of what protects it."""

from tests.falsify.defect import Defect
from tests.falsify.meshes.upgrading import OpenWhileUpgraded, RestartsCold, RestartsWithControlPlane

CONTROL_PLANE = "lifecycle/control-plane-upgrade-loses-nothing"
DATA_PLANES = "lifecycle/data-plane-upgrade-loses-nothing"
PLAINTEXT = "lifecycle/upgrade-never-lets-plaintext-in"
CHECKS = (CONTROL_PLANE, DATA_PLANES, PLAINTEXT)

DEFECTS = {
    "restarts-with-control-plane": Defect(
        "All data planes are restarted when the control plane is upgraded.",
        kills=(CONTROL_PLANE,),
        mesh=RestartsWithControlPlane,
    ),
    "restarts-cold": Defect(
        "Each data plane is stopped before that of the next version is started.",
        kills=(DATA_PLANES,),
        mesh=RestartsCold,
    ),
    "open-while-upgraded": Defect(
        "Servers take plaintext until every data plane has followed an upgrade.",
        kills=(PLAINTEXT,),
        mesh=OpenWhileUpgraded,
    ),
}
