{{- define "inferscope.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "inferscope.fullname" -}}
{{- $name := include "inferscope.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "inferscope.selector" -}}
app.kubernetes.io/name: {{ include "inferscope.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "inferscope.labels" -}}
{{ include "inferscope.selector" . }}
app.kubernetes.io/component: agent
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "inferscope.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "inferscope.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* Of the cluster, so that two releases do not share it. */ -}}
{{- define "inferscope.clusterRoleName" -}}
{{- printf "%s-%s-pods" .Release.Namespace (include "inferscope.fullname" .) }}
{{- end }}

{{- define "inferscope.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- /* What a mounted library is called in the container. */ -}}
{{- define "inferscope.nvidiaFolder" -}}
/usr/local/nvidia/lib64
{{- end }}

{{- /* The agent's configuration: the values', and what other values say of it. */ -}}
{{- define "inferscope.config" -}}
{{- if hasKey .Values.config "listen" }}
{{- fail "config.listen: say metrics.host and metrics.port instead, which the probes and monitors follow" }}
{{- end }}
{{- $config := dict "listen" (printf "%s:%d" .Values.metrics.host (int .Values.metrics.port)) }}
{{- if ne (dig "pods" "metadata" "source" "none" .Values.config) "none" }}
{{- fail "config.pods.metadata.source: say pods.metadata.source instead, which gives the right that it needs" }}
{{- end }}
{{- if ne .Values.pods.metadata.source "none" }}
{{- $_ := set $config "pods" (dict "metadata" (dict "source" .Values.pods.metadata.source)) }}
{{- end }}
{{- if eq .Values.nvidia.source "host" }}
{{- $_ := set $config "gpu" (dict "library" (printf "%s/libnvidia-ml.so.1" (include "inferscope.nvidiaFolder" .))) }}
{{- end }}
{{- toYaml (mergeOverwrite $config (deepCopy .Values.config)) }}
{{- end }}
