"""Airflow's simple auth manager, in which approvals need the role ``op`` or ``admin``; for the local stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

from local.access.approval_rule import needs_approver

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.base_auth_manager import ResourceMethod
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

APPROVER_ROLES = frozenset({"OP", "ADMIN"})


class ApprovingSimpleAuthManager(SimpleAuthManager):
    """Refuses what needs an approver to users without the role; see :mod:`local.access.approval_rule`."""

    def is_authorized_dag(
        self,
        *,
        method: ResourceMethod,
        user: SimpleAuthManagerUser,
        access_entity: DagAccessEntity | None = None,
        details: DagDetails | None = None,
    ) -> bool:
        """Whether a user may do something with a DAG or a part of it."""
        entity, dag_id = access_entity.name if access_entity else None, details.id if details else None
        if needs_approver(method, entity, dag_id) and (user.role or "").upper() not in APPROVER_ROLES:
            return False
        return super().is_authorized_dag(method=method, user=user, access_entity=access_entity, details=details)
