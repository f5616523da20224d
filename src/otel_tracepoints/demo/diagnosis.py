"""What the hits say about the bug, worked out from nothing but what arrived in the sink."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Sequence


class Purchase(NamedTuple):
    """A hit of the logpoint: its typed fields, in the order of the template."""

    name: str
    tier: str
    country: str
    percent: int

    @classmethod
    def of(cls, event: Dict[str, Any]) -> Optional[Purchase]:
        """The purchase of an event of the sink, or None if that is not what it is."""
        fields = event.get("payload", {}).get("fields")
        if not isinstance(fields, list) or len(fields) < 4 or not isinstance(fields[3], int):
            return None
        return cls(str(fields[0]), str(fields[1]), str(fields[2]), fields[3])


class Diagnosis(NamedTuple):
    """The planted bug.

    Attributes:
        wronged: Who got the discount of somebody else.
        attribute: The customer's attribute that the cache goes by.
        key: Its value, as captured.
        percent: The discount found under that key.
        function: Where.
        line: Where.
        evidence: The sentences that lead there.
    """

    wronged: str
    attribute: str
    key: str
    percent: int
    function: str
    line: int
    evidence: List[str]


def diagnose(snapshots: Sequence[Dict[str, Any]], logs: Sequence[Dict[str, Any]]) -> Optional[Diagnosis]:
    """The bug, if these events of the sink show one.

    Two customers of one tier who get different discounts are the symptom. The cause is in the
    snapshot of the one whose discount equals that of a customer of another tier: its ``key`` is
    an attribute of the customer that those two have in common, and not the tier.
    """
    purchases = [purchase for purchase in map(Purchase.of, logs) if purchase is not None]
    for snapshot in snapshots:
        payload = snapshot.get("payload", {})
        captured = payload.get("snapshot", {})
        local = {**captured.get("arguments", {}), **captured.get("locals", {})}
        customer, key, percent = local.get("customer"), local.get("key"), local.get("percent")
        if not isinstance(customer, dict):
            continue
        attribute = next((name for name, value in customer.items() if value == key), None)
        if attribute in (None, "tier"):
            continue
        same_tier = [
            other
            for other in purchases
            if other.tier == customer.get("tier")
            and other.name != customer.get("name")
            and other.percent != percent
        ]
        same_key = [
            other
            for other in purchases
            if getattr(other, str(attribute), None) == key
            and other.tier != customer.get("tier")
            and other.percent == percent
        ]
        if same_tier and same_key:
            peer, twin = same_tier[0], same_key[0]
            name, tier = customer.get("name"), customer.get("tier")
            unlike = f"{name} ({tier}, {key}) {percent} %"
            unlike += f", {peer.name} ({peer.tier}, {peer.country}) {peer.percent} %"
            alike = f"{twin.name} ({twin.tier}) and {name} ({tier}) both {percent} %"
            evidence = [
                f"Same tier, different discount: {unlike}.",
                f"Same {attribute}, same discount: {alike}.",
                f"The snapshot says why: key = {key!r} is the customer's {attribute}; {tier!r} is not in it.",
            ]
            return Diagnosis(
                wronged=str(name),
                attribute=str(attribute),
                key=str(key),
                percent=int(percent) if isinstance(percent, int) else 0,
                function=str(payload.get("method")),
                line=int(payload.get("line") or 0),
                evidence=evidence,
            )
    return None
