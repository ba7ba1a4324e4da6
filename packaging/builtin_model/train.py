"""Trains the built-in model from nothing on the generated corpus: python train.py --out FOLDER."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import time
from collections import defaultdict
from dataclasses import asdict, replace
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F
from batches import Batch, Encoder, Packer
from development import Probe, development_probe
from dialogues import Corpus, Shares
from network import Network, Shape
from optimizer import Muon
from tokenizer import load_or_train
from torch import Tensor

LONG_EVERY_STEPS = 30
LONG_LENGTH_TOKENS = 1024
WARM_UP_STEPS = 40


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for tokenizer, weights and log")
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--rows", type=int, default=22)
    parser.add_argument("--length", type=int, default=192, help="tokens per row")
    parser.add_argument("--vocabulary", type=int, default=3072)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=576)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--matrix-rate", type=float, default=0.02, help="learning rate of Muon")
    parser.add_argument("--other-rate", type=float, default=3e-3, help="learning rate of AdamW")
    parser.add_argument("--question-weight", type=float, default=0.0)
    parser.add_argument("--hold", type=float, default=0.35, help="share of steps at the full rate")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start-from", type=Path, help="weights.pt of an earlier run to go on from")
    parser.add_argument("--copying", type=float, default=1.0, help="factor on the share of names and repetitions")
    parser.add_argument("--probe-every", type=int, default=200)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    vocabulary = options.out / "tokenizer.json"
    if options.start_from:
        shutil.copyfile(options.start_from.parent / vocabulary.name, vocabulary)
    tokenizer = load_or_train(vocabulary, options.vocabulary, options.seed)
    usual = Shares()
    shares = replace(usual, name=usual.name * options.copying, repeat=usual.repeat * options.copying)
    corpus = Corpus(Random(options.seed), shares=shares)
    encoder = Encoder(tokenizer, options.question_weight)
    packer = Packer(corpus, encoder, Random(options.seed + 1))
    shape = Shape(
        vocabulary=tokenizer.get_vocab_size(),
        width=options.width,
        heads=options.width // 32,
        kv_heads=options.width // 64,
        layers=options.layers,
        hidden=options.hidden,
        dropout=options.dropout,
    )
    network = Network(shape)
    if options.start_from:
        network.load_state_dict(torch.load(options.start_from, weights_only=True)["weights"])
    size = sum(weight.numel() for weight in network.parameters())
    print(f"{size:,} parameters, {shape.vocabulary} tokens", flush=True)
    probe = development_probe(corpus, encoder, Random(options.seed + 2))
    log = run(network, packer, probe, options)
    save(network, options.out)
    summary = {"parameters": size, "met": corpus.held_out.met, "turns": packer.turns, "log": log}
    (options.out / "training.json").write_text(json.dumps(summary, indent=1))


def save(network: Network, folder: Path) -> None:
    """Weights and shape, as export.py reads them."""
    torch.save({"shape": asdict(network.shape), "weights": network.state_dict()}, folder / "weights.pt")


def run(network: Network, packer: Packer, probe: Probe, options: argparse.Namespace) -> list[dict[str, object]]:
    """The training loop; returns what it printed."""
    matrices = [p for n, p in network.named_parameters() if p.dim() == 2 and "embedding" not in n]
    others = [p for n, p in network.named_parameters() if p.dim() < 2 or "embedding" in n]
    muon = Muon(matrices, options.matrix_rate)
    adam = torch.optim.AdamW(others, lr=options.other_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    log: list[dict[str, object]] = []
    mean_loss = 0.0
    tokens = 0
    cpu_start, start = time.process_time(), time.monotonic()
    network.train()
    for step in range(1, options.steps + 1):
        factor = rate_factor(step, options.steps, options.hold)
        muon.rate = options.matrix_rate * factor
        adam.param_groups[0]["lr"] = options.other_rate * factor
        batch = next_batch(packer, step, options)
        loss, answer_loss = losses(network, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        muon.step()
        adam.step()
        network.zero_grad(set_to_none=True)
        tokens += batch.ids.numel()
        mean_loss = answer_loss if step == 1 else 0.97 * mean_loss + 0.03 * answer_loss
        if step % 25 == 0 or step == options.steps:
            entry: dict[str, object] = {
                "step": step,
                "tokens": tokens,
                "turns": packer.turns,
                "loss": round(mean_loss, 4),
                "cpu_s": round(time.process_time() - cpu_start),
                "wall_s": round(time.monotonic() - start),
            }
            if step % options.probe_every == 0 or step == options.steps:
                entry["right"] = accuracy(network, probe)
                save(network, options.out)
            log.append(entry)
            print(json.dumps(entry), flush=True)
    return log


def rate_factor(step: int, steps: int, hold: float) -> float:
    """Warm-up, a plateau, then half a cosine down to nearly nothing."""
    if step <= WARM_UP_STEPS:
        return step / WARM_UP_STEPS
    progress = max(0.0, (step / steps - hold) / max(1 - hold, 1e-6))
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))


def next_batch(packer: Packer, step: int, options: argparse.Namespace) -> Batch:
    """Mostly short rows; now and then long chats, so that all positions of the context are learned."""
    if step % LONG_EVERY_STEPS == 0:
        rows = max(1, options.rows * options.length // LONG_LENGTH_TOKENS)
        return packer.batch(rows, LONG_LENGTH_TOKENS, most_turns=24)
    return packer.batch(options.rows, options.length, most_turns=5)


def losses(network: Network, batch: Batch) -> tuple[Tensor, float]:
    """The weighted cross entropy, and the mean over the tokens of answers alone."""
    weights = batch.weights.flatten()
    chosen = weights.nonzero().squeeze(1)
    logits = network.logits(network(batch.ids, batch.mask, chosen))
    each = F.cross_entropy(logits, batch.targets.flatten()[chosen], reduction="none")
    weights = weights[chosen]
    return (each * weights).sum() / weights.sum(), float(each.detach()[weights == 1].mean())


@torch.no_grad()
def accuracy(network: Network, probe: Probe) -> dict[str, float]:
    """Share of answers of the probe that greedy decoding would give word for word, by kind."""
    network.eval()
    right: dict[str, list[bool]] = defaultdict(list)
    for kinds, ids, answers in probe.batches():
        best = network.logits(network(ids[:, :-1])).argmax(-1)
        fits = ((best == ids[:, 1:]) | ~answers[:, 1:]).all(1)
        for kind, fit in zip(kinds, fits.tolist(), strict=True):
            right[kind].append(fit)
    network.train()
    return {kind: round(sum(fits) / len(fits), 3) for kind, fits in sorted(right.items())}


if __name__ == "__main__":
    main()
