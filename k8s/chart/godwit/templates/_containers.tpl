{{/* The containers of the pods, each a dict of root and, where it matters, sidecar. */}}

{{/* What every container may: nothing; and what of that is given back, a list of capabilities. */}}
{{- define "godwit.securityContext" -}}
{{- toYaml .root.Values.securityContext }}
runAsNonRoot: true
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
  {{- with .capabilities }}
  add: {{ toJson . }}
  {{- end }}
{{- end -}}

{{/* An HTTP probe's handler at an admin port. */}}
{{- define "godwit.httpGet" -}}
httpGet:
  {{- if hasPrefix "127." (include "godwit.adminAddress" .root) }}
  host: 127.0.0.1
  {{- end }}
  path: {{ .path }}
  port: {{ .port }}
{{- end -}}

{{- define "godwit.container.head" -}}
image: {{ include "godwit.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{- if .sidecar }}
restartPolicy: Always
{{- end }}
{{- with .extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "godwit.container.frontend" -}}
{{- $root := .root -}}
{{- $v := .root.Values -}}
{{- $ports := list (int $v.frontend.port) -}}
{{- if $v.frontend.tls.existingSecret -}}
{{- $ports = concat $ports (list (int $v.frontend.tls.dotPort) (int $v.frontend.tls.dohPort) (int $v.frontend.tls.doqPort)) -}}
{{- end -}}
{{- $low := false -}}
{{- range $ports -}}{{- if and (gt . 0) (lt . 1024) -}}{{- $low = true -}}{{- end -}}{{- end -}}
- name: frontend
  {{- include "godwit.container.head" (dict "root" $root "extraEnv" $v.frontend.extraEnv) | nindent 2 }}
  command: [godwit-frontend, --config, /etc/godwit/frontend/frontend.yaml]
  ports:
    - { name: dns, containerPort: {{ $v.frontend.port }}, protocol: UDP }
    - { name: dns-tcp, containerPort: {{ $v.frontend.port }}, protocol: TCP }
    {{- if $v.frontend.tls.existingSecret }}
    {{- if int $v.frontend.tls.dotPort }}
    - { name: dot, containerPort: {{ $v.frontend.tls.dotPort }}, protocol: TCP }
    {{- end }}
    {{- if int $v.frontend.tls.dohPort }}
    - { name: doh, containerPort: {{ $v.frontend.tls.dohPort }}, protocol: TCP }
    {{- end }}
    {{- if int $v.frontend.tls.doqPort }}
    - { name: doq, containerPort: {{ $v.frontend.tls.doqPort }}, protocol: UDP }
    {{- end }}
    {{- end }}
    - { name: admin, containerPort: {{ $v.adminPorts.frontend }}, protocol: TCP }
  startupProbe:
    {{- include "godwit.httpGet" (dict "root" $root "path" "/livez" "port" "admin") | nindent 4 }}
    periodSeconds: 1
    failureThreshold: 60
  livenessProbe:
    {{- include "godwit.httpGet" (dict "root" $root "path" "/livez" "port" "admin") | nindent 4 }}
    periodSeconds: 10
    timeoutSeconds: 5
  readinessProbe:
    {{- include "godwit.httpGet" (dict "root" $root "path" "/readyz" "port" "admin") | nindent 4 }}
    periodSeconds: 2
    timeoutSeconds: 2
  resources:
    {{- toYaml $v.frontend.resources | nindent 4 }}
  securityContext:
    {{- include "godwit.securityContext" (dict "root" $root "capabilities" (ternary (list "NET_BIND_SERVICE") list $low)) | nindent 4 }}
  volumeMounts:
    - { name: frontend-config, mountPath: /etc/godwit/frontend, readOnly: true }
    - { name: run, mountPath: /run/godwit }
    {{- if $v.frontend.tls.existingSecret }}
    - { name: frontend-tls, mountPath: /etc/godwit/tls, readOnly: true }
    {{- end }}
    {{- if $v.frontend.backendTls.existingSecret }}
    - { name: backend-tls, mountPath: /etc/godwit/backend-tls, readOnly: true }
    {{- end }}
    {{- with $v.frontend.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "godwit.container.backend" -}}
{{- $root := .root -}}
{{- $v := .root.Values -}}
{{- $tiers := include "godwit.tiers" $root -}}
{{- $grpc := include "godwit.grpcProbe" $root -}}
- name: backend
  {{- include "godwit.container.head" (dict "root" $root "sidecar" .sidecar "extraEnv" $v.backend.extraEnv) | nindent 2 }}
  command: [godwit-backend, --config, /etc/godwit/backend/backend.yaml]
  workingDir: /var/lib/godwit
  ports:
    {{- if or $tiers $grpc }}
    - { name: grpc, containerPort: {{ $v.backend.port }}, protocol: TCP }
    {{- end }}
    - { name: backend-admin, containerPort: {{ $v.adminPorts.backend }}, protocol: TCP }
  {{- /* Alive from the first second; loading a large store may take its time, and a store that is away
       is no reason to start again. */}}
  startupProbe:
    {{- include "godwit.backendHttpGet" (dict "root" $root "path" "/livez") | nindent 4 }}
    periodSeconds: 1
    failureThreshold: 60
  livenessProbe:
    {{- include "godwit.backendHttpGet" (dict "root" $root "path" "/livez") | nindent 4 }}
    periodSeconds: 10
    timeoutSeconds: 5
  readinessProbe:
    {{- if $grpc }}
    grpc: { port: {{ $v.backend.port }} }
    {{- else }}
    {{- include "godwit.backendHttpGet" (dict "root" $root "path" "/readyz") | nindent 4 }}
    {{- end }}
    periodSeconds: 2
    timeoutSeconds: 2
  {{- /* As long as front ends may still ask. */}}
  {{- if $tiers }}
  lifecycle:
    preStop: { sleep: { seconds: 5 } }
  {{- else if not .sidecar }}
  lifecycle:
    preStop: { sleep: { seconds: {{ add (int (include "godwit.lingerSeconds" $root)) 10 }} } }
  {{- end }}
  resources:
    {{- toYaml $v.backend.resources | nindent 4 }}
  securityContext:
    {{- include "godwit.securityContext" (dict "root" $root) | nindent 4 }}
  volumeMounts:
    - { name: backend-config, mountPath: /etc/godwit/backend, readOnly: true }
    - { name: state, mountPath: /var/lib/godwit }
    {{- if not $tiers }}
    - { name: run, mountPath: /run/godwit }
    {{- end }}
    {{- if include "godwit.storeSecret" $root }}
    - { name: store-password, mountPath: /etc/godwit/store-password, readOnly: true }
    {{- end }}
    {{- if $v.store.tlsSecret }}
    - { name: store-tls, mountPath: /etc/godwit/store, readOnly: true }
    {{- end }}
    {{- if and $tiers $v.backend.tls.existingSecret }}
    - { name: server-tls, mountPath: /etc/godwit/tls, readOnly: true }
    {{- end }}
    {{- with $v.backend.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "godwit.backendHttpGet" -}}
httpGet:
  {{- if and (not (include "godwit.tiers" .root)) (hasPrefix "127." (include "godwit.adminAddress" .root)) }}
  host: 127.0.0.1
  {{- end }}
  path: {{ .path }}
  port: backend-admin
{{- end -}}

{{- define "godwit.container.announcer" -}}
{{- $root := .root -}}
{{- $v := .root.Values -}}
- name: announcer
  {{- include "godwit.container.head" (dict "root" $root "sidecar" .sidecar "extraEnv" $v.announcer.extraEnv) | nindent 2 }}
  command: [godwit-announcer, --config, /etc/godwit/announcer/announcer.yaml]
  ports:
    - { name: announcer-admin, containerPort: {{ $v.adminPorts.announcer }}, protocol: TCP }
  startupProbe:
    {{- include "godwit.httpGet" (dict "root" $root "path" "/livez" "port" "announcer-admin") | nindent 4 }}
    periodSeconds: 1
    failureThreshold: 60
  livenessProbe:
    {{- include "godwit.httpGet" (dict "root" $root "path" "/livez" "port" "announcer-admin") | nindent 4 }}
    periodSeconds: 10
    timeoutSeconds: 5
  {{- if $v.announcer.readiness }}
  readinessProbe:
    {{- include "godwit.httpGet" (dict "root" $root "path" "/readyz" "port" "announcer-admin") | nindent 4 }}
    periodSeconds: 2
    timeoutSeconds: 2
  {{- end }}
  resources:
    {{- toYaml $v.announcer.resources | nindent 4 }}
  securityContext:
    {{- include "godwit.securityContext" (dict "root" $root "capabilities" (list "NET_ADMIN" "NET_BIND_SERVICE" "NET_RAW")) | nindent 4 }}
  volumeMounts:
    - { name: announcer-config, mountPath: /etc/godwit/announcer, readOnly: true }
    - { name: run, mountPath: /run/godwit }
    {{- if $v.announcer.peersSecret }}
    - { name: peers, mountPath: /etc/godwit/peers, readOnly: true }
    {{- end }}
    {{- with $v.announcer.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
