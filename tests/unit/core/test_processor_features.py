from __future__ import annotations

import pytest

from app.core.processor_features import processor_features


@pytest.mark.parametrize(
    ("system_info", "features"),
    [
        ("CPU : SSE3 = 1 | AVX2 = 1 | F16C = 0 | LLAMAFILE = 1 | OPENMP = 1 | REPACK = 1 | ", ("SSE3", "AVX2")),
        ("CUDA : ARCHS = 520,890 | USE_GRAPHS = 1 | CPU : NEON = 1 | ACCELERATE = 1 | ", ("NEON",)),
        ("CPU : AVX2 = 1 | Metal : EMBED_LIBRARY = 1 | ", ("AVX2",)),
        ("", ()),
        ("nothing of the kind", ()),
    ],
)
def test_only_what_the_processor_does_is_named(system_info: str, features: tuple[str, ...]) -> None:
    assert processor_features(system_info) == features
