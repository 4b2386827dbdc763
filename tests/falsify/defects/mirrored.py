"""Data planes that send a request twice and throw the second answer away: only the server's ledger shows it."""

from collections.abc import Callable

from tests.falsify import parts
from tests.falsify.defect import Defect, Plant, Resources

Which = Callable[[parts.Part], bool]
"""Of which retry policies."""


def mirrored(which: Which) -> Plant:
    """Mirror the requests that such retry policies are in force for to the service itself."""

    def plant(_workload: str, resources: Resources) -> None:
        for action in parts.actions(resources):
            if which(action.get("retry_policy", {})):
                mirror = {"cluster": action["cluster"], "disable_shadow_host_suffix_append": True}
                action["request_mirror_policies"] = [mirror]

    return plant


def any_policy(policy: parts.Part) -> bool:
    return bool(policy)


def lists(status: int) -> Which:
    return lambda policy: status in policy.get("retriable_status_codes", ())


def lists_others_than(status: int) -> Which:
    return lambda policy: bool(policy.get("retriable_status_codes")) and not lists(status)(policy)


DEFECTS = {
    "sent-twice-where-retried": Defect(
        "Where retries are in force, each request is sent a second time, and the second answer is thrown away.",
        (
            "retry/attempts-are-limit-plus-one[1-1]",
            "retry/success-is-not-retried[1]",
            "retry/request-body-is-intact-on-every-attempt[1]",
            "retry/conditions-combine[status]",
            "retry/body-late-and-refused-early[before-h2c-refused-stream]",
            "retry/fires-for-every-spelling-of-failure[status]",
        ),
        mirrored(any_policy),
    ),
    "sent-twice-where-listed": Defect(
        "Where a retry policy lists 503, each request is sent a second time, and the second answer is thrown away.",
        ("retry/only-listed-conditions[503]",),
        mirrored(lists(503)),
    ),
    "sent-twice-where-not-listed": Defect(
        "Where a retry policy lists other statuses than 503, each request is sent a second time in vain.",
        ("retry/only-listed-conditions[503]",),
        mirrored(lists_others_than(503)),
    ),
}
