"""Which names hold secrets.

The list was drawn up from what the peers redact by default, and from what leaked past them:
they compare whole names only, so that ``user_password``, ``my_api_key`` and ``passwords`` go out
in clear. Here a name is taken apart into words (``userPassword2`` → user, password) and its
letters are also searched run together (``useraccesstoken``).

Left out on purpose, because they ruin ordinary data while hiding no secret: ``session``,
``cipher``, ``client_id``, ``ip_address``, ``geolocation``, ``transaction_id``, ``public_key``.
``DEBUGIN_REDACT_NAMES`` adds them.
"""

from __future__ import annotations

import re
from typing import FrozenSet, Iterable

#: Sensitive when one of the words of a name is this (a plural, or digits behind it, too).
WORDS: FrozenSet[str] = frozenset(
    """
    password passwd passwort passphrase passcode passkey pwd pswd psw secret token credential cred
    authorization cookie jwt apikey cvv cvc cvn csc csrf xsrf otp totp ssn bearer dsn iban mfa
    """.split()  # noqa: SIM905 - words read best as words
)

#: Sensitive only as the whole name: as parts they are too common (``pin_count``, ``auth_service``).
WHOLE: FrozenSet[str] = frozenset("auth pass pin salt nonce signature jti oauth pw pem 2fa".split())  # noqa: SIM905

#: Sensitive wherever the letters of a name, run together, contain this.
PHRASES: FrozenSet[str] = frozenset(
    """
    password passwd passphrase passcode apikey apisecret apisignature appkey applicationkey accesskey
    accesstoken authkey authtoken authheader refreshtoken sessiontoken usertoken bearertoken
    secretkey clientsecret appsecret sharedsecret consumersecret secrettoken privatekey privkey
    masterkey signingkey signaturekey encryptionkey decryptionkey sshkey gpgkey pgpkey hmackey
    licensekey recaptchakey accountkey storagekey sessionkey sessionid sessid connectsid usersession
    phpsession setcookie connectionstring connstr databaseurl dburl dbpass dbpw userpass mongouri
    redisurl creditcard cardnumber cardno ccnumber ccnum securitycode securityanswer securityquestion
    routingnumber bankaccount accountnumber socialsecurity pincode certificatepin pemfile pkcs8 pkcs12
    passhash pwdhash mysqlpwd serviceaccount credential twofactor onetimecode voterid passportnumber
    driverslicense
    """.split()  # noqa: SIM905 - words read best as words
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
        for word in words:
            stem = word.rstrip("0123456789") or word
            singular = stem[:-1] if stem.endswith("s") else stem
            if word in self._words or stem in self._words or singular in self._words:
                return True
            # ``usertoken``, ``mysecrets``; not ``tokenizer`` or ``secretary``.
            if singular.endswith(self._ends):
                return True
        for phrase in self._phrases:
            if phrase in squashed:
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
