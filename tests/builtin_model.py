"""The real built-in model for tests, fetched once a machine and kept outside the repository."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from jan_server.inference import builtin_model
from jan_server.inference.model_store import ModelStore


def builtin_model_store() -> ModelStore:
    """A store that holds the built-in model."""
    cache = os.environ.get("JAN_TEST_MODELS") or Path.home() / ".cache" / "jan-tests" / "models"
    store = ModelStore(Path(cache))
    builtin_model.fetch(store)
    return store


def give_builtin_model(home: Path) -> None:
    """Put the built-in model into a home folder, as `jan models pull` would."""
    cached = builtin_model_store()
    store = ModelStore(home / "models")
    partial = store.partial(builtin_model.FILE)
    try:
        os.link(cached.path(builtin_model.MODEL), partial)
    except OSError:
        shutil.copyfile(cached.path(builtin_model.MODEL), partial)
    store.adopt(partial, builtin_model.MODEL)
