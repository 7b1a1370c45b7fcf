"""The service erases by itself what the retention rules let go."""

import asyncio

import structlog

from api.cancelling import check_cancelled
from api.dependencies import Services
from db.retention import erase_expired
from db.retention_rules import parse_rules

PERIOD_SECONDS = 3600.0

logger = structlog.get_logger(__name__)


async def keep_retention(services: Services, period_seconds: float = PERIOD_SECONDS) -> None:
    """Erases at the start and then once a period, until cancelled; nothing without rules."""
    rules = parse_rules(services.settings.retention)
    while rules:
        check_cancelled()
        try:
            erased = await erase_expired(services.sessions, services.blobs, rules)
        except Exception as error:
            logger.warning("expired predictions not erased", exc_info=error)
        else:
            if erased:
                logger.info("expired predictions erased", prediction_count=erased)
        await asyncio.sleep(period_seconds)
