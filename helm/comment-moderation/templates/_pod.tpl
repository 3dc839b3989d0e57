{{/* What every pod of the chart has in common. */}}

{{/* The pod's side: no token, no root, no privileges. Call with (list $ "serviceAccountName"). */}}
{{- define "moderation.podSpec" -}}
{{- $root := index . 0 -}}
serviceAccountName: {{ index . 1 }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  {{- include "moderation.given" $root.Values.podSecurityContext | nindent 2 }}
{{- end -}}

{{/* The container's side. Call with (list $ $image). */}}
{{- define "moderation.container" -}}
{{- $root := index . 0 -}}
image: {{ include "moderation.image" . }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
securityContext:
  {{- include "moderation.given" $root.Values.containerSecurityContext | nindent 2 }}
{{- end -}}

{{/* A map without the keys whose value is null. */}}
{{- define "moderation.given" -}}
{{- $given := dict -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $given $key $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $given -}}
{{- end -}}

{{/* Items of a list of all pods and of one component. Call with (list $ "component" "extraEnv"); nothing if empty. */}}
{{- define "moderation.extra" -}}
{{- $values := (index . 0).Values -}}
{{- $component := index . 1 -}}
{{- $key := index . 2 -}}
{{- $seen := dict -}}
{{- with concat (index $values $key) (index $values $component $key) -}}
{{- range . -}}
{{- $name := default .name .mountPath -}}
{{- if hasKey $seen $name -}}
{{- fail (printf "%s of %s names %s twice. Remove one of them: a list of all pods applies to this one too." $key $component $name) -}}
{{- end -}}
{{- if and (hasPrefix "MODERATION_" $name) (hasKey $values.settings (lower (trimPrefix "MODERATION_" $name))) -}}
{{- fail (printf "%s of %s names %s, which is among the values of settings. Remove one of them." $key $component $name) -}}
{{- end -}}
{{- if and (hasPrefix "MODERATION_KAFKA_" $name) (hasKey $values.kafka.connection (lower (trimPrefix "MODERATION_KAFKA_" $name))) -}}
{{- fail (printf "%s of %s names %s, which is among the values of kafka.connection. Remove one of them." $key $component $name) -}}
{{- end -}}
{{- $_ := set $seen $name true -}}
{{- end -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{/* Libraries that want a home find one that can be written. */}}
{{- define "moderation.homeEnv" -}}
- name: HOME
  value: /tmp
{{- end -}}

{{- define "moderation.kafkaEnv" -}}
- name: MODERATION_KAFKA_BOOTSTRAP
  value: {{ .Values.kafka.bootstrap | quote }}
- name: MODERATION_TOPIC_PREFIX
  value: {{ .Values.kafka.topicPrefix | quote }}
- name: MODERATION_TOPIC_RETENTION_HOURS
  value: {{ printf "%d" (int .Values.kafka.retentionHours) | quote }}
{{- range $name, $value := .Values.kafka.connection }}
- name: {{ printf "MODERATION_KAFKA_%s" (upper $name) }}
  value: {{ toString $value | quote }}
{{- end }}
{{- end -}}

{{/* An account of Kafka, as the connection demands one. Call with (list $ "name of its secret"). */}}
{{- define "moderation.kafkaAccountEnv" -}}
{{- $connection := (index . 0).Values.kafka.connection -}}
{{- $secret := index . 1 -}}
{{- if and $secret (hasPrefix "sasl_" (default "" $connection.security_protocol)) }}
{{- $isOauth := eq (default "" $connection.sasl_mechanism) "OAUTHBEARER" }}
{{- range $key := ternary (list "oauth-client-id" "oauth-client-secret") (list "username" "password") $isOauth }}
- name: {{ printf "MODERATION_KAFKA_%s" (upper $key | replace "-" "_") }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ $key }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Call with (list $ secret). */}}
{{- define "moderation.databaseEnv" -}}
- name: MODERATION_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ (index . 0).Values.database.key }}
{{- end -}}

{{- define "moderation.modelEnv" -}}
- name: MODERATION_MLFLOW_URL
  value: {{ .Values.mlflow.url | quote }}
- name: MODERATION_MODEL_NAME
  value: {{ .Values.mlflow.modelName | quote }}
- name: MODERATION_VERIFY_KEYS
  value: {{ join "," .Values.certificate.verifyKeys | quote }}
{{- with .Values.exploration.existingSecret }}
- name: MODERATION_EXPLORATION_KEY
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $.Values.exploration.key }}
{{- end }}
{{- end -}}

{{/* An account of the registry. Call with the name of its secret; nothing if empty. */}}
{{- define "moderation.mlflowAccountEnv" -}}
{{- if . }}
- name: MODERATION_MLFLOW_USERNAME
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: username
- name: MODERATION_MLFLOW_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: password
{{- end }}
{{- end -}}

{{/* The token of the workers' HTTP API and metrics. */}}
{{- define "moderation.httpTokenEnv" -}}
- name: MODERATION_HTTP_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ .Values.httpToken.existingSecret }}
      key: {{ .Values.httpToken.key }}
{{- end -}}

{{/* What signs model certificates, for the hook certify only. */}}
{{- define "moderation.signingEnv" -}}
{{ include "moderation.modelEnv" . }}
- name: MODERATION_SIGNING_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .Values.certificate.existingSecret }}
      key: {{ .Values.certificate.signingKey }}
- name: MODERATION_CERTIFICATE_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .Values.certificate.existingSecret }}
      key: {{ .Values.certificate.key }}
      optional: true
{{- include "moderation.mlflowAccountEnv" (.Values.hooks.certify.mlflowSecret | default .Values.mlflow.existingSecret) }}
{{- end -}}

{{- define "moderation.settingsEnv" -}}
{{- range $name, $value := .Values.settings }}
- name: MODERATION_{{ upper $name }}
  {{- /* JSON numbers are floats: whole ones without a point or an exponent. */}}
  value: {{ ternary (printf "%d" (int64 $value)) (toString $value) (and (kindIs "float64" $value) (eq (floor $value) $value)) | quote }}
{{- end }}
{{- end -}}
