#!/bin/sh
# Write server.properties from the variables KAFKA_*, format the data folder once, and run the broker.
set -eu
settings=/opt/kafka/config/server.properties
env | sed -n 's/^KAFKA_\([A-Z0-9_]*\)=\(.*\)$/\1 \2/p' | while read -r name value; do
    case "$name" in
    HEAP_OPTS | JVM_PERFORMANCE_OPTS | LOG4J_* | OPTS) continue ;;
    esac
    printf '%s=%s\n' "$(printf %s "$name" | tr 'A-Z_' 'a-z.')" "$value"
done >"$settings"
cat >/opt/kafka/config/log4j2.properties <<'LOGGING'
status = warn
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d] %p %m (%c)%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
LOGGING
set -- -cp '/opt/kafka/libs/*' -Dlog4j2.configurationFile=/opt/kafka/config/log4j2.properties \
    --enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow
if [ ! -e /var/lib/kafka/data/meta.properties ]; then
    /opt/java/bin/java "$@" -Xmx128m kafka.tools.StorageTool format --cluster-id "$CLUSTER_ID" --config "$settings"
fi
# shellcheck disable=SC2086 # several options
exec /opt/java/bin/java "$@" ${KAFKA_HEAP_OPTS:-} -XX:+ExitOnOutOfMemoryError kafka.Kafka "$settings"
