"""Answers of Azure's own actions: effective routes and rules, put into the snapshot beside the lists.

They come last, when it is known what the lists leave open. An answer is a document with the id that the snapshot
format gives it, and is journalled like a page, so that a resumed collection asks only for what is missing. What Azure
does not tell (no permission, not running) is a gap of the answer's kind; the lists are judged without it.
"""

from __future__ import annotations

import logging
from asyncio import TaskGroup
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator

import msgspec
from msgspec import Struct

from auditor import decode
from auditor.collect import listings
from auditor.collect.arm import Arm, Refused, stands
from auditor.collect.buckets import WRITES
from auditor.collect.listings import Listing
from auditor.collect.options import Progress
from auditor.model.finding import Gap
from auditor.model.ids import kind_of, subscription_of
from auditor.model.question import ACTIONS, ADMIN_RULES, Question
from auditor.model.resources import Tenant
from auditor.snapshot import FORMAT, RESOURCES, Manifest, Snapshot, SnapshotWriter

log = logging.getLogger(__name__)

Decide = Callable[[Tenant], Iterable[Question]]
"""From a tenant as its lists show it to what is to be asked about it; see `auditor.questions`."""

ASKED = {kind: Listing("network", kind, f"/{action}", listings.NICS.version) for kind, action in ACTIONS.items()}

_AT_ONCE = int(WRITES[0])  # questions of a subscription under way: Azure takes seconds over each
_NOT_THIS_ONE = (400, 404)  # it does not run, or is gone: another target may answer
_ASKED = "POST "  # begins the journal's name of an answer: no address of a list does
_HUB_RESOURCES = {
    "microsoft.network/virtualhubs/hubroutetables": "RouteTable",
    "microsoft.network/virtualhubs/hubvirtualnetworkconnections": "HubVirtualNetworkConnection",
}
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Answer(Struct, rename="camel"):
    """As much of an answer as tells whether it is whole."""

    value: list[msgspec.Raw]
    skip_token: str | None = None
    next_link: str | None = None


_read = msgspec.json.Decoder(Answer).decode


async def ask(arm: Arm, writer: SnapshotWriter, progress: Progress, questions: Collection[Question]) -> int:
    """Asks, and keeps the answers; gives how many there are."""
    answers = _Answers(arm, writer, progress)
    plan = Counter(question.kind for question in questions)
    log.debug("effective: %s", ", ".join(f"{count} {kind}" for kind, count in sorted(plan.items())) or "nothing open")
    await answers.of(questions)
    for kind, count in sorted(answers.missing.items()):
        log.warning("%s: %d of %d not answered", kind, count, plan[kind])
    return answers.documents


def open_questions(cloud: str, writer: SnapshotWriter, listed: Iterable[str], decide: Decide) -> tuple[Question, ...]:
    """What `decide` finds open in what `writer` holds, of which these kinds were `listed` everywhere.

    Answers from before a resume must not change the questions.
    """
    answered = {
        document
        for name, pages in writer.recorded.items() if name.startswith(_ASKED)
        for page in pages for document in writer.documents(page)
    }  # fmt: skip
    lists = (document for document in _documents(cloud, writer) if document not in answered)
    return tuple(decide(tenant_of(cloud, lists, writer.gaps, listed)))


def tenant_of(cloud: str, documents: Iterable[bytes], gaps: Iterable[Gap], listed: Iterable[str]) -> Tenant:
    """The tenant as its lists show it, as far as they can be read: the judge names what cannot."""
    tenant = Tenant(cloud=cloud, listed=frozenset(kind.lower() for kind in listed))
    for gap in gaps:
        tenant.add_gap(gap)
    for document in documents:
        try:
            decode.add(document, tenant)
        except decode.BrokenDocument as error:
            log.debug("passed over: %s", error)
    return tenant


