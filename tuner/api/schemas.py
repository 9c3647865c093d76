"""What the API takes and answers, as JSON Schemas with examples (OpenAPI 3.1 components)."""

from __future__ import annotations

from typing import Any, Final

from tuner.api.model_schema import METRIC_VALUE, model_schema
from tuner.api.study_schema import definitions
from tuner.core import messages
from tuner.core.lifecycle import StopReason, StudyState, TrialState

PREFIX: Final = "#/components/schemas/"
BODIES: Final = (
    messages.Ask,
    messages.Report,
    messages.Heartbeat,
    messages.Release,
    messages.Tell,
    messages.Log,
    messages.NewTrial,
    messages.NewTrials,
    messages.StudyChange,
    messages.Confirm,
    messages.NewWorker,
    messages.WorkerLease,
    messages.WorkerHeartbeat,
)
_TEXT: Final = {"type": "string"}
_TEXT_OR_NULL: Final = {"type": ["string", "null"]}
_COUNT: Final = {"type": "integer", "minimum": 0}
_OBJECT: Final = {"type": "object"}
_OBJECT_OR_NULL: Final = {"type": ["object", "null"]}
_TIME: Final = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Final = {"type": ["string", "null"], "format": "date-time"}
_METRICS: Final = {"type": "object", "additionalProperties": METRIC_VALUE}
TRIAL: Final[dict[str, Any]] = {
    "study": _TEXT,
    "number": _COUNT,
    "state": {"enum": [state.value for state in TrialState]},
    "params": {
        "type": "object",
        "description": "Active parameters only; inactive ones are absent, never null.",
        "additionalProperties": {"type": ["boolean", "number", "string"]},
    },
    "values": {**_METRICS, "description": "The objectives' final values; {} when none."},
    "diverged": {"type": "boolean", "description": "Whether a final value is not finite."},
    "reason": {**_TEXT_OR_NULL, "description": "Why it ended other than well."},
    "message": _TEXT_OR_NULL,
    "attempt": {**_COUNT, "description": "Grows with every new lease, from 1."},
    "worker_id": _TEXT_OR_NULL,
    "created_at": _TIME,
    "started_at": _TIME_OR_NULL,
    "finished_at": _TIME_OR_NULL,
    "user_attrs": {
        **_OBJECT,
        "description": "Free, but for `confirms` and `replicate`: this trial repeats the trial of"
        " that number on its n-th fresh seed.",
    },
    "sampler": {
        **_OBJECT_OR_NULL,
        "description": "What made it, and how many results it had not yet seen (`unseen`).",
    },
}
_ASKED: Final[dict[str, Any]] = {
    "lease": {**_TEXT, "description": "Opaque; goes with every report, heartbeat and tell."},
    "lease_expires_at": _TIME,
    "runner": {**_OBJECT_OR_NULL, "description": "`{task}`, `{python}` or `{command}`."},
    "resources": _OBJECT_OR_NULL,
    "timeout": {"type": ["number", "null"], "description": "Seconds for one attempt."},
    "grace": {"type": "number", "description": "Seconds between SIGTERM and SIGKILL."},
    "checkpoint": _OBJECT_OR_NULL,
}
_STOP: Final = {"enum": [*(reason.value for reason in StopReason), None]}
_TRIAL_EXAMPLE: Final[dict[str, Any]] = {
    "study": "digits-optimizers",
    "number": 12,
    "state": "complete",
    "params": {"optimizer": "adam", "adam.lr": 0.0021, "batch_size": 64},
    "values": {"val_loss": 0.0713},
    "diverged": False,
    "reason": None,
    "message": None,
    "attempt": 1,
    "worker_id": "gpu-box",
    "created_at": "2026-11-20T09:12:04.120000Z",
    "started_at": "2026-11-20T09:12:04.120000Z",
    "finished_at": "2026-11-20T09:12:31.508000Z",
    "user_attrs": {},
    "sampler": {"name": "gp", "index": 12, "unseen": 0},
}
_PROBLEM_EXAMPLE: Final = {
    "type": "urn:tuner:error:unknown-name",
    "title": "Unknown name",
    "status": 422,
    "detail": "sampler.name: no sampler is named 'gpp'. Did you mean 'gp'?",
    "code": "unknown-name",
    "hint": "Known: random, grid, qmc, tpe, gp.",
    "errors": [
        {
            "path": "sampler.name",
            "found": "gpp",
            "allowed": ["random", "grid", "qmc", "tpe", "gp"],
            "nearest": "gp",
        }
    ],
    "request_id": "5f0c1a9be2d47730",
}


