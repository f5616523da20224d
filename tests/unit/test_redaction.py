"""Redaction by name and by value."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.captures import POLICY
from tests.support.timing import cpu_seconds, quickest

from otel_tracepoints.capture.names import PHRASES, WHOLE, WORDS
from otel_tracepoints.capture.patterns import is_card_number
from otel_tracepoints.capture.redaction import LOOK_BEYOND, RedactionPolicy
from otel_tracepoints.errors import InvalidRedaction
from otel_tracepoints.semconv import REDACTED

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIBOgIBAAJBAKj34Gkx\n-----END RSA PRIVATE KEY-----"


class TestNames:
    """is_sensitive."""

    @pytest.mark.parametrize(
        "name",
        "password PASSWORD user_password userPassword passwords db_password2 my_api_key X-Api-Key APIKey api.key apikey "
        "accessToken refresh_token useraccesstoken client_secret mysecret SECRET_KEY Authorization proxy-authorization "
        "cookie Set-Cookie credentials aws_credentials creditCard card_number cvv ssn jwt csrf_token xsrf "
        "connectionString DATABASE_URL private_key privateKeyPem ssh_key session_id sessionid otp pin auth salt nonce "
        "db_pwd passphrase _secret_value Key.PASSWORD iban 2fa api_keys credit_card_numbers user_accesstokens session "
        "smtp_pass old_pw user_pin basic_auth rsa_key recovery_codes consumer_key conn_string pass2 laravel_session".split(),
    )
    def test_sensitive(self, name: str) -> None:
        """Common secret names, in any spelling, alone and as part of a name."""
        assert POLICY.is_sensitive(name) is True

    @pytest.mark.parametrize(
        "name",
        "name user email id order total author authority tokenizer tokenize secretary compass bypass passed passenger "
        "sessions db_session public_key client_id keyboard pin_count spinning assault announce keys monkey descriptor "
        "author_id authentication_time pinned spinner opinion shipping max_tokens prompt_tokens token_count "
        "password_length discard_nodes card_note max_signature conn_structure first_pass auth_service".split(),
    )
    def test_not_sensitive(self, name: str) -> None:
        """Ordinary names, also those that merely begin or end alike."""
        assert POLICY.is_sensitive(name) is False

    def test_the_whole_list(self) -> None:
        """Every name on the documented list is sensitive alone, with a prefix and in upper case; WHOLE ones only alone."""
        for name in WORDS | PHRASES:
            assert POLICY.is_sensitive(name)
            assert POLICY.is_sensitive(f"old_{name}")
            assert POLICY.is_sensitive(name.upper())
        assert all(map(POLICY.is_sensitive, WHOLE))

    def test_added(self) -> None:
        """Names that are given are sensitive in any spelling, and as part of a name."""
        policy = RedactionPolicy.build(["bank_ref", "Kennitala"])
        for name in ("bank_ref", "bankRef", "BANK-REF", "order_bank_ref", "kennitala", "user_kennitala"):
            assert policy.is_sensitive(name)
            assert not POLICY.is_sensitive(name)

    def test_excluded(self) -> None:
        """Names that are excluded are not; a built-in word that is excluded is not looked for in names."""
        policy = RedactionPolicy.build([], ["max_tokens", "cookie"])
        assert not policy.is_sensitive("maxTokens")
        assert not policy.is_sensitive("cookie_jar")
        assert policy.is_sensitive("token")

    def test_memory_is_bounded(self) -> None:
        """Generated names do not fill the memory."""
        policy = RedactionPolicy.build()
        for number in range(10_000):
            policy.is_sensitive(f"name{number}")
            policy.label(f"name{number}")
        assert len(policy.known) <= 4096
        assert len(policy.labels) <= 4096


SECRETS = [
    JWT,
    PEM,
    PEM[:60],
    "4111111111111111",
    "4111 1111 1111 1111",
    "5500-0000-0000-0004",
    "378282246310005",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "a1B2" * 10,
    "glpat-" + "a1B2" * 5,
    "xoxb-123456789012-abcdefghijkl",
    "sk_live_" + "a1B2" * 6,
    "rk_test_" + "a1B2" * 6,
    "AIza" + "a1B2c" * 7,
    "ya29." + "a1B2" * 6,
    "sk-ant-" + "a1B2" * 8,
    "npm_" + "a1B2" * 9,
    "hf_" + "a1B2" * 9,
    "pypi-" + "a1B2" * 12,
    "SG." + "a1B2" * 5 + "." + "a1B2" * 10,
    "hvs." + "a1B2" * 8,
    "dapi" + "a1b2" * 8,
    "whsec_" + "a1B2" * 8,
]


class TestValues:
    """text."""

    @pytest.mark.parametrize("secret", SECRETS)
    @pytest.mark.parametrize("around", ["{}", "before {} after", "x: [{}]", "'{}'", "a={}", "é {}"])
    def test_secrets_anywhere(self, secret: str, around: str) -> None:
        """A secret is found by its form, alone and inside of text."""
        clean = POLICY.text(around.format(secret))
        assert secret not in clean
        assert secret[5:] not in clean
        assert REDACTED in clean

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("postgres://bob:hunter2@db:5432/x", f"postgres://{REDACTED}@db:5432/x"),
            ("https://hunter2@github.com/x", f"https://{REDACTED}@github.com/x"),
            ("redis://:hunter2@cache/0", f"redis://{REDACTED}@cache/0"),
            ("amqp://u:hun@ter2@mq/", f"amqp://{REDACTED}@mq/"),
            ("Server=db;User Id=sa;Password=hunter2 x;A=1", f"Server=db;User Id=sa;Password={REDACTED};A=1"),
            ("host=x password='hunter 2' user=y", f"host=x password='{REDACTED}' user=y"),
            ("GET /?q=1&api_key=hunter2&z=2 HTTP/1.1", f"GET /?q=1&api_key={REDACTED}&z=2 HTTP/1.1"),
            ("https://x/?q=password%3Dhunter2", f"https://x/?q=password%3D{REDACTED}"),
            ("Authorization: Basic dXNlcjpodW50ZXIy", f"Authorization: {REDACTED}"),
            ("authorization=Token hunter2", f"authorization={REDACTED}"),
            ("Bearer hunter2hunter2", f"Bearer {REDACTED}"),
            ("Basic dXNlcjpodW50ZXIy", f"Basic {REDACTED}"),
            ("Cookie: a=hunter2; b=hunter2\nHost: x", f"Cookie: {REDACTED}\nHost: x"),
            ("{'password': 'hunter2', 'a': 1}", f"{{'password': '{REDACTED}', 'a': 1}}"),
            ('{"a": {"api_key": "hun\\"ter2"}}', f'{{"a": {{"api_key": "{REDACTED}"}}}}'),
            ("User(name='x', password='hunter2')", f"User(name='x', password='{REDACTED}')"),
            ("login failed: password: hunter2", f"login failed: password: {REDACTED}"),
            ("q=token=hunter2", f"q=token={REDACTED}"),
            ("AccountKey=hunter2==;EndpointSuffix=x", f"AccountKey={REDACTED};EndpointSuffix=x"),
        ],
    )
    def test_in_context(self, text: str, expected: str) -> None:
        """URLs with credentials, headers and key=value secrets lose the secret and keep the rest."""
        assert POLICY.text(text) == expected

    @pytest.mark.parametrize(
        "text",
        [
            "", "hello", "a=b", "2026-11-20T10:00:00", "http://localhost:8080/users/@me", "alice@example.com",
            "http://h/?a=b@c", "4111111111111112", "1763632800000000000", "Basic information follows",
            "550e8400-e29b-41d4-a716-446655440000", "the bearer of news", "file.py:12: error", "0.1411111111111111111",
            "x = 5; y = 6", "d41d8cd98f00b204e9800998ecf8427e", "sk-learn", "-----", "author: bob", "a\ttab\x00",
        ],
    )  # fmt: skip
    def test_ordinary_text(self, text: str) -> None:
        """Ordinary text goes out as it is."""
        assert POLICY.text(text) == text

    @pytest.mark.parametrize("secret", SECRETS)
    def test_again(self, secret: str) -> None:
        """Redacting what has been redacted changes nothing."""
        once = POLICY.text(f"password={secret} and https://u:{secret}@h")
        assert POLICY.text(once) == once

    def test_cards(self) -> None:
        """Only numbers of a card network's range with a valid checksum are card numbers."""
        assert is_card_number("4242424242424242")
        assert not is_card_number("4242424242424241")
        assert not is_card_number("9999999999999995")
        assert POLICY.hides_number(4242424242424242)
        assert not POLICY.hides_number(4242424242424241)

    def test_given_patterns(self) -> None:
        """Patterns that are given work on every text, and on the digits of numbers."""
        policy = RedactionPolicy.build(patterns=[r"\d{6}-\d{4}", r"ACME-\w+"])
        assert policy.text("id 120174-3399 and ACME-x") == f"id {REDACTED} and {REDACTED}"
        assert RedactionPolicy.build(patterns=[r"^12345$"]).hides_number(12345)
        assert not policy.hides_number(12345)

    @pytest.mark.parametrize("pattern", ["(", "a*", "", "(?P<x", "[", "\\", r"(\w+\s?)+$"])
    def test_bad_pattern(self, pattern: str) -> None:
        """A pattern that does not compile, matches nothing at all everywhere, or could explode is refused."""
        with pytest.raises(InvalidRedaction) as caught:
            RedactionPolicy.build(patterns=["fine", pattern])
        assert caught.value.details == {"pattern": 2}

    def test_slow_pattern(self) -> None:
        """A pattern that was slow once is not again; what it may match in a long text goes out redacted whole."""
        policy = RedactionPolicy.build(patterns=[r"\w+@\w+"])
        word = "a" * 6_000

        def cost(text: str) -> float:
            return cpu_seconds(lambda: policy.text(text))

        first = cost(word)
        assert quickest(lambda: cost(word), first / 5) < first / 5
        assert policy.text(word) == word
        assert policy.text(word + " ann@x") == REDACTED
        assert policy.text("mail of ann@x") == f"mail of {REDACTED}"
        around = RedactionPolicy.build(patterns=[r"\w+(?=@)"])
        assert around.text(word) == word
        assert around.text(word) == REDACTED

    def test_always_encodable(self) -> None:
        """Lone surrogates are written out; other text of any script stays."""
        assert POLICY.text("é 漢 \U0001f600 \udc80") == "é 漢 \U0001f600 \\udc80"


