"""Upgrades at the cost of the traffic, or of what protects it."""

from tests.falsify.defect import Defect
from tests.falsify.meshes.upgrading import OpenWhileUpgraded, RestartsCold

DEFECTS = {
    "restarts-cold": Defect(
        "Each data plane is stopped before that of the next version is started.",
        kills=("upgrade/loses-nothing",),
        mesh=RestartsCold,
    ),
    "open-while-upgraded": Defect(
        "Servers take plaintext until every data plane has followed an upgrade.",
        kills=("upgrade/never-lets-plaintext-in",),
        mesh=OpenWhileUpgraded,
    ),
}