def components() -> dict[str, Any]:
    """All component schemas by name."""
    named: dict[str, Any] = {}
    for model in BODIES:
        named.update(model_schema(model, PREFIX, with_null=True))
    named.update(definitions(PREFIX))
    named.update(_answers())
    named.update(_lists())
    return named


def ref(name: str) -> dict[str, Any]:
    """A reference to a component schema."""
    return {"$ref": PREFIX + name}


def _answers() -> dict[str, Any]:
    trial = _object(TRIAL)
    asked = _object({**TRIAL, **_ASKED}, required=[*TRIAL, "lease", "lease_expires_at"])
    return {
        "Problem": {**_problem(), "examples": [_PROBLEM_EXAMPLE]},
        "Trial": {
            **trial,
            "description": "One evaluation of one set of parameters.",
            "examples": [_TRIAL_EXAMPLE],
        },
        "AskedTrial": {**asked, "description": "A trial as the holder of its lease gets it."},
        "AskedTrials": _object(
            {
                "trials": _array("AskedTrial"),
                "study_state": {"enum": [state.value for state in StudyState]},
            },
            required=["trials"],
        ),
        "Trials": _object({"trials": _array("Trial")}),
        "Study": _study(),
        "MeasurementRow": _object({"attempt": _COUNT, "step": _COUNT, "values": _METRICS}),
        "LogEntry": _object({"attempt": _COUNT, "text": _TEXT, "created_at": _TIME}),
        "Lease": _object(
            {
                "should_stop": {"type": "boolean"},
                "reason": {**_STOP, "description": "Why the trial is to stop."},
                "lease_expires_at": _TIME,
            }
        ),
        "WorkerId": _object({"id": _TEXT}),
        "WorkerLeases": _object(
            {
                "lease_expires_at": _TIME_OR_NULL,
                "stop": {
                    "type": "array",
                    "items": _object(
                        {
                            "study": _TEXT_OR_NULL,
                            "number": {"type": ["integer", "null"]},
                            "lease": _TEXT,
                            "reason": _STOP,
                        }
                    ),
                },
            }
        ),
        "Ready": _object({"ready": {"type": "boolean"}}),
        "Alive": _object({"status": {"const": "ok"}}),
        "Entry": {
            "description": "One entry of a registry: every option, type, range and default.",
            "type": "object",
            "properties": {"name": _TEXT, "title": _TEXT, "source": _TEXT},
            "required": ["name"],
        },
        "Worker": {"type": "object", "properties": {"id": _TEXT}, "required": ["id"]},
        "Importance": {"type": "object", "description": "Importance of each parameter."},
        "Advice": _object(
            {
                "code": {**_TEXT, "description": "Stable; names the kind of advice."},
                "severity": {"enum": ["severe", "warning", "info"]},
                "title": {**_TEXT, "description": "What was seen."},
                "evidence": {**_OBJECT, "description": "The numbers it rests on."},
                "action": {**_TEXT, "description": "What to do."},
                "command": _TEXT_OR_NULL,
                "study_file": {
                    **_OBJECT_OR_NULL,
                    "description": "`{name, yaml}`: a study file ready to run.",
                },
            }
        ),
        "AdviceAnswer": _object(
            {
                "study": _TEXT,
                "state": {"enum": [state.value for state in StudyState]},
                "advice": _array("Advice"),
                "diagnostics": {**_OBJECT, "description": "Training problems recognised."},
            }
        ),
        "Recommendation": _object(
            {
                "situation": _OBJECT,
                "optimizers": {"type": "array", "items": _OBJECT},
                "left_out": {"type": "array", "items": _OBJECT},
                "settings": {"type": "array", "items": _OBJECT},
                "notes": {"type": "array", "items": _TEXT},
                "study": {**_OBJECT, "description": "A study file that compares them."},
            }
        ),
        "AddedTrials": {"anyOf": [ref("NewTrial"), ref("NewTrials")]},
        "AddedAnswer": {"anyOf": [ref("Trial"), ref("Trials")]},
        "Tasks": {"type": "object", "description": "Data sets, models, options and metrics."},
        "OpenAPI": {"type": "object", "description": "An OpenAPI 3.1 document."},
        "JsonSchema": {"type": "object", "description": "A JSON Schema (draft 2020-12)."},
    }


