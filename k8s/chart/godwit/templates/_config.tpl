{{/*
The programs' configuration files: the values' own trees, and what is left out there and follows from
other values. A key that stands in the values stays as it is, also when it is 0 or false.
*/}}

{{- define "godwit.config.frontend" -}}
{{- $config := deepCopy .Values.frontend.config -}}
{{- $secret := .Values.frontend.tls.existingSecret -}}
{{- if not (hasKey $config "listen") -}}
{{- $addresses := .Values.frontend.listenAddresses -}}
{{- if not $addresses -}}
{{- range .Values.ipFamilies -}}
{{- $addresses = append $addresses (ternary "[::]" "0.0.0.0" (eq . "IPv6")) -}}
{{- end -}}
{{- end -}}
{{- $listen := list -}}
{{- range $addresses -}}
{{- $address := ternary (printf "[%s]" (trimAll "[]" .)) . (contains ":" .) -}}
{{- $listen = append $listen (dict "address" (printf "%s:%d" $address (int $.Values.frontend.port)) "protocols" (list "udp" "tcp")) -}}
{{- if and $secret (int $.Values.frontend.tls.dotPort) -}}
{{- $listen = append $listen (dict "address" (printf "%s:%d" $address (int $.Values.frontend.tls.dotPort)) "protocols" (list "tls")) -}}
{{- end -}}
{{- if and $secret (int $.Values.frontend.tls.doqPort) -}}
{{- $listen = append $listen (dict "address" (printf "%s:%d" $address (int $.Values.frontend.tls.doqPort)) "protocols" (list "quic")) -}}
{{- end -}}
{{- if and $secret (int $.Values.frontend.tls.dohPort) -}}
{{- $listen = append $listen (dict "address" (printf "%s:%d" $address (int $.Values.frontend.tls.dohPort)) "protocols" (list "https")) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $config "listen" $listen -}}
{{- end -}}
{{- if and $secret (not (hasKey $config "tls")) -}}
{{- $_ := set $config "tls" (dict "certificate" "/etc/godwit/tls/tls.crt" "key" "/etc/godwit/tls/tls.key") -}}
{{- end -}}
{{- if not (hasKey $config "routes") -}}
{{- $route := dict "zone" "." -}}
{{- if include "godwit.tiers" . -}}
{{- $host := printf "%s-backend.%s.svc.%s" (include "godwit.fullname" .) .Release.Namespace .Values.clusterDomain -}}
{{- $_ := set $route "backends" (list (printf "%s:%d" $host (int .Values.backend.port))) -}}
{{- if .Values.frontend.backendTls.existingSecret -}}
{{- $tls := dict "ca" "/etc/godwit/backend-tls/ca.crt" -}}
{{- if .Values.backend.tls.mutual -}}
{{- $_ := set $tls "certificate" "/etc/godwit/backend-tls/tls.crt" -}}
{{- $_ := set $tls "key" "/etc/godwit/backend-tls/tls.key" -}}
{{- end -}}
{{- with .Values.frontend.backendTls.serverName -}}
{{- $_ := set $tls "server_name" . -}}
{{- end -}}
{{- $_ := set $route "tls" $tls -}}
{{- else if .Values.backend.insecure -}}
{{- $_ := set $route "insecure" true -}}
{{- else -}}
{{- fail "topology tiers needs backend.tls.existingSecret and frontend.backendTls.existingSecret, or backend.insecure=true if plaintext between pods is wanted" -}}
{{- end -}}
{{- else -}}
{{- $_ := set $route "backends" (list "unix:/run/godwit/backend.sock") -}}
{{- end -}}
{{- $_ := set $config "routes" (list $route) -}}
{{- end -}}
{{- if and .Values.announcer.enabled (not (hasKey $config "watch_socket")) -}}
{{- $_ := set $config "watch_socket" "/run/godwit/frontend.sock" -}}
{{- end -}}
{{- $linger := int (include "godwit.lingerSeconds" .) -}}
{{- $limits := default dict $config.limits -}}
{{- if and (gt $linger 0) (not (hasKey $limits "linger_ms")) -}}
{{- $_ := set $config "limits" (merge $limits (dict "linger_ms" (mul $linger 1000))) -}}
{{- end -}}
{{- if not (hasKey $config "admin") -}}
{{- $_ := set $config "admin" (printf "%s:%d" (include "godwit.adminAddress" .) (int .Values.adminPorts.frontend)) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "godwit.config.backend" -}}
{{- $config := deepCopy .Values.backend.config -}}
{{- $tcp := printf "%s:%d" (include "godwit.anyAddress" .) (int .Values.backend.port) -}}
{{- if not (hasKey $config "listen") -}}
{{- if include "godwit.tiers" . -}}
{{- $_ := set $config "listen" (list $tcp) -}}
{{- else if include "godwit.grpcProbe" . -}}
{{- $_ := set $config "listen" (list "unix:/run/godwit/backend.sock" $tcp) -}}
{{- $_ := set $config "insecure" true -}}
{{- else -}}
{{- $_ := set $config "listen" (list "unix:/run/godwit/backend.sock") -}}
{{- end -}}
{{- end -}}
{{- if and (include "godwit.tiers" .) (not (hasKey $config "tls")) -}}
{{- if .Values.backend.tls.existingSecret -}}
{{- $tls := dict "certificate" "/etc/godwit/tls/tls.crt" "key" "/etc/godwit/tls/tls.key" -}}
{{- if .Values.backend.tls.mutual -}}
{{- $_ := set $tls "client_ca" "/etc/godwit/tls/ca.crt" -}}
{{- end -}}
{{- $_ := set $config "tls" $tls -}}
{{- else if .Values.backend.insecure -}}
{{- $_ := set $config "insecure" true -}}
{{- end -}}
{{- end -}}
{{- if not (hasKey $config "storage") -}}
{{- $_ := set $config "storage" (include "godwit.storeUrl" .) -}}
{{- end -}}
{{- if and (include "godwit.storeSecret" .) (not (hasKey $config "password_file")) -}}
{{- $_ := set $config "password_file" (printf "/etc/godwit/store-password/%s" .Values.store.passwordKey) -}}
{{- end -}}
{{- if and .Values.backend.snapshot (not (hasKey $config "snapshot")) -}}
{{- $_ := set $config "snapshot" "/var/lib/godwit/backend.snapshot" -}}
{{- end -}}
{{- if not (hasKey $config "admin") -}}
{{- $address := ternary (include "godwit.anyAddress" .) (include "godwit.adminAddress" .) (and (not .Values.adminAddress) (eq (include "godwit.tiers" .) "yes")) -}}
{{- $_ := set $config "admin" (printf "%s:%d" $address (int .Values.adminPorts.backend)) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "godwit.config.announcer" -}}
{{- $config := deepCopy .Values.announcer.config -}}
{{- if not (hasKey $config "bgp") -}}
{{- fail "announcer.config.bgp is required: `as`, and the routers in `peers`" -}}
{{- end -}}
{{- if not (hasKey $config "services") -}}
{{- if not (hasKey $config "service") -}}
{{- fail "announcer.config.service.probe.name is required: a name that is answered whenever all is well, like the apex of a zone" -}}
{{- end -}}
{{- $service := $config.service -}}
{{- if not (hasKey $service "probe") -}}{{- $_ := set $service "probe" dict -}}{{- end -}}
{{- if not (hasKey $service.probe "address") -}}
{{- $host := ternary "127.0.0.1" "[::1]" (has "IPv4" .Values.ipFamilies) -}}
{{- with .Values.frontend.listenAddresses -}}
{{- $first := first . -}}
{{- $host = ternary (printf "[%s]" (trimAll "[]" $first)) $first (contains ":" $first) -}}
{{- end -}}
{{- $_ := set $service.probe "address" (printf "%s:%d" $host (int .Values.frontend.port)) -}}
{{- end -}}
{{- if not (hasKey $service "watch_socket") -}}
{{- $_ := set $service "watch_socket" "/run/godwit/frontend.sock" -}}
{{- end -}}
{{- end -}}
{{- if not (hasKey $config "admin") -}}
{{- $_ := set $config "admin" (printf "%s:%d" (include "godwit.adminAddress" .) (int .Values.adminPorts.announcer)) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}
