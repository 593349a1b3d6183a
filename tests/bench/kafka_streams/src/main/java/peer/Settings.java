package peer;

/** Addresses from the environment, all required. */
record Settings(String bootstrap, String topic, String postgresUrl, String stateFolder, String applicationId) {
  static Settings fromEnvironment() {
    return new Settings(
        required("KAFKA_BOOTSTRAP"), required("USAGE_EVENTS_TOPIC"), required("POSTGRES_DSN"),
        required("STATE_FOLDER"), required("APPLICATION_ID"));
  }

  String changelogTopic() {
    return applicationId + "-" + Rollup.SUMS + "-changelog";
  }

  private static String required(String name) {
    String value = System.getenv(name);
    if (value == null || value.isEmpty()) throw new IllegalArgumentException(name + " is not set");
    return value;
  }
}