class TestCut:
    """cut: redaction comes before cutting."""

    @pytest.mark.parametrize("offset", range(0, 40, 3))
    def test_secret_at_the_cut(self, offset: int) -> None:
        """A secret that the cut would halve is still recognised."""
        text = "x" * (100 - offset) + " AKIAIOSFODNN7EXAMPLE " + "y" * 9000
        clean = POLICY.cut(text[: 100 + LOOK_BEYOND], 100, True)
        assert len(clean) <= 100
        assert "AKIA" not in clean

    def test_secret_at_the_end_of_what_is_seen(self) -> None:
        """A secret halved where the patterns' sight ends never comes within what is kept."""
        card = "4111 1111 1111 1111"
        text = (JWT + " ") * 50 + card[:14]
        clean = POLICY.cut(text, 2000, True)
        assert card[:14] not in clean


def test_common_text_is_cheap() -> None:
    """A short string without anything suspicious costs less than a microsecond (2.5 here: the machine is shared)."""
    texts = [
        "alice",
        "shipped",
        "2026-11-20",
        "Some ordinary sentence of words",
        "/srv/app/shop/cart.py",
        "order_id",
    ]

    def once() -> float:
        begun = time.perf_counter()
        for _ in range(500):
            for text in texts:
                POLICY.text(text)
        return (time.perf_counter() - begun) / 500 / len(texts)

    assert quickest(once, 2.5e-6) < 2.5e-6


