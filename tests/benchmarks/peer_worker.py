"""Runs another engine's Python package, in an environment that has the package and nothing of ours; see peers.py.

    python peer_worker.py ENGINE MODEL THREADS CONTEXT_TOKENS

After a line `{"version": ...}` each line `{"prompt": ..., "tokens": N}` is answered with the seconds until the first
piece of text and, as the median, from one piece to the next. The median, because packages hold back a token or two and
hand them out together at the end.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

BATCH_TOKENS = 512

Generate = Callable[[str, int], Iterator[object]]
"""Yields something for each token of an answer."""


def gpt4all(path: str, threads: int, context_tokens: int) -> Generate:
    from gpt4all import GPT4All

    folder, name = os.path.split(path)
    model = GPT4All(
        name, model_path=folder, allow_download=False, device="cpu", n_threads=threads, n_ctx=context_tokens
    )

    def generate(prompt: str, tokens: int) -> Iterator[object]:
        return model.generate(
            prompt, max_tokens=tokens, temp=0.0, repeat_penalty=1.0, n_batch=BATCH_TOKENS, streaming=True
        )

    return generate


def xllamacpp(path: str, threads: int, context_tokens: int) -> Generate:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.n_ctx = context_tokens
    parameters.n_batch = parameters.n_ubatch = BATCH_TOKENS
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(parameters)

    def generate(prompt: str, tokens: int) -> Iterator[object]:
        at: list[float] = []
        request = {"prompt": prompt, "n_predict": tokens, "temperature": 0.0, "ignore_eos": True}

        def on_piece(_: object) -> bool:
            at.append(time.perf_counter())
            return False  # go on

        server.handle_completions({**request, "stream": True, "cache_prompt": False}, on_piece)
        yield from at

    return generate


def llama_cpp(path: str, threads: int, context_tokens: int) -> Generate:
    from llama_cpp import Llama

    model = Llama(path, n_ctx=context_tokens, n_threads=threads, n_threads_batch=threads, verbose=False)

    def generate(prompt: str, tokens: int) -> Iterator[object]:
        return iter(model.create_completion(prompt, max_tokens=tokens, temperature=0.0, stream=True))

    return generate


ENGINES = {"gpt4all": gpt4all, "xllamacpp": xllamacpp, "llama-cpp-python": llama_cpp}


def main() -> None:
    name, path, threads, context_tokens = sys.argv[1:]
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the packages print goes to the log
    generate = ENGINES[name](path, int(threads), int(context_tokens))
    print(json.dumps({"version": importlib.metadata.version(name)}), file=events, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        started = time.perf_counter()
        times = []
        for piece in generate(request["prompt"], request["tokens"]):
            times.append(piece if isinstance(piece, float) else time.perf_counter())
        steps = [later - earlier for earlier, later in pairwise(times)]
        figures = {"first_s": times[0] - started, "token_s": statistics.median(steps)}
        print(json.dumps(figures), file=events, flush=True)


if __name__ == "__main__":
    main()
