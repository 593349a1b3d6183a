// CloudEvents for Java: one event in binary mode, one structured, and a batch of two.
import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.core.message.MessageWriter;
import io.cloudevents.http.HttpMessageFactory;
import io.cloudevents.jackson.JsonFormat;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.OffsetDateTime;

public class CloudEvents {
    static final HttpClient CLIENT = HttpClient.newHttpClient();

    static CloudEvent usage(String name) {
        String data = "{\"product\":\"assistant\",\"feature_kind\":\"tool\",\"feature\":\"java\",\"credits\":\"1.25\"}";
        return CloudEventBuilder.v1().withId(System.getenv("ID") + name).withSource(URI.create("/sdk"))
            .withType("flexcredits.usage.v1").withSubject(System.getenv("ORGANIZATION")).withTime(OffsetDateTime.now())
            .withData("application/json", data.getBytes(StandardCharsets.UTF_8)).build();
    }

    static HttpRequest.Builder request() {
        return HttpRequest.newBuilder(URI.create(System.getenv("URL") + "/api/v1/events"))
            .header("Authorization", "Bearer " + System.getenv("KEY"));
    }

    static void send(HttpRequest.Builder request, byte[] body) {
        try {
            HttpResponse<String> answer = CLIENT.send(
                request.POST(HttpRequest.BodyPublishers.ofByteArray(body)).build(), HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() != 202) throw new IllegalStateException(answer.statusCode() + answer.body());
        } catch (java.io.IOException | InterruptedException error) {
            throw new IllegalStateException(error);
        }
    }

    static MessageWriter writer() {
        HttpRequest.Builder request = request();
        return HttpMessageFactory.createWriter(request::header, body -> send(request, body));
    }

    public static void main(String[] arguments) {
        writer().writeBinary(usage("binary"));
        JsonFormat format = new JsonFormat();
        writer().writeStructured(usage("structured"), format);
        // The SDK has no batch format.
        String batch = "[" + new String(format.serialize(usage("first")), StandardCharsets.UTF_8) + ","
            + new String(format.serialize(usage("second")), StandardCharsets.UTF_8) + "]";
        send(request().header("Content-Type", "application/cloudevents-batch+json"), batch.getBytes(StandardCharsets.UTF_8));
    }
}
