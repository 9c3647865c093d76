"""The unexpanded space of a study: the optimizer shorthand, and parameters or overrides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tuner.core.model import Value, field_error, join, parse
from tuner.core.space import check_name, dump_parameter, parse_parameter
from tuner.errors import InvalidSpace

Size = Literal["small", "medium", "large"]


class OptimizerChoice(Value):
    """The shorthand that the server expands from its registry of optimizers."""

    names: tuple[str, ...] = Field(min_length=1)
    size: Size | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        if isinstance(data, str):
            data = [data]
        if isinstance(data, list | tuple):
            data = {"names": data}
        if isinstance(data, Mapping) and isinstance(data.get("names"), list):
            data = {**data, "names": tuple(data["names"])}
        return data

    @model_validator(mode="after")
    def _distinct(self) -> OptimizerChoice:
        for i, name in enumerate(self.names):
            if name in self.names[:i]:
                raise field_error(f"{name[:80]!r} is given twice.", at=f"names[{i}]", found=name)
        return self


class SpaceSpec(BaseModel):
    """The unexpanded space: the optimizer shorthand, and parameters or overrides.

    `parameters` holds plain data: entries with a `type` are complete parameters (written out),
    those without override an entry that the shorthand makes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    optimizers: OptimizerChoice | None = None
    parameters: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @classmethod
    def read(
        cls, data: Any, path: str = "space", optimizers: OptimizerChoice | None = None
    ) -> SpaceSpec:
        """Read any of the accepted forms.

        Args:
            data: What stands in the study.
            path: Where it stands, for errors.
            optimizers: The shorthand where it is given elsewhere (by `compare`).

        Raises:
            InvalidSpace: With the path of the mistake.
        """
        if isinstance(data, SpaceSpec):
            return data
        if not isinstance(data, Mapping):
            raise InvalidSpace.at(path, "expected a mapping of parameters.", found=repr(data)[:80])
        if not data and optimizers is None:
            raise InvalidSpace.at(path, "has no parameters; name at least one.")
        choice, raw, inner = _parts(data, path)
        if choice is not None:
            own = parse(OptimizerChoice, choice, join(path, "optimizers"), InvalidSpace)
            _check_same(own, optimizers)
            optimizers = own
        if optimizers is None and not raw:
            raise InvalidSpace.at(path, "has no parameters; name at least one.")
        parameters = {}
        for name, item in raw.items():
            check_name(name, inner)
            parameters[name] = _read_entry(item, join(inner, name), optimizers is not None)
        return cls(optimizers=optimizers, parameters=parameters)


def is_short(data: Any) -> bool:
    """Whether a space is a mapping of parameters only, without `parameters` before them."""
    return isinstance(data, Mapping) and not set(data) & {"optimizers", "parameters"}


def _parts(data: Mapping[str, Any], path: str) -> tuple[Any, Mapping[str, Any], str]:
    """The shorthand as given, the parameters, and the path of these."""
    if is_short(data):
        return None, data, path
    for key in data:
        if key not in ("optimizers", "parameters"):
            raise InvalidSpace.at(
                join(path, key),
                "beside optimizers or parameters nothing else may stand; move it under"
                " parameters.",
                found=key,
                allowed=["optimizers", "parameters"],
            )
    inner = join(path, "parameters")
    raw = data.get("parameters") or {}
    if not isinstance(raw, Mapping):
        raise InvalidSpace.at(inner, "expected a mapping of names to parameters.")
    return data.get("optimizers"), raw, inner


def _check_same(own: OptimizerChoice, compared: OptimizerChoice | None) -> None:
    if compared is not None and set(own.names) != set(compared.names):
        raise InvalidSpace.at(
            "compare.optimizers",
            f"names {', '.join(compared.names)}, but space.optimizers names"
            f" {', '.join(own.names)}; give them once.",
            found=list(compared.names),
            allowed=list(own.names),
        )


def _read_entry(item: Any, path: str, has_shorthand: bool) -> dict[str, Any]:
    """One entry of `parameters`: a complete parameter written out, or an override as given."""
    if hasattr(item, "model_dump"):
        return dump_parameter(item)
    if isinstance(item, Mapping) and "type" not in item and has_shorthand:
        override = {key: value for key, value in item.items() if value is not None}
        if override.get("log") is True and "scale" not in override:
            override["scale"] = "log"
            del override["log"]
        return override
    return dump_parameter(parse_parameter(item, path))
