package peer;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.math.BigDecimal;
import java.time.OffsetDateTime;

/** The part of a flexcredits.usage.v1 event that the rollup needs. */
@JsonIgnoreProperties(ignoreUnknown = true)
record UsageEvent(String id, String source, String subject, String time, Data data) {
  @JsonIgnoreProperties(ignoreUnknown = true)
  record Data(
      String product,
      @JsonProperty("feature_kind") String kind,
      String feature,
      BigDecimal credits,
      Agent agent) {}

  @JsonIgnoreProperties(ignoreUnknown = true)
  record Agent(String id) {}

  private static final ObjectReader READER = new ObjectMapper().readerFor(UsageEvent.class);
  private static final long HOUR_MS = 3_600_000L;

  static UsageEvent parse(byte[] json) {
    try {
      return READER.readValue(json);
    } catch (IOException e) {
      throw new IllegalArgumentException(e);
    }
  }

  String identity() {
    return subject + '\t' + source + '\t' + id;
  }

  long occurredMs() {
    return OffsetDateTime.parse(time).toInstant().toEpochMilli();
  }

  /** Organization, product, kind, feature, agent and hour (seconds since 1970), separated by tabs. */
  String rollupKey() {
    String agent = data.agent == null ? "" : data.agent.id;
    String hour = Long.toString(Math.floorDiv(occurredMs(), HOUR_MS) * 3600);
    return String.join("\t", subject, data.product, data.kind, data.feature, agent, hour);
  }

  /** Whole millionths of credits, so that sums stay exact. */
  long microCredits() {
    return data.credits.movePointRight(6).longValueExact();
  }
}
