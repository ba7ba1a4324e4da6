"""What llama.cpp uses of a processor, out of its line about the system."""

from __future__ import annotations

_NO_INSTRUCTIONS = frozenset({"ACCELERATE", "KLEIDIAI", "LLAMAFILE", "OPENMP", "REPACK"})  # how ggml was built


def processor_features(system_info: str) -> tuple[str, ...]:
    """The instruction sets in use, e.g. ("AVX2", "FMA"), of `llama_print_system_info`.

    That lists backends with what each has: "CUDA : ARCHS = 890 | CPU : AVX2 = 1 | FMA = 1 | OPENMP = 1 |".
    """
    found = []
    backend = ""
    for part in system_info.split("|"):
        if ":" in part:
            backend, _, part = part.rpartition(":")
        name, _, value = (word.strip() for word in part.partition("="))
        if backend.strip() == "CPU" and value == "1" and name not in _NO_INSTRUCTIONS:
            found.append(name)
    return tuple(found)
