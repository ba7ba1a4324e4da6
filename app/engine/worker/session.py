"""Conversing with a loaded model: which messages it sees, what of them it has read, what it answers."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from app.core.adapter import Adapter
from app.core.architectures import LAST_TOKEN_ALONE_ARCHITECTURES, SILENT_TOKENS
from app.core.errors import ErrorKind, NoticeKind, UserError
from app.core.events import FinishReason, Notice, PromptStarted
from app.core.messages import Role
from app.core.prompt import fit_messages, prompt_limit
from app.core.reasoning import ReasoningMarks
from app.core.sampling import Sampling
from app.core.template_check import OWN
from app.engine.protocol import ChatMessage, Generate, Load
from app.engine.worker.answer import Answer, AnswerLimits
from app.engine.worker.backend import Emit, RequestControl
from app.engine.worker.binding import engine_version, llama
from app.engine.worker.context_growth import ContextGrowth
from app.engine.worker.conversation_format import ConversationFormat
from app.engine.worker.conversation_memory import ConversationMemory
from app.engine.worker.format_choice import FormatChoice
from app.engine.worker.grammar import Grammar, grammar_text
from app.engine.worker.loaded_model import BATCH_TOKENS, LoadedModel
from app.engine.worker.model_hash import model_hash
from app.engine.worker.sampler import SamplerChain
from app.engine.worker.saved_sequence import shared_length
from app.engine.worker.scheduler import Scheduler
from app.engine.worker.sequence import ContextSequence
from app.engine.worker.speculation import MAX_DRAFT_TOKENS, AdaptiveControl, DecodeTimes, PromptLookup, Speculation
from app.engine.worker.speculation.draft_model import DraftModel
from app.engine.worker.speculation.exact_width import ExactWidth
from app.engine.worker.speculation.nextn import PredictionHeads
from app.engine.worker.state_store import StateKey, StateStore
from app.engine.worker.template_renderer import TemplateError
from app.engine.worker.text_stream import TextStream
from app.engine.worker.token_scores import TokenScorer

log = logging.getLogger(__name__)

_RANDOM_SEED = 0xFFFFFFFF  # LLAMA_DEFAULT_SEED: llama.cpp would draw one of its own and not tell
_SILENT_BIAS = -10_000.0  # no token is written in spite of it

# How much of a prompt is read between two reports, by the number of weights. Longer pieces are faster, but progress is
# told less often, and a piece that is cut off for another answer is read again; neither that nor a stop waits for the
# end of one. Fixed for a model, since the size of the pieces changes the last digits of the results, and the same seed
# shall give the same answer. Measured with 1.1B in Q4_0 on two cores with AVX-512: 128 read 3 % faster than 64, 64 a
# fourth faster than 16; 128 take half a second there.
_CPU_CHUNKS = ((6_000_000_000, 32), (2_000_000_000, 64), (200_000_000, 128))
_FLASH_CHUNK_TOKENS = 64  # shorter ones take ggml's own flash attention up to 80 % longer (GGML_FA_TILE_Q)


@dataclass(frozen=True, slots=True)
class _Prompt:
    """What is to be read for an answer."""

    tokens: list[int]
    first_visible_id: str | None
    opened: ReasoningMarks | None
    chat_format: ConversationFormat


class Session:
    """A loaded model with its chat format, what is in its memory, and the answers it writes. For the worker thread."""

    def __init__(
        self,
        model: LoadedModel,
        suggested: dict[str, float | int | None],
        store: StateStore | None,
        emit: Emit,
        request: Load,
    ) -> None:
        """`suggested`: the file's own sampling. Emits a Notice if the wanted template is not used."""
        self.model = model
        self.suggested = suggested
        self._sampling = Sampling().merged(suggested)
        self._store = store
        self._key = (
            StateKey(
                model_hash=model_hash(model.path),
                engine_version=engine_version(),
                cache_type=model.cache_type,
                flash_attention=model.flash_attention,
            )
            if store
            else None
        )
        self._memory: ConversationMemory | None = None
        self._scheduler: Scheduler | None = None
        self._times = DecodeTimes()
        self._exact_width = ExactWidth()
        self._draft: DraftModel | PredictionHeads | None = None
        self._draft_control = AdaptiveControl(DecodeTimes(), has_shadow=False)
        self._architecture = model.metadata("general.architecture") or ""
        self._silencing = dict.fromkeys(map(str, SILENT_TOKENS.get(self._architecture, ())), _SILENT_BIAS)
        name = f"{model.metadata('general.name') or ''} {model.path.stem}"
        self._formats = FormatChoice(model.vocabulary, model.template, name)
        self.growth = ContextGrowth(model, self.resize)
        self.use_template(request, emit)

    def use_template(self, request: Load, emit: Emit) -> None:
        """Talk to the model with the template that a request wants; what was read stays read."""
        self.chat_format = self._formats.choose(
            request.template, lambda kind, details: emit(Notice(request.id, kind, details))
        )

    @property
    def is_answering(self) -> bool:
        """Whether answers go on."""
        return self._scheduler is not None and self._scheduler.is_busy

    @property
    def has_room(self) -> bool:
        """Whether one more answer can begin now."""
        return self._memory is None or self._memory.has_room

    def hurry(self) -> None:
        """An answer is to begin beside those that go on. For any thread."""
        if (scheduler := self._scheduler) is not None and self.has_room:
            scheduler.hurry()

    def step(self) -> None:
        """Go on with the answers."""
        full = self.model.context_length
        for answer in self._scheduler.answers if self._scheduler is not None else ():
            if answer.needs_room:
                with suppress(UserError):  # the answers have ended then
                    self.growth.grow(lambda length: length > full, answer.notice, self._busy_count)
        if self._scheduler is not None and self._memory is not None:
            for answer in self._scheduler.step():
                self._memory.release(answer.sequence)

    def rest(self) -> bool:
        """Keep what was read of one conversation for later runs; False when there is none left."""
        return self._memory is not None and self._memory.save_next()

    def forget(self, conversation_id: str) -> None:
        """Drop what was read of a conversation."""
        if self._memory is not None:
            self._memory.forget(conversation_id)

    def adapt(self, adapters: Sequence[Adapter]) -> None:
        """Use exactly these adapters from now on. Raises UserError, with those used before still in use."""
        if not self.model.use_adapters(adapters):
            return
        if self._memory is not None and self._scheduler is not None:
            self._memory.save(is_last=True)  # by the key that told of the adapters so far
            self._memory.forget_all()
            self._scheduler.close()
        self._scheduler = self._memory = None
        if self._key is not None:
            self._key = replace(self._key, adapters=self.model.adapters)

    @property
    def draft(self) -> DraftModel | PredictionHeads | None:
        """What guesses for the model, beside the conversation itself."""
        return self._draft

    def use_draft(self, draft: DraftModel | PredictionHeads | None) -> None:
        """Have this guess from the next answer on; the one before is closed. Nothing may be answering."""
        if self._draft is not None:
            self._draft.close()
        self._draft = draft
        # What its guesses are worth is much the same for all answers.
        self._draft_control = AdaptiveControl(DecodeTimes(keeps_slope=True), has_shadow=False)

    def resize(self, context_length: int, conversation_id: str = "", needed: int = 0) -> None:
        """Make the context longer or shorter; what was read stays read as far as it fits, and answers go on.

        If not all can stay, the answers' are kept first, then what was read of this conversation, then what was used
        last; `needed`: how many of these must have a place.
        Raises UserError, with the context as it was, or without one.
        """
        memory, scheduler = self._memory, self._scheduler
        order = memory.by_importance(conversation_id) if memory is not None else []
        resizing = self.model.planned_resize(context_length, order, needed)
        if memory is None or scheduler is None:
            self.model.resize(resizing)
            return
        memory.save()
        copies, places = memory.copies(), {number: number for number in order}
        with scheduler.moving():
            try:
                places = self.model.resize(resizing)
            finally:  # also in the context as it was, which has been made anew
                if self.model.context is not None:
                    moved = memory.move(self.model, places, copies)
                    scheduler.use(self.model.context)
                    for answer in scheduler.answers:
                        answer.move(moved.get(answer.sequence.number), self.model.context_length)
                else:
                    for answer in scheduler.answers:
                        answer.finish(FinishReason.CONTEXT_FULL)
                    self._memory = self._scheduler = None

    def close_context(self) -> None:
        """Give the context back, and the draft model; what the context held is kept if it can be."""
        if self._scheduler is not None:
            self._scheduler.close()
        self.use_draft(None)
        if self._memory is not None:
            self._memory.save(is_last=True)
        self._scheduler = self._memory = None
        self.model.close_context()

    def close(self) -> None:
        """Free everything."""
        self.close_context()
        self.model.close()

    def count(self, messages: Sequence[ChatMessage]) -> int:
        """How many tokens a prompt of these messages has."""
        if not messages:
            return 0
        try:
            return len(self.chat_format.tokenize(messages, False)[0])
        except TemplateError:
            return len(self._formats.fallback().tokenize(messages, False)[0])

    def begin(self, request: Generate, emit: Emit, control: RequestControl) -> None:
        """Begin to answer the last message or to continue it. There must be room. Raises UserError."""
        request = _normalized(request)
        prompt = self._prompt(request, emit)
        memory, scheduler = self._open()
        for stopped in scheduler.take_stopped():
            memory.release(stopped.sequence)
        tokens = (
            self._with_read_tail(
                prompt, memory.tail_of(request.conversation_id, prompt.tokens), request.messages[-1].text
            )
            if request.continue_last
            else prompt.tokens
        )
        sampling = self._sampling.merged(request.sampling)
        seed = secrets.randbits(32) if sampling.seed is None else sampling.seed
        if seed == _RANDOM_SEED:
            seed -= 1
        vocabulary = self.model.vocabulary
        stream = TextStream(
            request.id,
            emit,
            prompt.chat_format.detokenizer(),
            (*request.stop, *prompt.chat_format.stops),
            prompt.chat_format.marks,
            prompt.opened,
            request.continue_last,
        )
        limits = AnswerLimits(request.max_tokens, self.model.context_length, vocabulary.end_tokens)
        chain = self._chain(request, prompt, sampling, seed)
        scorer: TokenScorer | None = None
        sequence: ContextSequence | None = None
        speculation: Speculation | None = None
        try:
            if request.alternatives:
                scorer = TokenScorer(request.id, vocabulary, request.alternatives)
            chain.accept_prompt(tokens)
            sequence = memory.take(request.conversation_id, tokens, lambda: control.is_stopped)
            emit(PromptStarted(request.id, len(tokens), len(sequence.tokens), prompt.first_visible_id))
            speculation = self._speculation(request, sampling, sequence, tokens, control)
            scheduler.add(
                Answer(request.id, sequence, tokens, chain, seed, stream, limits, speculation, emit, control, scorer)
            )
        except BaseException:  # the place of an answer that did not begin must be free again
            for part in (chain, scorer, speculation):
                if part is not None:
                    part.close()
            if sequence is not None:
                memory.release(sequence)
            raise

    def _speculation(
        self,
        request: Generate,
        sampling: Sampling,
        sequence: ContextSequence,
        tokens: Sequence[int],
        control: RequestControl,
    ) -> Speculation | None:
        """Guesses for an answer, where they may be made: a recurrent state cannot go back behind a wrong one."""
        if not request.speculate or self.model.is_recurrent or request.grammar or request.json_schema:
            return None
        most = MAX_DRAFT_TOKENS
        if sampling.temperature <= 0:
            most = self._exact_width.of(self.model, sequence, tokens, control.flag) - 1
        if most <= 0:
            return None
        second = None
        if self._draft is not None:
            threads = llama.llama_n_threads(self.model.context)
            if place := self._draft.place(sequence.number, control.flag, threads):
                second = Speculation(place, self._draft_control, most)
        return Speculation(PromptLookup(), AdaptiveControl(self._times), most, second)

    def _chain(self, request: Generate, prompt: _Prompt, sampling: Sampling, seed: int) -> SamplerChain:
        """What chooses the tokens of an answer. Raises UserError for a grammar, schema or bias that cannot be used."""
        vocabulary, grammar = self.model.vocabulary, None
        if text := grammar_text(request.grammar, request.json_schema):
            grammar = Grammar(text, vocabulary, prompt.chat_format.marks, prompt.opened)
        try:
            if grammar is not None and request.continue_last:
                grammar.accept_text(request.messages[-1].text)
            bias = {**request.logit_bias, **self._silencing}
            return SamplerChain(sampling, seed, vocabulary, self.model.context_length, bias, grammar)
        except UserError:
            if grammar is not None:
                grammar.close()
            raise

    def _prompt(self, request: Generate, emit: Emit) -> _Prompt:
        """The prompt by the file's template, or by a known one where that fails on these messages."""
        try:
            return self._prompt_by(self.chat_format, request, emit)
        except TemplateError as error:
            fallback = self._formats.fallback()
            if self.chat_format.name == fallback.name:
                raise
            log.warning("the chat template failed: %s", error)
            kind = NoticeKind.OWN_TEMPLATE_BROKEN if self.chat_format.name == OWN else NoticeKind.TEMPLATE_BROKEN
            emit(Notice(request.id, kind, {"reason": str(error), "fallback": fallback.name}))
            return self._prompt_by(fallback, request, emit)

    def _prompt_by(self, chat_format: ConversationFormat, request: Generate, emit: Emit) -> _Prompt:
        rendered: dict[int, tuple[list[int], ReasoningMarks | None]] = {}  # by number of messages

        def count(messages: Sequence[ChatMessage]) -> int:
            rendered[len(messages)] = chat_format.tokenize(messages, request.continue_last)
            return len(rendered[len(messages)][0])

        def limit(context_length: int) -> int:
            return prompt_limit(context_length, request.max_tokens)

        present = limit(self.model.context_length)

        def make_room(whole: int, least: int) -> int:
            # Who would have to wait for long is answered without the beginning of the conversation.
            unread = whole - self._open()[0].known_length(rendered[len(request.messages)][0])
            wanted = whole if unread <= present else least
            self.growth.grow(
                lambda length: limit(length) >= wanted,
                lambda kind, details: emit(Notice(request.id, kind, details)),
                self._busy_count,
                request.conversation_id,
                places=1,
            )
            return limit(self.model.context_length)

        fit = fit_messages(request.messages, present, count, request.first_visible_id, make_room)
        tokens, opened = rendered[len(fit.messages)]
        return _Prompt(tokens, fit.first_visible_id, opened, chat_format)

    @property
    def _busy_count(self) -> int:
        return self._memory.busy_count if self._memory is not None else 0

    def _open(self) -> tuple[ConversationMemory, Scheduler]:
        model = self.model
        assert model.context is not None
        if self._memory is None:
            self._times, self._exact_width = DecodeTimes(), ExactWidth()
            self._memory = ConversationMemory(model, self._store, self._key)
        if self._scheduler is None:
            last_alone = self._architecture in LAST_TOKEN_ALONE_ARCHITECTURES
            self._scheduler = Scheduler(
                model.context, model.batch_tokens, self._chunk_tokens(), model.is_recurrent, last_alone=last_alone
            )
        return self._memory, self._scheduler

    def _chunk_tokens(self) -> int:
        if self.model.has_gpu:
            return BATCH_TOKENS
        fitting = (tokens for weights, tokens in _CPU_CHUNKS if self.model.parameters >= weights)
        chunk = next(fitting, BATCH_TOKENS)
        model = self.model
        has_tiles = model.flash_attention and model.cache_type == "f16" and not model.has_small_attention
        return max(chunk, _FLASH_CHUNK_TOKENS) if has_tiles else chunk

    def _with_read_tail(self, prompt: _Prompt, cached: Sequence[int], answer: str) -> list[int]:
        """The prompt with its end in the tokens that the model itself wrote, where the text is the same.

        A stopped answer, tokenized anew, may come out in other tokens. Going on from the very tokens that are
        in memory reads nothing twice and continues as if there had been no stop.
        """
        tokenizer = prompt.chat_format.tokenizer
        shared = shared_length(cached, prompt.tokens)
        read, wanted = cached[shared:], prompt.tokens[shared:]
        if not read or not wanted or any(map(tokenizer.is_mark, (*read, *wanted))):
            return prompt.tokens
        piece = self.model.vocabulary.piece
        read_text, wanted_text = b"".join(map(piece, read)), b"".join(map(piece, wanted))
        if wanted_text == answer.encode("utf-8", "replace"):  # space before it is not shown: it did not come back
            read_text = read_text.lstrip()
        if not wanted_text.startswith(read_text):
            return prompt.tokens
        joined = [*cached, *tokenizer.continue_text(wanted_text[len(read_text) :])]
        return joined if len(joined) < self.model.context_length else prompt.tokens


def _normalized(request: Generate) -> Generate:
    """The request in order: continuing nothing is answering. Raises UserError(EMPTY_PROMPT)."""
    messages = request.messages
    continues = request.continue_last and bool(messages) and messages[-1].role is Role.ASSISTANT
    if continues and not messages[-1].text.strip():
        messages, continues = messages[:-1], False
    if not messages or not messages[-1].text.strip():
        raise UserError(ErrorKind.EMPTY_PROMPT)
    limit = max(request.max_tokens, 0)
    return replace(request, messages=messages, continue_last=continues, max_tokens=limit)
