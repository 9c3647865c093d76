"""The JSON Schema of study files with every option, made from the core and the registries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from tuner.api.model_schema import model_schema
from tuner.core.compare import CompareForm
from tuner.core.lifecycle import RETRYABLE
from tuner.core.names import PARAMETER_NAME, STUDY_NAME
from tuner.core.parameter import CLASSES
from tuner.core.space import RESERVED
from tuner.core.space_spec import Size
from tuner.core.study import Budget, Constraint, Objective, TrialSpec
from tuner.optimizers import registry as optimizers
from tuner.pruners import registry as pruners
from tuner.samplers import registry as samplers
from tuner.tasks.groups import DOC, GROUPS, MOST, NAME
from tuner.tasks.option import Option
from tuner.tasks.registry import OPTIONS
from tuner.tasks.source import MOST_READS, READS, READS_DOC

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ROOT: Final = "Study"
_SCALAR: Final = {"type": ["boolean", "number", "string"]}
_LOG: Final = {"type": "boolean", "description": "Short for `scale: log`."}
EXAMPLE: Final[dict[str, Any]] = {
    "name": "digits-optimizers",
    "objectives": [{"metric": "val_loss", "direction": "minimize", "from": "best"}],
    "space": {
        "optimizers": ["sgd", "momentum", "adam"],
        "parameters": {
            "batch_size": {"type": "int", "low": 16, "high": 256, "log": True},
            "adam.lr": {"low": 1e-5, "high": 1e-2},
        },
    },
    "sampler": {"name": "gp", "seed": 7},
    "pruner": {"name": "asha", "min_step": 1, "max_step": 27, "reduction_factor": 3},
    "budget": {"trials": 60},
    "trial": {"task": {"dataset": "digits", "model": "mlp", "epochs": 27}},
    "tags": {"team": "vision"},
}


def study_schema() -> dict[str, Any]:
    """The schema of a study file, complete in itself (draft 2020-12)."""
    named = definitions("#/$defs/")
    root = named.pop("NewStudy")
    return {"$schema": DIALECT, "title": ROOT, **root, "$defs": named}


def definitions(prefix: str) -> dict[str, dict[str, Any]]:
    """The schema's parts by name; `NewStudy` is the whole study.

    Args:
        prefix: What references to the parts start with, e.g. `#/$defs/`.
    """
    parts: dict[str, dict[str, Any]] = {}
    for model in (Objective, Constraint, Budget, TrialSpec, *CLASSES.values()):
        parts.update(model_schema(model, prefix))
    for cls in CLASSES.values():
        _parameter(parts[cls.__name__])
    trial = parts["TrialSpec"]
    trial["properties"]["task"] = _ref(prefix, "Task")
    trial["properties"]["retry_on"]["items"] = {"enum": sorted(RETRYABLE)}
    trial["oneOf"] = [{"required": [kind]} for kind in ("task", "python", "command")]
    parts["Task"] = _task()
    parts["Override"] = _override(parts)
    parts["Parameter"] = {
        "description": "One dimension of the search space.",
        "oneOf": [_ref(prefix, cls.__name__) for cls in CLASSES.values()],
    }
    parts["ObjectiveForm"] = _objective(prefix)
    parts["Optimizers"] = _optimizers()
    parts["Space"] = _space(prefix)
    parts["Compare"] = _compare(prefix)
    parts["Sampler"] = _named(
        "proposes parameters", {n: e.options for n, e in samplers.ENTRIES.items()}
    )
    parts["Pruner"] = _named(
        "stops trials early", {n: e.cls.Options for n, e in pruners.ENTRIES.items()}
    )
    parts["NewStudy"] = _study(prefix)
    return parts


def _study(prefix: str) -> dict[str, Any]:
    objective = _ref(prefix, "ObjectiveForm")
    return {
        "description": "A study: search space, objectives, budget and how a trial is run.",
        "type": "object",
        "properties": {
            "name": {
                "type": "string",
                "pattern": f"^{STUDY_NAME.pattern}$",
                "not": {"enum": [".", ".."]},
                "description": "Its name, once per server.",
            },
            "objective": {**objective, "description": "Short for `objectives` of one."},
            "objectives": {
                "type": "array",
                "items": objective,
                "minItems": 1,
                "maxItems": 8,
                "description": "One, or several for multi-objective search.",
            },
            "constraints": {
                "type": "array",
                "items": _ref(prefix, "Constraint"),
                "maxItems": 32,
                "description": "Bounds on metrics; a trial that breaks one is infeasible.",
            },
            "space": _ref(prefix, "Space"),
            "sampler": {**_ref(prefix, "Sampler"), "default": "gp"},
            "pruner": {**_ref(prefix, "Pruner"), "default": "none"},
            "budget": _ref(prefix, "Budget"),
            "compare": {
                **_ref(prefix, "Compare"),
                "description": "Compare optimizers fairly: the same tuning budget for each, and"
                " the best setting of each confirmed on fresh seeds.",
            },
            "trial": {
                **_ref(prefix, "TrialSpec"),
                "description": "How a trial is run; without it the study is for ask and tell.",
            },
            "tags": {
                "type": "object",
                "additionalProperties": _SCALAR,
                "maxProperties": 64,
                "description": "Labels of your own.",
            },
        },
        "required": ["name"],
        "anyOf": [{"required": ["space"]}, {"required": ["compare"]}],
        "oneOf": [{"required": ["objective"]}, {"required": ["objectives"]}],
        "additionalProperties": False,
        "examples": [EXAMPLE],
    }


def _compare(prefix: str) -> dict[str, Any]:
    """A list of optimizers, or a mapping; the optimizers may stand in the space."""
    form = dict(model_schema(CompareForm, prefix)["CompareForm"])
    form["properties"] = {**form["properties"], "optimizers": _ref(prefix, "Optimizers")}
    form["not"] = {"required": ["trials", "seconds"]}
    return {"anyOf": [{**_several(), "minItems": 2}, form]}


def _objective(prefix: str) -> dict[str, Any]:
    direction = {"enum": ["minimize", "maximize"]}
    return {
        "description": "A metric and its direction: a mapping, `[metric, direction]` or the metric.",
        "anyOf": [
            _ref(prefix, "Objective"),
            {"type": "string", "minLength": 1, "maxLength": 128},
            {
                "type": "array",
                "prefixItems": [{"type": "string", "minLength": 1, "maxLength": 128}, direction],
                "items": False,
                "minItems": 1,
            },
        ],
    }


def _optimizers() -> dict[str, Any]:
    several = _several()
    one = several["items"]
    return {
        "description": "Optimizers whose hyperparameters are searched; the server expands them.",
        "anyOf": [
            one,
            several,
            {
                "type": "object",
                "properties": {
                    "names": {"anyOf": [one, several]},
                    "size": {
                        "enum": list(Size.__args__),  # type: ignore[attr-defined]
                        "description": "How many parameters of each; else from budget.trials.",
                    },
                },
                "required": ["names"],
                "additionalProperties": False,
            },
        ],
    }


def _several() -> dict[str, Any]:
    one = {"type": "string", "enum": optimizers.names()}
    return {"type": "array", "items": one, "minItems": 1, "uniqueItems": True}


def _space(prefix: str) -> dict[str, Any]:
    names = {"pattern": f"^{PARAMETER_NAME.pattern}$"}
    plain = {
        "type": "object",
        "propertyNames": names,
        "additionalProperties": _ref(prefix, "Parameter"),
        "minProperties": 1,
    }
    laid_over = {
        "type": "object",
        "propertyNames": names,
        "additionalProperties": {
            "anyOf": [_ref(prefix, "Parameter"), _ref(prefix, "Override")],
        },
    }
    return {
        "description": "What is searched: optimizers, parameters, or names to parameters.",
        "anyOf": [
            {
                "type": "object",
                "properties": {"optimizers": _ref(prefix, "Optimizers"), "parameters": laid_over},
                "required": ["optimizers"],
                "additionalProperties": False,
            },
            {
                "type": "object",
                "properties": {"parameters": plain},
                "required": ["parameters"],
                "additionalProperties": False,
            },
            {**plain, "propertyNames": {**names, "not": {"enum": sorted(RESERVED)}}},
        ],
    }


def _parameter(schema: dict[str, Any]) -> None:
    """Add the short forms that are written out on reading, and ask for `type`."""
    properties = schema["properties"]
    if "scale" in properties:
        properties["log"] = _LOG
    properties["when"] = {
        "type": "object",
        "description": "Active only while each named parameter has one of these values.",
        "additionalProperties": {
            "anyOf": [_SCALAR, {"type": "array", "items": _SCALAR, "minItems": 1}]
        },
    }
    schema["required"] = ["type", *schema.get("required", [])]


def _override(parts: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Keys laid over a parameter that the shorthand makes: no `type`, no `when`."""
    properties: dict[str, list[Any]] = {}
    for cls in CLASSES.values():
        for key, schema in parts[cls.__name__]["properties"].items():
            if key not in ("type", "when") and schema not in properties.setdefault(key, []):
                properties[key].append(schema)
    return {
        "description": "Keys to change on a parameter that `optimizers` makes.",
        "type": "object",
        "properties": {
            key: found[0] if len(found) == 1 else {"anyOf": found}
            for key, found in properties.items()
            if found
        },
        "additionalProperties": False,
    }


