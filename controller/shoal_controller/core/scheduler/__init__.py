"""Which waiting task starts where: `plan` decides, nothing here acts."""

from shoal_controller.core.scheduler.placement import Limits, Placement, Plan, Recall, plan

__all__ = ["Limits", "Placement", "Plan", "Recall", "plan"]
