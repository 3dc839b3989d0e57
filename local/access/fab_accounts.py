"""Airflow's FAB auth manager, in which approvals need the role ``Approver``, ``Op`` or ``Admin``; for deployments.

Airflow looks for ``FabAuthManager`` in the name of the class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager

from local.access.approval_rule import needs_approver

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.base_auth_manager import ResourceMethod
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
    from airflow.providers.fab.auth_manager.models import User

APPROVER_ROLES = frozenset({"Approver", "Op", "Admin"})


class ApprovingFabAuthManager(FabAuthManager):
    """Refuses what needs an approver to users without the role; see :mod:`local.access.approval_rule`."""

    def is_authorized_dag(
        self,
        *,
        method: ResourceMethod,
        user: User,
        access_entity: DagAccessEntity | None = None,
        details: DagDetails | None = None,
    ) -> bool:
        """Whether a user may do something with a DAG or a part of it."""
        entity, dag_id = access_entity.name if access_entity else None, details.id if details else None
        if needs_approver(method, entity, dag_id) and APPROVER_ROLES.isdisjoint(role.name for role in user.roles):
            return False
        return super().is_authorized_dag(method=method, user=user, access_entity=access_entity, details=details)
