// Lago's Go client: single events, a batch, and one that cannot be placed.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/getlago/lago-go-client"
)

func event(name string, tokens any) lago.EventInput {
	return lago.EventInput{
		TransactionID: os.Getenv("ID") + name, ExternalSubscriptionID: "sub_ada", Code: "tokens",
		Timestamp:  strconv.FormatInt(time.Now().Unix(), 10),
		Properties: map[string]any{"model": "gpt-6", "input_tokens": tokens},
	}
}

func main() {
	ctx := context.Background()
	client := lago.New().SetApiKey(os.Getenv("KEY")).SetBaseURL(os.Getenv("URL") + "/lago")
	single := event("single", 1000)
	for range 2 {
		answer, failed := client.Event().Create(ctx, &single)
		if failed != nil || answer.TransactionID != single.TransactionID {
			panic(fmt.Sprint(answer, failed))
		}
	}
	batch := []lago.EventInput{event("first", 1000), event("second", "500"), single, event("third", 1000)}
	if answer, failed := client.Event().Batch(ctx, batch); failed != nil || len(answer) != 4 {
		panic(fmt.Sprint(answer, failed))
	}
	wrong := event("wrong", -1)
	if _, failed := client.Event().Create(ctx, &wrong); failed == nil || failed.HTTPStatusCode != 422 {
		panic(fmt.Sprint("an event with a negative quantity was taken: ", failed))
	}
}
