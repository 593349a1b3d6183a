"""Each provider's own rule for cached, cache-write and reasoning tokens.

The units are the same for every provider, so that one set of rates fits all of them. `input_tokens` and `output_tokens` are
everything that a call has read and written; the other units are parts of them, which a rate declares with `part_of`:

| unit | part of |
|---|---|
| `cached_input_tokens`, `cache_write_input_tokens` | `input_tokens` |
| `cache_write_1h_input_tokens` (only on request) | `cache_write_input_tokens` |
| `reasoning_output_tokens` | `output_tokens` |

Providers differ in what their own counts include. A unit here is the sum of the fields that its rule names.
"""

from typing import NamedTuple

INPUT, OUTPUT = "input_tokens", "output_tokens"
CACHED, CACHE_WRITE, REASONING = "cached_input_tokens", "cache_write_input_tokens", "reasoning_output_tokens"
CACHE_WRITE_1H = "cache_write_1h_input_tokens"
UNITS = (INPUT, CACHED, CACHE_WRITE, OUTPUT, REASONING)
"""What is read by default."""
PART_OF = {CACHED: INPUT, CACHE_WRITE: INPUT, REASONING: OUTPUT, CACHE_WRITE_1H: CACHE_WRITE}


class Rule(NamedTuple):
    """`marks`: a usage with one of these fields is of this kind. `units`: the fields that add up to a unit, by their path
    in the usage; of a path with alternatives (`a|b`) the first that is there counts. `a[b=c]` is the entry of the list
    `a` whose `b` is `c`."""

    marks: tuple[str, ...]
    units: dict[str, tuple[str, ...]]
    source: str
    beside: tuple[str, str] | None = None
    """A list in the usage, and the `type` of those entries in it that are not in the usage's own counts."""
    total: str = ""
    """The field of all tokens, if reasoning is beside the output at some providers of this kind: where the total is the
    sum of input, output and reasoning."""


