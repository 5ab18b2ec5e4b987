{{/* What the pods of both tiers have in common: all but containers and volumes. */}}
{{- define "godwit.pod" -}}
{{- $v := .root.Values -}}
serviceAccountName: {{ include "godwit.serviceAccountName" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ $v.terminationGracePeriodSeconds }}
{{- with $v.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml $v.podSecurityContext | nindent 2 }}
{{- with $v.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- if .hostNetwork }}
hostNetwork: true
{{- end }}
dnsPolicy: {{ default (ternary "ClusterFirstWithHostNet" "ClusterFirst" .hostNetwork) $v.dnsPolicy }}
{{- with $v.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .placement.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .placement.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .placement.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .spread }}
topologySpreadConstraints:
  {{- if $v.topologySpreadConstraints }}
  {{- toYaml $v.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "godwit.selector" $ | nindent 8 }}
  {{- end }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* A changed configuration or Secret of the chart's own makes new pods; given are configuration names. */}}
{{- define "godwit.checksums" -}}
{{- range $i, $name := .configs }}
{{- if $i }}{{ "\n" }}{{ end -}}
checksum/{{ $name }}: {{ include (printf "godwit.config.%s" $name) $.root | sha256sum }}
{{- end }}
{{- if and (has "backend" .configs) .root.Values.store.password (not .root.Values.store.existingSecret) }}
checksum/store-password: {{ .root.Values.store.password | sha256sum }}
{{- end }}
{{- end -}}

{{/*
What a volume is kept in, an emptyDir unless said. That default is here and not in values.yaml: helm would
put it beside what somebody says, and a volume of two kinds is refused.
*/}}
{{- define "godwit.volumeSource" -}}
{{- toYaml (default (dict "emptyDir" dict) .) -}}
{{- end -}}

{{- define "godwit.volumes.backend" -}}
{{- $name := include "godwit.fullname" . -}}
- name: backend-config
  configMap: { name: {{ $name }}-backend }
- name: state
  {{- include "godwit.volumeSource" .Values.backend.stateVolume | nindent 2 }}
{{- with include "godwit.storeSecret" . }}
- name: store-password
  secret: { secretName: {{ . }}, defaultMode: 288 }
{{- end }}
{{- with .Values.store.tlsSecret }}
- name: store-tls
  secret: { secretName: {{ . }}, defaultMode: 288 }
{{- end }}
{{- end -}}
