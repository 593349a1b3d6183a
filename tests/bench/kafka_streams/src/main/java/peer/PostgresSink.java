package peer;

import java.math.BigDecimal;
import java.net.URI;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Copies the last committed sum of each rollup key to Postgres. It sets and never adds, so repeating is safe. */
final class PostgresSink {
  private static final String UPSERT = """
      INSERT INTO rollup
      SELECT organization, product, kind, feature, agent, to_timestamp(hour), credits, events
      FROM unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::bigint[], ?::numeric[], ?::bigint[])
        AS t(organization, product, kind, feature, agent, hour, credits, events)
      ON CONFLICT (organization, hour, product, kind, feature, agent)
      DO UPDATE SET credits = EXCLUDED.credits, events = EXCLUDED.events""";
  private static final String[] TYPES = {"text", "text", "text", "text", "text", "bigint", "numeric", "bigint"};
  private static final int NAMES = 5; // the columns before the hour
  private static final int RECORDS_MAX = 20_000;

  private final Settings settings;

  PostgresSink(Settings settings) {
    this.settings = settings;
  }

  void run() throws SQLException {
    Map<String, Object> config = Map.of(
        "bootstrap.servers", settings.bootstrap(), "group.id", settings.applicationId() + "-sink",
        "isolation.level", "read_committed", "auto.offset.reset", "earliest", "enable.auto.commit", "false",
        "max.poll.records", Integer.toString(RECORDS_MAX), "allow.auto.create.topics", "false",
        "metadata.max.age.ms", "1000"); // Kafka Streams creates the changelog topic while this waits for it
    try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new ByteArrayDeserializer());
        Connection database = connect(settings.postgresUrl());
        PreparedStatement upsert = database.prepareStatement(UPSERT)) {
      database.setAutoCommit(false);
      consumer.subscribe(List.of(settings.changelogTopic()));
      Map<String, byte[]> last = new LinkedHashMap<>();
      while (true) {
        for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.ofMillis(200))) {
          last.put(record.key(), record.value());
        }
        if (last.isEmpty()) continue;
        write(database, upsert, last);
        consumer.commitSync();
        last.clear();
      }
    }
  }

  private static Connection connect(String dsn) throws SQLException {
    URI uri = URI.create(dsn);
    String[] account = uri.getUserInfo().split(":");
    String jdbc = "jdbc:postgresql://" + uri.getHost() + ":" + uri.getPort() + uri.getPath();
    return DriverManager.getConnection(jdbc, account[0], account.length > 1 ? account[1] : null);
  }

  private static void write(Connection database, PreparedStatement upsert, Map<String, byte[]> rows)
      throws SQLException {
    Object[][] columns = new Object[TYPES.length][rows.size()];
    int row = 0;
    for (Map.Entry<String, byte[]> entry : rows.entrySet()) {
      String[] key = entry.getKey().split("\t", -1);
      Sum sum = Sum.read(entry.getValue());
      for (int column = 0; column < NAMES; column++) columns[column][row] = key[column];
      columns[NAMES][row] = Long.valueOf(key[NAMES]);
      columns[NAMES + 1][row] = BigDecimal.valueOf(sum.microCredits(), 6);
      columns[NAMES + 2][row++] = sum.events();
    }
    for (int column = 0; column < TYPES.length; column++) {
      upsert.setArray(column + 1, database.createArrayOf(TYPES[column], columns[column]));
    }
    upsert.executeUpdate();
    database.commit();
  }
}
