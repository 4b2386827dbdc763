"""Data planes that spoil an answer because they might have retried it, or that keep no account of their retries."""

from typing import Any

from tests.falsify.defect import Defect, Plant, Resources
from tests.falsify.defects.retry import scripted_where_retried

FIRST_FRAME_LOST = """
function envoy_on_response(handle)
  handle:headers():remove("content-length")
  for piece in handle:bodyChunks() do
    if piece:length() > 0 then
      piece:setBytes("")
      return
    end
  end
end
"""
TRAILERS_LOST = """
function envoy_on_response(handle)
  local trailers = handle:trailers()
  if trailers then
    trailers:remove("x-meshcheck-trailer")
  end
end
"""
BUFFERED = """
function envoy_on_response(handle)
  handle:body(true)
end
"""


def budgets(change: dict[str, Any] | None) -> Plant:
    """Change every retry budget that is in force; None: there is none."""

    def plant(_workload: str, resources: Resources) -> None:
        for cluster in resources["clusters"]:
            for limits in cluster["circuit_breakers"]["thresholds"]:
                if "retry_budget" in limits and change is None:
                    del limits["retry_budget"]
                    limits["max_retries"] = limits["max_requests"]
                elif "retry_budget" in limits:
                    limits["retry_budget"] |= change or {}

    return plant


INTACT = "retry/response-body-is-intact-when-armed"
BUDGET = "retry/budget-bounds-a-storm"

DEFECTS = {
    "first-frame-of-answer-lost": Defect(
        "Where retries are in force, the first piece of an answer's body is read to decide on a retry, and lost.",
        tuple(f"{INTACT}[{way}]" for way in ("http", "h2c", "grpc", "grpc-stream")),
        scripted_where_retried(FIRST_FRAME_LOST),
    ),
    "trailers-of-answer-lost": Defect(
        "Where retries are in force, the trailers of an answer are read to decide on a retry, and lost.",
        (f"{INTACT}[h2c]", f"{INTACT}[grpc]"),
        scripted_where_retried(TRAILERS_LOST),
    ),
    "answer-held-back": Defect(
        "Where retries are in force, an answer is held back until it is whole, and replaced if it is long.",
        (f"{INTACT}[http]", f"{INTACT}[grpc-stream]"),
        scripted_where_retried(BUFFERED),
    ),
    "budget-ignored": Defect(
        "A retry budget is accepted and ignored.", (f"{BUDGET}[default]", f"{BUDGET}[half]"), budgets(None)
    ),
    "budget-of-a-fraction": Defect(
        "A retry budget without a percentage has the fraction 0.2 of one percent.",
        (f"{BUDGET}[default]",),
        budgets({"budget_percent": {"value": 0.2}}),
    ),
    "budget-too-large": Defect(
        "A retry budget is twice the percentage that it names.",
        (f"{BUDGET}[half]",),
        budgets({"budget_percent": {"value": 100.0}}),
    ),
}
