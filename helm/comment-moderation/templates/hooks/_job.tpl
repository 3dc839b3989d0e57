{{/* A job that runs before installation and upgrade, and its network policy. Call with (list $ "name" weight command
     events servers), with a list of "Kafka", "Database" and "Mlflow" for the last: it gets their addresses and accounts,
     and reaches nothing else. Objects of the release do not exist yet at that moment: its account and its network policy
     are hooks too. */}}
{{- define "moderation.hookJob" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $servers := index . 5 -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "moderation.fullname" $root }}-{{ $name }}
  labels:
    {{- include "moderation.labels" (list $root $name) | nindent 4 }}
  annotations:
    helm.sh/hook: {{ index . 4 }}
    helm.sh/hook-weight: {{ index . 2 | quote }}
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  backoffLimit: 3
  activeDeadlineSeconds: {{ $root.Values.hooks.activeDeadlineSeconds }}
  template:
    metadata:
      labels:
        {{- include "moderation.labels" (list $root $name) | nindent 8 }}
    spec:
      {{- include "moderation.podSpec" (list $root (printf "%s-hooks" (include "moderation.fullname" $root))) | nindent 6 }}
      restartPolicy: Never
      containers:
        - name: {{ $name }}
          {{- include "moderation.container" (list $root $root.Values.image) | nindent 10 }}
          command: {{ toJson (index . 3) }}
          env:
            {{- include "moderation.homeEnv" $root | nindent 12 }}
            {{- if has "Kafka" $servers }}
            {{- include "moderation.kafkaEnv" $root | nindent 12 }}
            {{- include "moderation.kafkaAccountEnv" (list $root ($root.Values.hooks.topics.kafkaSecret | default $root.Values.kafka.existingSecret)) | nindent 12 }}
            {{- end }}
            {{- if has "Database" $servers }}
            {{- $database := $root.Values.database }}
            {{- $owner := $database.ownerSecret | default $database.existingSecret }}
            {{- include "moderation.databaseEnv" (list $root (ternary $owner $database.existingSecret (eq $name "migrate"))) | nindent 12 }}
            {{- end }}
            {{- if has "Mlflow" $servers }}
            {{- include "moderation.signingEnv" $root | nindent 12 }}
            {{- end }}
            {{- with include "moderation.extra" (list $root "hooks" "extraEnv") }}
            {{- . | nindent 12 }}
            {{- end }}
          resources:
            {{- toYaml $root.Values.hooks.resources | nindent 12 }}
          volumeMounts:
            - name: temporary
              mountPath: /tmp
            {{- with include "moderation.extra" (list $root "hooks" "extraVolumeMounts") }}
            {{- . | nindent 12 }}
            {{- end }}
      volumes:
        - name: temporary
          emptyDir:
            sizeLimit: 1Gi
        {{- with include "moderation.extra" (list $root "hooks" "extraVolumes") }}
        {{- . | nindent 8 }}
        {{- end }}
{{- if $root.Values.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "moderation.fullname" $root }}-{{ $name }}
  labels:
    {{- include "moderation.labels" (list $root $name) | nindent 4 }}
  annotations:
    helm.sh/hook: {{ index . 4 }}
    helm.sh/hook-weight: "0"
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  podSelector:
    matchLabels:
      {{- include "moderation.selectorLabels" (list $root $name) | nindent 6 }}
  policyTypes: [Ingress, Egress]
  egress:
    {{- include "moderation.egressDns" $root | nindent 4 }}
    {{- range $servers }}
    {{- include (printf "moderation.egress%s" .) $root | nindent 4 }}
    {{- end }}
{{- end }}
{{- end -}}
