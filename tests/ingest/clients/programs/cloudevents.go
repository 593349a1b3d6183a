// CloudEvents for Go: one event in binary mode, one structured, and a batch of two.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

var target = os.Getenv("URL") + "/api/v1/events"

func usage(name string) cloudevents.Event {
	usage := cloudevents.NewEvent()
	usage.SetID(os.Getenv("ID") + name)
	usage.SetSource("/sdk")
	usage.SetType("flexcredits.usage.v1")
	usage.SetSubject(os.Getenv("ORGANIZATION"))
	usage.SetTime(time.Now())
	data := map[string]string{"product": "assistant", "feature_kind": "tool", "feature": "go", "credits": "1.25"}
	if err := usage.SetData(cloudevents.ApplicationJSON, data); err != nil {
		log.Fatal(err)
	}
	return usage
}

func main() {
	key := "Bearer " + os.Getenv("KEY")
	client, err := cloudevents.NewClientHTTP(cloudevents.WithTarget(target), cloudevents.WithHeader("Authorization", key))
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if result := client.Send(ctx, usage("binary")); cloudevents.IsUndelivered(result) || !cloudevents.IsACK(result) {
		log.Fatal(result)
	}
	if result := client.Send(cloudevents.WithEncodingStructured(ctx), usage("structured")); !cloudevents.IsACK(result) {
		log.Fatal(result)
	}
	request, err := cehttp.NewHTTPRequestFromEvents(ctx, target, []event.Event{usage("first"), usage("second")})
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", key)
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode != 202 {
		log.Fatal(err, response)
	}
}
