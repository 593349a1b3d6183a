"""The address of a credit period, in URLs and answers. Its id is only unique within its contract."""


def credit_period_key(contract_id: str, credit_period_id: str) -> str:
    """`contract/period`, with % and / inside of either percent-encoded: no two credit periods share one, and it always has a /.

    As a parameter of a URL it is encoded once more, like any other text.
    """
    return f"{_encode(contract_id)}/{_encode(credit_period_id)}"


def _encode(text: str) -> str:
    return text.replace("%", "%25").replace("/", "%2F")
