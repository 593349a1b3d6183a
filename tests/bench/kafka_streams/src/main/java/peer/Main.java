package peer;

import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;

/** Counts usage with Kafka Streams, exactly once, into an hourly rollup in Postgres. */
public final class Main {
  private static final int THREADS = 2; // the machine's cores
  private static final int COMMIT_INTERVAL_MS = 1000;
  private static final int CACHE_BYTES = 64 * 1024 * 1024;

  public static void main(String[] arguments) throws Exception {
    Settings settings = Settings.fromEnvironment();
    Properties config = new Properties();
    config.put(StreamsConfig.APPLICATION_ID_CONFIG, settings.applicationId());
    config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, settings.bootstrap());
    config.put(StreamsConfig.STATE_DIR_CONFIG, settings.stateFolder());
    config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, THREADS);
    config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, COMMIT_INTERVAL_MS);
    config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, CACHE_BYTES);
    config.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    config.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
    KafkaStreams streams = new KafkaStreams(Rollup.topology(settings.topic()), config);
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
    new PostgresSink(settings).run();
  }
}
