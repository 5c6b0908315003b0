"""`POST /webhook/{forge}`: nothing of a delivery is parsed, logged or looked up before it is proved."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cicdctl.errors import CicdError
from cicdctl.server.answers import Refusal, answer, refusal_of
from cicdctl.server.route import PROOF, Route
from cicdctl.server.webhooks.hub import Webhooks
from cicdctl.server.webhooks.payloads import BadPayload, read_delivery
from cicdctl.server.webhooks.proofs import prove
from cicdctl.store.deliveries import Delivery

_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"
# What is larger is hashed and parsed beside the event loop, which has others to answer.
_LARGE_BYTES = 128 * 1024
_FULL_S = 30


async def receive(request: Request) -> Response:
    """Answer 202 once a delivery is durable, or is none that anybody wants."""
    webhooks: Webhooks = request.state.site.webhooks
    try:
        response = await _receive(webhooks, request)
    except (Refusal, CicdError) as error:
        refusal = error if isinstance(error, Refusal) else refusal_of(error)
        webhooks.count(request.path_params["forge"], refusal.status)
        raise
    webhooks.count(request.path_params["forge"], response.status_code)
    return response


async def _receive(webhooks: Webhooks, request: Request) -> Response:
    forge = request.path_params["forge"]
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # The others sign what is inside of a form, which would have to be parsed before it is proved.
    if kind != _JSON and not (kind == _FORM and forge == "github"):
        raise Refusal(415, "content_type", "the body must be JSON", hint="Content-Type: application/json")
    async with webhooks.room.body(request, webhooks.most_bytes) as body:
        if len(body) < _LARGE_BYTES:
            delivery = _read(webhooks, request, body, is_form=kind == _FORM)
        else:
            delivery = await run_in_threadpool(_read, webhooks, request, body, is_form=kind == _FORM)
    receipt = await webhooks.desk.take(delivery)
    if receipt.fate == "full":
        hint = "git is not looked at, or not fast enough: GET /api/triggers says why"
        headers = {"Retry-After": str(_FULL_S)}
        raise Refusal(429, "queue_full", "too many deliveries wait", hint=hint, headers=headers)
    if receipt.fate == "waiting":
        return answer({"queued": receipt.number}, status=202)
    why = "repeated" if receipt.fate == "repeated" else delivery.ignored
    return answer({"ignored": why}, status=202)


def _read(webhooks: Webhooks, request: Request, body: bytes, *, is_form: bool) -> Delivery:
    """Return a delivery that is proved. Raises Refusal 401, the same for whatever is not, and 400."""
    forge = request.path_params["forge"]
    headers: dict[str, list[bytes]] = {}
    for name, value in request.scope["headers"]:
        headers.setdefault(name.decode("latin-1"), []).append(value)
    is_proved = prove(forge, body, headers, webhooks.secrets_of(forge))
    if not (webhooks.knows_address(forge, request.path_params.get("end", "")) and is_proved):
        webhooks.refuse(forge)
        raise Refusal(401, "proof", "there is no proof of where this comes from", hint="docs/webhooks.md")
    single = {name: values[0].decode("latin-1") for name, values in headers.items()}
    try:
        return read_delivery(forge, body, single, is_form=is_form)
    except BadPayload as error:
        raise Refusal(400, "payload", f"the delivery cannot be read: {error}") from error


ROUTES = (
    Route("POST", "/webhook/{forge}", receive, scope=PROOF),
    Route("POST", "/webhook/{forge}/{end}", receive, scope=PROOF),
)
