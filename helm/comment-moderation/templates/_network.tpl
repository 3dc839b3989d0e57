{{/* Openings of the network policies. */}}

{{/* Egress to one kind of server. Call with (dict "to" peers "ports" list-of-numbers). */}}
{{- define "moderation.egress" -}}
- ports:
    {{- range .ports }}
    - protocol: TCP
      port: {{ . }}
    {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "moderation.egressDns" -}}
- ports:
    {{- range $port := .Values.networkPolicy.dnsPorts }}
    {{- range $protocol := list "UDP" "TCP" }}
    - protocol: {{ $protocol }}
      port: {{ $port }}
    {{- end }}
    {{- end }}
  to:
    {{- toYaml .Values.networkPolicy.dns | nindent 4 }}
{{- end -}}

{{/* Brokers, and with OAUTHBEARER the issuer of tokens. */}}
{{- define "moderation.egressKafka" -}}
{{- $ports := list -}}
{{- range splitList "," .Values.kafka.bootstrap -}}
{{- $ports = append $ports (int (last (splitList ":" .))) -}}
{{- end -}}
{{- include "moderation.egress" (dict "to" .Values.networkPolicy.kafka "ports" (uniq $ports)) -}}
{{- with .Values.kafka.connection.oauth_endpoint }}
{{ include "moderation.egressUrl" (dict "to" $.Values.networkPolicy.oauth "url" .) }}
{{- end -}}
{{- end -}}

{{- define "moderation.egressDatabase" -}}
{{- include "moderation.egress" (dict "to" .Values.networkPolicy.database "ports" (list (int .Values.database.port))) -}}
{{- end -}}

{{- define "moderation.egressMlflow" -}}
{{- include "moderation.egressUrl" (dict "to" .Values.networkPolicy.mlflow "url" .Values.mlflow.url) -}}
{{- end -}}

{{/* Egress to the server of a URL. Call with (dict "to" peers "url" http-or-https-URL). */}}
{{- define "moderation.egressUrl" -}}
{{- $address := urlParse .url -}}
{{- $port := ternary 443 80 (eq $address.scheme "https") -}}
{{- if regexMatch ":[0-9]+$" $address.host -}}
{{- $port = int (last (splitList ":" $address.host)) -}}
{{- end -}}
{{- include "moderation.egress" (dict "to" .to "ports" (list $port)) -}}
{{- end -}}
