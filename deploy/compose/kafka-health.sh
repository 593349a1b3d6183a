# Healthy once the broker answers a Metadata request with at least one broker, itself. A command of Kafka would start a JVM
# for each check, which on a busy machine takes longer than the broker's own start.
set -eu
exec 3<> "/dev/tcp/127.0.0.1/${1:-9092}"
# Length 14; Metadata (3) version 1, correlation 0, no client id; no topics.
printf '\0\0\0\016\0\003\0\001\0\0\0\0\377\377\0\0\0\0' >&3
# Length, correlation, and the number of brokers, whose last byte is enough.
brokers=$(head -c 12 <&3 | tail -c 1 | od -An -tu1)
[ "$brokers" -gt 0 ]