NASTY = [
    "a=b ", "a_", "password=", "://", '"', 'a:"\\', "-", "eyJa.", "a.b-", "a= b c d e f", "1 ", "4111 1111 1111 1112 ", "x:y:",
    "a:{", "a:[", "bearer ", "basic a", "://a:", "-----BEGIN A", "sk-", "xox", "a=a=", "cookie: ", "%3D", "a=> ", "\\\\",
    "a;b c d=", "eyJ", "eyJa", " 4141", "123-4", "A@http://b", "SKa://", "glab-", "SG.a-", "pwd=a b c ", "A", "k_live_", "://x@", "'=", "\\'",
]  # fmt: skip


@pytest.mark.parametrize("piece", NASTY)
def test_no_text_makes_it_slow(piece: str) -> None:
    """The time grows with the length of a text and no faster, whatever the text."""

    def cost(length: int) -> float:
        text = (piece * length)[:length]
        return cpu_seconds(lambda: POLICY.text(text))

    limit = max(0.04, 12 * min(cost(4_000) for _ in range(3)))
    assert quickest(lambda: cost(20_000), limit) < limit


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=60), st.sampled_from(SECRETS), st.text(st.characters(), max_size=60))
def test_planted_secrets(before: str, secret: str, after: str) -> None:
    """Whatever stands around it (but letters and digits, which would be part of it), a secret does not leave."""
    assert secret not in POLICY.text(f"{before} {secret} {after}")


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=200))
def test_any_text(text: str) -> None:
    """Any text can be redacted, the result can be encoded, and redacting it again is safe."""
    clean = POLICY.text(text)
    clean.encode("utf-8")
    assert isinstance(POLICY.text(clean), str)
