"""The callbacks for libraries of training loops say what they need."""

from __future__ import annotations

import importlib
import sys

import pytest

from tuner.errors import NotAvailable


@pytest.mark.parametrize("library", ["lightning", "transformers"])
def test_a_missing_library_is_named_with_its_extra(monkeypatch, library):
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"tuner.training.{library}", raising=False)
    with pytest.raises(NotAvailable, match=library) as caught:
        importlib.import_module(f"tuner.training.{library}")
    assert f"tuner[{library}]" in caught.value.hint
