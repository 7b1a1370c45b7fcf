"""Adding to the queue that `api.jobs` works on."""

from uuid import UUID

import procrastinate
from procrastinate.manager import JobManager
from procrastinate.tasks import configure_task
from sqlalchemy.ext.asyncio import AsyncSession

QUEUE = "extract"
TASK = "extract"


async def add_job(session: AsyncSession, tenant_id: UUID, prediction_id: UUID) -> None:
    """Add the job of a prediction, in the session's transaction; workers hear of its commit."""
    connection = await (await session.connection()).get_raw_connection()
    # Never opened: the statement goes over the session's own connection.
    manager = JobManager(procrastinate.PsycopgConnector())
    deferrer = configure_task(
        name=TASK, job_manager=manager, queue=QUEUE, connection=connection.driver_connection
    )
    await deferrer.defer_async(tenant_id=str(tenant_id), prediction_id=str(prediction_id))