def _task() -> dict[str, Any]:
    return {
        "description": "A built-in training task.",
        "type": "object",
        "properties": {
            **{option.name: _option(option) for option in OPTIONS.values()},
            GROUPS: _groups(),
            READS: _reads(),
        },
        "required": [option.name for option in OPTIONS.values() if option.required],
        "oneOf": [{"required": ["dataset"]}, {"required": ["data"]}],
        "additionalProperties": False,
    }


def _groups() -> dict[str, Any]:
    """Parameter groups; beside these keys a group takes any parameter of its optimizer."""
    return {
        "description": DOC,
        "type": "array",
        "maxItems": MOST,
        "items": {
            "type": "object",
            "properties": {
                "match": {"type": "string", "minLength": 1},
                "type": {"type": "string", "minLength": 1},
                "name": {"type": "string", "pattern": f"^{NAME.pattern}$"},
                "optimizer": {"type": "string", "enum": optimizers.names()},
                "lr_factor": {"type": "number", "minimum": 0},
            },
            "additionalProperties": {"type": ["number", "boolean"]},
            "anyOf": [{"required": ["match"]}, {"required": ["type"]}],
        },
    }


def _reads() -> dict[str, Any]:
    name = {"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_-]{0,127}$"}
    return {
        "description": READS_DOC,
        "anyOf": [
            {"type": "array", "items": name, "maxItems": MOST_READS},
            {
                "type": "object",
                "propertyNames": name,
                "additionalProperties": _SCALAR,
                "maxProperties": MOST_READS,
            },
        ],
    }


