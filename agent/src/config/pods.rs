//! How pods are named.

use super::rule::within;
use super::setting::settings;

settings! {
    /// How pods are named.
    Pods {
        /// The kubelet's folder of links to containers' logs, whose names say which container is of which pod (k8s_namespace,
        /// k8s_pod and k8s_container on everything about a server). It is only listed, no log is read. "" to leave it alone.
        links: String = "/var/log/containers".to_owned();
        /// The kubelet's socket that tells which container has which GPU (the same labels on gpu_*), or "" to leave it alone.
        /// Where it is not there, nothing is missed: this is no node of Kubernetes.
        resources: String = "/var/lib/kubelet/pod-resources/kubelet.sock".to_owned();
        /// How often it is asked, in seconds from 1 to 3600.
        resources_seconds: u32 = 10, must within(1..=3600);
    }
}
