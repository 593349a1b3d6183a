package peer;

import java.nio.ByteBuffer;

/** Micro-credits and number of events of a rollup row, as the 16 bytes of the state store. */
record Sum(long microCredits, long events) {
  static final Sum NOTHING = new Sum(0, 0);

  static Sum read(byte[] bytes) {
    if (bytes == null) return NOTHING;
    ByteBuffer buffer = ByteBuffer.wrap(bytes);
    return new Sum(buffer.getLong(), buffer.getLong());
  }

  Sum plus(long microCredits) {
    return new Sum(this.microCredits + microCredits, events + 1);
  }

  byte[] bytes() {
    return ByteBuffer.allocate(2 * Long.BYTES).putLong(microCredits).putLong(events).array();
  }
}
