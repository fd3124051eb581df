"""Findings that were there before."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from dynocheck.core.fingerprints import Fingerprint, Fingerprints, is_list_longer, mask
from dynocheck.core.outcomes import Finding, Outcome, Unjudged, Verdict


class KnownFindings:
    """The findings of an earlier run, each with the number of times that it may occur.

    :param root: the folder to which their files are relative.
    """

    def __init__(self, root: str, counts: Mapping[Fingerprint, int]) -> None:
        self._fingerprints = Fingerprints(root)
        self._left = Counter(dict(counts))
        self._masked: dict[Fingerprint, list[Fingerprint]] = defaultdict(list)
        self._similar: dict[Fingerprint, list[Fingerprint]] = defaultdict(list)
        for known in counts:
            masked = mask(known)
            self._masked[masked].append(known)
            self._similar[_shorten(masked)].append(known)

    def recognize(self, check: str, findings: Sequence[Finding]) -> list[bool]:
        """Whether each of these findings of a check was there before, as often as it was.

        Exact matches come first, so that of several that are alike the changed one is the new one.
        """
        found = [self._fingerprints.compute(check, finding) for finding in findings]
        known = [False] * len(found)
        for find in (self._find_exact, self._find_masked, self._find_similar):
            for number, fingerprint in enumerate(found):
                if not known[number] and (match := find(fingerprint)) is not None:
                    self._left[match] -= 1
                    known[number] = True
        return known

    def list_left(self) -> Iterable[Fingerprint]:
        """The findings that no run had, sorted."""
        return sorted(+self._left)

    def _find_exact(self, fingerprint: Fingerprint) -> Fingerprint | None:
        return fingerprint if self._left[fingerprint] > 0 else None

    def _find_masked(self, fingerprint: Fingerprint) -> Fingerprint | None:
        alike = self._masked.get(mask(fingerprint), [])
        while alike and self._left[alike[-1]] < 1:
            alike.pop()
        return alike[-1] if alike else None

    def _find_similar(self, fingerprint: Fingerprint) -> Fingerprint | None:
        masked = mask(fingerprint)
        for known in self._similar.get(_shorten(masked), ()):
            if self._left[known] > 0 and is_list_longer(masked, mask(known)):
                return known
        return None


def to_finding(item: Unjudged) -> Finding:
    """What was not judged, in the form in which it is recorded."""
    return Finding(
        outcome=Outcome.UNJUDGED, message=item.description, subject=item.subject, location=item.location
    )


def accept_unjudged(verdict: Verdict, known: Sequence[object], by: str) -> Verdict:
    """The verdict, with what was not judged accepted where it was known, unless it is already.

    :param known: whether each of them was, in their order.
    """
    items = (
        replace(item, accepted=item.accepted or by) if found else item
        for item, found in zip(verdict.unjudged, known, strict=True)
    )
    return replace(verdict, unjudged=tuple(items)) if any(known) else verdict


def _shorten(masked: Fingerprint) -> Fingerprint:
    """With the first word of the message alone: messages that differ in it are about different things."""
    return masked._replace(message=masked.message.partition(" ")[0])
