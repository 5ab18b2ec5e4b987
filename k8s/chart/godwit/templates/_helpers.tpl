{{/* Names, labels and small decisions. */}}

{{- define "godwit.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "godwit.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "godwit.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "godwit.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What a selector selects by; a dict of root and component. */}}
{{- define "godwit.selector" -}}
app.kubernetes.io/name: {{ include "godwit.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "godwit.labels" -}}
{{ include "godwit.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.extraLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "godwit.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "godwit.labels" . | nindent 2 }}
{{- end -}}

{{- define "godwit.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "godwit.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "godwit.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "godwit.ipFamilyPolicy" -}}
{{- default (ternary "RequireDualStack" "SingleStack" (gt (len .Values.ipFamilies) 1)) .Values.ipFamilyPolicy -}}
{{- end -}}

{{/* Yes or nothing: for `if`. */}}
{{- define "godwit.tiers" -}}{{- if eq .Values.topology "tiers" -}}yes{{- end -}}{{- end -}}

{{/* The address that means all addresses, of IPv6 too where that is asked for. */}}
{{- define "godwit.anyAddress" -}}
{{- if has "IPv6" .Values.ipFamilies -}}[::]{{- else -}}0.0.0.0{{- end -}}
{{- end -}}

{{- define "godwit.adminAddress" -}}
{{- if .Values.adminAddress -}}
{{- .Values.adminAddress -}}
{{- else if .Values.hostNetwork -}}
127.0.0.1
{{- else -}}
{{- include "godwit.anyAddress" . -}}
{{- end -}}
{{- end -}}

{{- define "godwit.storeUrl" -}}
{{- if .Values.store.url -}}
{{- .Values.store.url -}}
{{- else if .Values.redis.enabled -}}
{{- printf "redis://%s-redis.%s.svc.%s:6379/0" (include "godwit.fullname" .) .Release.Namespace .Values.clusterDomain -}}
{{- else if (hasKey .Values.backend.config "storage") -}}
{{- .Values.backend.config.storage -}}
{{- else -}}
{{- fail "store.url is required: where the records are, for instance redis://cache.example:6379/0 (or redis.enabled=true for a try-out)" -}}
{{- end -}}
{{- end -}}

{{- define "godwit.storeSecret" -}}
{{- if .Values.store.existingSecret -}}
{{- .Values.store.existingSecret -}}
{{- else if .Values.store.password -}}
{{- printf "%s-store" (include "godwit.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* Whether the backend's gRPC is probed as such. */}}
{{- define "godwit.grpcProbe" -}}
{{- if eq .Values.backend.probe "grpc" -}}
{{- if .Values.backend.tls.existingSecret -}}
{{- fail "backend.probe: grpc and backend.tls do not go together: Kubernetes' gRPC probe knows no TLS" -}}
{{- end -}}
yes
{{- else if and (eq .Values.backend.probe "auto") (include "godwit.tiers" .) (not .Values.backend.tls.existingSecret) -}}
yes
{{- end -}}
{{- end -}}

{{/* How long a pod's front end answers on when it is told to end. */}}
{{- define "godwit.lingerSeconds" -}}
{{- if .Values.service.enabled -}}{{ .Values.frontend.lingerSeconds }}{{- else -}}0{{- end -}}
{{- end -}}
