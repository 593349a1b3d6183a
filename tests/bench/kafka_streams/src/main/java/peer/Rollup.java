package peer;

import java.time.Duration;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowStore;

/**
 * Removes copies by (subject, source, id) and sums credits by rollup key, in one processor.
 *
 * <p>No repartition topic is needed: the topic's message key keeps each rollup key and each event's copies in one
 * partition. The changelog of SUMS is the output.
 */
final class Rollup extends ContextualProcessor<byte[], byte[], Void, Void> {
  static final String SEEN = "seen";
  static final String SUMS = "sums";
  private static final Duration RETENTION = Duration.ofDays(32);
  private static final byte[] PRESENT = {1};

  private static boolean hasStarted;

  private WindowStore<String, byte[]> seen;
  private KeyValueStore<String, byte[]> sums;

  static Topology topology(String topic) {
    StreamsBuilder builder = new StreamsBuilder();
    builder.addStateStore(Stores.windowStoreBuilder(
        Stores.persistentWindowStore(SEEN, RETENTION, Duration.ofMillis(1), false),
        Serdes.String(), Serdes.ByteArray()));
    builder.addStateStore(Stores.keyValueStoreBuilder(
        Stores.persistentKeyValueStore(SUMS), Serdes.String(), Serdes.ByteArray()).withCachingEnabled());
    builder.stream(topic, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray())).process(Rollup::new, SEEN, SUMS);
    return builder.build();
  }

  @Override
  public void init(ProcessorContext<Void, Void> context) {
    super.init(context);
    seen = context.getStateStore(SEEN);
    sums = context.getStateStore(SUMS);
  }

  @Override
  public void process(Record<byte[], byte[]> record) {
    if (!hasStarted) reportStart();
    UsageEvent event = UsageEvent.parse(record.value());
    String identity = event.identity();
    long occurredMs = event.occurredMs(); // a copy has the same time, so one point lookup is enough
    if (seen.fetch(identity, occurredMs) != null) return;
    seen.put(identity, PRESENT, occurredMs);
    String key = event.rollupKey();
    sums.put(key, Sum.read(sums.get(key)).plus(event.microCredits()).bytes());
  }

  /** Prints the time of the first event, from which the benchmark measures. */
  private static synchronized void reportStart() {
    if (!hasStarted) System.out.printf("FIRST %.3f%n", System.currentTimeMillis() / 1000.0);
    hasStarted = true;
  }
}
