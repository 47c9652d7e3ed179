"""What can go wrong between a service and the hub, told apart by what the caller may conclude."""


class TransportError(Exception):
    """Something between here and the hub failed. Texts never hold keys or payloads."""


class NotConnectedError(TransportError):
    """There is no connection; nothing was sent."""


class DeniedError(TransportError):
    """The hub forbids this subject to this user; nothing was stored."""


class NoRespondersError(TransportError):
    """Nobody serves this subject: the stream is not there or not ready; nothing was stored."""


class NoAnswerError(TransportError):
    """It was sent and no answer came: whether it was stored is unknown."""


class ConnectionClosedError(TransportError):
    """The connection was left; no further call is possible."""


class LostDeliveryError(TransportError):
    """Messages that the hub has delivered did not arrive here; aligning the consumer brings them again."""
