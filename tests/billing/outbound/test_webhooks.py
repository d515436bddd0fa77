"""The sender, over real connections: what it signs, whom it refuses, and that nobody can hold it up."""

import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address, ip_network
from pathlib import Path
from socket import AF_INET, SOCK_STREAM, gaierror, socket

import pytest

from billing.hosts import Address, Reach
from billing.outbound.webhooks import SAID, Sender, headers_of
from billing.webhooks import Answer, Outgoing
from tests.hooking import HOME, Receiver, Request, receiving, reply

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
AT = datetime(2026, 11, 21, 12, 0, 0, 999_999, tzinfo=UTC)
SENDER = Sender(reach=HOME, seconds=0.5)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def message(url: str, *secrets: str) -> Outgoing:
    return Outgoing(endpoint="ep_1", id="msg_1", claim=1, url=url, secrets=secrets or (SECRET,), body='{"type":"é"}')


def test_the_published_example_of_the_standard_is_signed_as_published() -> None:
    """The test vector of the Standard Webhooks libraries (`test_sign_function`)."""
    sent = Outgoing(
        endpoint="", id="msg_p5jXN8AQM9LWM0D4loKWxJek", claim=0, url="", secrets=(SECRET,), body='{"test": 2432232314}'
    )
    assert {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    } == headers_of(sent, datetime.fromtimestamp(1614265330, UTC))


def test_printing_a_message_shows_no_secret() -> None:
    """As tracebacks do that print what is at hand."""
    assert SECRET not in f"{message('https://example.com/')!r}"


def test_a_message_arrives_signed_and_verifies(receiver: Receiver) -> None:
    assert Answer(status=204) == SENDER(message(receiver.url("/a?b=%20c")), AT)
    (request,) = receiver.requests
    assert {"type": "é"} == request.verified(SECRET)
    assert ("/a?b=%20c", f"127.0.0.1:{receiver.port}", "application/json") == (
        request.path,
        request.headers["host"],
        request.headers["content-type"],
    )


def test_both_secrets_sign_so_that_a_receiver_may_have_either(receiver: Receiver) -> None:
    SENDER(message(receiver.url(), OTHER, SECRET), AT)
    (request,) = receiver.requests
    assert [{"type": "é"}] * 2 == [request.verified(SECRET), request.verified(OTHER)]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(receiver: Receiver, status: int) -> None:
    receiver.answers(status, Location=receiver.url("/other"))
    assert (status, False) == ((answer := SENDER(message(receiver.url()), AT)).status, answer.is_taken)
    assert ["/hooks"] == [each.path for each in receiver.requests]


def test_of_an_answer_the_beginning_is_kept_on_one_line(receiver: Receiver) -> None:
    receiver.answers(500, b"no\r\n\x1b[31m" + b"x" * 10_000)
    answer = SENDER(message(receiver.url()), AT)
    assert (500, True, True) == (answer.status, answer.said.startswith("no [31mxxx"), len(answer.said) <= SAID)


def test_an_answer_without_end_is_not_read_to_its_end(receiver: Receiver) -> None:
    def endless(_: Request, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b"x" * 65536)

    receiver.answer = endless
    begun = time.monotonic()
    assert 200 == Sender(reach=HOME, seconds=10)(message(receiver.url()), AT).status
    assert time.monotonic() - begun < 5, "it did not go on until the deadline"


