# ruff: noqa: INP001 - a script, and no part of a package
"""Writes the dashboards beside this file: python deploy/grafana/make_dashboards.py.

A panel is one line here; `panels.py` makes of it the JSON that Grafana wants.
"""

import json
from pathlib import Path

from panels import Panel, dashboard, one, stat

FOLDER = Path(__file__).parent / "dashboards"
RATE = "$__rate_interval"

SERVICE = [
    stat("Requests that fail", "docloop:error_ratio:rate5m", "percentunit", alarm=0.05),
    stat("Slowest of a hundred", "docloop:extract_seconds:p99_5m", "s", alarm=60),
    stat(
        "Engines ready",
        'sum(docloop_engine_status{status="ready"})',
        alarm=1,
        low_is_bad=True,
    ),
    stat("Oldest in the queue", "max(docloop_queue_age_seconds)", "s", alarm=900),
    stat("Disk free", "min(docloop:disk_free:ratio)", "percentunit", alarm=0.1, low_is_bad=True),
    stat(
        "Since the last backup",
        "time() - max(docloop_backup_last_success_timestamp_seconds)",
        "s",
        alarm=93600,
    ),
    Panel(
        "Requests by status",
        (("{{status}}", f"sum by (status) (rate(docloop_requests_total[{RATE}]))"),),
        "reqps",
    ),
    Panel(
        "Time of a document",
        tuple(
            (
                f"p{round(100 * share)}",
                (
                    f"histogram_quantile({share}, sum by (le) "
                    f'(rate(docloop_request_seconds_bucket{{route="/extract"}}[{RATE}])))'
                ),
            )
            for share in (0.5, 0.9, 0.99)
        ),
        "s",
    ),
    Panel(
        "Where the time goes",
        (
            (
                "{{stage}}",
                (
                    f"sum by (stage) (rate(docloop_stage_seconds_sum[{RATE}])) "
                    f"/ sum by (stage) (rate(docloop_stage_seconds_count[{RATE}]) > 0)"
                ),
            ),
        ),
        "s",
        about="Mean seconds of each stage of an extraction.",
    ),
    Panel(
        "Under way and waiting",
        (
            ("under way", "sum(docloop_in_flight)"),
            ("waiting here", "sum(docloop_queue_depth)"),
            ("queued in Postgres", 'max(docloop_predictions_unfinished{state="queued"})'),
        ),
    ),
    Panel(
        "Tokens",
        (("{{kind}}", f"sum by (kind) (rate(docloop_tokens_total[{RATE}]))"),),
        "short",
        about="Per second, of prompts and of answers.",
    ),
    Panel(
        "Engine states",
        (("{{status}}", "sum by (status) (docloop_engine_status)"),),
    ),
    Panel(
        "vLLM: requests",
        (
            ("running", "sum(vllm:num_requests_running)"),
            ("waiting", "sum(vllm:num_requests_waiting)"),
        ),
    ),
    one("vLLM: KV cache in use", "max(vllm:kv_cache_usage_perc)", "percentunit", alarm=0.95),
    Panel(
        "vLLM: tokens",
        (
            ("prompt", f"sum(rate(vllm:prompt_tokens_total[{RATE}]))"),
            ("answer", f"sum(rate(vllm:generation_tokens_total[{RATE}]))"),
        ),
        about="Per second.",
    ),
]
QUALITY = [
    stat(
        "Answers that fit their schema",
        "docloop:schema_valid:ratio1h",
        "percentunit",
        alarm=0.9,
        low_is_bad=True,
    ),
    stat("Served version: corrected", "docloop:correction_ratio:served1d", "percentunit"),
    stat("Versions before: corrected", "docloop:correction_ratio:before7d", "percentunit"),
    stat(
        "Confidence less truth",
        "docloop:calibration_gap:1d",
        "percentunit",
        alarm=0.15,
        about="Above 0 the model is too sure of itself.",
    ),
    stat("Fields looked at in a day", "docloop:reviewed_fields:increase1d"),
    stat(
        "Champion is served",
        "min(docloop_champion_served)",
        "bool_yes_no",
        alarm=1,
        low_is_bad=True,
    ),
    Panel(
        "Corrected, by version",
        (
            (
                "{{model_version}}",
                "docloop:corrected:increase1d / (docloop:reviews:increase1d > 0)",
            ),
        ),
        "percentunit",
        width=12,
        about="Share of the reviewed answers of a day that a person corrected.",
    ),
    Panel(
        "Answers that fit their schema, by type",
        (
            (
                "{{document_type}}",
                (
                    "sum by (document_type) "
                    '(increase(docloop_answers_total{schema_valid="true"}[1h])) '
                    "/ sum by (document_type) (increase(docloop_answers_total[1h]) > 0)"
                ),
            ),
        ),
        "percentunit",
        width=12,
    ),
    Panel(
        "Corrected fields",
        (
            (
                "{{document_type}} {{field}}",
                "topk(10, sum by (document_type, field) (increase(docloop_corrections_total[1d])))",
            ),
        ),
        kind="bargauge",
        about="The ten that people correct most, of the last day.",
    ),
    Panel(
        "Checks that fail",
        (
            (
                "{{check}}",
                'topk(10, sum by (check) (increase(docloop_checks_total{verdict="fail"}[1d])))',
            ),
        ),
        kind="bargauge",
    ),
    Panel(
        "Confidence of fields",
        (
            (
                "p10",
                "histogram_quantile(0.1, sum by (le) (rate(docloop_field_confidence_bucket[1h])))",
            ),
            (
                "p50",
                "histogram_quantile(0.5, sum by (le) (rate(docloop_field_confidence_bucket[1h])))",
            ),
        ),
        "percentunit",
    ),
    Panel(
        "Right, by confidence",
        (
            (
                "up to {{le}}",
                (
                    'sum by (le) (increase(docloop_reviewed_confidence_bucket{right="true"}[1d])) '
                    "/ sum by (le) (increase(docloop_reviewed_confidence_bucket[1d]) > 0)"
                ),
            ),
        ),
        "percentunit",
        kind="bargauge",
        width=12,
        about="Share of the reviewed fields of at most this confidence that was right.",
    ),
    Panel(
        "Confidence less truth",
        (("gap", "docloop:calibration_gap:1d"),),
        "percentunit",
        width=12,
        alarm=0.15,
    ),
    Panel("Served version", (("{{model_version}}", "max by (model_version) (docloop_model)"),)),
    Panel(
        "Swaps",
        (("{{way}} {{result}}", "sum by (way, result) (increase(docloop_swaps_total[1d]))"),),
        kind="bargauge",
    ),
    one(
        "Longest pause of a swap",
        "histogram_quantile(0.99, sum by (le) (increase(docloop_swap_pause_seconds_bucket[1d])))",
        "s",
    ),
    Panel(
        "Canary",
        (
            (
                "{{answered_by}}",
                f"sum by (answered_by) (rate(docloop_canary_answers_total[{RATE}]))",
            ),
        ),
        "reqps",
        width=12,
    ),
    Panel(
        "Shadow",
        (("{{result}}", f"sum by (result) (rate(docloop_shadow_answers_total[{RATE}]))"),),
        "reqps",
        width=12,
    ),
]
TRAINING = [
    stat("Corrections that wait", "max(docloop_training_waiting_corrections)"),
    stat("Held for a second person", "max(docloop_training_held_corrections)"),
    stat("Since the last finished cycle", "docloop:training_silence_seconds", "s"),
    stat("Longest time between two", "max(docloop_training_period_seconds)", "s"),
    stat("Stage done", "max(docloop_training_stage_progress_ratio)", "percentunit"),
    stat("Champion's generation", "max(docloop_champion_generation)"),
    Panel("Stage", (("{{stage}}", "max by (stage) (docloop_training_stage_info)"),), width=12),
    one(
        "Progress of the stage",
        "max(docloop_training_stage_progress_ratio)",
        "percentunit",
        width=12,
    ),
    Panel(
        "Cycles",
        (("{{result}}", "sum by (result) (increase(docloop_training_runs_total[7d]))"),),
        kind="bargauge",
    ),
    one(
        "Time of a cycle",
        "sum(increase(docloop_training_cycle_duration_seconds_sum[7d])) "
        "/ (sum(increase(docloop_training_cycle_duration_seconds_count[7d])) > 0)",
        "s",
    ),
    Panel(
        "Rollbacks",
        (("{{reason}}", "sum by (reason) (increase(docloop_rollbacks_total[7d]))"),),
        kind="bargauge",
    ),
    Panel(
        "Corrections",
        (
            ("wait", "max(docloop_training_waiting_corrections)"),
            ("held", "max(docloop_training_held_corrections)"),
            ("least for a cycle", "max(docloop_training_least_corrections)"),
        ),
        width=24,
    ),
]
DASHBOARDS = {
    "service": ("Docloop: service", SERVICE),
    "quality": ("Docloop: quality", QUALITY),
    "training": ("Docloop: training", TRAINING),
}


def written() -> dict[Path, str]:
    """Every dashboard's file and its content."""
    return {
        FOLDER / f"{uid}.json": json.dumps(dashboard(uid, title, panels), indent=1) + "\n"
        for uid, (title, panels) in DASHBOARDS.items()
    }


if __name__ == "__main__":
    for path, content in written().items():
        path.write_text(content)