def _lists() -> dict[str, Any]:
    pages = {
        "StudyPage": "Study",
        "TrialPage": "Trial",
        "MeasurementPage": "MeasurementRow",
        "EntryPage": "Entry",
        "WorkerPage": "Worker",
    }
    cursor = {**_TEXT_OR_NULL, "description": "Null exactly when nothing follows."}
    return {
        **{
            name: _object({"items": _array(item), "next_cursor": cursor}, required=["items"])
            for name, item in pages.items()
        },
        "Front": _object({"items": _array("Trial")}),
        "TrialLog": _object({"items": _array("LogEntry")}),
    }


def _study() -> dict[str, Any]:
    own = {
        "name": _TEXT,
        "objectives": _array("Objective"),
        "constraints": _array("Constraint"),
        "space": {**_OBJECT, "description": "As given, unexpanded."},
        "sampler": _OBJECT,
        "pruner": _OBJECT,
        "budget": _OBJECT,
        "compare": {**_OBJECT_OR_NULL, "description": "Of a comparison of optimizers only."},
        "comparison": {
            **_OBJECT_OR_NULL,
            "description": "How far a comparison is: `phase` (searching, confirming, complete),"
            " `searched` of `search_trials`, `confirmed` of `confirm_trials`, with a budget"
            " of seconds `seconds` of training by optimizer.",
        },
        "trial": _OBJECT_OR_NULL,
        "tags": _OBJECT,
        "state": {"enum": [state.value for state in StudyState]},
        "state_reason": _TEXT_OR_NULL,
        "expanded_space": {**_OBJECT, "description": "`parameters`, the shorthand expanded."},
        "counts": _object({state.value: _COUNT for state in TrialState}),
        "best": {"anyOf": [ref("Trial"), {"type": "null"}]},
        "created_at": _TIME_OR_NULL,
        "updated_at": _TIME_OR_NULL,
    }
    required = ["name", "objectives", "space", "expanded_space"]
    return {
        **_object(own, required=required),
        "description": "The specification written out, and how the study stands.",
    }


def _problem() -> dict[str, Any]:
    mistake = _object(
        {
            "path": {**_TEXT, "description": "Where in the input."},
            "found": {"description": "What stands there."},
            "allowed": {"description": "What may stand there."},
            "nearest": {**_TEXT_OR_NULL, "description": "The nearest valid name."},
        }
    )
    fields = {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "code": {**_TEXT, "description": "Stable; names the kind of error."},
        "hint": {**_TEXT, "description": "What to do next."},
        "errors": {"type": "array", "items": mistake},
        "request_id": _TEXT,
    }
    required = ["type", "title", "status", "detail", "code", "request_id"]
    return {**_object(fields, required=required), "description": "An error (RFC 9457)."}


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
    }


def _array(item: str) -> dict[str, Any]:
    return {"type": "array", "items": ref(item)}