def _option(option: Option) -> dict[str, Any]:
    schema: dict[str, Any] = {"description": option.doc}
    if option.type == "categorical":
        choices = list(option.choices) or (
            optimizers.names() if option.name == "optimizer" else []
        )
        schema["type"] = "string"
        if choices and option.pattern:
            schema["anyOf"] = [{"enum": choices}, {"pattern": f"^(?:{option.pattern})$"}]
        elif choices:
            schema["enum"] = choices
    elif option.type in ("bool", "text"):
        schema["type"] = "boolean" if option.type == "bool" else "string"
        if option.pattern:
            schema["pattern"] = f"^(?:{option.pattern})$"
    else:
        schema["type"] = "integer" if option.type == "int" else "number"
        schema |= {
            key: value
            for key, value in (("minimum", option.low), ("maximum", option.high))
            if value is not None
        }
    if option.default is not None:
        schema["default"] = option.default
    return schema


def _named(does: str, options: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """A name, or a mapping with the name and the options of exactly that entry."""
    forms: list[dict[str, Any]] = [{"type": "string", "enum": list(options)}]
    for name, model in options.items():
        schema = dict(model_schema(model, "")[model.__name__])
        schema["properties"] = {"name": {"const": name}, **schema.get("properties", {})}
        schema["required"] = ["name", *schema.get("required", [])]
        forms.append(schema)
    return {"description": f"By name, with its options: {does}.", "anyOf": forms}


def _ref(prefix: str, name: str) -> dict[str, Any]:
    return {"$ref": prefix + name}