def _documents(cloud: str, writer: SnapshotWriter) -> Iterator[bytes]:
    unfinished = Snapshot(writer.path, Manifest(format=FORMAT, cloud=cloud), (writer.path / RESOURCES,))
    return (document for _, _, document in unfinished.documents())


class _Answers:
    """The questions under way."""

    def __init__(self, arm: Arm, writer: SnapshotWriter, progress: Progress) -> None:
        self._arm = arm
        self._writer = writer
        self._progress = progress
        self.documents = 0
        self.missing: Counter[str] = Counter()

    async def of(self, questions: Iterable[Question]) -> None:
        """Asks every subscription's questions, whatever the pace at which another one takes them."""
        queues: dict[str, list[Question]] = {}
        for question in questions:
            queues.setdefault(subscription_of(question.targets[0]), []).append(question)
        async with TaskGroup() as group:
            for queue in queues.values():
                group.create_task(self._subscription(queue))

    async def _subscription(self, questions: list[Question]) -> None:
        left = iter(questions)

        async def work() -> None:
            for question in left:
                if not self._kept(question):
                    await self._question(question)

        async with TaskGroup() as group:
            for _ in questions[:_AT_ONCE]:
                group.create_task(work())

    def _kept(self, question: Question) -> bool:
        """Whether the answer, or a refusal that stands, is there from before a resume."""
        for page in self._writer.recorded.get(_name(question), []):
            if page.gap is None:
                self.documents += 1
                return True
            if stands(page.gap):
                self.missing[question.kind] += 1
                return True
        return False

    async def _question(self, question: Question) -> None:
        """Asks one target after the other until one answers."""
        for target in question.targets:
            try:
                answer = await self._whole(question, target)
            except Refused as refused:
                if refused.status in _NOT_THIS_ONE and target != question.targets[-1]:
                    continue
                self._gap(question, target, refused)
            else:
                self._writer.page(_name(question), [answer])
                self.documents += 1
                self._progress.page(question.kind, 1)
            return

    def _gap(self, question: Question, target: str, refused: Refused) -> None:
        gap = Gap(target, question.kind, refused.status, refused.code, refused.message)
        log.info("%s of %s: %s", gap.kind, gap.scope, refused)
        self.missing[question.kind] += 1
        self._writer.gap(gap, _name(question))
        self._progress.gap(gap)

    async def _whole(self, question: Question, target: str) -> bytes:
        """The answer with its id and all of its pages, otherwise as Azure gave it. Raises Refused."""
        action = ASKED[question.kind]
        address, body = action.address(target), _body(question)
        raw = await self._arm.action(action.client, address, body)
        answer = _understood(raw)
        values, seen = answer.value, set[str]()
        while answer.skip_token:
            if answer.skip_token in seen:
                raise Refused(200, "RepeatedSkipToken", "The answer leads back to a page that was already read.")
            seen.add(answer.skip_token)
            body = msgspec.json.encode({"skipToken": answer.skip_token})
            answer = _understood(await self._arm.action(action.client, address, body))
            values += answer.value
        if answer.next_link:
            async for page, _ in self._arm.pages(action.client, answer.next_link):
                values += [msgspec.Raw(document) for document in page]
        parts = {name: part for name, part in _parts(raw).items() if name not in ("id", "skipToken", "nextLink")}
        return msgspec.json.encode({"id": question.answer_id(target), **parts, "value": values})


def _understood(raw: bytes) -> Answer:
    try:
        return _read(raw)
    except msgspec.ValidationError as error:
        raise Refused(200, "MalformedAnswer", str(error)) from error


def _body(question: Question) -> bytes:
    if question.kind == ADMIN_RULES:
        return b"{}"
    if not question.about:
        return b""
    asked = {"resourceId": question.about, "virtualWanResourceType": _HUB_RESOURCES.get(kind_of(question.about), "")}
    return msgspec.json.encode(asked)


def _name(question: Question) -> str:
    """What the journal calls the answer, whichever target gives it."""
    return _ASKED + question.answer_id(question.targets[0])
