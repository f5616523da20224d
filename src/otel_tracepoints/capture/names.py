"""Which names hold secrets.

The list was drawn up from what the peers redact by default, and from what leaked past them:
they compare whole names only, so that ``user_password``, ``my_api_key`` and ``passwords`` go out
in clear. Here a name is taken apart into words (``userPassword2`` → user, password) and its
letters are also searched run together (``useraccesstoken``). In doubt a name is on the list.

Left out on purpose, as they ruin ordinary data while hiding no secret: what is public by its
nature (``public_key``, ``client_id``, ``cipher``), ids of things (``transaction_id``) and
personal data that opens nothing (``ip_address``, ``x_forwarded_for``, ``geolocation``, ``email``).
``DEBUGIN_REDACT_NAMES`` adds them. ``max_tokens`` and ``password_length`` are numbers about secrets.
"""

from __future__ import annotations

import bisect
import itertools
import re
from typing import FrozenSet, Iterable, List

#: Sensitive when one of the words of a name is this (a plural, or digits behind it, too).
WORDS: FrozenSet[str] = frozenset(
    """
    password passwd passwort passphrase passcode passkey pwd pswd psw pw psk secret token credential cred
    authorization cookie jwt apikey cvv cvc cvn csc csrf xsrf otp totp mfa ssn bearer dsn iban xprv
    """.split()  # noqa: SIM905 - words read best as words
)

#: Sensitive only as the whole name: as parts they are too common (``pin_count``, ``auth_service``).
WHOLE: FrozenSet[str] = frozenset(
    """
    auth basicauth httpauth proxyauth digestauth redisauth pass userpass adminpass rootpass loginpass
    mailpass emailpass smtppass ftppass sqlpass redispass wifipass dbpass pin userpin cardpin atmpin newpin
    oldpin pinnumber salt nonce signature hmac jti oauth sas pem 2fa session sid symfony mnemonic
    """.split()  # noqa: SIM905 - words read best as words
)

#: Sensitive where words of a name, run together, make up this, or one of its words contains it.
PHRASES: FrozenSet[str] = frozenset(
    """
    password passwd passphrase passcode apikey apisecret apisignature appkey applicationkey accesskey
    accesstoken authkey authtoken authheader refreshtoken sessiontoken usertoken bearertoken
    secretkey clientsecret appsecret sharedsecret consumersecret consumerkey secrettoken privatekey privkey
    masterkey signingkey signaturekey encryptionkey decryptionkey cryptkey cipherkey symmetrickey sshkey
    gpgkey pgpkey hmackey rsakey aeskey tlskey sslkey fernetkey kmskey walletkey subscriptionkey
    licensekey activationkey recaptchakey accountkey storagekey sessionkey sessionid sessid connectsid
    usersession phpsession aiohttpsession laravelsession setcookie connectionstring connstring connstr
    databaseurl databaseuri dburl dburi dbpass dbpw rootpw userpass mongouri mongodburi redisurl brokerurl
    creditcard cardnumber cardno ccnumber ccnum securitycode securityanswer securityquestion routingnumber
    bankaccount accountnumber socialsecurity pincode certificatepin pemfile pkcs8 pkcs12 passhash
    pwdhash mysqlpwd serviceaccount credential twofactor onetimecode verificationcode recoverycode
    backupcode activationcode seedphrase magiclink samlresponse samlassertion clientassertion
    accesssignature xsignature hubsignature webhooksignature voterid nationalid passportnumber passportno
    driverslicense
    """.split()  # noqa: SIM905 - words read best as words
)

#: A name that ends so says how many or how long, not what.
_MEASURES = frozenset(("count", "counts", "length", "len", "size"))
#: Tokens are also what texts are made of: ``max_tokens``, ``prompt_tokens``.
_AMOUNTS = frozenset(
    "max min num n total prompt completion input output new cached reasoning used remaining".split()  # noqa: SIM905 - as above
)

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+[a-z]*|[^\W_]+")
_ENDS = tuple(sorted({"password", "secret", "token", "cookie", "credential", "passwd", "pwd"}))
#: No sensitive name is longer; what stands in the first part decides.
_LONGEST = 256


def normalise(name: str) -> str:
    """``X-Api_Key`` → ``xapikey``: the form in which names are compared."""
    return "".join(_WORD.findall(name)).lower()


class SensitiveNames:
    """Decides by name alone; immutable.

    Args:
        added: Sensitive as a whole name, as a word of one, and as several words in a row.
        excluded: Never sensitive as a whole name; a built-in word that is excluded is no
            longer looked for inside names either.
    """

    def __init__(self, added: Iterable[str] = (), excluded: Iterable[str] = ()) -> None:
        extra = frozenset(filter(None, map(normalise, added)))
        self._excluded = frozenset(filter(None, map(normalise, excluded)))
        self._words = (WORDS | extra) - self._excluded
        self._whole = (WHOLE | extra) - self._excluded
        self._extra = extra - self._excluded
        self._phrases = tuple(sorted(PHRASES - self._excluded))
        self._ends = tuple(end for end in _ENDS if end not in self._excluded)

    def __contains__(self, name: str) -> bool:
        words = [word.lower() for word in _WORD.findall(name[:_LONGEST])]
        squashed = "".join(words)
        if squashed in self._excluded:
            return False
        if squashed in self._whole or squashed.rstrip("0123456789") in self._whole:
            return True
        if squashed not in self._extra and _is_measure(words):
            return False
        for word in words:
            stem = word.rstrip("0123456789") or word
            singular = stem[:-1] if stem.endswith("s") else stem
            if word in self._words or stem in self._words or singular in self._words:
                return True
            # ``usertoken``, ``mysecrets``; not ``tokenizer`` or ``secretary``.
            if singular.endswith(self._ends):
                return True
        for phrase in self._phrases:
            if phrase in squashed and _stands_in(phrase, squashed, words):
                return True
        return bool(self._extra) and self._runs(words)

    def _runs(self, words: Iterable[str]) -> bool:
        """Whether some words in a row make up a name that was added (``order_bank_ref`` has ``bank_ref``)."""
        parts = list(words)
        for start in range(len(parts)):
            run = ""
            for word in parts[start : start + 8]:
                run += word
                if run in self._extra:
                    return True
        return False


def _stands_in(phrase: str, squashed: str, words: List[str]) -> bool:
    """In whole words (``card_numbers``) or within one (``usercardnumber``), not across (``card_note``)."""
    ends = list(itertools.accumulate(map(len, words)))
    starts = [0, *ends]
    start = squashed.find(phrase)
    while start >= 0:
        end = start + len(phrase)
        if start in starts and (end in ends or (squashed[end] == "s" and end + 1 in ends)):
            return True
        if bisect.bisect_right(starts, start) == bisect.bisect_right(starts, end - 1):
            return True
        start = squashed.find(phrase, start + 1)
    return False


def _is_measure(words: List[str]) -> bool:
    return len(words) > 1 and (
        words[-1] in _MEASURES or (words[-1] == "tokens" and not _AMOUNTS.isdisjoint(words))
    )
