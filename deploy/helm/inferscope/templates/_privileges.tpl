{{- /* What the agent may do. Root by number only: Kubernetes gives added capabilities to no other user. */ -}}
{{- define "inferscope.securityContext" -}}
runAsUser: 0
runAsGroup: 0
readOnlyRootFilesystem: true
privileged: {{ .Values.privileged }}
{{- if not .Values.privileged }}
{{- /* Kubernetes promises nothing where both are said: with SYS_ADMIN the agent itself sees to that nothing is gained. */}}
{{- if not .Values.capabilities.sysAdmin }}
allowPrivilegeEscalation: false
{{- end }}
capabilities:
  drop: [ALL]
  add:
    - BPF
    - PERFMON
    - SYS_PTRACE
    - DAC_READ_SEARCH
    {{- if .Values.capabilities.sysAdmin }}
    - SYS_ADMIN
    {{- end }}
    {{- range .Values.capabilities.extra }}
    - {{ . }}
    {{- end }}
{{- with .Values.seccompProfile }}
seccompProfile:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.appArmorProfile }}
appArmorProfile:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with .Values.seLinuxOptions }}
seLinuxOptions:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* What of the host it sees, all of it read only. A path with type "" need not be there. */ -}}
{{- define "inferscope.hostPaths" -}}
{{- if .Values.pods.links }}
- name: container-names
  path: /var/log/containers
  mountPath: /var/log/containers
  type: Directory
{{- end }}
{{- if .Values.pods.resources }}
- name: pod-resources
  path: {{ .Values.pods.kubeletFolder }}/pod-resources
  mountPath: /var/lib/kubelet/pod-resources
  type: Directory
{{- end }}
{{- if .Values.tracefs }}
- name: tracefs
  path: /sys/kernel/tracing
  mountPath: /sys/kernel/tracing
  type: ""
{{- end }}
{{- if eq .Values.nvidia.source "host" }}
- name: nvidia
  path: {{ .Values.nvidia.hostFolder }}
  mountPath: {{ include "inferscope.nvidiaFolder" . }}
  type: Directory
{{- end }}
{{- end }}
