"""Models in every form, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.frontend.forms import Example, keras_models, tf1_models, tf2_models


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the models lie."""
    return tmp_path_factory.mktemp("forms")


@pytest.fixture(scope="session")
def tf1_examples(folder: Path) -> dict[str, Example]:
    return tf1_models(folder)


@pytest.fixture(scope="session")
def tf2_examples(folder: Path) -> dict[str, Example]:
    return tf2_models(folder)


@pytest.fixture(scope="session")
def keras_examples(folder: Path) -> dict[str, Example]:
    return keras_models(folder)
