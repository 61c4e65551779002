"""The table of all operations: router, roles, versions, drawings and coverage tests read it.

A row without a handler is known and refused with 501 NotImplemented, after authentication. Source:
operations.md; `since` and `until` are the first and the last api-version that has the operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shoal_controller.api import (
    account,
    applications,
    certificates,
    files,
    jobs,
    jobschedules,
    logins,
    nodes,
    pools,
    statistics,
    tasks,
)
from shoal_controller.api.routing import Route

_POOL: Final = "/pools/{poolId}"
_NODE: Final = "/pools/{poolId}/nodes/{nodeId}"
_JOB: Final = "/jobs/{jobId}"
_SCHEDULE: Final = "/jobschedules/{jobScheduleId}"
_TASK: Final = "/jobs/{jobId}/tasks/{taskId}"
_CERTIFICATE: Final = "/certificates({thumbprint})"
_CERTIFICATES_END: Final = "2024-07-01.20.0"
_STATISTICS_END: Final = "2022-10-01.16.0"

ROUTES: Final[Sequence[Route]] = (
    # applications
    Route("list_applications", "GET", "/applications", applications.list_applications),
    Route(
        "get_application",
        "GET",
        "/applications/{applicationId}",
        applications.get_application,
    ),
    # pools
    Route(
        "get_pool_lifetime_statistics",
        "GET",
        "/lifetimepoolstats",
        statistics.get_pool_totals,
        until=_STATISTICS_END,
    ),
    Route("list_pools", "GET", "/pools", pools.list_pools),
    Route("create_pool", "POST", "/pools", pools.create_pool),
    Route("list_pool_usage_metrics", "GET", "/poolusagemetrics", statistics.list_pool_usage),
    Route("delete_pool", "DELETE", _POOL, pools.delete_pool, conditional=4),
    Route("get_pool", "GET", _POOL, pools.get_pool, conditional=4),
    Route("pool_exists", "HEAD", _POOL, pools.pool_exists, conditional=4),
    Route("update_pool", "PATCH", _POOL, pools.update_pool, conditional=4),
    Route("disable_pool_auto_scale", "POST", f"{_POOL}/disableautoscale", pools.disable_auto_scale),
    Route(
        "enable_pool_auto_scale",
        "POST",
        f"{_POOL}/enableautoscale",
        pools.enable_auto_scale,
        conditional=4,
    ),
    Route(
        "evaluate_pool_auto_scale", "POST", f"{_POOL}/evaluateautoscale", pools.evaluate_auto_scale
    ),
    Route("remove_nodes", "POST", f"{_POOL}/removenodes", pools.remove_nodes, conditional=4),
    Route("resize_pool", "POST", f"{_POOL}/resize", pools.resize_pool, conditional=4),
    Route("stop_pool_resize", "POST", f"{_POOL}/stopresize", pools.stop_resize, conditional=4),
    Route("replace_pool_properties", "POST", f"{_POOL}/updateproperties", pools.replace_properties),
    Route(
        "upgrade_pool_os",
        "POST",
        f"{_POOL}/upgradeos",
        pools.upgrade_os,
        until="2018-08-01.7.0",
        conditional=4,
    ),
    # account
    Route(
        "list_node_agent_skus",
        "GET",
        "/nodeagentskus",
        account.list_node_agent_skus,
        until="2018-12-01.8.0",
    ),
    Route(
        "list_pool_node_counts",
        "GET",
        "/nodecounts",
        account.list_node_counts,
        since="2018-03-01.6.1",
    ),
    Route(
        "list_supported_images",
        "GET",
        "/supportedimages",
        account.list_supported_images,
        since="2019-06-01.9.0",
    ),
    # jobs
    Route("list_jobs", "GET", "/jobs", jobs.list_jobs),
    Route("create_job", "POST", "/jobs", jobs.create_job),
    Route(
        "get_job_lifetime_statistics",
        "GET",
        "/lifetimejobstats",
        statistics.get_job_totals,
        until=_STATISTICS_END,
    ),
    Route("delete_job", "DELETE", _JOB, jobs.delete_job, conditional=4),
    Route("get_job", "GET", _JOB, jobs.get_job, conditional=4),
    Route("update_job", "PATCH", _JOB, jobs.update_job, conditional=4),
    Route("replace_job", "PUT", _JOB, jobs.replace_job, conditional=4),
    Route("disable_job", "POST", f"{_JOB}/disable", jobs.disable_job, conditional=4),
    Route("enable_job", "POST", f"{_JOB}/enable", jobs.enable_job, conditional=4),
    Route(
        "list_job_preparation_and_release_task_status",
        "GET",
        f"{_JOB}/jobpreparationandreleasetaskstatus",
        jobs.list_preparation_and_release,
    ),
    Route(
        "get_job_task_counts",
        "GET",
        f"{_JOB}/taskcounts",
        jobs.count_tasks,
        since="2017-06-01.5.1",
    ),
    Route("terminate_job", "POST", f"{_JOB}/terminate", jobs.terminate_job, conditional=4),
    Route("list_jobs_from_schedule", "GET", f"{_SCHEDULE}/jobs", jobschedules.list_jobs),
    # job schedules
    Route("list_job_schedules", "GET", "/jobschedules", jobschedules.list_schedules),
    Route("create_job_schedule", "POST", "/jobschedules", jobschedules.create_schedule),
    Route("delete_job_schedule", "DELETE", _SCHEDULE, jobschedules.delete_schedule, conditional=4),
    Route("get_job_schedule", "GET", _SCHEDULE, jobschedules.get_schedule, conditional=4),
    Route("job_schedule_exists", "HEAD", _SCHEDULE, jobschedules.schedule_exists, conditional=4),
    Route("update_job_schedule", "PATCH", _SCHEDULE, jobschedules.update_schedule, conditional=4),
    Route("replace_job_schedule", "PUT", _SCHEDULE, jobschedules.replace_schedule, conditional=4),
    Route(
        "disable_job_schedule",
        "POST",
        f"{_SCHEDULE}/disable",
        jobschedules.disable_schedule,
        conditional=4,
    ),
    Route(
        "enable_job_schedule",
        "POST",
        f"{_SCHEDULE}/enable",
        jobschedules.enable_schedule,
        conditional=4,
    ),
    Route(
        "terminate_job_schedule",
        "POST",
        f"{_SCHEDULE}/terminate",
        jobschedules.terminate_schedule,
        conditional=4,
    ),
    # tasks
    Route("create_task_collection", "POST", f"{_JOB}/addtaskcollection", tasks.create_tasks),
    Route("list_tasks", "GET", f"{_JOB}/tasks", tasks.list_tasks),
    Route("create_task", "POST", f"{_JOB}/tasks", tasks.create_task),
    Route("delete_task", "DELETE", _TASK, tasks.delete_task, conditional=4),
    Route("get_task", "GET", _TASK, tasks.get_task, conditional=4),
    Route("replace_task", "PUT", _TASK, tasks.replace_task, conditional=4),
    Route(
        "reactivate_task",
        "POST",
        f"{_TASK}/reactivate",
        tasks.reactivate_task,
        since="2016-07-01.3.1",  # azure-batch 1.1.0 calls it, 1.0.0 did not know it
        conditional=4,
    ),
    Route("list_subtasks", "GET", f"{_TASK}/subtasksinfo", tasks.list_subtasks),
    Route("terminate_task", "POST", f"{_TASK}/terminate", tasks.terminate_task, conditional=4),
    # nodes
    Route("list_nodes", "GET", f"{_POOL}/nodes", nodes.list_nodes),
    Route("get_node", "GET", _NODE, nodes.get_node),
    Route(
        "deallocate_node",
        "POST",
        f"{_NODE}/deallocate",
        nodes.deallocate_node,
        since="2024-07-01.20.0",
    ),
    Route(
        "disable_node_scheduling", "POST", f"{_NODE}/disablescheduling", nodes.disable_scheduling
    ),
    Route("enable_node_scheduling", "POST", f"{_NODE}/enablescheduling", nodes.enable_scheduling),
    Route(
        "get_remote_desktop",
        "GET",
        f"{_NODE}/rdp",
        logins.get_remote_desktop,
        until="2024-02-01.19.0",
    ),
    Route("reboot_node", "POST", f"{_NODE}/reboot", nodes.reboot_node),
    Route("reimage_node", "POST", f"{_NODE}/reimage", nodes.reimage_node),
    Route(
        "get_node_remote_login_settings",
        "GET",
        f"{_NODE}/remoteloginsettings",
        logins.get_remote_login,
    ),
    Route("start_node", "POST", f"{_NODE}/start", nodes.start_node, since="2024-07-01.20.0"),
    Route(
        "upload_node_logs",
        "POST",
        f"{_NODE}/uploadbatchservicelogs",
        nodes.upload_logs,
        since="2018-03-01.6.1",
    ),
    Route("create_node_user", "POST", f"{_NODE}/users", logins.create_user),
    Route("delete_node_user", "DELETE", f"{_NODE}/users/{{userName}}", logins.delete_user),
    Route("replace_node_user", "PUT", f"{_NODE}/users/{{userName}}", logins.replace_user),
    # node extensions
    Route(
        "list_node_extensions",
        "GET",
        f"{_NODE}/extensions",
        nodes.list_extensions,
        since="2021-06-01.14.0",
    ),
    Route(
        "get_node_extension",
        "GET",
        f"{_NODE}/extensions/{{extensionName}}",
        nodes.get_extension,
        since="2021-06-01.14.0",
    ),
    # files of tasks
    Route("list_task_files", "GET", f"{_TASK}/files", files.list_files),
    Route("delete_task_file", "DELETE", f"{_TASK}/files/{{filePath}}", files.delete_file),
    Route(
        "download_task_file", "GET", f"{_TASK}/files/{{filePath}}", files.read_file, conditional=2
    ),
    Route(
        "get_task_file_properties",
        "HEAD",
        f"{_TASK}/files/{{filePath}}",
        files.stat_file,
        conditional=2,
    ),
    # files of nodes
    Route("list_node_files", "GET", f"{_NODE}/files", files.list_files),
    Route("delete_node_file", "DELETE", f"{_NODE}/files/{{filePath}}", files.delete_file),
    Route(
        "download_node_file", "GET", f"{_NODE}/files/{{filePath}}", files.read_file, conditional=2
    ),
    Route(
        "get_node_file_properties",
        "HEAD",
        f"{_NODE}/files/{{filePath}}",
        files.stat_file,
        conditional=2,
    ),
    # certificates
    Route(
        "list_certificates",
        "GET",
        "/certificates",
        certificates.list_certificates,
        until=_CERTIFICATES_END,
    ),
    Route(
        "create_certificate",
        "POST",
        "/certificates",
        certificates.create_certificate,
        until=_CERTIFICATES_END,
    ),
    Route(
        "delete_certificate",
        "DELETE",
        _CERTIFICATE,
        certificates.delete_certificate,
        until=_CERTIFICATES_END,
    ),
    Route(
        "get_certificate",
        "GET",
        _CERTIFICATE,
        certificates.get_certificate,
        until=_CERTIFICATES_END,
    ),
    Route(
        "cancel_certificate_deletion",
        "POST",
        f"{_CERTIFICATE}/canceldelete",
        certificates.cancel_deletion,
        until=_CERTIFICATES_END,
    ),
)
"""Every operation of every api-version, in the order of the reference."""
