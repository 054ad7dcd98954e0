"""The same request once more: as a new submission, or solved here from its record."""

from optimization.engine.problem import Method, Objective
from optimization.models import Kind, OptimizationRequest, Trigger
from optimization.submissions import Owner, Submission, constraints_from_document


def owner_of(request: OptimizationRequest) -> Owner:
    """Who a recorded request belongs to."""
    return Owner(request.owner, request.user_id)


def resubmission(request: OptimizationRequest, client_id: str) -> Submission:
    """A new submission with the content of a recorded request, for the same owner.

    Its trigger is ``manual``, whatever the first one's was, so that it is solved and not answered
    from the cache.

    Args:
        request: The recorded request.
        client_id: Who asks for it again.
    """
    return Submission(
        owner=owner_of(request),
        client_id=client_id,
        symbols=tuple(request.symbols),
        objective=Objective(request.objective),
        constraints=constraints_from_document(request.constraints),
        kind=Kind(request.kind),
        method=Method(request.method),
        trigger=Trigger.MANUAL,
        parameters=request.parameters,
        metadata=request.metadata,
    )
