"""The key of a credit period in URLs and responses. A period's id is unique only within its contract."""


def credit_period_key(contract_id: str, credit_period_id: str) -> str:
    """`contract/period`, with % and / inside the ids percent-encoded, so that keys are unique and contain exactly one /.

    As a URL parameter the key is encoded again, like any other text.
    """
    return f"{_encode(contract_id)}/{_encode(credit_period_id)}"


def _encode(text: str) -> str:
    return text.replace("%", "%25").replace("/", "%2F")
