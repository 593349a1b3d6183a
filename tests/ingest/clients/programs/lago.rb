# Lago's Ruby client: single events, a batch, and one that cannot be placed.
require "lago-ruby-client"

client = Lago::Api::Client.new(api_key: ENV.fetch("KEY"), api_url: "#{ENV.fetch("URL")}/lago/")
event = lambda do |name, tokens|
  { transaction_id: ENV.fetch("ID") + name, external_subscription_id: "sub_ada", code: "tokens",
    timestamp: Time.now.to_i, properties: { model: "gpt-6", input_tokens: tokens } }
end
single = event.call("single", 1000)

2.times do
  answer = client.events.create(single)
  raise answer.to_s unless answer.transaction_id == single[:transaction_id]
end
client.events.batch_create(
  events: [event.call("first", 1000), event.call("second", "500"), single, event.call("third", 1000)],
)
begin
  client.events.create(event.call("wrong", -1))
rescue Lago::Api::HttpError => e
  raise unless e.error_code == 422 && e.json_message["error_details"].key?("properties/input_tokens")
else
  raise "an event with a negative quantity was taken"
end
