{{/* A job that runs before installation and upgrade. Call with (list $ "name" weight command events component
     environment), with the name of a template or "" for the last. What it needs to read of the release does not exist
     yet at that moment: its account and its network policy are hooks too. */}}
{{- define "moderation.hookJob" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "moderation.fullname" $root }}-{{ $name }}
  labels:
    {{- include "moderation.labels" (list $root (index . 5)) | nindent 4 }}
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
        {{- include "moderation.labels" (list $root (index . 5)) | nindent 8 }}
    spec:
      {{- include "moderation.podSpec" (list $root (printf "%s-hooks" (include "moderation.fullname" $root))) | nindent 6 }}
      restartPolicy: Never
      containers:
        - name: {{ $name }}
          {{- include "moderation.container" (list $root $root.Values.image) | nindent 10 }}
          command: {{ toJson (index . 3) }}
          env:
            {{- include "moderation.homeEnv" $root | nindent 12 }}
            {{- include "moderation.kafkaEnv" $root | nindent 12 }}
            {{- include "moderation.kafkaAccountEnv" (list $root ($root.Values.hooks.topics.kafkaSecret | default $root.Values.kafka.existingSecret)) | nindent 12 }}
            {{- $database := $root.Values.database }}
            {{- $owner := $database.ownerSecret | default $database.existingSecret }}
            {{- include "moderation.databaseEnv" (list $root (ternary $owner $database.existingSecret (eq $name "migrate"))) | nindent 12 }}
            {{- with index . 6 }}
            {{- include . $root | nindent 12 }}
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
{{- end -}}