def test_headers_without_end_are_no_answer(receiver: Receiver) -> None:
    def endless(_: Request, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            handler.wfile.write(b"x-more: 1\r\n" * 1000)

    receiver.answer = endless
    assert "the answer is not HTTP" in SENDER(message(receiver.url()), AT).problem


@pytest.mark.parametrize("part", [b"HTTP/1.1 200 OK\r\nx: ", b""])
def test_an_answer_that_drips_ends_at_the_deadline(receiver: Receiver, part: bytes) -> None:
    """A timeout for each read would never end: there is always one more byte."""

    def drip(_: Request, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(part)
        for _n in range(200):
            handler.wfile.write(b"1") if part else None
            time.sleep(0.05)

    receiver.answer = drip
    begun = time.monotonic()
    assert Answer(problem="no answer within 0.5 seconds") == SENDER(message(receiver.url()), AT)
    assert time.monotonic() - begun < 2


def test_a_body_that_drips_does_not_undo_the_status(receiver: Receiver) -> None:
    def drip(_: Request, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(202)
        handler.end_headers()
        for _n in range(100):
            handler.wfile.write(b"1")
            time.sleep(0.05)

    receiver.answer = drip
    assert 202 == SENDER(message(receiver.url()), AT).status


def test_what_is_not_http_is_no_answer(receiver: Receiver) -> None:
    def greet(_: Request, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"220 mail.example.com ESMTP\r\n")

    receiver.answer = greet
    assert "the answer is not HTTP" in SENDER(message(receiver.url()), AT).problem


def test_nobody_there_is_a_refused_connection() -> None:
    with socket(AF_INET, SOCK_STREAM) as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    assert Answer(problem="the connection was refused") == SENDER(message(url), AT)


def test_a_cut_connection_is_no_answer(receiver: Receiver) -> None:
    receiver.answer = lambda _, handler: handler.connection.close()
    assert not SENDER(message(receiver.url()), AT).status


class Names:
    """Says what names mean, one answer after the other, and counts."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers, self.asked = [[*map(ip_address, each)] for each in answers], 0

    def __call__(self, host: str, port: int) -> Sequence[Address]:
        assert host, port
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


ONLY_127_0_0_1 = Reach(allowed=(ip_network("127.0.0.1/32"),), http=True)


def test_a_name_is_looked_up_once_and_the_connection_goes_to_what_it_meant_then(receiver: Receiver) -> None:
    """DNS rebinding: had the name been looked up again to connect, nobody would have been there."""
    names = Names(["127.0.0.1"], ["127.0.0.9"])
    sender = Sender(reach=ONLY_127_0_0_1, resolve=names)
    assert 204 == sender(message(receiver.url(host="hooks.example.com")), AT).status
    assert (1, f"hooks.example.com:{receiver.port}") == (names.asked, receiver.requests[0].headers["host"])


@pytest.mark.parametrize("others", [["10.0.0.1"], ["127.0.0.1", "169.254.169.254"], ["127.0.0.1", "::ffff:127.0.0.1"]])
def test_one_address_that_is_not_public_is_enough_to_refuse_a_name(receiver: Receiver, others: list[str]) -> None:
    sender = Sender(reach=ONLY_127_0_0_1, resolve=Names(others))
    answer = sender(message(receiver.url(host="hooks.example.com")), AT)
    assert Answer(problem=f"hooks.example.com is {ip_address(others[-1])}, which is not a public address") == answer
    assert [] == receiver.requests


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "0177.0.0.1"])
def test_however_loopback_is_written_it_is_refused(receiver: Receiver, host: str) -> None:
    answer = Sender(reach=Reach(http=True))(message(receiver.url(host=host)), AT)
    assert "which is not a public address" in answer.problem
    assert [] == receiver.requests


def test_http_is_refused_also_for_an_endpoint_of_before(receiver: Receiver) -> None:
    assert "http is not allowed" in Sender(reach=Reach(allowed=HOME.allowed))(message(receiver.url()), AT).problem


def test_an_unknown_host_is_an_answer() -> None:
    def nobody(_host: str, _port: int) -> Sequence[Address]:
        raise gaierror(-2, "Name or service not known")

    answer = Sender(reach=HOME, resolve=nobody)(message("https://nobody.example/"), AT)
    assert Answer(problem="the host is not known") == answer


@pytest.mark.parametrize("host", ["hooks..example.com", ".example.com", f"{'a' * 64}.example.com"])
def test_a_name_that_no_host_can_have_is_an_answer(host: str) -> None:
    """Nothing is raised: it would end the round of all endpoints, and this one would never come to be disabled."""
    assert Answer(problem="the host is not known") == Sender(reach=HOME)(message(f"https://{host}/"), AT)


def test_the_next_address_is_tried_where_one_takes_no_connection(receiver: Receiver) -> None:
    sender = Sender(reach=HOME, resolve=Names(["127.0.0.7", "127.0.0.1"]))
    assert 204 == sender(message(receiver.url(host="hooks.example.com")), AT).status


# --- TLS ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of hooks.example.com and its key, in one file, made anew."""
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
         "2", "-subj", "/CN=hooks.example.com", "-addext", "subjectAltName=DNS:hooks.example.com",
         "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "certificate.pem").read_text())
    return both


@pytest.fixture
def encrypted(certificate: Path) -> Iterator[tuple[Receiver, list[str | None]]]:
    """A receiver of TLS, and the names that it was asked for."""
    context, asked = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), list[str | None]()
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _connection, name, _context: asked.append(name)
    with receiving(lambda plain: context.wrap_socket(plain, server_side=True)) as receiver:
        yield receiver, asked


def trusting(certificate: Path) -> Sender:
    context = ssl.create_default_context(cafile=str(certificate))
    return Sender(reach=Reach(allowed=HOME.allowed), resolve=Names(["127.0.0.1"]), context=context)


def url_of(receiver: Receiver, host: str = "hooks.example.com") -> str:
    return receiver.url(host=host).replace("http:", "https:")


def test_tls_is_for_the_name_and_the_connection_for_the_address(
    encrypted: tuple[Receiver, list[str | None]], certificate: Path
) -> None:
    receiver, asked = encrypted
    assert Answer(status=204) == trusting(certificate)(message(url_of(receiver)), AT)
    assert (["hooks.example.com"], {"type": "é"}) == (asked, receiver.requests[0].verified(SECRET))


def test_a_certificate_of_another_name_is_refused(
    encrypted: tuple[Receiver, list[str | None]], certificate: Path
) -> None:
    receiver, _ = encrypted
    answer = trusting(certificate)(message(url_of(receiver, "other.example.com")), AT)
    assert "the certificate is not good" in answer.problem
    assert [] == receiver.requests


def test_a_certificate_that_nobody_vouches_for_is_refused(encrypted: tuple[Receiver, list[str | None]]) -> None:
    receiver, _ = encrypted
    sender = Sender(reach=HOME, resolve=Names(["127.0.0.1"]))
    assert "the certificate is not good" in sender(message(url_of(receiver)), AT).problem


def test_a_handshake_that_never_ends_ends_at_the_deadline() -> None:
    with socket(AF_INET, SOCK_STREAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        answer = SENDER(message(f"https://127.0.0.1:{silent.getsockname()[1]}/"), AT)
    assert Answer(problem="no answer within 0.5 seconds") == answer


@pytest.mark.parametrize("status", [429, 503])
def test_an_answer_says_for_how_long_to_leave_the_endpoint_alone(receiver: Receiver, status: int) -> None:
    receiver.answer = lambda _, handler: reply(handler, status, b"", **{"Retry-After": "90"})
    assert Answer(status=status, asked=timedelta(seconds=90)) == SENDER(message(receiver.url()), AT)
    receiver.answer = lambda _, handler: reply(handler, status, b"", **{"retry-after": "Sat, 21 Nov 2026 12:01:01 GMT"})
    assert timedelta(seconds=60) < SENDER(message(receiver.url()), AT).asked <= timedelta(seconds=61)
