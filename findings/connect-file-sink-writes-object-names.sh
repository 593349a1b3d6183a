#!/usr/bin/env bash
# Kafka Connect's FileStreamSink (org.apache.kafka:connect-file 4.3.1), often used to copy a topic to a file, with the
# converters that are recommended for exact copies: with ByteArrayConverter it writes "[B@1b2c3d", Java's name of the array, and
# with JsonConverter Java's text of a map, {id=7}. Neither fails, and the topic cannot be restored from the file.
# Expected: the record's bytes (ByteArrayConverter passes them through everywhere else), JSON, or an error.
# In FlexCredits: docs/runbooks.md says StringConverter, with which tests/faults/test_mirrored_logs.py restores a topic; lines
# of the other two are not JSON and become dead letters.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"
cat > pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>try</groupId><artifactId>try</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>connect-file</artifactId><version>4.3.1</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>connect-runtime</artifactId><version>4.3.1</version></dependency>
</dependencies></project>
XML
mvn -q -B dependency:copy-dependencies -DoutputDirectory=jars > mvn.log 2>&1 || { tail -5 mvn.log | cut -c1-300; exit 2; }
cat > Try.java <<'JAVA'
import java.nio.file.*;
import java.util.*;
import org.apache.kafka.connect.converters.ByteArrayConverter;
import org.apache.kafka.connect.file.*;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.storage.*;

public class Try {
    public static void main(String[] arguments) throws Exception {
        String record = "{\"id\":\"7\",\"data\":{\"credits\":\"1.25\"}}";
        System.out.println("connect-file " + new FileStreamSinkConnector().version() + ", record: " + record);
        Map<String, String> written = new HashMap<>();
        for (Converter converter : List.of(new ByteArrayConverter(), new JsonConverter(), new StringConverter())) {
            converter.configure(Map.of("schemas.enable", "false"), false);
            var value = converter.toConnectData("topic", record.getBytes());
            Path file = Files.createTempFile("copy", ".txt");
            var task = new FileStreamSinkTask();
            task.start(Map.of("file", file.toString()));
            task.put(List.of(new SinkRecord("topic", 0, null, null, value.schema(), value.value(), 0)));
            task.flush(Map.of());
            task.stop();
            String name = converter.getClass().getSimpleName();
            written.put(name, Files.readString(file).strip());
            System.out.println(name + " writes: " + written.get(name));
        }
        boolean same = written.get("ByteArrayConverter").startsWith("[B@")
            && written.get("JsonConverter").startsWith("{") && !written.get("JsonConverter").contains("\"")
            && written.get("StringConverter").equals(record);
        System.out.println(same ? "seen" : "this has changed");
        System.exit(same ? 0 : 1);
    }
}
JAVA
java -cp "jars/*" Try.java 2> >(grep -v "SLF4J\|WARN\|INFO" >&2)