RULES = {
    # Cached, written and reasoning tokens are inside the totals. At xAI reasoning is beside the output; DeepSeek has another
    # name for cached tokens.
    "openai_chat": Rule(
        ("prompt_tokens",),
        {
            INPUT: ("prompt_tokens",),
            CACHED: ("prompt_tokens_details.cached_tokens|prompt_cache_hit_tokens",),
            CACHE_WRITE: ("prompt_tokens_details.cache_write_tokens",),
            OUTPUT: ("completion_tokens",),
            REASONING: ("completion_tokens_details.reasoning_tokens",),
        },
        "openai 3.57.0: openai/types/completion_usage.py; mistralai 3.7.0: client/models/usageinfo.py; "
        "docs.mistral.ai/inference/conversations/advanced/prompt-caching; "
        "langchain-xai 1.3.0, langchain-deepseek 1.1.1: chat_models.py; "
        "docs.x.ai/docs/key-information/consumption-and-rate-limits",
        total="total_tokens",
    ),
    # Gemini's interactions: thoughts and prompts of tools are beside the totals, cached content is in the input.
    "gemini_interactions": Rule(
        ("total_input_tokens", "total_output_tokens"),
        {
            INPUT: ("total_input_tokens", "total_tool_use_tokens"),
            CACHED: ("total_cached_tokens",),
            OUTPUT: ("total_output_tokens", "total_thought_tokens"),
            REASONING: ("total_thought_tokens",),
        },
        "google-genai 3.6.1: google/genai/_gaos/types/interactions/usage.py",
    ),
    # `input_token_details` is the name in the Realtime API.
    "openai_responses": Rule(
        ("input_tokens_details", "output_tokens_details.reasoning_tokens", "total_tokens"),
        {
            INPUT: ("input_tokens",),
            CACHED: ("input_tokens_details.cached_tokens|input_token_details.cached_tokens",),
            CACHE_WRITE: ("input_tokens_details.cache_write_tokens",),
            OUTPUT: ("output_tokens",),
            REASONING: ("output_tokens_details.reasoning_tokens",),
        },
        "openai 3.57.0: openai/types/responses/response_usage.py, openai/types/realtime/realtime_response_usage.py",
        total="total_tokens",
    ),
    # "Total input tokens in a request is the summation of input_tokens, cache_creation_input_tokens, and
    # cache_read_input_tokens." Thinking is inside output_tokens. "A `compaction` entry's tokens are not included in the
    # top-level `usage` fields."
    "anthropic": Rule(
        ("input_tokens", "output_tokens"),
        {
            INPUT: ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
            CACHED: ("cache_read_input_tokens",),
            CACHE_WRITE: ("cache_creation_input_tokens",),
            CACHE_WRITE_1H: ("cache_creation.ephemeral_1h_input_tokens",),
            OUTPUT: ("output_tokens",),
            REASONING: ("output_tokens_details.thinking_tokens",),
        },
        "anthropic 2.14.0: anthropic/types/{usage,raw_message_delta_event,output_tokens_details,beta/beta_usage}.py",
        beside=("iterations", "compaction"),
    ),
    # The SDK's names and those of the JSON. The prompt includes cached content; total = prompt + candidates + tool_use_prompt
    # + thoughts.
    "gemini": Rule(
        ("prompt_token_count", "total_token_count", "promptTokenCount", "totalTokenCount"),
        {
            INPUT: ("prompt_token_count|promptTokenCount", "tool_use_prompt_token_count|toolUsePromptTokenCount"),
            CACHED: ("cached_content_token_count|cachedContentTokenCount",),
            OUTPUT: (
                "candidates_token_count|response_token_count|candidatesTokenCount|responseTokenCount",
                "thoughts_token_count|thoughtsTokenCount",
            ),
            REASONING: ("thoughts_token_count|thoughtsTokenCount",),
        },
        "google-genai 3.6.1: google/genai/types.py, GenerateContentResponseUsageMetadata, UsageMetadata (live)",
    ),
    # As at Anthropic, cached and written tokens are beside inputTokens. Reasoning is not reported.
    "bedrock": Rule(
        ("inputTokens", "outputTokens"),
        {
            INPUT: ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens"),
            CACHED: ("cacheReadInputTokens",),
            CACHE_WRITE: ("cacheWriteInputTokens",),
            CACHE_WRITE_1H: ("cacheDetails[ttl=1h].inputTokens",),
            OUTPUT: ("outputTokens",),
        },
        "boto3 1.44.8: bedrock-runtime service-2.json, TokenUsage, CacheDetail; "
        "docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html",
    ),
    # Cohere charges billed_units, which leave out its own prompts. cached_tokens are a part of `tokens`, not of billed_units.
    "cohere": Rule(
        ("billed_units", "tokens"),
        {
            INPUT: ("billed_units.input_tokens|tokens.input_tokens",),
            OUTPUT: ("billed_units.output_tokens|tokens.output_tokens",),
        },
        "cohere 7.3.1: cohere/types/{usage,usage_billed_units,usage_tokens,api_meta}.py; "
        "docs.cohere.com/v2/docs/how-does-cohere-pricing-work",
    ),
}  # fmt: skip
RULES["mistral"] = RULES["openai_chat"]
PLACES = (
    "chunk.usage",  # OpenAI: the helper chat.completions.stream
    "interaction.usage",  # Gemini: interaction.completed
    "usage",  # OpenAI, Anthropic, Bedrock Converse, Mistral, Cohere v2; Anthropic's message_delta
    "usage_metadata",  # Gemini
    "usageMetadata",  # Gemini's JSON
    "response.usage",  # OpenAI Responses: response.completed, response.incomplete, response.failed
    "message.usage",  # Anthropic: message_start
    "metadata.usage",  # Bedrock ConverseStream
    "data.usage",  # Mistral: CompletionEvent
    "delta.usage",  # Cohere v2: message-end
    "meta",  # Cohere v1
    "response.meta",  # Cohere v1: stream-end
)
"""Where an answer, or an event of a stream, has its usage."""
MODELS = (
    "model", "model_version", "modelVersion", "message.model", "response.model", "data.model", "chunk.model", "interaction.model",
)  # fmt: skip
"""Where they name the model."""
