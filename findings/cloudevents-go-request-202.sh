#!/usr/bin/env bash
# CloudEvents sdk-go v2.16.2: Client.Request of an event that the receiver answers with 202 and a JSON body that is not an event returns a
# result whose text is an error ("failed to convert response into event"), although IsACK is true.
# Expected: an acknowledgement and no event. The HTTP protocol binding allows 202 with a body of the receiver's own format.
# In FlexCredits: nothing to do. Clients use Send, which treats every 2xx as an acknowledgement.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
mkdir "$work/module"; cd "$work/module"
export GOPATH="$work/go" GOFLAGS="-mod=mod -modcacherw"
cat > go.mod <<'MOD'
module example.test/try

go 1.23

require github.com/cloudevents/sdk-go/v2 v2.16.2
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	cloudevents "github.com/cloudevents/sdk-go/v2"
)

func main() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(202)
		fmt.Fprint(w, `{"accepted":1,"rejected":[]}`)
	}))
	defer server.Close()
	client, err := cloudevents.NewClientHTTP(cloudevents.WithTarget(server.URL))
	if err != nil {
		panic(err)
	}
	event := cloudevents.NewEvent()
	event.SetID("1")
	event.SetSource("/a")
	event.SetType("t")
	sent := client.Send(context.Background(), event)
	answer, asked := client.Request(context.Background(), event)
	fmt.Println("Send: ack", cloudevents.IsACK(sent), "| Request: ack", cloudevents.IsACK(asked), "event", answer, "result:", asked)
	if !cloudevents.IsACK(sent) || answer != nil || asked == nil || asked.Error() == sent.Error() {
		os.Exit(1)
	}
	fmt.Println("as described: acknowledged, with the text of an error")
}
GO
go mod tidy >tidy.log 2>&1 || { cat tidy.log; exit 1; }
go run .
