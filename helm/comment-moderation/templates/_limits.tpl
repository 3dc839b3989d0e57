{{/* Numbers that depend on each other, and what is refused. */}}

{{/* More workers than partitions would sit idle. */}}
{{- define "moderation.maxWorkers" -}}
{{- $partitions := int .Values.kafka.partitions -}}
{{- $scaling := .Values.worker.autoscaling -}}
{{- if $scaling.enabled -}}
{{- $most := ternary $partitions (int $scaling.maxReplicas) (kindIs "invalid" $scaling.maxReplicas) -}}
{{- if gt $most $partitions -}}
{{- fail (printf "worker.autoscaling.maxReplicas is %d, but comments has %d partitions: a worker without a partition does nothing. Raise kafka.partitions, or lower maxReplicas." $most $partitions) -}}
{{- end -}}
{{- if gt (int $scaling.minReplicas) $most -}}
{{- fail (printf "worker.autoscaling.minReplicas is %d, but at most %d workers may run. Lower it, or raise maxReplicas and kafka.partitions." (int $scaling.minReplicas) $most) -}}
{{- end -}}
{{- $most -}}
{{- else -}}
{{- if gt (int .Values.worker.replicas) $partitions -}}
{{- fail (printf "worker.replicas is %d, but comments has %d partitions: a worker without a partition does nothing. Raise kafka.partitions, or lower replicas." (int .Values.worker.replicas) $partitions) -}}
{{- end -}}
{{- int .Values.worker.replicas -}}
{{- end -}}
{{- end -}}

{{/* An image by digest, or else by tag. Call with (list $ $image). */}}
{{- define "moderation.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default $root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What KEDA needs to log in. Call with (list $authentication $connection): of worker.autoscaling and of kafka. */}}
{{- define "moderation.checkAuthentication" -}}
{{- $protocol := default "plaintext" (index . 1).security_protocol -}}
{{- with index . 0 -}}
{{- if and .existing .existingSecret -}}
{{- fail "worker.autoscaling.authentication has both existing and existingSecret. Keep one of them." -}}
{{- end -}}
{{- if and .existingSecret (not .keys) -}}
{{- fail "worker.autoscaling.authentication.existingSecret has no keys: name the key of each parameter, e.g. username: username." -}}
{{- end -}}
{{- if and (ne .sasl "none") (not .existing) (not .existingSecret) -}}
{{- fail (printf "worker.autoscaling.authentication.sasl is %s, which needs credentials: set existingSecret and keys, or existing." .sasl) -}}
{{- end -}}
{{- if and (hasPrefix "sasl_" $protocol) (eq .sasl "none") (not .existing) -}}
{{- fail (printf "worker.autoscaling.authentication.sasl is none, but kafka.connection.security_protocol is %s: KEDA could not read the lag. Set sasl, existingSecret and keys as in examples/keda.yaml." $protocol) -}}
{{- end -}}
{{- if and (hasSuffix "ssl" $protocol) (not .tls) (not .existing) -}}
{{- fail (printf "worker.autoscaling.authentication.tls is false, but kafka.connection.security_protocol is %s: KEDA could not read the lag. Set it to true." $protocol) -}}
{{- end -}}
{{- end -}}
{{- end -}}
